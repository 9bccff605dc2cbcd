"""Booking.com's OTA reservations in the words of the trade: pure functions and tables.

Guests and cards were dropped before (``answers.UNREAD``): nothing in this module could read them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial

from adapters.booking_com import fields
from adapters.booking_com.answers import message_from
from adapters.booking_com.fields import attribute, child, children
from adapters.booking_com.rooms import AMOUNTS, commission_on, room_stay_from, units_of
from adapters.errors import UnexpectedResponse
from adapters.model import Booking, BookingStatus, Money, Problem
from adapters.parts import MappedRooms, RoomStay, parts_of
from adapters.reading import required, softly
from adapters.xml_body import Element

# By message: where its reservations stand. The last is other OTA users' answer to a question for reservations.
_LISTS: Mapping[str, tuple[str, str]] = {
    "OTA_HotelResNotifRQ": ("HotelReservations", "HotelReservation"),
    "OTA_HotelResModifyNotifRQ": ("HotelResModifies", "HotelResModify"),
    "OTA_ResRetrieveRS": ("ReservationsList", "HotelReservation"),
}
_STATUSES: Mapping[str, BookingStatus] = {
    **dict.fromkeys(("book", "commit", "new", "reserved", "modify", "modified"), BookingStatus.CONFIRMED),
    **dict.fromkeys(("cancel", "canceled", "cancelled"), BookingStatus.CANCELLED),
}
_HOTEL = re.compile("[0-9]{1,12}")
_MOST_ROOMS = 500  # in one reservation: beyond that it is a mistake


@dataclass(frozen=True, slots=True)
class Reservation:
    """One message: the whole reservation as it became at ``revised_at``, as the bookings that it is here."""

    reservation_id: str
    revised_at: datetime
    bookings: tuple[Booking, ...]


def reservations_from_ota(
    body: bytes, names: frozenset[str], rooms: MappedRooms, what: str
) -> tuple[list[Reservation], list[Problem]]:
    """The reservations of a message called one of ``names``, oldest version first, and what of it could not be read.

    Raises UnexpectedResponse for any other message.
    """
    message = message_from(body, what)
    name = fields.name_of(message)
    if name not in names:
        raise UnexpectedResponse(f"{what}: not an {' or '.join(sorted(names))}")
    if child(message, "Errors") is not None:
        raise UnexpectedResponse(f"{what}: it holds errors, so this may not be all")
    written_at = _written_at(message, what)
    found: list[Reservation] = []
    problems: list[Problem] = []
    for place, element in enumerate(children(message, *_LISTS[name]), start=1):
        reading = _Reading(element, written_at, rooms)
        where = f"reservation {place} of {what}"
        try:
            where = f"reservation {reading.reservation_id()}"
            found.append(reading.reservation())
        except ValueError as error:
            problems.append(fields.unread(where, str(error), element))
        problems += [fields.unread(where, reason, element, mended=True) for reason in reading.soft]
    found.sort(key=lambda each: (each.revised_at, each.reservation_id))
    return found, problems


def _written_at(message: Element, what: str) -> datetime | None:
    try:
        return fields.instant(attribute(message, "TimeStamp"), "TimeStamp")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None


class _Reading:
    """One reservation being read. ``soft``: what of it could not be, without making it another reservation."""

    def __init__(self, element: Element, written_at: datetime | None, rooms: MappedRooms) -> None:
        self.soft: list[str] = []
        self._element = element
        self._written_at = written_at
        self._rooms = rooms

    def reservation_id(self) -> str:
        """Booking.com's own id. Raises ValueError where there is none."""
        ids = list(children(self._element, "ResGlobalInfo", "HotelReservationIDs", "HotelReservationID"))
        own = [each for each in ids if attribute(each, "ResID_Type") in (None, "14")] or ids
        named = [attribute(each, "ResID_Value") for each in own]
        named += [attribute(each, "ID") for each in children(self._element, "UniqueID")]
        return required(
            next((fields.reference(each, "ResID_Value") for each in named if each), None), "reservation id"
        )

    def reservation(self) -> Reservation:
        """The reservation. Raises ValueError where id, status, times, rooms or nights cannot be read."""
        reservation_id = self.reservation_id()
        status = self._status()
        rooms, commissions = self._room_stays(status)
        total = softly(self._total, self.soft) or (rooms[0].total if len(rooms) == 1 else None)
        whole = Booking(
            reservation_id,
            rooms[0].listing_id if rooms else self._unnamed_listing(),
            status,
            self._revised_at(),
            rooms[0].stay if rooms else None,
            booked_at=softly(self._booked_at, self.soft),
            total=total,
            payout=_payout(total, commissions),
        )
        return Reservation(reservation_id, whole.revised_at, parts_of(whole, rooms))

    def _status(self) -> BookingStatus:
        word = attribute(self._element, "ResStatus")
        if word is not None:
            try:
                return _STATUSES[word.casefold()]
            except KeyError:
                raise ValueError("ResStatus is not a word we know") from None
        if child(self._element, "RoomStays", "RoomStay") is None:
            return BookingStatus.CANCELLED
        if fields.name_of(self._element) == "HotelResModify":
            self.soft.append("it does not say whether it was modified or cancelled: its rooms count as sold")
        return BookingStatus.CONFIRMED

    def _revised_at(self) -> datetime:
        """Its last change; where that is not told, the latest moment that the message speaks of."""
        told = fields.instant(attribute(self._element, "LastModifyDateTime"), "LastModifyDateTime")
        if told is not None:
            return told
        known = [
            moment for moment in (softly(self._booked_at, self.soft), self._written_at) if moment is not None
        ]
        if not known:
            raise ValueError("it has no LastModifyDateTime, and the message no TimeStamp")
        return max(known)

    def _booked_at(self) -> datetime | None:
        told = fields.instant(attribute(self._element, "CreateDateTime"), "CreateDateTime")
        dated = child(self._element, "ResGlobalInfo", "HotelReservationIDs", "HotelReservationID")
        if told is None and dated is not None:
            return fields.instant(attribute(dated, "ResID_Date"), "ResID_Date")
        return told

    def _total(self) -> Money | None:
        return fields.money(child(self._element, "ResGlobalInfo", "Total"), None, *AMOUNTS)

    def _room_stays(self, status: BookingStatus) -> tuple[list[RoomStay], list[Money | None]]:
        """The rooms, one for each unit, and the commission on each. A cancellation may leave them out or half unsaid."""
        rooms: list[RoomStay] = []
        commissions: list[Money | None] = []
        stays = list(children(self._element, "RoomStays", "RoomStay"))
        if len(stays) > _MOST_ROOMS:
            raise ValueError("it has more rooms than any house")
        for element in stays:
            try:
                room, units = (
                    room_stay_from(element, self._element, self._rooms, self.soft),
                    units_of(element),
                )
            except ValueError as error:
                if status is not BookingStatus.CANCELLED:
                    raise
                self.soft.append(str(error))
                continue
            rooms += [room] if units == 1 else [replace(room, nightly=(), total=None)] * units
            commissions.append(softly(partial(commission_on, element), self.soft))
        if not rooms and status is not BookingStatus.CANCELLED:
            raise ValueError("it has no RoomStay")
        return rooms, commissions

    def _unnamed_listing(self) -> str:
        """What a cancellation without rooms is said to be of: nothing that is mapped."""
        info = child(self._element, "ResGlobalInfo", "BasicPropertyInfo")
        told = None if info is None else attribute(info, "HotelCode")
        return f"{told if told and _HOTEL.fullmatch(told) else 'unknown'}/unknown/unknown"


def _payout(total: Money | None, commissions: list[Money | None]) -> Money | None:
    """What is left of the total after Booking.com's commission, where that is told for every room."""
    told = [
        each.amount for each in commissions if each is not None and total and each.currency == total.currency
    ]
    if total is None or not told or len(told) < len(commissions):
        return None
    return Money(total.amount - sum(told, Decimal(0)), total.currency)
