"""Channex's booking revisions in the words of the trade: pure functions and tables.

Cards and guests were dropped with the parsing (``fields.body_of``): nothing here can read them.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any

from adapters import json_fields
from adapters.channex import fields
from adapters.model import Booking, BookingPage, BookingStatus, Money, Problem, Receipt, Stay
from adapters.parts import MappedRooms, RoomStay, parts_of
from adapters.reading import required, softly

UNMAPPED = "-"  # for the property, room or rate that the wire leaves null

_STATUSES: Mapping[str, BookingStatus] = {
    "new": BookingStatus.CONFIRMED,
    "modified": BookingStatus.CONFIRMED,
    "cancelled": BookingStatus.CANCELLED,
}
_LONGEST_STAY = 1_125  # nights: the longest that a channel behind Channex is known to sell
_MOST_ROOMS = 1_000  # of one reservation

# What a Problem shows of a revision and of its rooms.
_REVISION_FIELDS = (
    "id", "booking_id", "revision_id", "property_id", "status", "arrival_date", "departure_date", "inserted_at",
    "currency", "amount", "rooms",
)  # fmt: skip


def bookings_from_wire(
    revisions: Sequence[object],
    rooms: MappedRooms,
    given: set[str],
    what: str,
    wanted: Callable[[datetime], bool] = lambda _: True,
) -> BookingPage:
    """The bookings of one page of revisions, or of bookings as they stand, and what acknowledges them.

    A revision of ``given`` is passed over, as is one whose time is not ``wanted``; each that was read is added to
    ``given``. One that cannot be read is a Problem without a receipt: it holds up no other, and Channex goes on telling
    people of it.
    """
    bookings: list[Booking] = []
    problems: list[Problem] = []
    receipts: list[Receipt] = []
    for place, raw in enumerate(revisions, start=1):
        where, told = f"revision {place} of {what}", raw
        try:
            told = json_fields.members(json_fields.members(raw, "revision").get("attributes"), "attributes")
            booking_id, revision_id = _ids(json_fields.members(raw, "revision"), told)
            where = f"revision {revision_id} of booking {booking_id}"
            revised_at = required(fields.instant(told, "inserted_at"), "inserted_at")
            if revision_id in given or not wanted(revised_at):
                continue
            parts, soft = _parts(booking_id, revised_at, told, rooms)
        except ValueError as error:
            problems.append(json_fields.unread(where, str(error), told, _REVISION_FIELDS))
            continue
        given.add(revision_id)
        bookings += parts
        problems += [json_fields.unread(where, reason, told, _REVISION_FIELDS) for reason in soft]
        if told.get("acknowledge_status") != "acknowledged":
            receipts.append(Receipt(booking_id, revision_id))
    return BookingPage(tuple(bookings), tuple(problems), tuple(receipts))


def _ids(raw: Mapping[str, Any], told: Mapping[str, Any]) -> tuple[str, str]:
    """The ids of booking and revision. A booking as it stands is named by its own, and names its revision."""
    own = json_fields.code(told, "id") or json_fields.code(raw, "id")
    revision = json_fields.code(told, "revision_id")
    booking = json_fields.code(told, "booking_id")
    if revision is not None:
        return required(booking or own, "id"), revision
    return required(booking, "booking_id"), required(own, "id")


def _parts(
    booking_id: str, revised_at: datetime, told: Mapping[str, Any], rooms: MappedRooms
) -> tuple[tuple[Booking, ...], list[str]]:
    """The bookings that a revision is here, and what of it could not be read without making it another booking.

    Raises ValueError where its status or its nights cannot be read.
    """
    word = told.get("status")
    if not isinstance(word, str) or word not in _STATUSES:
        raise ValueError("status is not a word we know")
    status = _STATUSES[word]
    soft: list[str] = []
    place = json_fields.code(told, "property_id") or UNMAPPED
    currency = softly(partial(json_fields.currency, told, "currency"), soft)
    read_rooms = partial(_room_stays, place=place, currency=currency, rooms=rooms, soft=soft)
    stay = softly(partial(_stay, told), soft)  # each room has its own
    ended = status is BookingStatus.CANCELLED  # which must not fail for the dates of what ended
    sold = softly(partial(read_rooms, told), soft) or () if ended else read_rooms(told)
    reservation = Booking(
        booking_id,
        f"{place}/{UNMAPPED}/{UNMAPPED}",
        status,
        revised_at,
        stay or _around(sold),
        guests=softly(partial(_guests, told), soft),
        booked_at=revised_at if word == "new" else None,
        total=softly(partial(fields.money, told, name="amount", currency_code=currency), soft),
    )
    return parts_of(reservation, sold), soft


def _room_stays(
    told: Mapping[str, Any], place: str, currency: str | None, rooms: MappedRooms, soft: list[str]
) -> tuple[RoomStay, ...]:
    named = told.get("rooms")
    if named is None:
        return ()
    if not isinstance(named, list) or len(named) > _MOST_ROOMS:
        raise ValueError("rooms is not a list of rooms")
    return tuple(
        _room_stay(json_fields.members(raw, "room"), told, place, currency, rooms, soft) for raw in named
    )


def _room_stay(
    raw: Mapping[str, Any],
    whole: Mapping[str, Any],
    place: str,
    currency: str | None,
    rooms: MappedRooms,
    soft: list[str],
) -> RoomStay:
    """One room, for the dates of the whole where it has none of its own."""
    stay = required(_stay(raw) or _stay(whole), "dates")
    nightly = softly(partial(_nightly, raw, stay=stay, currency=currency), soft)
    return RoomStay(
        _listing_id(raw, place, rooms),
        stay,
        softly(partial(_guests, raw), soft),
        nightly or (),
        softly(partial(fields.money, raw, name="amount", currency_code=currency), soft),
    )


def _listing_id(raw: Mapping[str, Any], place: str, rooms: MappedRooms) -> str:
    """The room's listing: at its own rate, at the rate that one is derived from, or at another of the room."""
    room = json_fields.code(raw, "room_type_id") or UNMAPPED
    rate = json_fields.code(raw, "rate_plan_id") or UNMAPPED
    found = rooms.listing_id(place, room, rate)
    meta = raw.get("meta")
    parent = json_fields.code(meta, "parent_rate_plan_id") if isinstance(meta, dict) else None
    if parent and found != f"{place}/{room}/{rate}":
        derived = rooms.listing_id(place, room, parent)
        return derived if derived == f"{place}/{room}/{parent}" else found
    return found


def _stay(raw: Mapping[str, Any]) -> Stay | None:
    """The day of departure is exclusive."""
    start = json_fields.day(raw, "checkin_date", "arrival_date")
    end = json_fields.day(raw, "checkout_date", "departure_date")
    if start is None and end is None:
        return None
    if start is None or end is None or not start < end:
        raise ValueError("arrival and departure are not a stay")
    stay = Stay(start, end)
    if len(stay) > _LONGEST_STAY:
        raise ValueError(f"{len(stay)} nights are more than the {_LONGEST_STAY} that are sold")
    return stay


def _around(rooms: Sequence[RoomStay]) -> Stay | None:
    if not rooms:
        return None
    return Stay(min(room.stay.check_in for room in rooms), max(room.stay.check_out for room in rooms))


def _nightly(raw: Mapping[str, Any], stay: Stay, currency: str | None) -> tuple[tuple[date, Money], ...]:
    told = raw.get("days")
    if told is None:
        return ()
    found = []
    for name in json_fields.members(told, "days"):
        night = required(json_fields.day({"days": name}, "days"), "days")
        price = required(fields.money({"days": told[name]}, "days", currency), "price in days")
        if night not in stay:
            raise ValueError("days are not nights of the stay")
        found.append((night, price))
    return tuple(sorted(found, key=lambda one: one[0]))


def _guests(raw: Mapping[str, Any]) -> int | None:
    """Adults and children; infants sleep in no bed of the house."""
    told = raw.get("occupancy")
    if told is None:
        return None
    occupancy = json_fields.members(told, "occupancy")
    adults, children = json_fields.count(occupancy, "adults"), json_fields.count(occupancy, "children")
    return None if adults is None else adults + (children or 0)
