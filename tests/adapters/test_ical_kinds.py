"""Why a night is closed, what it is called, and that no guest is ever told."""

import random
from datetime import date, timedelta

import pytest

from adapters.model import ClosureKind
from tests.adapters.ical_rendering import Event, calendar, event, observe, render

BOOKED, BLOCKED, UNKNOWN = ClosureKind.BOOKED, ClosureKind.BLOCKED, ClosureKind.UNKNOWN
URL = "Reservation URL: https://www.airbnb.com/hosting/reservations/details/HMAB12CD34\\nPhone Number (Last 4 Digits): 7663"


@pytest.mark.parametrize(
    ("uid", "summary", "description", "kind", "reference"),
    [
        ("1418fb94e984-0a@airbnb.com", "Reserved", URL, BOOKED, "HMAB12CD34"),
        ("1418fb94e984-0a@airbnb.com", "Reserved", "", BOOKED, "1418fb94e984-0a@airbnb.com"),
        ("22-1418fb94e984-0a@airbnb.com", "2222222222222222222 Reserved", URL, BOOKED, "HMAB12CD34"),
        ("22-7f662ec65913-0a@airbnb.com", "Villa Rosa Airbnb (Not available)", "", BLOCKED, "22-7f662ec65913-0a@airbnb.com"),
        ("7f662ec65913-0a@airbnb.com", "Airbnb (Not available)", "", BLOCKED, "7f662ec65913-0a@airbnb.com"),
        ("xxxx", "Airbnb (Not available)", "", BLOCKED, "xxxx"),
        ("1418fb94e984-0a@airbnb.com", "Reservado", URL, BOOKED, "HMAB12CD34"),
        ("6fec1092d3fa-0a@airbnb.com", "No disponible", "", BLOCKED, "6fec1092d3fa-0a@airbnb.com"),
        ("9-0@airbnb.com", "Ada Lovelace (HMAB12CD34)", "PHONE: +44 20 7946 0000", BOOKED, "HMAB12CD34"),
        ("0a@booking.com", "CLOSED - Not available", "", UNKNOWN, "0a@booking.com"),
        ("0a@booking.com", "CLOSED - Ada Lovelace", "", UNKNOWN, "0a@booking.com"),
        ("v1", "Reserved - Ada Lovelace", "", BOOKED, "v1"),
        ("v2", "Blocked", "", BLOCKED, "v2"),
        ("a5877ab133794c75b16bcbc888796b20", "Booked", "", BOOKED, "a5877ab133794c75b16bcbc888796b20"),
        ("0a@google.com", "Reserved", "", UNKNOWN, "0a@google.com"),
        ("0a@google.com", "Blocked", "", UNKNOWN, "0a@google.com"),
        ("x", "Plumber, not reserved yet", "", UNKNOWN, "x"),
        ("", "Holiday", "", UNKNOWN, None),
    ],
)  # fmt: skip
def test_kind_and_reference_by_producer(
    uid: str, summary: str, description: str, kind: ClosureKind, reference: str | None
) -> None:
    """Each producer's words give its kind, and the reservation code goes before the UID."""
    body = event("DTSTART:20260801", f"UID:{uid}", f"SUMMARY:{summary}", f"DESCRIPTION:{description}")

    (night,) = observe(body).nights

    assert (kind, reference, 0) == (night.closure, night.reference, night.units_open)


def test_a_uid_that_could_be_a_name_is_hashed() -> None:
    """A UID with blanks, or of endless length, becomes a stable reference that shows nothing of it."""
    (first,) = observe(event("DTSTART:20260801", "UID:Ada Lovelace, room 3")).nights
    (again,) = observe(event("DTSTART:20260802", "UID:Ada Lovelace, room 3")).nights
    (long,) = observe(event("DTSTART:20260801", f"UID:{'x' * 5000}")).nights

    assert first.reference == again.reference != long.reference
    assert "Ada" not in str(first.reference)
    assert long.reference is not None
    assert len(long.reference) == 36


@pytest.mark.parametrize("seed", range(6))
def test_of_several_closures_the_strongest_speaks(seed: int) -> None:
    """BOOKED goes before BLOCKED before UNKNOWN, then the smallest reference, in whatever order the feed lists them."""
    first = date(2026, 8, 1)
    events = [
        Event(first, first + timedelta(4), "b", "whatever"),
        Event(first + timedelta(1), first + timedelta(4), "z", "Blocked"),
        Event(first + timedelta(2), first + timedelta(4), "y", "Booked"),
        Event(first + timedelta(3), first + timedelta(5), "x", "Booked"),
        Event(first, first + timedelta(1), "a", "whatever"),
    ]

    nights = observe(render(events, random.Random(seed))).nights

    assert [(night.closure, night.reference) for night in nights] == [
        (UNKNOWN, "a"),
        (BLOCKED, "z"),
        (BOOKED, "y"),
        (BOOKED, "x"),
        (BOOKED, "x"),
    ]


def test_a_problem_tells_no_guest() -> None:
    """Of an unreadable event only harmless values remain: no name, phone, e-mail, note or unknown line."""
    body = event(
        "DTSTART;VALUE=DATE;X-GUEST=Lovelace:Lovelace +44 20 7946 0000",
        "DTEND;VALUE=DATE:20260803",
        "UID:9-0@airbnb.com",
        "STATUS:CONFIRMED",
        "SUMMARY:Ada Lovelace (HMAB12CD34)",
        "DESCRIPTION:CHECKIN: 1/8\\nEMAIL: ada@example.org\\nPHONE: +44 20 7946 0000",
        "ORGANIZER;CN=Ada Lovelace:mailto:ada@example.org",
        "Lovelace is late: call 079460000",
        "RRULE:FREQ=DAILY;X=ada@example.org",
    )

    (problem,) = observe(body).problems

    assert (problem.where, problem.reason) == ("9-0@airbnb.com", "DTSTART is not a date")
    assert problem.raw.split("\n") == [
        "BEGIN:VEVENT",
        "DTSTART;VALUE=DATE;…:…",
        "DTEND;VALUE=DATE:20260803",
        "UID:9-0@airbnb.com",
        "STATUS:CONFIRMED",
        "SUMMARY:…",
        "DESCRIPTION:…",
        "ORGANIZER;…:…",
        "RRULE:…",
        "(1 other lines)",
    ]


def test_problems_are_bounded() -> None:
    """A feed of nothing but garbage tells its first hundred problems and counts the rest."""
    bad = ("BEGIN:VEVENT", "DTSTART:x", f"UID:{'u' * 190}", *["DESCRIPTION:x"] * 900, "END:VEVENT")

    problems = observe(calendar(*bad * 105)).problems

    assert (len(problems), problems[-1].reason) == (101, "5 more parts could not be read")
    assert max(len(problem.raw) for problem in problems) == 4000
