"""What happens to a listing over simulated time: bookings that arrive, change and are cancelled; nights blocked.

A listing's nights are cut into spans of 56; what happens in one span is drawn from the seed, the listing and the
span alone, and no stay crosses its edge. So any span can be made at any time, in any order, and is the same.
Within a span each stretch of nights belongs to one booking at a time: no night is sold twice.
"""

import hashlib
import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from channel_sync.sandbox.rentals import Listing, money, terms

SPAN = 56  # nights; the unit in which a listing's life is drawn
LONGEST_LEAD = timedelta(days=360)  # no simulated guest books earlier than this before check-in

ACCEPTED = "accept"
CANCELLED = ("cancelled_by_guest", "cancelled_by_host", "cancelled_by_admin")

_CODE_LETTERS = string.ascii_uppercase + string.digits
_FIRST_NAMES = ("Ana", "Zoë", "Jürgen", "Noor", "Łukasz", "Haruka", "Maeve", "Tomás", "Ingrid", "Émile")
_LAST_NAMES = ("Ferreira", "Nakamura", "O'Hallaran", "Günther", "Al-Sabah", "Kowalczyk", "Dubois", "Smythe")


@dataclass(frozen=True, slots=True)
class Guest:
    """An invented person. On the wire so that a test can prove that nothing of it goes further."""

    first_name: str
    last_name: str
    email: str
    phone: str


@dataclass(frozen=True, slots=True)
class Booking:
    """One booking as it stands at one moment. The stay is half-open; times are UTC.

    ``total`` is what the guest pays, ``payout`` what the host receives, in ``currency``.
    """

    code: str
    listing_id: str
    check_in: date
    check_out: date
    status: str
    booked_at: datetime
    updated_at: datetime
    guests: int
    guest: Guest
    currency: str
    total: Decimal
    payout: Decimal

    @property
    def confirmed(self) -> bool:
        """Whether the stay closes its nights."""
        return self.status == ACCEPTED

    @property
    def nights(self) -> int:
        """How many nights the stay has."""
        return (self.check_out - self.check_in).days


@dataclass(frozen=True, slots=True)
class Revision:
    """What a booking became at one moment."""

    at: datetime
    check_in: date
    check_out: date
    status: str = ACCEPTED


@dataclass(frozen=True, slots=True)
class History:
    """All that ever happens to one booking, oldest first. Nothing happens after a cancellation."""

    code: str
    listing: Listing
    revisions: tuple[Revision, ...]

    @property
    def booked_at(self) -> datetime:
        """When the guest booked."""
        return self.revisions[0].at

    def revision(self, now: datetime) -> Revision | None:
        """The newest revision at ``now``, or None before the guest booked."""
        known = None
        for revision in self.revisions:
            if revision.at > now:
                break
            known = revision
        return known

    def booking(self, now: datetime) -> Booking | None:
        """The booking as it stands at ``now``, or None before the guest booked."""
        revision = self.revision(now)
        if revision is None:
            return None
        total = sum(
            (terms(self.listing, night).price for night in nights(revision.check_in, revision.check_out)),
            start=money(self.listing, 0),
        )
        minor = int(total.scaleb(self.listing.place.digits))
        return Booking(
            code=self.code,
            listing_id=self.listing.listing_id,
            check_in=revision.check_in,
            check_out=revision.check_out,
            status=revision.status,
            booked_at=self.booked_at,
            updated_at=revision.at,
            guests=1 + _number(self.code, "guests") % 4,
            guest=guest_of(self.code),
            currency=self.listing.currency,
            total=total,
            payout=money(self.listing, minor - minor * 3 // 100),
        )


@dataclass(frozen=True, slots=True)
class Closure:
    """The owner closes the nights ``[start, end)`` at one moment, or opens them again.

    ``elsewhere``: they are closed because another platform sold them.
    """

    at: datetime
    start: date
    end: date
    closed: bool = True
    elsewhere: bool = False


def nights(start: date, end: date) -> Iterator[date]:
    """Each night of ``[start, end)``."""
    for ordinal in range(start.toordinal(), end.toordinal()):
        yield date.fromordinal(ordinal)


def guest_of(code: str) -> Guest:
    """The invented guest of a booking, always the same for the same code."""
    first = _FIRST_NAMES[_number(code, "first") % len(_FIRST_NAMES)]
    last = _LAST_NAMES[_number(code, "last") % len(_LAST_NAMES)]
    return Guest(first, last, f"{code.lower()}@guest.example", f"+351 9{_number(code, 'phone') % 10**8:08d}")


def code_from(draw: Random) -> str:
    """A confirmation code as Airbnb writes it: HM and eight of A-Z0-9."""
    return "HM" + "".join(draw.choices(_CODE_LETTERS, k=8))


def span_of(night: date) -> int:
    """The number of the span that a night lies in."""
    return night.toordinal() // SPAN


def life(seed: int, listing: Listing, span: int) -> Iterator[History | Closure]:
    """Everything that ever happens to the nights of one span of one listing."""
    draw = Random(f"{seed}/{listing.listing_id}/{span}")  # noqa: S311 - a world, not a secret
    cursor, edge = span * SPAN, (span + 1) * SPAN
    while True:
        cursor += draw.choices((0, 1, 2, 4, 7), weights=(52, 26, 12, 7, 3))[0]
        length = draw.choices((1, 2, 3, 4, 5, 7, 10), weights=(20, 30, 22, 13, 8, 5, 2))[0]
        if cursor + length > edge:
            return
        check_in = date.fromordinal(cursor)
        check_out = date.fromordinal(cursor + length)
        cursor += length
        what = draw.random()
        if what < 0.08:
            yield Closure(_before(draw, check_in), check_in, check_out, elsewhere=what < 0.03)
        else:
            yield from _sales(draw, listing, check_in, check_out)


def _sales(draw: Random, listing: Listing, check_in: date, check_out: date) -> Iterator[History]:
    """One booking of the stretch; where it is cancelled, often another one after it."""
    booked_at = _before(draw, check_in)
    arrival = _midnight(check_in)
    again = True
    while again:
        history = _history(draw, listing, Revision(booked_at, check_in, check_out), arrival)
        yield history
        last = history.revisions[-1]
        again = last.status != ACCEPTED and draw.random() < 0.7
        booked_at = _between(draw, last.at, arrival)


def _history(draw: Random, listing: Listing, asked: Revision, arrival: datetime) -> History:
    revisions = [asked]
    if draw.random() < 0.15 and (asked.check_out - asked.check_in).days > 1:
        # At first a night shorter, then the stay as asked: it never leaves its stretch of nights.
        revisions[0] = Revision(asked.at, asked.check_in, asked.check_out - timedelta(days=1))
        revisions.append(Revision(_between(draw, asked.at, arrival), asked.check_in, asked.check_out))
    if draw.random() < 0.2:
        last = revisions[-1]
        by = draw.choices(CANCELLED, weights=(80, 15, 5))[0]
        revisions.append(Revision(_between(draw, last.at, arrival), last.check_in, last.check_out, by))
    return History(code_from(draw), listing, tuple(revisions))


def _before(draw: Random, check_in: date) -> datetime:
    """A moment from hours to most of a year before check-in: many bookings come late, some very early."""
    days = min(draw.expovariate(1 / 75) + 0.2, LONGEST_LEAD.days - 1.0)
    return _midnight(check_in) - timedelta(seconds=int(days * 86_400))


def _between(draw: Random, start: datetime, end: datetime) -> datetime:
    """A whole second after ``start``, before ``end`` as long as there is room."""
    room = int((end - start).total_seconds())
    return start + timedelta(seconds=1 + int(draw.random() * max(0, room - 1)))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _number(code: str, what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{code}/{what}".encode()).digest()[:8], "big")
