"""Acknowledging many at once, where one refusal may stand for all of a request."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from adapters.booking_com.answers import Result
from adapters.booking_com.receipts import MOST_AT_ONCE, Queue, Taken, taken_from
from adapters.model import Receipt
from adapters.updates import Outcome, Verdict

Acknowledge = Callable[[Queue, Sequence[str]], Result]


def acknowledged(receipts: Iterable[Receipt], acknowledge: Acknowledge) -> Iterator[Outcome[Receipt]]:
    """One outcome for each receipt. What ``acknowledge`` raises ends it: the rest is as it was."""
    taken: dict[Taken, list[Receipt]] = {}
    for receipt in receipts:
        known = taken_from(receipt.reference)
        if known is None:
            yield Outcome(receipt, Verdict.REJECTED, "the receipt's reference is not one that we read")
        else:
            taken.setdefault(known, []).append(receipt)
    for queue in Queue:
        ids = [each.reservation_id for each in taken if each.queue is queue]
        for start in range(0, len(ids), MOST_AT_ONCE):
            for reservation_id, (verdict, words) in _told(
                queue, ids[start : start + MOST_AT_ONCE], acknowledge
            ):
                for receipt in taken[Taken(queue, reservation_id)]:
                    yield Outcome(receipt, verdict, words)


def _told(
    queue: Queue, ids: Sequence[str], acknowledge: Acknowledge
) -> Iterator[tuple[str, tuple[Verdict, str]]]:
    """How each ended. Where a refusal does not say which it is about, halves are told apart until it does.

    A message that is refused for good is never told to the other queue: a newer one of the same reservation may wait
    there, and it would be acknowledged unseen.
    """
    result = acknowledge(queue, ids)
    named = _named(result, ids)
    about_all = [trouble for trouble in result.troubles if trouble.record not in named]
    if any(trouble.refused for trouble in about_all) or not (result.success or named):
        if len(ids) == 1:
            yield ids[0], (Verdict.REJECTED, result.words)
            return
        middle = len(ids) // 2
        yield from _told(queue, ids[:middle], acknowledge)
        yield from _told(queue, ids[middle:], acknowledge)
        return
    if not result.success:  # nothing was done; what was named is out of the way
        for reservation_id, ended in named.items():
            yield reservation_id, ended
        rest = [each for each in ids if each not in named]
        if rest:
            yield from _told(queue, rest, acknowledge)
        return
    usual = (Verdict.WARNED, result.words) if about_all else (Verdict.ACCEPTED, "")
    for reservation_id in ids:
        yield reservation_id, named.get(reservation_id, usual)


def _named(result: Result, ids: Sequence[str]) -> Mapping[str, tuple[Verdict, str]]:
    """What was said of one reservation, by its id; an error counts before a warning."""
    known = frozenset(ids)
    found: dict[str, tuple[Verdict, str]] = {}
    for trouble in sorted(result.troubles, key=lambda each: each.refused):
        if trouble.record in known:
            found[trouble.record] = (
                Verdict.REJECTED if trouble.refused else Verdict.WARNED,
                trouble.words,
            )
    return found
