"""How a push ends: each update by what was said of its messages, however many calls they were spread over."""

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from adapters.booking_com.answers import Result
from adapters.booking_com.messages import Call, Fact, Facts, calls_of, facts_of, spoken_of, unspeakable
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate, Verdict

Update = TypeVar("Update", AvailabilityUpdate, PricingUpdate)
Tell = Callable[[Call, Facts], Result]

_LONGEST_WORDS = 300


def pushed(updates: Iterable[Update], tell: Tell) -> Iterator[Outcome[Update]]:
    """One outcome for each update, as soon as its last message was answered. Of two words on one night the last counts.

    ``tell`` makes a call and gives what was said of it; what it raises ends the push.
    """
    open_ones: list[_Pending[Update]] = []
    facts: Facts = {}
    owners: dict[Fact, list[_Pending[Update]]] = {}
    for update in updates:
        reason = unspeakable(update)
        own = {} if reason else facts_of(update)
        if not own:
            yield Outcome(
                update, Verdict.REJECTED if reason else Verdict.ACCEPTED, reason or "nothing to tell"
            )
            continue
        pending = _Pending(update, len(own))
        open_ones.append(pending)
        facts.update(own)
        for fact in own:
            owners.setdefault(fact, []).append(pending)
    for call in calls_of(facts):
        result = tell(call, facts)
        _settle(call, result, owners)
        ended = [pending for pending in open_ones if pending.unanswered == 0]
        open_ones = [pending for pending in open_ones if pending.unanswered]
        for pending in ended:
            yield pending.outcome()


def _settle(call: Call, result: Result, owners: dict[Fact, list["_Pending[Update]"]]) -> None:
    """Book what was said under the updates whose messages were in the call."""
    refused: dict[Fact, str] = {}
    warned: dict[Fact, str] = {}
    for trouble in result.troubles:
        # What names no message may be about any of them, so that each may have been done.
        named = spoken_of(call, trouble.record, trouble.text)
        for fact in named or call.facts:
            (refused if trouble.refused and named else warned).setdefault(fact, trouble.words)
    if not result.success:
        refused = {fact: refused.get(fact, result.words) for fact in call.facts}
    for fact in call.facts:
        for pending in owners[fact]:
            pending.hear(refused.get(fact), warned.get(fact))


class _Pending(Generic[Update]):
    """An update with what was said of it so far."""

    def __init__(self, update: Update, messages: int) -> None:
        self.unanswered = messages
        self._update: Update = update
        self._messages = messages
        self._refused = 0
        self._words: dict[str, None] = {}

    def hear(self, refused: str | None, warned: str | None) -> None:
        """One message was answered."""
        self.unanswered -= 1
        self._refused += refused is not None
        self._words.update(dict.fromkeys(words for words in (refused, warned) if words))

    def outcome(self) -> Outcome[Update]:
        """Refused whole, done with a warning (some nights may not have been), or done."""
        words = "; ".join(self._words)[:_LONGEST_WORDS]
        if self._refused == self._messages:
            return Outcome(self._update, Verdict.REJECTED, words)
        if self._words:
            return Outcome(self._update, Verdict.WARNED, words)
        return Outcome(self._update, Verdict.ACCEPTED)
