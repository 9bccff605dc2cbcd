"""Calendar feeds, simulated in the exact dialect and under the URL shape of each producer.

Every listing has one feed per dialect, all of the same truth. The Airbnb, Booking.com lines are those of recorded
feeds; Vrbo's and Google's are pieced together from code that reads or writes them. A feed's token is its secret.
"""

import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from threading import Lock
from typing import Literal, get_args
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.exchange import Answer, Request
from channel_sync.sandbox.tokens import invented
from channel_sync.sandbox.world import World, stretches

Dialect = Literal["airbnb", "booking", "vrbo", "google"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

BOOKING_HORIZON = timedelta(days=547)  # where Booking.com's last block ends, seen from today

_STAMP = b"19000101T000000Z"  # stands for the time of the fetch until it is known
_MOST_CACHED = 4_096  # feeds
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Event:
    """A closed stretch of nights in a feed: a guest's stay, or a block when there is no booking."""

    start: date
    end: date
    booking: Booking | None = None


@dataclass(frozen=True, slots=True)
class _Producer:
    head: tuple[str, ...]
    lines: Callable[[str, Event], Iterator[str]]  # of one event, from the listing's id; without BEGIN and END
    merges: bool = False  # adjacent stays become one event, which starts today at the earliest
    validators: bool = False  # whether it sends ETag and Last-Modified


def error(status: int) -> Answer:
    """An error in the words of a host of files."""
    return Answer(status, f"HTTP {status}\n".encode(), _TEXT)


class Feeds:
    """The hosts that serve the listings' feeds."""

    error = staticmethod(error)

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self._now = now
        self._paths = {
            unquote(feed_path(dialect, listing_id).partition("?")[0]): (dialect, listing_id)
            for dialect in DIALECTS
            for listing_id in world.listings
        }
        self._bodies: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = Lock()
        # Booking.com has one path for all feeds: its query alone tells them apart.
        self._exports = {
            feed_path("booking", listing_id).partition("?")[2]: listing_id for listing_id in world.listings
        }

    def answer(self, request: Request) -> Answer:
        """The answer to a request whose path begins behind "/ical"."""
        if request.method not in ("GET", "HEAD"):
            return error(405)
        dialect, listing_id = self._paths.get(unquote(request.path), (None, ""))
        if dialect is None:
            return error(404)
        if dialect == "booking":
            listing_id = self._exports.get(request.query, "")
            if not listing_id:
                return error(404)
        elif dialect == "vrbo" and request.query != "nonTentative":
            # The bare flag is part of the secret URL: a client that rewrites it to "nonTentative=" is found out.
            return error(400)
        elif dialect == "airbnb" and request.parameter("t") != _token(dialect, listing_id):
            return error(403)
        return self._feed(dialect, listing_id, request)

    def nights(self, dialect: Dialect, listing_id: str, now: datetime) -> frozenset[date]:
        """The nights from today on that a feed closes: the world's, and Booking.com's own far block."""
        today = self.world.today(listing_id, now)
        return frozenset(
            date.fromordinal(ordinal)
            for event in self._events(dialect, listing_id, now)
            for ordinal in range(max(event.start, today).toordinal(), event.end.toordinal())
        )

    def _feed(self, dialect: Dialect, listing_id: str, request: Request) -> Answer:
        now = self._now()
        producer = _PRODUCERS[dialect]
        body = self._body(dialect, listing_id, now)
        answer = Answer(200, b"", "text/calendar; charset=utf-8")
        if producer.validators:
            changed = max(self.world.changed_at(listing_id, now), self._midnight(listing_id, now))
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            answer = answer.with_headers(
                ("ETag", etag), ("Last-Modified", format_datetime(changed, usegmt=True))
            )
            if _unchanged(request, etag, changed):
                return Answer(304, headers=answer.headers)
        stamp = f"{now:%Y%m%dT%H%M%SZ}".encode()
        return Answer(200, body.replace(_STAMP, stamp), answer.content_type, answer.headers)

    def _midnight(self, listing_id: str, now: datetime) -> datetime:
        """When the listing's day began: what ended the day before left its feeds then."""
        zone = ZoneInfo(self.world.listings[listing_id].time_zone)
        return datetime.combine(self.world.today(listing_id, now), time(), zone).astimezone(UTC)

    def _body(self, dialect: Dialect, listing_id: str, now: datetime) -> bytes:
        """The feed with a placeholder for the time of the fetch."""
        today = self.world.today(listing_id, now)
        key = (dialect, listing_id, today, self.world.version(listing_id, now))
        with self._lock:
            body = self._bodies.get(key)
        if body is None:
            body = self._rendered(dialect, listing_id, now)
            with self._lock:
                self._bodies[key] = body
                while len(self._bodies) > _MOST_CACHED:
                    self._bodies.popitem(last=False)
        return body

    def _rendered(self, dialect: Dialect, listing_id: str, now: datetime) -> bytes:
        producer = _PRODUCERS[dialect]
        place = self.world.listings[listing_id].place
        lines = ["BEGIN:VCALENDAR", *producer.head]
        if dialect == "google":
            lines += [
                f"X-WR-CALNAME:{self.world.listings[listing_id].name}",
                f"X-WR-TIMEZONE:{place.time_zone}",
            ]
        for event in self._events(dialect, listing_id, now):
            lines += ["BEGIN:VEVENT", *producer.lines(listing_id, event), "END:VEVENT"]
        lines.append("END:VCALENDAR")
        return b"".join(folded(line) for line in lines)

    def _events(self, dialect: Dialect, listing_id: str, now: datetime) -> list[Event]:
        """What a feed lists: what has not ended yet, by its start."""
        today = self.world.today(listing_id, now)
        if _PRODUCERS[dialect].merges:
            closed = self.world.closed_nights(listing_id, now, today, today + BOOKING_HORIZON)
            return [Event(start, end) for start, end in stretches(closed | _far_block(today))]
        stays = [Event(stay.check_in, stay.check_out, stay) for stay in self.world.stays(listing_id, now)]
        blocks = [Event(start, end) for start, end in self.world.blocks(listing_id, now)]
        return sorted((event for event in stays + blocks if event.end > today), key=lambda event: event.start)


def feed_path(dialect: Dialect, listing_id: str) -> str:
    """Path and query of a listing's feed behind "/ical", with its secret."""
    token = _token(dialect, listing_id)
    paths: Mapping[Dialect, str] = {
        "airbnb": f"/airbnb/calendar/ical/{listing_id}.ics?t={token}",
        "booking": f"/booking/v1/export?t={uuid.UUID(token)}",
        "vrbo": f"/vrbo/icalendar/{token}.ics?nonTentative",
        "google": (
            f"/google/calendar/ical/{quote(f'listing{listing_id}@group.calendar.google.com', safe='')}"
            f"/private-{token}/basic.ics"
        ),
    }
    return paths[dialect]


def folded(line: str) -> bytes:
    """A content line in lines of at most 75 octets, which may part the octets of one letter (RFC 5545, 3.1)."""
    octets = line.encode()
    pieces = [octets[:75]]
    pieces += [b" " + octets[at : at + 74] for at in range(75, len(octets), 74)]
    return b"".join(piece + b"\r\n" for piece in pieces)


def _far_block(today: date) -> frozenset[date]:
    """Booking.com closes what is not loaded yet: from a quarter's first day to a horizon that rolls daily."""
    loaded = today + timedelta(days=400)
    quarter = (loaded.month - 1) // 3 + 1
    start = date(loaded.year + quarter // 4, quarter % 4 * 3 + 1, 1)
    end = today + BOOKING_HORIZON
    return frozenset(date.fromordinal(ordinal) for ordinal in range(start.toordinal(), end.toordinal()))


def _unchanged(request: Request, etag: str, changed: datetime) -> bool:
    """RFC 9110, 13.2.2: a time is looked at only where no tag is sent."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
    except ValueError:
        return False
    return since.tzinfo is not None and changed.replace(microsecond=0) <= since


def _token(dialect: str, listing_id: str) -> str:
    return invented(f"feed {dialect} {listing_id}")


def _dates(event: Event) -> Iterator[str]:
    yield f"DTSTART;VALUE=DATE:{event.start:%Y%m%d}"
    yield f"DTEND;VALUE=DATE:{event.end:%Y%m%d}"


def _airbnb(listing_id: str, event: Event) -> Iterator[str]:
    yield f"DTSTAMP:{_STAMP.decode()}"
    yield from _dates(event)
    if event.booking is None:
        yield "SUMMARY:Airbnb (Not available)"
        yield f"UID:7f662ec65913-{invented(f'block {listing_id} {event.start}')}@airbnb.com"
        return
    code, phone = event.booking.code, event.booking.guest.phone
    yield "SUMMARY:Reserved"
    yield f"UID:1418fb94e984-{invented(f'stay {code}')}@airbnb.com"
    yield (
        f"DESCRIPTION:Reservation URL: https://www.airbnb.com/hosting/reservations/details/{code}"
        f"\\nPhone Number (Last 4 Digits): {phone[-4:]}"
    )


def _booking(listing_id: str, event: Event) -> Iterator[str]:
    yield f"DTSTAMP:{_STAMP.decode()}"
    yield from _dates(event)
    # The UID belongs to the first night, not to a reservation: it stays when the end of a block rolls.
    yield f"UID:{invented(f'booking {listing_id} {event.start}')}@booking.com"
    yield "SUMMARY:CLOSED - Not available"
    yield "ORGANIZER:mailto:noreply@booking.com"


def _vrbo(listing_id: str, event: Event) -> Iterator[str]:
    name = event.booking.guest.first_name if event.booking else ""
    yield f"UID:{invented(f'vrbo {listing_id} {event.booking.code if event.booking else event.start}')}"
    yield f"DTSTAMP:{_STAMP.decode()}"
    yield from _dates(event)
    yield f"SUMMARY:Reserved - {name}" if event.booking else "SUMMARY:Blocked"


def _google(listing_id: str, event: Event) -> Iterator[str]:
    booking = event.booking
    yield from _dates(event)
    yield f"DTSTAMP:{_STAMP.decode()}"
    identity = booking.code if booking else str(event.start)
    yield f"UID:{invented(f'google {listing_id} {identity}')[:26]}@google.com"
    if booking:
        yield f"CREATED:{booking.booked_at:%Y%m%dT%H%M%SZ}"
        full_name = f"{booking.guest.first_name} {booking.guest.last_name}"
        yield (
            f"DESCRIPTION:{full_name}\\, {booking.guests} guests\\; arrives late, leave the key with Dona Graça. "
            f"Mail {booking.guest.email}"
        )
        yield f"LAST-MODIFIED:{booking.updated_at:%Y%m%dT%H%M%SZ}"
    yield "SEQUENCE:0"
    yield "STATUS:CONFIRMED"
    yield f"SUMMARY:{booking.guest.first_name}" if booking else "SUMMARY:Closed"
    yield "TRANSP:OPAQUE"


_PRODUCERS: Mapping[Dialect, _Producer] = {
    "airbnb": _Producer(
        ("PRODID:-//Airbnb Inc//Hosting Calendar 1.0//EN", "CALSCALE:GREGORIAN", "VERSION:2.0"), _airbnb
    ),
    "booking": _Producer(
        (
            "VERSION:2.0",
            "PRODID:-//admin.booking.com\\\\\\, b.v.//NONSGML v1.0//EN",
            "CALSCALE:GREGORIAN",
            "METHOD:PUBLISH",
        ),
        _booking,
        merges=True,
    ),
    "vrbo": _Producer(
        ("PRODID:-//HomeAway.com, Inc.//EN", "VERSION:2.0", "CALSCALE:GREGORIAN"), _vrbo, validators=True
    ),
    "google": _Producer(
        (
            "PRODID:-//Google Inc//Google Calendar 70.9054//EN",
            "VERSION:2.0",
            "CALSCALE:GREGORIAN",
            "METHOD:PUBLISH",
        ),
        _google,
        validators=True,
    ),
}
