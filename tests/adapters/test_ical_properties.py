"""Any set of stays, written as a feed in any way, is read back as the same nights; and hostile feeds do no harm."""

import random
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adapters.calendar_feed.feed import feed_from_wire
from adapters.calendar_feed.mapping import observation_from_feed
from adapters.errors import ChannelError
from adapters.model import ClosureKind, Stay
from tests.adapters.ical_rendering import Event, calendar, closed, moved, nights_of, observe, render

unhurried = settings(deadline=None)  # a busy machine is no defect

_RANK = {ClosureKind.BOOKED: 0, ClosureKind.BLOCKED: 1, ClosureKind.UNKNOWN: 2}
_KINDS = {
    "Reserved": ClosureKind.BOOKED,
    "Airbnb (Not available)": ClosureKind.BLOCKED,
    "Blocked": ClosureKind.BLOCKED,
    "CLOSED - Not available": ClosureKind.UNKNOWN,
    "Réservé à André 予約": ClosureKind.UNKNOWN,
}
_DATES = st.dates(date(2026, 1, 1), date(2027, 12, 31))
_CODES = st.integers(0, 10**8 - 1).map(lambda number: f"HM{number:08}")


@st.composite
def events(draw: st.DrawFn) -> Event:
    """One stay or block, with a UID of its own kind."""
    check_in = draw(_DATES)
    summary = draw(st.sampled_from(sorted(_KINDS)))
    code = draw(_CODES)
    url = f"Reservation URL: https://www.airbnb.com/hosting/reservations/details/{code}\\nPhone é 1234"
    return Event(
        check_in,
        check_in + timedelta(days=draw(st.integers(1, 40))),
        f"{draw(st.integers(0, 9999)):032x}@example.org",
        summary,
        url if summary == "Reserved" else "",
    )


_FEEDS = st.lists(events(), max_size=15)
_CHANCES = st.integers(0, 2**32).map(random.Random)


def _reference(one: Event) -> str:
    return one.description.split("details/")[1][:10] if one.description else one.uid


@unhurried
@given(feed=_FEEDS, chance=_CHANCES)
def test_a_rendered_feed_is_read_back(feed: list[Event], chance: random.Random) -> None:
    """Nights, kinds and references survive every fold, line end, order and BOM."""
    observed = observe(render(feed, chance))

    best: dict[date, tuple[int, str]] = {}
    for one in feed:
        for night in nights_of([one]):
            said = (_RANK[_KINDS[one.summary]], _reference(one))
            best[night] = min(said, best.get(night, said))
    assert observed.problems == ()
    assert [(night, *said) for night, said in sorted(best.items())] == [
        (each.night, _RANK[each.closure], each.reference) for each in observed.nights if each.closure
    ]


@unhurried
@given(feed=_FEEDS, begin=_DATES, nights=st.integers(1, 200), chance=_CHANCES)
def test_the_window_cuts_and_nothing_else(
    feed: list[Event], begin: date, nights: int, chance: random.Random
) -> None:
    """A window shows exactly its own part of the nights, and the fingerprint does not depend on it."""
    window = Stay(begin, begin + timedelta(days=nights))
    body = render(feed, chance)
    whole, part = observe(body), observe(body, window)

    assert tuple(each for each in whole.nights if each.night in window) == part.nights
    assert whole.fingerprint == part.fingerprint


@unhurried
@given(feed=_FEEDS, one=_CHANCES, other=_CHANCES)
def test_the_fingerprint_is_of_the_meaning(
    feed: list[Event], one: random.Random, other: random.Random
) -> None:
    """Two renderings of the same events, with other time stamps, folds, order and PRODID, have one fingerprint."""
    assert observe(render(feed, one)).fingerprint == observe(render(feed, other)).fingerprint


@unhurried
@given(feed=st.lists(events(), min_size=1, max_size=15), chance=_CHANCES, data=st.data())
def test_the_fingerprint_sees_every_change(
    feed: list[Event], chance: random.Random, data: st.DataObject
) -> None:
    """An event gone, moved, of another kind or under another reference changes the fingerprint."""
    at = data.draw(st.integers(0, len(feed) - 1))
    one = feed[at]
    change = data.draw(
        st.sampled_from(
            [
                [],
                [moved(one, 1)],
                [replace(one, check_out=one.check_out + timedelta(days=1))],
                [replace(one, uid="other@example.org", description="")],
                [replace(one, summary="Blocked" if one.summary != "Blocked" else "Reserved")],
            ]
        )
    )
    changed = [*feed[:at], *change, *feed[at + 1 :]]
    assume(_meaning(changed) != _meaning(feed))

    assert observe(render(feed, chance)).fingerprint != observe(render(changed, chance)).fingerprint


def _meaning(feed: list[Event]) -> set[tuple[date, date, ClosureKind, str]]:
    return {(one.check_in, one.check_out, _KINDS[one.summary], _reference(one)) for one in feed}


@unhurried
@given(feed=_FEEDS, chance=_CHANCES, data=st.data())
def test_a_cut_feed_is_never_less(feed: list[Event], chance: random.Random, data: st.DataObject) -> None:
    """A feed cut anywhere is refused, or shows every night that the whole one shows."""
    body = render(feed, chance)
    cut = body[: data.draw(st.integers(0, len(body)))]

    with suppress(ChannelError):
        assert closed(body) == closed(cut)


@unhurried
@given(
    feed=_FEEDS,
    chance=_CHANCES,
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 2), st.binary(max_size=3)), max_size=8),
)
def test_a_damaged_feed_raises_our_errors_only(
    feed: list[Event], chance: random.Random, edits: list[tuple[int, int, bytes]]
) -> None:
    """Random edits of bytes give a reading or a ChannelError, never anything else."""
    body = render(feed, chance)
    for at, taken, put in edits:
        place = at % (len(body) + 1)
        body = body[:place] + put + body[place + taken :]

    with suppress(ChannelError):
        observed = observe(body)
        assert list(observed.nights) == sorted(observed.nights, key=lambda each: each.night)


_WORDS = st.sampled_from(
    [
        "BEGIN:VEVENT", "END:VEVENT", "BEGIN:VALARM", "END:VALARM", "DTSTART:20260801", "DTEND:20260803",
        "DTSTART:99991231T235959Z", "DTSTART:00010101T000000+1400", "DTEND:00010101T000000Z", "DURATION:-P1D",
        "DURATION:P99999W", "RRULE:FREQ=DAILY", "RRULE:FREQ=YEARLY;UNTIL=00010101T000000Z", "RDATE:99991231T235959Z",
        "RDATE:20260801,x", "EXDATE:20260801T000000Z", "EXDATE:99991231T235959-1400", "UID:u", "STATUS:CANCELLED",
        "DTSTART;TZID=Asia/Tokyo:20260801T100000", "DTSTART;TZID=Europe:00010101T000000", 'DTSTART;X="', '"', ":", ";",
    ]
)  # fmt: skip


@unhurried
@given(
    lines=st.lists(_WORDS, max_size=12),
    zone=st.sampled_from(["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"]),
    window=st.sampled_from(
        [Stay(date.min, date(1, 1, 3)), Stay(date(9999, 12, 29), date.max), Stay(date(2026, 8, 1), date(2026, 9, 1))]
    ),
)  # fmt: skip
def test_extreme_lines_raise_our_errors_only(lines: list[str], zone: str, window: Stay) -> None:
    """The edges of the calendar, of zones and of the grammar, in any order, never raise anything else."""
    with suppress(ChannelError):
        observe(calendar("BEGIN:VEVENT", *lines, "END:VEVENT"), window, zone)


@pytest.mark.parametrize(
    "body",
    [
        b"\r" * 2_000_000,
        b"BEGIN:VCALENDAR\r\n" + b"\r\n " * 1_000_000 + b"\r\nEND:VCALENDAR",
        b"BEGIN:VEVENT\n" * 100_000,
        b"BEGIN:VCALENDAR\n" * 50_000 + b"END:VCALENDAR\n" * 50_000,
        calendar("BEGIN:VEVENT", "DTSTART:20260801", f"SUMMARY:{'(HM' * 300_000}", "END:VEVENT"),
        calendar("BEGIN:VEVENT", "DTSTART;X=" + '"' * 500_000 + ":20260801", "END:VEVENT"),
        calendar("BEGIN:VEVENT", f"DTSTART:{'2' * 500_000}", f"UID:{'@' * 500_000}", "END:VEVENT"),
        calendar("BEGIN:VEVENT", "DTSTART:20260801", f"DURATION:P{'9' * 500_000}D", "END:VEVENT"),
        calendar("BEGIN:VEVENT", "DTSTART:20260801", f"RDATE:{'20260801,' * 100_000}", "END:VEVENT"),
        calendar(*("BEGIN:VEVENT", "DTSTART:00010101", "DTEND:99991231", "END:VEVENT") * 5_000),
    ],
    ids=["cr", "folds", "begins", "nests", "summary", "quotes", "values", "duration", "rdates", "blocks"],
)
def test_a_hostile_feed_costs_a_bounded_time(body: bytes) -> None:
    """Bodies made to be slow are read or refused within seconds."""
    began = perf_counter()
    with suppress(ChannelError):
        observe(body)

    assert perf_counter() - began < 10


def test_five_hundred_events_are_quick() -> None:
    """A feed of 500 events is read in well under 100 ms."""
    first = date(2026, 1, 1)
    feed = [Event(first + timedelta(n), first + timedelta(n + 3), f"{n:032x}@airbnb.com") for n in range(500)]
    body = render(feed, random.Random(1))
    window = Stay(first, first + timedelta(days=730))
    took = []
    for _ in range(5):
        began = perf_counter()
        observation_from_feed(feed_from_wire(body, "feed"), window, ZoneInfo("Europe/Rome"))
        took.append(perf_counter() - began)

    assert min(took) < 0.1
