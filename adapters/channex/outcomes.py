"""What becomes of pushes: Channex's tasks, warnings and refusals as the outcomes of updates. Pure functions."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic

from adapters import json_fields
from adapters.channex import fields
from adapters.channex.pushes import Plan, Update, Value
from adapters.errors import UnexpectedResponse
from adapters.updates import Outcome, Verdict

LEFT_OUT = "nights that are past were left out"

_WORDS = re.compile(r"[A-Za-z0-9 ,.`'_-]{1,160}")
_NAME = re.compile("[A-Za-z_]{1,64}")
_AT_VALUE = re.compile(r"(?:^|[./])values[./\[](\d{1,6})\]?(?=[./\s])")
_MOST_WARNINGS = 3  # shown of one item
_DEEPEST = 8  # levels of details


class Report(Generic[Update]):
    """What becomes of a plan's updates, call by call."""

    def __init__(self, plan: Plan[Update]) -> None:
        self._updates: Sequence[Update] = plan.updates
        self._waiting = Counter(owner for value in plan.values for owner in value.owners)
        self._refused: dict[int, str] = dict(plan.refused)
        self._warned: dict[int, str] = dict.fromkeys(plan.shortened, LEFT_OUT)
        self._tasks: dict[int, str] = {}
        self._ended: set[int] = set()

    def answered(self, values: Sequence[Value], meta: Mapping[str, Any], task: str) -> None:
        """A call with these values was answered with success, with ``meta`` and the task that it became."""
        for position, words in warnings_of(meta, values).items():
            known = self._warned.get(position)
            self._warned[position] = f"{known}; {words}" if known else words
        for value in values:
            self._waiting.subtract(value.owners)
            self._tasks.update(dict.fromkeys(value.owners, task))

    def refused(self, values: Iterable[Value], words: str) -> None:
        """These values were not taken."""
        for value in values:
            self._waiting.subtract(value.owners)
            self._refused.update(dict.fromkeys(value.owners, words))

    def ended(self) -> Iterator[Outcome[Update]]:
        """The outcomes that are known by now and were not given yet."""
        for position, update in enumerate(self._updates):
            if position in self._ended or self._waiting[position]:
                continue
            self._ended.add(position)
            if position in self._refused:
                yield Outcome(update, Verdict.REJECTED, self._refused[position])
            elif position in self._warned:
                yield Outcome(update, Verdict.WARNED, self._warned[position])
            else:
                task = self._tasks.get(position)
                yield Outcome(update, Verdict.ACCEPTED, f"task {task}" if task else "")


def task_of(body: Mapping[str, Any]) -> str:
    """The id of the task that the call became, "" where none is told."""
    data = body.get("data")
    first = data[0] if isinstance(data, list) and data else None
    try:
        return json_fields.code(first, "id") or "" if isinstance(first, dict) else ""
    except ValueError:
        return ""


def warnings_of(meta: Mapping[str, Any], values: Sequence[Value]) -> Mapping[int, str]:
    """Channex's warnings by the position of the updates that they are about. One that names none is about all."""
    warnings = meta.get("warnings")
    if not isinstance(warnings, list) or not warnings:
        return {}
    if len(warnings) > len(values):  # each repeats one value
        return dict.fromkeys(_owners(values), "more warnings than values")
    found: dict[int, list[str]] = {}
    of_all: list[str] = []
    sent = _by_id(values)
    for raw in warnings:
        about = _about(raw, sent)
        for position in _owners(about):
            found.setdefault(position, []).append(_warning(raw))
        if not about:
            of_all.append(_warning(raw))
    told = {
        position: list(dict.fromkeys(found.get(position, []) + of_all[:_MOST_WARNINGS]))
        for position in (sorted(_owners(values)) if of_all else sorted(found))
    }
    return {position: "; ".join(words[:_MOST_WARNINGS]) for position, words in told.items()}


def _owners(values: Iterable[Value]) -> frozenset[int]:
    return frozenset().union(*(value.owners for value in values))


def _by_id(values: Iterable[Value]) -> Mapping[str, Mapping[tuple[str, str], Value]]:
    """The values by what they are about and their first and last date."""
    found: dict[str, dict[tuple[str, str], Value]] = {}
    for value in values:
        sold = value.wire.get("room_type_id") or value.wire["rate_plan_id"]
        found.setdefault(sold, {})[_dates(value.wire)] = value
    return found


def _about(raw: object, sent: Mapping[str, Mapping[tuple[str, str], Value]]) -> Sequence[Value]:
    """The values that a warning is about: of the same room or rate plan, on some of the same dates."""
    if not isinstance(raw, dict):
        return ()
    ids = [raw.get(name) for name in ("rate_plan_id", "room_type_id")]
    known = next((sent[each] for each in ids if isinstance(each, str) and each in sent), None)
    dates = _dates(raw)
    if known is None or not all(isinstance(each, str) for each in dates):
        return ()
    if dates in known:  # as it was sent
        return (known[dates],)
    # As text: both are YYYY-MM-DD.
    return [value for (start, end), value in known.items() if start <= dates[1] and dates[0] <= end]


def _dates(told: Mapping[str, Any]) -> tuple[Any, Any]:
    return told.get("date_from") or told.get("date"), told.get("date_to") or told.get("date")


def _warning(raw: object) -> str:
    """What a warning says, without the values that it repeats."""
    told = raw.get("warning") if isinstance(raw, dict) else None
    if not isinstance(told, dict):
        return "a warning without words"
    said = [
        f"{name}: {_first_words(texts)}"
        for name, texts in told.items()
        if isinstance(name, str) and _NAME.fullmatch(name)
    ]
    return ", ".join(said[:_MOST_WARNINGS]) or "a warning without words"


def _first_words(texts: object) -> str:
    first = texts[0] if isinstance(texts, list) and texts else texts
    return first if isinstance(first, str) and _WORDS.fullmatch(first) else "not as it should be"


def refused_values(content: bytes, count: int) -> frozenset[int]:
    """Which of a call's ``count`` values (by place) an error names in its details, however it writes their path."""
    try:
        errors = fields.body_of(content, "error").get("errors")
    except UnexpectedResponse:
        return frozenset()
    details = errors.get("details") if isinstance(errors, dict) else None
    places = {int(found[1]) for path in _paths(details, "", _DEEPEST) for found in _AT_VALUE.finditer(path)}
    return frozenset(place for place in places if place < count)


def _paths(value: object, path: str, levels: int) -> Iterator[str]:
    """The path of each leaf, with its text where it is one: "values.0.rate.0 must be greater than 0"."""
    if levels and isinstance(value, dict):
        for name, each in value.items():
            yield from _paths(each, f"{path}.{name}" if path else str(name), levels - 1)
    elif levels and isinstance(value, list):
        for place, each in enumerate(value):
            yield from _paths(each, f"{path}.{place}" if path else str(place), levels - 1)
    elif value is not None:
        yield path
        if isinstance(value, str):
            yield value[:200]
