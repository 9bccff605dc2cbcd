"""The words of the trade as frozen values. No I/O, no clock, no library beyond the standard one.

A *night* is the local calendar date on which it begins, in the property's own time zone: a ``date``, never a
timestamp. A *stay* or *window* is half-open, ``[check_in, check_out)``: two stays that touch on a turnover day
do not overlap. *Money* is a ``Decimal`` with its ISO 4217 currency, at most that currency's minor digits.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from types import MappingProxyType

ONE_DAY = timedelta(days=1)

_CURRENCY = re.compile("[A-Z]{3}")

# ISO 4217 (list one, 2024): the currencies whose minor unit is not 2 digits.
MINOR_DIGITS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(
        (
            "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW",
            "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
        ),
        0,
    )
    | dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3)
    | dict.fromkeys(("CLF", "UYW"), 4)
)  # fmt: skip


def minor_digits(currency: str) -> int:
    """How many decimal digits the currency has: EUR 2, JPY 0, KWD 3."""
    return MINOR_DIGITS.get(currency, 2)


@dataclass(frozen=True, slots=True, order=True)
class Stay:
    """The nights from ``check_in`` up to but not including ``check_out``: at least one night."""

    check_in: date
    check_out: date

    def __post_init__(self) -> None:
        """Refuse an empty or inverted stay with ValueError."""
        if self.check_out <= self.check_in:
            raise ValueError(f"a stay ends after it begins: {self.check_in} .. {self.check_out}")

    def __iter__(self) -> Iterator[date]:
        """Every night, in order."""
        night = self.check_in
        while night < self.check_out:
            yield night
            night += ONE_DAY

    def __len__(self) -> int:
        return (self.check_out - self.check_in).days

    def __contains__(self, night: object) -> bool:
        return isinstance(night, date) and self.check_in <= night < self.check_out

    def __str__(self) -> str:
        return f"[{self.check_in}, {self.check_out})"

    def overlaps(self, other: "Stay") -> bool:
        """Whether one night belongs to both. Stays that touch on a turnover day do not."""
        return self.check_in < other.check_out and other.check_in < self.check_out

    def clipped_to(self, window: "Stay") -> "Stay | None":
        """The part inside ``window``, or None where there is none."""
        start, end = max(self.check_in, window.check_in), min(self.check_out, window.check_out)
        return Stay(start, end) if start < end else None


@dataclass(frozen=True, slots=True)
class Money:
    """An exact amount in one currency.

    Raises ValueError for a code that is not three capital letters, an amount that is not finite, or one with
    more digits than the currency has (12.345 EUR): rounding is a decision, never an accident.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        """Validate, and normalise the amount to exactly the currency's digits."""
        if not _CURRENCY.fullmatch(self.currency):
            raise ValueError(f"a currency is a three-letter ISO 4217 code, not {self.currency!r}")
        if not self.amount.is_finite():
            raise ValueError(f"an amount of money is finite, not {self.amount}")
        try:
            exact = self.amount.quantize(Decimal(1).scaleb(-minor_digits(self.currency)))
        except InvalidOperation:  # more than 28 digits
            raise ValueError(f"not an amount of money: {self.amount}") from None
        if exact != self.amount:
            raise ValueError(
                f"{self.currency} has {minor_digits(self.currency)} decimal digits: {self.amount}"
            )
        object.__setattr__(self, "amount", exact)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"

    @classmethod
    def from_minor(cls, units: int, currency: str) -> "Money":
        """From the smallest unit of the currency: 20000 EUR cents are 200.00 EUR, 20000 JPY are 20000 JPY."""
        return cls(Decimal(units).scaleb(-minor_digits(currency)), currency)

    def to_minor(self) -> int:
        """In the smallest unit of the currency."""
        return int(self.amount.scaleb(minor_digits(self.currency)))


class ClosureKind(StrEnum):
    """Why a night is not for sale, as far as the source tells."""

    BOOKED = "booked"  # a guest's stay sold on that channel
    BLOCKED = "blocked"  # the owner, maintenance, a booking-window rule
    UNKNOWN = "unknown"  # the source does not say (Booking.com's feed never does)


@dataclass(frozen=True, slots=True)
class NightAvailability:
    """What a listing shows for one night.

    ``units_open`` is how many units may still be sold (0 = closed). ``closure`` says why a closed night is
    closed and is None on an open one. ``reference`` is the channel's own id of what closes it: the
    reservation code where the source tells one, else the feed's UID.
    """

    night: date
    units_open: int
    closure: ClosureKind | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Restrictions:
    """Rules on selling one night. None means: the channel does not say. Stays are counted in nights."""

    min_stay_arrival: int | None = None  # checked on the day of arrival
    min_stay_through: int | None = None  # checked on every night of the stay
    max_stay: int | None = None
    closed_to_arrival: bool | None = None
    closed_to_departure: bool | None = None
    stop_sell: bool | None = None


@dataclass(frozen=True, slots=True)
class NightPrice:
    """The price of one whole night of a listing, and the restrictions on selling it."""

    night: date
    price: Money | None
    restrictions: Restrictions = Restrictions()


class Evidence(StrEnum):
    """What an observation says about the nights it does not mention."""

    EXPLICIT = "explicit"  # every night of the window is stated, open or closed
    ABSENCE = "absence"  # only closed nights are listed: "open" is no more than "not mentioned"


@dataclass(frozen=True, slots=True)
class Validators:
    """HTTP validators of the last answer, to ask "only if it changed" with."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A part of an answer that could not be read, kept so that nothing is lost.

    ``where`` names the part (a UID, a confirmation code, a date), ``reason`` says what is wrong with it,
    ``raw`` is the part itself without secrets, card data and guests' details, at most 4,000 characters.
    ``mended``: the part was read all the same, by a reading on the safe side that the channel's README states: it
    leaves no night unread.
    """

    where: str
    reason: str
    raw: str
    mended: bool = False


@dataclass(frozen=True, slots=True)
class AvailabilityPage:
    """One answer about one listing's availability.

    ``window`` is what the answer speaks of, already cut to what was asked for. With ABSENCE evidence
    ``nights`` holds closed nights only. ``unchanged`` means the channel said so itself (HTTP 304): ``nights``
    is then empty and proves what the last answer proved. ``fingerprint`` is a hash of the meaning of the
    answer: equal for answers that differ only in time stamps.
    """

    listing_id: str
    window: Stay
    evidence: Evidence
    nights: tuple[NightAvailability, ...]
    fingerprint: str
    validators: Validators = Validators()
    unchanged: bool = False
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class PricingPage:
    """One answer about one listing's prices and restrictions, for the nights of ``window``."""

    listing_id: str
    window: Stay
    nights: tuple[NightPrice, ...]
    problems: tuple[Problem, ...] = ()


class BookingStatus(StrEnum):
    """Where a booking stands on its channel."""

    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Booking:
    """One version of a guest's stay sold on a channel, without the guest.

    ``booking_id`` is the channel's own id and stays the same over all versions. Versions are ordered by
    ``revised_at`` (the channel's own time of this version, UTC), never by arrival. ``nightly`` is the price of
    each night where the channel tells it; ``total`` is what the guest pays, ``payout`` what the house receives.
    A cancelled booking may come without dates or prices (Expedia): ``stay`` is then None.

    ``whole`` is the channel's id of a reservation that may be sold as several bookings here, one for each listing and
    stay in it (see ``adapters.parts``). Each version tells all parts of its whole: a part that a newer version no
    longer names is cancelled by it.
    """

    booking_id: str
    listing_id: str
    status: BookingStatus
    revised_at: datetime
    stay: Stay | None
    units: int = 1
    guests: int | None = None
    booked_at: datetime | None = None
    total: Money | None = None
    payout: Money | None = None
    nightly: tuple[tuple[date, Money], ...] = ()
    whole: str | None = None

    def __post_init__(self) -> None:
        """Refuse times without zone and a confirmed booking without nights."""
        for name, moment in (("revised_at", self.revised_at), ("booked_at", self.booked_at)):
            if moment is not None and moment.utcoffset() != UTC.utcoffset(None):
                raise ValueError(f"{name} of booking {self.booking_id} is not in UTC: {moment!r}")
        if self.stay is None and self.status is BookingStatus.CONFIRMED:
            raise ValueError(f"confirmed booking {self.booking_id} has no nights")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What acknowledges one version of a booking to its channel, once that is committed here.

    ``reference`` is read by the adapter alone: the channel's own ids and whatever else its acknowledgement repeats. It
    may hold a token, so it is shown nowhere. Equal references acknowledge the same thing. ``booking_id`` is the
    channel's id of the whole. ``due_at`` (UTC) is when the channel stops waiting, where it tells; None: what the
    declaration says counts, from the moment it was received.
    """

    booking_id: str
    reference: str = field(repr=False)
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BookingPage:
    """One page of bookings. The last page of a pull carries nothing special: the generator ends.

    ``receipts`` are what has to be acknowledged of this page: of every version that could be read, its listing mapped
    or not. What could not be read has none, so that the channel goes on telling people of it.
    """

    bookings: tuple[Booking, ...]
    problems: tuple[Problem, ...] = ()
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelListing:
    """A listing as the channel itself lists it under an account."""

    listing_id: str
    name: str
    currency: str | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be seen. ``str`` and ``repr`` show stars; ``reveal`` is the only way in."""

    _value: str = field(repr=False)

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def reveal(self) -> str:
        """The value itself. Hand it to the wire, never to a message."""
        return self._value


def spans(nights: Iterable[date]) -> list[Stay]:
    """The fewest half-open stays that cover exactly these nights, in order."""
    found: list[Stay] = []
    for night in sorted(set(nights)):
        if found and found[-1].check_out == night:
            found[-1] = Stay(found[-1].check_in, night + ONE_DAY)
        else:
            found.append(Stay(night, night + ONE_DAY))
    return found
