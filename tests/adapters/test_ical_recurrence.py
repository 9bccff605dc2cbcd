"""Recurring events, held against dateutil where both can read the rule."""

from datetime import date, datetime, time, timedelta
from time import perf_counter

import pytest
from dateutil.rrule import rrulestr  # type: ignore[import-untyped] # a witness without types
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from adapters.calendar_feed.recurrence import occurrences, rule_from_wire
from adapters.model import Stay
from tests.adapters.ical_rendering import calendar, closed, event, observe

WINDOW = Stay(date(2026, 8, 1), date(2026, 9, 1))
BEGIN = datetime.combine(date(2024, 1, 31), time(16))

_WEEKDAYS = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, unique=True)
_ORDINALS = st.lists(st.sampled_from(["1MO", "2TU", "-1FR", "+3SA", "5SU", "-2WE"]), min_size=1, unique=True)  # fmt: skip
_MONTHS = st.lists(st.integers(1, 12), min_size=1, unique=True)
_DAYS_OF_EVERY_MONTH = st.lists(st.sampled_from([1, 2, 15, 28, -1, -2, -28]), min_size=1, unique=True)


@st.composite
def rules(draw: st.DrawFn) -> str:
    """A rule that we support."""
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    # dateutil searches on to the year 9999 for a 30 February: no rules that never come true.
    months = draw(st.none() | _MONTHS)
    interval = 1 if frequency == "MONTHLY" and months else draw(st.integers(1, 5))
    parts = {"FREQ": frequency, "INTERVAL": str(interval)}
    if draw(st.booleans()):
        parts["WKST"] = draw(st.sampled_from(["MO", "SU"]))
    if months:
        parts["BYMONTH"] = ",".join(map(str, months))
    in_month = frequency == "MONTHLY" or (frequency == "YEARLY" and months)
    by = draw(st.sampled_from(["nothing", "weekday", "day"]))
    if by == "weekday":
        # Ordinals and bare weekdays apart: of a mixture dateutil takes neither.
        parts["BYDAY"] = ",".join(draw(_ORDINALS | _WEEKDAYS if in_month else _WEEKDAYS))
    elif by == "day" and frequency != "WEEKLY":
        parts["BYMONTHDAY"] = ",".join(map(str, draw(_DAYS_OF_EVERY_MONTH)))
    if draw(st.booleans()):
        parts["COUNT"] = str(draw(st.integers(1, 40)))
    return ";".join(f"{name}={value}" for name, value in parts.items())


@settings(deadline=None, phases=[Phase.explicit, Phase.generate])  # a failure is slow to shrink
@given(text=rules(), begins=st.dates(date(2020, 1, 1), date(2026, 6, 1)))
def test_expands_like_dateutil(text: str, begins: date) -> None:
    """Every supported rule gives the starts that dateutil gives, day by day for two years."""
    start = datetime.combine(begins, time(16))
    first, last = date(2025, 1, 1), date(2026, 12, 31)
    end = datetime.combine(date(2027, 1, 1), time())
    # An UNTIL keeps dateutil from searching on to the year 9999; with COUNT it may not stand.
    bounded = text if "COUNT" in text else f"{text};UNTIL=20261231T235959"

    expected = []
    for moment in rrulestr(bounded, dtstart=start):
        if moment >= end:
            break
        if moment.date() >= first:
            expected.append(moment)

    assert expected == list(occurrences(rule_from_wire(text), start, None, first, last))


@pytest.mark.parametrize(
    ("lines", "nights"),
    [
        (("RRULE:FREQ=WEEKLY;BYDAY=SA",), ["08-01", "08-08", "08-15", "08-22", "08-29"]),
        (("RRULE:FREQ=WEEKLY;UNTIL=20260815",), ["08-01", "08-08", "08-15"]),
        (("RRULE:FREQ=WEEKLY;UNTIL=20260815", "EXDATE;VALUE=DATE:20260801,20260808"), ["08-15"]),
        (("RRULE:FREQ=MONTHLY;BYDAY=3MO,TH",), ["08-01", "08-06", "08-13", "08-17", "08-20", "08-27"]),
        (("RRULE:FREQ=DAILY;BYDAY=SU;BYMONTHDAY=-1,9",), ["08-01", "08-09"]),
        (("RRULE:FREQ=DAILY;COUNT=3",), ["08-01", "08-02", "08-03"]),
        (("RDATE;VALUE=DATE:20260805,20260807",), ["08-01", "08-05", "08-07"]),
        (("RRULE:FREQ=WEEKLY;COUNT=2", "RDATE:20260820/P2D"), ["08-01", "08-08", "08-20"]),
    ],
)
def test_each_occurrence_closes_its_nights(lines: tuple[str, ...], nights: list[str]) -> None:
    """RRULE, RDATE and EXDATE of an all-day event are read within the window."""
    body = event("DTSTART;VALUE=DATE:20260801", *lines, "UID:u")

    assert ([f"2026-{night}" for night in nights], ()) == (
        closed(body, WINDOW),
        observe(body, WINDOW).problems,
    )


def test_a_rule_runs_in_the_events_own_zone() -> None:
    """Saturdays in New York, 20:00, are Sundays in Rome; UNTIL in UTC and EXDATE are taken in that zone."""
    body = event(
        "DTSTART;TZID=America/New_York:20260801T200000",
        "DTEND;TZID=America/New_York:20260802T190000",
        "RRULE:FREQ=WEEKLY;BYDAY=SA;UNTIL=20260823T000000Z",
        "EXDATE;TZID=America/New_York:20260808T200000",
        "UID:u",
    )

    assert closed(body, WINDOW) == ["2026-08-02", "2026-08-16", "2026-08-23"]


def test_an_occurrence_that_began_before_the_window_reaches_into_it() -> None:
    """A series of stays of five nights closes the nights of the window, also those of a stay begun before it."""
    body = event("DTSTART:20200730", "DURATION:P5D", "RRULE:FREQ=YEARLY", "UID:u")

    assert closed(body, WINDOW) == ["2026-08-01", "2026-08-02", "2026-08-03"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY", "FREQ=DAILY;INTERVAL=0", "FREQ=MONTHLY;BYSETPOS=1;BYDAY=MO", "FREQ=DAILY;BYHOUR=1,2",
        "", "garbage", "FREQ=DAILY;COUNT=x", "FREQ=DAILY;BYMONTHDAY=99", "FREQ=YEARLY;BYDAY=20MO",
        "FREQ=WEEKLY;BYMONTHDAY=1", "FREQ=WEEKLY;BYDAY=XX", "FREQ=WEEKLY;WKST=XX", "FREQ=DAILY;UNTIL=soon",
        "FREQ=DAILY;INTERVAL=٣", "FREQ=DAILY;COUNT=99999999999999999999", "FREQ=DAILY;INTERVAL=99999999999",
        "FREQ=DAILY;COUNT=1000000000", "FREQ=DAILY,WEEKLY", "FREQ=DAILY;COUNT", "FREQ=DAILY;COUNT=2;COUNT=3",
        "FREQ=DAILY;INTERVAL=1,2", "FREQ=DAILY;UNTIL=20260802;UNTIL=20260803", "FREQ=YEARLY;BYMONTH=5L", "FREQ=YEARLY;BYMONTH=13", "FREQ=MINUTELY;BYMONTH=2",
    ],
)  # fmt: skip
def test_a_rule_we_cannot_read_is_a_problem(rule: str) -> None:
    """The first occurrence closes, and the rest is reported and not dropped in silence."""
    body = event("DTSTART:20260801", f"RRULE:{rule}", "UID:u")

    (problem,) = observe(body, WINDOW).problems

    assert problem.reason.startswith("RRULE: ")
    assert closed(body, WINDOW) == ["2026-08-01"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "FREQ=DAILY;INTERVAL=7;BYDAY=SU",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTH=1", "FREQ=DAILY;INTERVAL=999999", "FREQ=YEARLY;INTERVAL=999999",
        "FREQ=WEEKLY;INTERVAL=999999;UNTIL=99991231T235959Z", "FREQ=DAILY;INTERVAL=999999;COUNT=999999",
    ],
)  # fmt: skip
def test_a_rule_that_never_comes_true_is_quick(rule: str) -> None:
    """Rules that a general expander follows to the year 9999 close their first occurrence at once."""
    began = perf_counter()
    observed = observe(event("DTSTART:20260801", f"RRULE:{rule}", "UID:u"), WINDOW)

    assert perf_counter() - began < 0.5
    assert (["2026-08-01"], ()) == ([str(each.night) for each in observed.nights], observed.problems)


def test_escaped_semicolons_of_a_rule_are_read() -> None:
    """Tools that escape a rule like a text mean the same rule."""
    assert closed(event("DTSTART:20260801", "RRULE:FREQ=DAILY\\;COUNT=2"), WINDOW) == [
        "2026-08-01",
        "2026-08-02",
    ]


@pytest.mark.parametrize(
    "line", ["RDATE:Lovelace", "EXDATE:Lovelace", "RRULE:FREQ=LOVELACE", "DURATION:LOVELACE"]
)
def test_a_problem_quotes_no_value(line: str) -> None:
    """What the library says of a bad value, it says with the value: the reason tells nothing of it."""
    observed = observe(event("DTSTART:20260801", line, "UID:u"), WINDOW)

    assert len(observed.problems) == 1
    assert "lovelace" not in observed.problems[0].reason.lower()


def test_an_endless_rule_costs_a_bounded_time() -> None:
    """A thousand rules that never come true, begun long ago or of endless length, are read within seconds."""
    one = ("BEGIN:VEVENT", "DTSTART:20260801", "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "END:VEVENT")
    old = ("BEGIN:VEVENT", "DTSTART:00010101", "DTEND:90000101", "RRULE:FREQ=DAILY", "END:VEVENT")

    began = perf_counter()
    observed = observe(calendar(*one * 1000, *old), Stay(date(2026, 8, 1), date(2028, 8, 1)))

    assert perf_counter() - began < 10
    assert len(observed.problems) == 101
    assert str(observed.nights[0].night) == "2026-08-01"


def test_a_count_begun_too_long_ago_is_a_problem() -> None:
    """Counting through more than ten years is refused, and said."""
    body = event("DTSTART:20000101", "RRULE:FREQ=DAILY;COUNT=20000", "UID:u")

    assert [problem.where for problem in observe(body, WINDOW).problems] == ["u"]


def test_the_fingerprint_tells_rules_apart() -> None:
    """Another rule, exception or added date is another meaning, though the window shows the same nights."""
    lines = (
        "RRULE:FREQ=YEARLY",
        "RRULE:FREQ=YEARLY;COUNT=3",
        "RDATE:20400101",
        "EXDATE:20400101",
        "X-NONE:1",
    )

    prints = {observe(event("DTSTART:20260801", line, "UID:u"), WINDOW).fingerprint for line in lines}

    assert len(lines) == len(prints)


def test_begins_on_no_month_end() -> None:
    """A monthly rule from the 31st skips the months without one (RFC 5545, 3.3.10)."""
    rule = rule_from_wire("FREQ=MONTHLY")

    found = occurrences(rule, BEGIN, None, date(2024, 2, 1), date(2024, 2, 1) + timedelta(days=100))

    assert [(moment.month, moment.day) for moment in found] == [(3, 31)]
