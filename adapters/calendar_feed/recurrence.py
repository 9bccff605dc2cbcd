"""Recurrence rules (RFC 5545, 3.3.10) as far as a calendar of nights needs them, in bounded time.

``icalendar`` reads the rule. Every day of a bounded range is tested against it, so no rule can run for ever: general
expanders search on to the year 9999 for a 30 February. What is not supported raises ValueError: the caller reports it.
"""

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from icalendar.prop import vRecur

MAX_DAYS = (
    10 * 366
)  # tested per rule: enough for any window, and for a COUNT that began ten years ago less it

_FREQUENCIES = frozenset({"DAILY", "WEEKLY", "MONTHLY", "YEARLY"})
_SUPPORTED = frozenset({"FREQ", "INTERVAL", "COUNT", "WKST", "BYDAY", "BYMONTHDAY", "BYMONTH"})  # and UNTIL
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_SINGLE = ("FREQ", "INTERVAL", "COUNT", "WKST")
_MOST = 999_999  # an INTERVAL or COUNT


@dataclass(frozen=True, slots=True)
class Rule:
    """One RRULE. ``days`` holds (which of its kind in the month, 0 for each; weekday, Monday 0)."""

    frequency: str
    interval: int
    count: int | None
    until: str  # as it stands: spelled like any other moment, and its time zone is the event's business
    week_start: int
    days: frozenset[tuple[int, int]]
    month_days: frozenset[int]
    months: frozenset[int]


def rule_from_wire(text: str) -> Rule:
    """Read an RRULE. Raises ValueError, without the rule's text, for one that is malformed or not supported."""
    parts = [part for part in text.upper().replace(" ", "").split(";") if part]
    until = next((part[6:] for part in parts if part.startswith("UNTIL=")), "")
    read = _read([part for part in parts if part != f"UNTIL={until}"])
    if unsupported := sorted(read.keys() & {"BYSETPOS", "BYWEEKNO", "BYYEARDAY"}):
        raise ValueError(f"{unsupported[0]} in a recurrence rule is not supported")
    (frequency,) = read.get("FREQ", [""])
    if not read.keys() <= _SUPPORTED or frequency not in _FREQUENCIES:
        raise ValueError("not a recurrence rule by days, weeks, months or years")
    months = _numbers(read.get("BYMONTH", []), 1, 12)
    month_days = _numbers(read.get("BYMONTHDAY", []), -31, 31)
    days = frozenset((day.relative or 0, _WEEKDAYS.index(day.weekday)) for day in read.get("BYDAY", []))
    if frequency == "WEEKLY" and month_days:
        raise ValueError("BYMONTHDAY in a weekly rule is not allowed")
    in_month = frequency == "MONTHLY" or (frequency == "YEARLY" and months)
    if any(ordinal for ordinal, _ in days) and not in_month:
        raise ValueError("a numbered BYDAY outside a month is not supported")
    (interval,) = _numbers(read.get("INTERVAL", [1]), 1, _MOST)
    (count,) = _numbers(read.get("COUNT", []), 1, _MOST) or (None,)
    (week_start,) = read.get("WKST", _WEEKDAYS[:1])
    return Rule(frequency, interval, count, until, _WEEKDAYS.index(week_start), days, month_days, months)


def _read(parts: list[str]) -> dict[str, list[Any]]:
    try:
        read = dict(vRecur.from_ical(";".join(parts)))
    except Exception:  # noqa: BLE001 - whatever the library raises: its message quotes the rule, ours does not
        raise ValueError("not a recurrence rule") from None
    whole = len(read) == len(parts) and "".join(parts).isascii()  # the library skips a part without "="
    if not whole or any(len(read.get(name, [""])) != 1 for name in _SINGLE):
        raise ValueError("not a recurrence rule")
    if any(month.leap for month in read.get("BYMONTH", [])):
        raise ValueError("a leap month in a recurrence rule is not supported")
    return read


def occurrences(
    rule: Rule, start: datetime, until: datetime | None, first: date, last: date
) -> Iterator[datetime]:
    """The starts from day ``first`` to day ``last``, both inclusive, with ``start``'s time of day.

    All in the event's own zone; ``until`` is inclusive. Raises ValueError where that means testing more than
    MAX_DAYS days.
    """
    begin = max(start.date(), first) if rule.count is None else start.date()
    if (last - begin).days > MAX_DAYS:
        raise ValueError(f"a recurrence of more than {MAX_DAYS} days is not supported")
    counted = 0
    for ahead in range((last - begin).days + 1):
        day = begin + timedelta(days=ahead)
        moment = datetime.combine(day, start.time())
        if until is not None and moment > until:
            return
        if not _falls_on(rule, start.date(), day):
            continue
        counted += 1
        if rule.count is not None and counted > rule.count:
            return
        if day >= first:
            yield moment


def _falls_on(rule: Rule, start: date, day: date) -> bool:
    return (
        _periods_between(rule, start, day) % rule.interval == 0
        and (not rule.months or day.month in rule.months)
        and (not rule.month_days or not rule.month_days.isdisjoint(_month_days(day)))
        and (not rule.days or not rule.days.isdisjoint(_days_of(day)))
        and (bool(rule.days or rule.month_days) or _same_place(rule, start, day))
    )


def _periods_between(rule: Rule, start: date, day: date) -> int:
    match rule.frequency:
        case "DAILY":
            return (day - start).days
        case "WEEKLY":
            into_week = (start.weekday() - rule.week_start) % 7
            return ((day - start).days + into_week) // 7
        case "MONTHLY":
            return (day.year - start.year) * 12 + day.month - start.month
        case _:
            return day.year - start.year


def _same_place(rule: Rule, start: date, day: date) -> bool:
    """Without BYDAY and BYMONTHDAY the start says which day of the period is meant."""
    match rule.frequency:
        case "DAILY":
            return True
        case "WEEKLY":
            return day.weekday() == start.weekday()
        case "MONTHLY":
            return day.day == start.day
        case _:
            return day.day == start.day and (bool(rule.months) or day.month == start.month)


def _month_days(day: date) -> tuple[int, int]:
    return day.day, day.day - monthrange(day.year, day.month)[1] - 1


def _days_of(day: date) -> tuple[tuple[int, int], ...]:
    from_start = (day.day - 1) // 7 + 1
    from_end = -((monthrange(day.year, day.month)[1] - day.day) // 7 + 1)
    return (0, day.weekday()), (from_start, day.weekday()), (from_end, day.weekday())


def _numbers(numbers: list[int], least: int, most: int) -> frozenset[int]:
    if any(not least <= number <= most or number == 0 for number in numbers):
        raise ValueError("a recurrence rule holds a number that is out of range")
    return frozenset(map(int, numbers))
