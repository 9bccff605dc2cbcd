"""From dates and times to nights, in the property's own zone."""

from datetime import date

import pytest

from adapters.model import Stay
from tests.adapters.ical_rendering import calendar, closed, event, observe


@pytest.mark.parametrize(
    ("lines", "nights"),
    [
        (("DTSTART;VALUE=DATE:20260801", "DTEND;VALUE=DATE:20260803"), ["2026-08-01", "2026-08-02"]),
        (("DTEND:20260803", "DTSTART:20260801"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801", "DTEND:20260801"), ["2026-08-01"]),
        (("DTSTART:20260801",), ["2026-08-01"]),
        (("DTSTART:20260801", "DURATION:P2D"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801", "DURATION:P1W"), [f"2026-08-0{day}" for day in range(1, 8)]),
        (("DTSTART:20260801", "DURATION:PT36H"), ["2026-08-01"]),
        (("DTSTART:20260801", "DURATION:PT0S"), ["2026-08-01"]),
        (("DTSTART:2026-08-01", "DTEND:2026-08-03"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART;VALUE=DATE:20260801T000000Z", "DTEND;VALUE=DATE:20260803T000000Z"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801T160000", "DTEND:20260803T110000"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801T160000", "DURATION:P1DT19H"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801T160000", "DTEND:20260801T230000"), []),
        (("DTSTART:20260801T160000",), []),
        (("DTSTART:20260801T000000", "DTEND:20260801T235959"), ["2026-08-01"]),
        (("DTSTART:20260801T000000", "DTEND:20260802T235900"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801T000000", "DTEND:20260802T000000"), ["2026-08-01"]),
        (("DTSTART:20260801T160000", "DTEND:20260801T235959"), []),
        (("DTSTART:20260801T160000", "DTEND:20260801T160000"), []),
        (("DTSTART:20260801T160000", "DTEND;VALUE=DATE:20260803"), ["2026-08-01", "2026-08-02"]),
        (("DTSTART:20260801", "DTEND:20260802T110000"), ["2026-08-01"]),
        (("DTSTART:20260801T235960Z", "DTEND:20260803T000000Z"), ["2026-08-02"]),
        (("DTSTART:20260801", "DTSTART:20260803", "DTEND:20260804", "DTEND:20260803"), ["2026-08-01", "2026-08-02", "2026-08-03"]),
    ],
)  # fmt: skip
def test_nights_of_one_event(lines: tuple[str, ...], nights: list[str]) -> None:
    """Every form of start and end gives these nights in Rome, and nothing to complain about."""
    body = event(*lines, "UID:u")

    assert (nights, ()) == (closed(body), observe(body).problems)


@pytest.mark.parametrize(
    "start",
    [
        "DTSTART;:20260801", "DTSTART;X:20260801", "DTSTART;=;X=1:20260801", 'DTSTART;X=":20260801',
        'DTSTART;TZID="Europe/Rome:20260801T000000', "DTSTART;TZID=Europe/Rome,x:20260801T000000",
        "DTSTART ; VALUE=DATE:20260801", "DTSTART;VALUE=DATE:20260801T240000", "DTSTART;X=\u0000:20260801",
    ],
)  # fmt: skip
def test_a_line_that_breaks_the_grammar_is_read_all_the_same(start: str) -> None:
    """Damaged parameters cost no more than themselves."""
    body = event(start, "DTEND:20260803", "UID:u")

    assert (closed(body), observe(body).problems) == (["2026-08-01", "2026-08-02"], ())


@pytest.mark.parametrize(
    "start",
    ["2026W316", "20260801x160000", "160000", "P1D", "20260801/P1D", "٢٠٢٦٠٨٠١", "20260801,20260802", "TZID=Europe/Rome:20260801T160000"],
)  # fmt: skip
def test_what_only_resembles_a_date_is_a_problem(start: str) -> None:
    """Weeks, times of day, durations, periods, lists and other digits are no start."""
    observed = observe(event(f"DTSTART:{start}", "DTEND:20260803", "UID:u"))

    assert ((), ["DTSTART is not a date"]) == (
        observed.nights,
        [problem.reason for problem in observed.problems],
    )


@pytest.mark.parametrize(
    ("zone", "nights"),
    [
        ("Europe/Rome", ["2026-08-01"]),
        ("Pacific/Kiritimati", ["2026-08-02"]),  # UTC+14
        ("Pacific/Pago_Pago", ["2026-08-01"]),  # UTC-11
        ("America/New_York", ["2026-08-01"]),
    ],
)
def test_utc_becomes_the_propertys_dates(zone: str, nights: list[str]) -> None:
    """Check-in at 14:00 UTC and check-out at 20:00 UTC the next day is one night, on the property's own date."""
    assert nights == closed(event("DTSTART:20260801T140000Z", "DTEND:20260802T200000Z"), zone=zone)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York", "UTC"])
def test_a_date_stays_a_date(zone: str) -> None:
    """A DATE, and a date-time without zone, mean the property's calendar wherever it lies."""
    dated = event("DTSTART;VALUE=DATE:20260329", "DTEND;VALUE=DATE:20260330")
    floating = event("DTSTART:20260329T003000", "DTEND:20260330T233000")

    assert ["2026-03-29"] == closed(dated, zone=zone) == closed(floating, zone=zone)


@pytest.mark.parametrize(
    "tzid",
    [
        "Europe/Paris",
        '"Europe/Paris"',
        "/mozilla.org/20070129_1/Europe/Paris",
        "Romance Standard Time",
        "/Europe/Paris",
    ],
)
def test_knows_the_zones_of_other_vendors(tzid: str) -> None:
    """IANA names, with quotes or a vendor's path before them, and Windows names are the same zone."""
    body = event(f"DTSTART;TZID={tzid}:20260801T233000", f"DTEND;TZID={tzid}:20260803T100000")

    assert closed(body, zone="Europe/Lisbon") == ["2026-08-01", "2026-08-02"]
    assert closed(body, zone="Europe/Helsinki") == ["2026-08-02"]


@pytest.mark.parametrize("tzid", ["Europe", "Nowhere/Land", "../../etc/passwd", "x" * 300, "", "\u0000"])
def test_an_unknown_zone_is_the_propertys(tzid: str) -> None:
    """A zone nobody knows, a folder's name or a path falls back to the property's own zone."""
    body = event(f"DTSTART;TZID={tzid}:20260801T233000", f"DTEND;TZID={tzid}:20260802T003000")

    assert closed(body, zone="Asia/Tokyo") == ["2026-08-01"]


def test_offsets_are_read() -> None:
    """A numeric offset, which RFC 5545 forbids and tools write, is honoured."""
    body = event("DTSTART:20260801T230000+0200", "DTEND:2026-08-02T23:00:00-05:00")

    assert closed(body) == ["2026-08-01", "2026-08-02"]


@pytest.mark.parametrize(
    ("start", "end", "nights"),
    [
        ("20260328T160000", "20260330T100000", ["2026-03-28", "2026-03-29"]),
        ("20261024T160000", "20261026T100000", ["2026-10-24", "2026-10-25"]),
    ],
)
def test_nights_of_the_clock_change(start: str, end: str, nights: list[str]) -> None:
    """The night of 23 hours and the night of 25 hours are one night each."""
    assert nights == closed(event(f"DTSTART;TZID=Europe/Rome:{start}", f"DTEND;TZID=Europe/Rome:{end}"))


@pytest.mark.parametrize(
    ("start", "end"),
    [("20260801", "20260701"), ("20260801T160000", "20260801T110000"), ("20260801", "20260731T110000")],
)
def test_an_inverted_event_closes_its_first_night(start: str, end: str) -> None:
    """An event that ends before it begins closes the night it begins on, and says so."""
    body = event(f"DTSTART:{start}", f"DTEND:{end}", "UID:u")

    assert closed(body) == ["2026-08-01"]
    assert [problem.where for problem in observe(body).problems] == ["u"]


@pytest.mark.parametrize(
    ("lines", "mended"),
    [
        (("DTSTART:20260801", "DTEND:20260701"), True),
        (("DTSTART:20260801", "DURATION:-P1D"), True),
        (("DTSTART:20260801", "DTEND:20260701", "RRULE:FREQ=DAILY;COUNT=2"), True),
        (("DTSTART:20260801", "DTEND:20260701", "RRULE:FREQ=SECONDLY"), False),
        (("DTSTART:20260801", "DTEND:20260701", "DTEND:soon"), False),
        (("DTSTART:20260801T160000", "DTEND:20260801T110000"), False),
        (("DTSTART:20260801", "DTEND:soon"), False),
        (("DTSTART:20260801", "RDATE:soon"), False),
        (("DTSTART:soon", "DTEND:20260701"), False),
    ],
)
def test_only_a_safe_reading_of_the_whole_event_is_mended(lines: tuple[str, ...], *, mended: bool) -> None:
    """A day's event that ends before it begins is read all the same; any other problem leaves something unread."""
    (problem,) = observe(event(*lines, "UID:u")).problems

    assert problem.mended is mended


@pytest.mark.parametrize(("last", "mended"), [("DTEND:20260701", True), ("DTEND:soon", False)])
def test_the_uncounted_rest_is_mended_only_as_a_whole(last: str, *, mended: bool) -> None:
    """Behind the first hundred problems one that leaves something unread is not forgotten."""
    inverted = ("BEGIN:VEVENT", "DTSTART:20260801", "DTEND:20260701", "END:VEVENT")

    problems = observe(
        calendar(*inverted * 105, "BEGIN:VEVENT", "DTSTART:20260801", last, "END:VEVENT")
    ).problems

    assert [problem.mended for problem in problems] == [True] * 100 + [mended]


@pytest.mark.parametrize(
    "end", ["DTEND:soon", "DTEND", "DTEND:", "DURATION:long", "DTEND:20261301", "DURATION:P9999999999D"]
)
@pytest.mark.parametrize("start", ["20260801", "20260801T160000"])
def test_an_unreadable_end_still_closes_the_first_night(start: str, end: str) -> None:
    """What can be read of an event closes, and what cannot is reported."""
    body = event(f"DTSTART:{start}", end, "UID:u")

    assert closed(body) == ["2026-08-01"]
    assert len(observe(body).problems) == 1


@pytest.mark.parametrize(
    "start", ["DTSTART:garbage", "DTSTART:20260230", "DTSTART;VALUE=DATE", "DTSTART:00000000", "X-NONE:1"]
)
def test_one_bad_event_never_costs_the_feed(start: str) -> None:
    """An event without a readable start is one Problem; its neighbours close their nights."""
    body = calendar(
        *("BEGIN:VEVENT", "DTSTART:20260801", "UID:a", "END:VEVENT"),
        *("BEGIN:VEVENT", start, "DTEND:20260901", "UID:bad", "END:VEVENT"),
        *("BEGIN:VEVENT", "DTSTART:20260803", "UID:c", "END:VEVENT"),
    )

    assert closed(body) == ["2026-08-01", "2026-08-03"]
    assert [problem.where for problem in observe(body).problems] == ["bad"]


def test_a_cancelled_event_closes_nothing() -> None:
    """STATUS:CANCELLED is an explicit statement; whatever else is written there, the event closes."""
    lines = ("DTSTART:20260801", "UID:u")

    assert [] == closed(event(*lines, "STATUS:CANCELLED")) == closed(event(*lines, "status:cancelled "))
    for other in (
        "STATUS:TENTATIVE",
        "TRANSP:TRANSPARENT",
        "Status: cancelled",
        "STATUS:CANCELLED?",
        "STATUS:",
    ):
        assert closed(event(*lines, other)) == ["2026-08-01"], other
    assert closed(event(*lines, "STATUS:CANCELLED", "STATUS:CONFIRMED")) == ["2026-08-01"]


def test_triple_events_close_the_stay_only() -> None:
    """Check-in and check-out markers beside the stay leave the turnover night open."""
    body = calendar(
        *("BEGIN:VEVENT", "DTSTART:20260801T150000", "DTEND:20260801T160000", "UID:in", "END:VEVENT"),
        *("BEGIN:VEVENT", "DTSTART:20260803T100000", "DTEND:20260803T110000", "UID:out", "END:VEVENT"),
        *("BEGIN:VEVENT", "DTSTART:20260801T150000", "DTEND:20260803T110000", "UID:stay", "END:VEVENT"),
    )

    assert closed(body) == ["2026-08-01", "2026-08-02"]


def test_events_of_one_uid_are_united() -> None:
    """The same UID twice with other dates closes the nights of both."""
    body = calendar(
        *("BEGIN:VEVENT", "DTSTART:20260801", "UID:u", "END:VEVENT"),
        *("BEGIN:VEVENT", "DTSTART:20260803", "UID:u", "END:VEVENT"),
    )

    assert closed(body) == ["2026-08-01", "2026-08-03"]


def test_turnover_day_belongs_to_the_next_guest() -> None:
    """Two stays that touch share no night."""
    body = calendar(
        *("BEGIN:VEVENT", "DTSTART:20260801", "DTEND:20260803", "UID:a", "END:VEVENT"),
        *("BEGIN:VEVENT", "DTSTART:20260803", "DTEND:20260804", "UID:b", "END:VEVENT"),
    )

    assert [(str(night.night), night.reference) for night in observe(body).nights[1:]] == [
        ("2026-08-02", "a"),
        ("2026-08-03", "b"),
    ]


def test_a_night_of_the_window_only() -> None:
    """A block of eight thousand years is cut to the window, and so is one that ends with the calendar."""
    window = Stay(date(2026, 8, 1), date(2026, 8, 3))

    assert closed(event("DTSTART:00010101", "DTEND:99991231"), window) == ["2026-08-01", "2026-08-02"]
    assert closed(event("DTSTART:99991231"), window) == []
    assert closed(event("DTSTART:99991231T235959Z", "DTEND:99991231T235959Z"), window) == []
