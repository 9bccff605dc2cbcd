import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

import httpx
import icalendar
import pytest
from ical.calendar_stream import IcsCalendarStream

from channel_sync.sandbox.bookings import nights
from channel_sync.sandbox.feeds import BOOKING_HORIZON, DIALECTS, Dialect, feed_path, folded
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.world import World

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # where the sandbox stands still

each_dialect = pytest.mark.parametrize("dialect", DIALECTS)


def events_of(body: bytes) -> list[tuple[date, date, str]]:
    """Start, end and UID of each event, as the icalendar library reads them."""
    events = icalendar.Calendar.from_ical(body).walk("VEVENT")
    return [(event.decoded("DTSTART"), event.decoded("DTEND"), str(event["UID"])) for event in events]


def nights_by_icalendar(body: bytes) -> set[date]:
    """The nights that the icalendar library reads."""
    return {night for start, end, _ in events_of(body) for night in nights(start, end)}


def nights_by_ical(body: bytes) -> set[date]:
    """The nights that the ical library reads."""
    calendar = IcsCalendarStream.calendar_from_ics(body.decode())
    return {night for event in calendar.events for night in nights(event.start, event.end)}


def skeleton(body: bytes) -> set[str]:
    """The lines of a feed with everything that is its own replaced: dates, codes, digits, hashes."""
    text = re.sub(r"\r\n ", "", body.decode())
    for pattern, stands_for in (
        (r"[0-9a-f]{32}@", "HASH@"),
        (r"\d{8}T\d{6}Z", "TIME"),
        (r":\d{8}\b", ":DATE"),
        (r"HM[A-Z0-9]{8}", "CODE"),
        (r"\): \d{4}\b", "): 0000"),
    ):
        text = re.sub(pattern, stands_for, text)
    return set(text.split("\r\n"))


@each_dialect
@pytest.mark.parametrize("reader", [nights_by_icalendar, nights_by_ical])
def test_independent_readers_see_the_truth(
    sandbox: Sandbox, client: httpx.Client, dialect: Dialect, reader: Callable[[bytes], set[date]]
) -> None:
    """Two libraries read from each dialect the nights that the world has closed."""
    for listing_id in sandbox.world.listings:
        today = sandbox.world.today(listing_id, NOW)
        read = reader(client.get(sandbox.feed_url(dialect, listing_id)).content)
        told = {night for night in read if night >= today}

        assert told == sandbox.feeds.nights(dialect, listing_id, NOW)
        year = today + timedelta(days=365)
        assert {n for n in told if n < year} == sandbox.world.closed_nights(listing_id, NOW, today, year)


@pytest.mark.parametrize(
    ("dialect", "recorded"),
    [("airbnb", "ical_airbnb/real_L1_2026-06-28.ics"), ("booking", "ical_booking/real_berta_2026-08-22.ics")],
)
def test_a_feed_has_the_lines_of_a_recorded_one(
    sandbox: Sandbox, client: httpx.Client, fixtures_dir: Path, dialect: Dialect, recorded: str
) -> None:
    """Line by line, our feed is written as the channel wrote, but for dates, codes and hashes."""
    sandbox.world.block("1001", date(2027, 11, 1), date(2027, 11, 3), at=NOW)
    ours = skeleton(client.get(sandbox.feed_url(dialect, "1001")).content)
    theirs = skeleton((fixtures_dir / recorded).read_bytes())
    # A recorded feed need not have every kind of event.
    kinds = {"SUMMARY:Airbnb (Not available)", "UID:7f662ec65913-HASH@airbnb.com"}

    assert ours - kinds == theirs - kinds


@each_dialect
def test_lines_end_and_fold_as_the_standard_says(
    sandbox: Sandbox, client: httpx.Client, dialect: Dialect
) -> None:
    """Every line ends with CR LF and has at most 75 octets; the stamp is the time of the fetch."""
    body = client.get(sandbox.feed_url(dialect, "1001")).content
    lines = body.split(b"\r\n")

    assert lines[-1] == b""
    assert not any(b"\n" in line or b"\r" in line or len(line) > 75 for line in lines)
    assert {b"DTSTAMP:20261123T120000Z"} == {line for line in lines if line.startswith(b"DTSTAMP")}


def test_a_fold_may_part_a_letter() -> None:
    """Folding counts octets: what unfolds to the line may be unreadable before."""
    line = "DESCRIPTION:" + "é" * 100
    whole = folded(line)

    assert line.encode() + b"\r\n" == whole.replace(b"\r\n ", b"")
    with pytest.raises(UnicodeDecodeError):
        [piece.decode() for piece in whole.split(b"\r\n")]


def test_the_reservation_code_of_airbnb_is_split_by_a_fold(sandbox: Sandbox, client: httpx.Client) -> None:
    """The URL that holds the code runs over a fold, as in recorded feeds."""
    stay = sandbox.world.stays("1001", NOW)[-1]
    body = client.get(sandbox.feed_url("airbnb", "1001")).text

    assert f"https://www.airbnb.com/hosting/reservations/de\r\n tails/{stay.code}\\nPhone" in body


def test_booking_com_merges_and_its_last_block_rolls() -> None:
    """Stays that touch are one event; the far block ends a day later each day under the same UID."""
    world = World.empty()
    world.book("1001", date(2027, 1, 4), date(2027, 1, 6), at=NOW)
    world.book("1001", date(2027, 1, 6), date(2027, 1, 9), at=NOW)
    with Sandbox(world=world) as sandbox, httpx.Client(timeout=5) as client:
        seen = []
        for step in (0, 1):
            sandbox.clock.set(NOW + timedelta(days=step))
            seen.append(events_of(client.get(sandbox.feed_url("booking", "1001")).content))

    (first, far), (_, rolled) = seen
    assert (date(2027, 1, 4), date(2027, 1, 9)) == first[:2]
    assert (far[0], far[2]) == (rolled[0], rolled[2])
    assert NOW.date() + BOOKING_HORIZON == far[1] == rolled[1] - timedelta(days=1)


def test_an_airbnb_uid_survives_a_change_of_dates() -> None:
    """The event of a booking that moved has new dates and the old UID."""
    world = World.empty()
    code = world.book("1001", date(2027, 1, 4), date(2027, 1, 6), at=NOW)
    world.move(code, date(2027, 1, 4), date(2027, 1, 8), at=NOW + timedelta(hours=1))
    with Sandbox(world=world) as sandbox, httpx.Client(timeout=5) as client:
        seen = []
        for step in (0, 1):
            sandbox.clock.set(NOW + timedelta(hours=step))
            seen += events_of(client.get(sandbox.feed_url("airbnb", "1001")).content)

    (_, first_end, uid), (_, second_end, same_uid) = seen
    assert (date(2027, 1, 6), date(2027, 1, 8)) == (first_end, second_end)
    assert uid == same_uid


def test_vrbo_needs_the_bare_flag(sandbox: Sandbox) -> None:
    """Only the query that is exactly "nonTentative" is answered: "nonTentative=" and none are 400."""
    path, _, flag = f"/ical{feed_path('vrbo', '1001')}".partition("?")
    statuses = []
    for target in (f"{path}?{flag}", f"{path}?{flag}=", path):
        connection = HTTPConnection("127.0.0.1", int(sandbox.url.rpartition(":")[2]), timeout=5)
        connection.request("GET", target)
        statuses.append(connection.getresponse().status)
        connection.close()

    assert statuses == [200, 400, 400]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ical/airbnb/calendar/ical/1001.ics", 403),
        ("/ical/airbnb/calendar/ical/1001.ics?t=00000000000000000000000000000000", 403),
        ("/ical/airbnb/calendar/ical/9999.ics?t=00000000000000000000000000000000", 404),
        ("/ical/booking/v1/export?t=00000000-0000-0000-0000-000000000000", 404),
        ("/ical/vrbo/icalendar/00000000000000000000000000000000.ics?nonTentative", 404),
        ("/ical/nowhere", 404),
    ],
)
def test_a_wrong_secret_opens_no_feed(client: httpx.Client, path: str, status: int) -> None:
    """Without its token a feed is not served."""
    assert status == client.get(path).status_code


@pytest.mark.parametrize("dialect", ["vrbo", "google"])
def test_an_unchanged_feed_says_so(sandbox: Sandbox, client: httpx.Client, dialect: Dialect) -> None:
    """Asked with its validators a feed is 304 until something happens; the fetch itself changes nothing."""
    url = sandbox.feed_url(dialect, "1001")
    first = client.get(url)
    tag, since = first.headers["ETag"], first.headers["Last-Modified"]

    sandbox.clock.advance(timedelta(minutes=1))
    for headers in ({"If-None-Match": tag}, {"If-Modified-Since": since}):
        again = client.get(url, headers=headers)
        assert (304, b"", tag) == (again.status_code, again.content, again.headers["ETag"])
    sandbox.world.block("1001", date(2027, 6, 1), date(2027, 6, 2), at=sandbox.clock.now())
    for headers in ({"If-None-Match": tag}, {"If-Modified-Since": since}):
        assert client.get(url, headers=headers).status_code == 200


@pytest.mark.parametrize("dialect", ["airbnb", "booking"])
def test_some_hosts_send_no_validators(sandbox: Sandbox, client: httpx.Client, dialect: Dialect) -> None:
    """Airbnb's and Booking.com's feeds are always sent whole."""
    answer = client.get(sandbox.feed_url(dialect, "1001"), headers={"If-None-Match": "*"})

    assert answer.status_code == 200
    assert {"etag", "last-modified"}.isdisjoint(answer.headers)


def test_a_feed_begins_today_at_the_listings_place() -> None:
    """A stay that ends today is gone where today has begun, and still there where it has not."""
    world = World.empty(4)
    for listing_id in ("1002", "1004"):  # Tokyo and New York
        world.book(listing_id, date(2026, 11, 20), date(2026, 11, 23), at=datetime(2026, 11, 1, tzinfo=UTC))
    with Sandbox(world=world) as sandbox:
        sandbox.clock.set(datetime(2026, 11, 22, 23, tzinfo=UTC))
        found = [
            httpx.get(sandbox.feed_url("airbnb", listing_id)).text.count("BEGIN:VEVENT")
            for listing_id in ("1002", "1004")
        ]

    assert found == [0, 1]
