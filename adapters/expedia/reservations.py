"""Expedia's bookings in the words of the trade, and what confirms them: pure functions and tables.

Guests and their cards end before this module: the parser drops them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from adapters.accounts import Listing
from adapters.expedia import fields
from adapters.model import ONE_DAY, Booking, BookingStatus, Money, Problem, Receipt, Stay
from adapters.parts import MappedRooms, RoomStay, parts_of, room_id
from adapters.reading import softly
from adapters.xml_body import Element

KINDS = ("Book", "Modify", "Cancel")
OPEN = ("pending", "retrieved")  # waits for a confirmation
_STATUSES = (*OPEN, "confirmed", "expired")
_LONGEST_STAY = 366  # nights; Expedia sells 28
_COLLECTS_ITSELF = "A-"  # begins the source of a booking that the hotel is paid for by its guest

# How long Expedia waits for a confirmation, by days from booking to arrival: beyond these, a day.
_PATIENCE = {0: timedelta(minutes=30), 1: timedelta(minutes=60)}
_AHEAD_OF_ALL = timedelta(hours=14)  # the zone where a day begins first


class Houses:
    """What is known of the hotels beforehand: which listing a room is, its currency, its zone."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        """``listings`` are the account's mapped ones."""
        known = tuple(listings)
        self._rooms = MappedRooms(known)
        self._of_hotel = {room_id(listing.listing_id).property_id: listing for listing in known}

    def listing_id(self, hotel: str, room: str, rate: str) -> str:
        """The listing of a room at a rate; a rate paid for at the hotel ("123A") is also mapped as that without A."""
        told = f"{hotel}/{room}/{rate}"
        found = self._rooms.listing_id(hotel, room, rate)
        if found == told:
            return found
        other = rate[:-1] if rate.endswith("A") else f"{rate}A"
        twin = self._rooms.listing_id(hotel, room, other)
        return twin if twin == f"{hotel}/{room}/{other}" else found

    def currency(self, hotel: str) -> str | None:
        """What the hotel sells in, where any listing of it is mapped."""
        listing = self._of_hotel.get(hotel)
        return listing.currency if listing else None

    def zone(self, hotel: str) -> ZoneInfo | None:
        """Where the hotel is, as above."""
        listing = self._of_hotel.get(hotel)
        return ZoneInfo(listing.time_zone) if listing else None


@dataclass(frozen=True, slots=True)
class Transaction:
    """One version of a booking: made, modified or cancelled. ``receipt`` is there while Expedia waits for it."""

    key: tuple[str, str, datetime]
    bookings: tuple[Booking, ...]
    problems: tuple[Problem, ...]
    receipt: Receipt | None

    @property
    def at(self) -> datetime:
        """When it happened, in UTC."""
        return self.key[2]


def transactions(
    root: Element, houses: Houses, now: datetime, what: str
) -> tuple[list[Transaction], list[Problem]]:
    """The bookings of one answer, oldest first, and those that cannot be read."""
    found: list[Transaction] = []
    problems: list[Problem] = []
    for place, booking in enumerate(_listed(root), start=1):
        where = f"booking {place} of {what}"
        try:
            booking_id = fields.needed(fields.number(booking, "id"), "id")
            where = f"booking {booking_id}"
            found.append(_transaction(booking, booking_id, houses, now))
        except ValueError as error:
            problems.append(fields.unread(where, str(error), booking))
    return sorted(found, key=lambda each: (each.at, each.key)), problems


def _listed(root: Element) -> list[Element]:
    holder = fields.child(root, "Bookings")
    return [] if holder is None else fields.children(holder, "Booking")


def _transaction(raw: Element, booking_id: str, houses: Houses, now: datetime) -> Transaction:
    kind = fields.word(raw, "type", KINDS)
    at = fields.needed(fields.instant(raw, "createDateTime"), "createDateTime")
    hotel = fields.needed(fields.number(fields.child(raw, "Hotel"), "id"), "hotel's id")
    status = fields.word(raw, "status", _STATUSES) if raw.get("status") is not None else OPEN[0]
    soft: list[str] = []
    if kind == "Cancel":
        bookings = _cancelled(raw, booking_id, hotel, at)
    else:
        bookings = _confirmed(raw, booking_id, kind, hotel, at, houses, soft)
    receipt = None
    if status in OPEN:
        arrival = softly(lambda: _stay(raw).check_in, [])
        due = due_at(at, arrival, houses.zone(hotel), now)
        receipt = Receipt(booking_id, _reference(hotel, booking_id, kind, at), due)
    problems = tuple(
        fields.unread(f"booking {booking_id}", reason, raw, mended=True) for reason in dict.fromkeys(soft)
    )
    return Transaction((booking_id, kind, at), bookings, problems, receipt)


def _cancelled(raw: Element, booking_id: str, hotel: str, at: datetime) -> tuple[Booking, ...]:
    """Room, rate and amounts of a cancellation are zeros: its room and nights are those that are known here."""
    guests = softly(lambda: _guests(raw), [])
    booking = Booking(booking_id, f"{hotel}/0/0", BookingStatus.CANCELLED, at, None, guests=guests)
    return parts_of(booking, ())


def _confirmed(
    raw: Element,
    booking_id: str,
    kind: str,
    hotel: str,
    at: datetime,
    houses: Houses,
    soft: list[str],
) -> tuple[Booking, ...]:
    """A booking that stands. Raises ValueError where its room or its nights cannot be read."""
    room = fields.required_child(raw, "RoomStay")
    stay = _stay(raw)
    listing_id = houses.listing_id(
        hotel,
        fields.needed(fields.code(room, "roomTypeID"), "roomTypeID"),
        fields.needed(fields.code(room, "ratePlanID"), "ratePlanID"),
    )
    currency = softly(lambda: _currency(room, hotel, houses), soft)
    nightly: tuple[tuple[date, Money], ...] | None = None
    total: Money | None = None
    payout: Money | None = None
    if currency is not None:
        nightly = softly(lambda: _nightly(room, stay, currency), soft)
        amount = softly(lambda: fields.money(fields.child(room, "Total"), "amountAfterTaxes", currency), soft)
        total, payout = of_whom(amount, *_terms(raw, room))
        payout = payout or softly(lambda: _paid(room), soft)
    guests = softly(lambda: _guests(raw), soft)
    booking = Booking(
        booking_id,
        listing_id,
        BookingStatus.CONFIRMED,
        at,
        stay,
        guests=guests,
        booked_at=at if kind == "Book" else None,
        total=total,
        payout=payout,
    )
    return parts_of(booking, [RoomStay(listing_id, stay, guests, nightly or (), total)])


def of_whom(
    amount: Money | None, source: str | None, base_rate_type: str | None
) -> tuple[Money | None, Money | None]:
    """The total as what the guest pays or as what the house receives, of which one is told.

    Expedia tells the house's net amount of what is paid to Expedia itself, unless the rates are said to be "Sell".
    """
    collected_here = source is not None and source.startswith(_COLLECTS_ITSELF)
    return (amount, None) if collected_here or base_rate_type == "Sell" else (None, amount)


def _terms(raw: Element, room: Element) -> tuple[str | None, str | None]:
    told = fields.child(room, "BaseRateType")
    return fields.text(raw, "source"), None if told is None else (told.text or "").strip()


def _paid(room: Element) -> Money | None:
    """What Expedia pays the house with its own card, where it says that this is net."""
    payment = fields.child(room, "Payment")
    if fields.text(payment, "model") != "Net":
        return None
    currency = fields.needed(fields.currency(payment, "currencyCode"), "currencyCode")
    return fields.money(payment, "amount", currency)


def _stay(raw: Element) -> Stay:
    """Arrival and departure; the departure is no night of it."""
    dates = fields.required_child(raw, "RoomStay", "StayDate")
    return stay_of(fields.day(dates, "arrival"), fields.day(dates, "departure"))


def stay_of(arrival: date | None, departure: date | None) -> Stay:
    """The nights between. Raises ValueError for more of them than anybody sells."""
    stay = Stay(fields.needed(arrival, "arrival"), fields.needed(departure, "departure"))
    if len(stay) > _LONGEST_STAY:
        raise ValueError(f"a stay of {len(stay)} nights")
    return stay


def _guests(raw: Element) -> int | None:
    told = fields.child(raw, "RoomStay", "GuestCount")
    adults = fields.count(told, "adult")
    return None if adults is None else adults + (fields.count(told, "child") or 0)


def _currency(room: Element, hotel: str, houses: Houses) -> str:
    """The property's currency, named beside the rates, beside the total or nowhere."""
    found = (
        fields.currency(fields.child(room, "PerDayRates"), "currency")
        or fields.currency(fields.child(room, "Total"), "currency")
        or houses.currency(hotel)
    )
    return fields.needed(found, "currency")


def _nightly(room: Element, stay: Stay, currency: str) -> tuple[tuple[date, Money], ...]:
    """What each night costs before taxes: its rate with what further persons and the service cost."""
    prices: dict[date, Money] = {}
    holder = fields.child(room, "PerDayRates")
    for rate in [] if holder is None else fields.children(holder, "PerDayRate"):
        night = fields.needed(fields.day(rate, "stayDate"), "stayDate")
        base = fields.needed(fields.amount(rate, "baseRate"), "baseRate")
        extras = (fields.amount(rate, name) or 0 for name in ("extraPersonFees", "hotelServiceFees"))
        if night not in stay or night in prices:
            raise ValueError("the rates are not those of its nights")
        prices[night] = Money(base + sum(extras), currency)
    return tuple(sorted(prices.items()))


def due_at(created: datetime, arrival: date | None, zone: ZoneInfo | None, now: datetime) -> datetime:
    """When Expedia stops waiting: so long after the booking was made, as the days to its arrival at the hotel allow.

    What is still given after that is confirmed as soon as if it were made ``now``. Unknown zone or arrival: the
    earliest moment that it may be.
    """
    due = now
    for start in (created, now):
        there = start.astimezone(zone) if zone else start.astimezone(UTC) + _AHEAD_OF_ALL
        days = max(0, (arrival - there.date()).days) if arrival else 0
        due = start + _PATIENCE.get(days, ONE_DAY)
        if due > now:
            break
    return due


def _reference(hotel: str, booking_id: str, kind: str, at: datetime) -> str:
    told = {"at": at.isoformat(), "booking": booking_id, "hotel": hotel, "type": kind}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def confirmation_of(reference: str) -> tuple[str, str, str] | None:
    """Hotel, booking and type that a receipt names; None for one that is not ours."""
    try:
        told = json.loads(reference)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict):
        return None
    hotel, booking_id, kind = (told.get(name) for name in ("hotel", "booking", "type"))
    for each in (hotel, booking_id):
        if not (isinstance(each, str) and each.isascii() and each.isdecimal() and len(each) <= 18):
            return None
    return (str(hotel), str(booking_id), kind) if kind in KINDS else None


def confirm_number(booking_id: str) -> str:
    """What we call the booking towards Expedia: the same however often it is told."""
    return f"CS-{booking_id}"
