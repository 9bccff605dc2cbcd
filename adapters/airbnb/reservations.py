"""Airbnb's reservations in the words of the trade: pure functions and tables.

Guests' names, phones and addresses end here: nothing in this module reads them.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from adapters import json_fields as fields
from adapters.airbnb.mapping import rows
from adapters.model import Booking, BookingPage, BookingStatus, Money, Problem, Stay
from adapters.reading import required, softly

_STATUSES: Mapping[str, BookingStatus] = {
    "accept": BookingStatus.CONFIRMED,
    "cancelled_by_host": BookingStatus.CANCELLED,
    "cancelled_by_guest": BookingStatus.CANCELLED,
    "cancelled_by_admin": BookingStatus.CANCELLED,
}
# Requests that are not, or not yet, a stay.
_NOT_BOOKINGS = frozenset({"pending", "denied", "not_possible", "inquiry"})

# Version 2024.12.31 shortened the names of money fields; the new ones are not public. First the attested name,
# then what it would be without its suffix.
_PAYOUT = ("expected_payout_amount_accurate", "expected_payout_amount")
_TOTAL = ("total_price_accurate", "total_price")

_LONGEST_STAY = 1_125  # nights: the longest Airbnb lets a host set

_RESERVATION_FIELDS = (
    "confirmation_code", "listing_id", "listing_id_str", "start_date", "end_date", "nights", "status_type",
    "booked_at", "updated_at", "host_currency", *_PAYOUT, *_TOTAL,
)  # fmt: skip


def bookings_from_wire(
    body: Mapping[str, Any], changed_from: datetime, changed_until: datetime, what: str
) -> BookingPage:
    """The reservations of one page that changed in ``[changed_from, changed_until)``.

    One whose last change cannot be read may belong to any time and is always a Problem.
    """
    bookings: list[Booking] = []
    problems: list[Problem] = []
    for place, raw in enumerate(rows(body, "reservations", what), start=1):
        where = f"reservation {place} of {what}"
        if not isinstance(raw, dict):
            problems.append(fields.unread(where, "it is not an object", raw, _RESERVATION_FIELDS))
            continue
        if str(raw.get("status_type")) in _NOT_BOOKINGS:
            continue
        try:
            where = fields.code(raw, "confirmation_code") or where
            revised_at = required(fields.instant(raw, "updated_at"), "updated_at")
            if changed_from <= revised_at < changed_until:
                booking, soft = _booking(raw, revised_at)
                bookings.append(booking)
                problems += [fields.unread(where, reason, raw, _RESERVATION_FIELDS) for reason in soft]
        except ValueError as error:
            problems.append(fields.unread(where, str(error), raw, _RESERVATION_FIELDS))
    return BookingPage(tuple(bookings), tuple(problems))


def _booking(raw: Mapping[str, Any], revised_at: datetime) -> tuple[Booking, list[str]]:
    """A booking, and what of it could not be read without making it another booking: money, guests, its date.

    Raises ValueError where code, listing, status or nights cannot be read.
    """
    word = raw.get("status_type")
    if not isinstance(word, str) or word not in _STATUSES:
        raise ValueError("status_type is not a word we know")
    booking_id = required(fields.code(raw, "confirmation_code"), "confirmation_code")
    listing_id = required(fields.code(raw, "listing_id_str", "listing_id"), "listing_id")
    status = _STATUSES[word]
    soft: list[str] = []
    if status is BookingStatus.CANCELLED:  # what ends a booking must not fail for the dates of what ended
        stay = softly(partial(_stay, raw), soft)
    else:
        stay = required(_stay(raw), "start_date and end_date")
    softly(partial(_agreed_nights, raw, stay=stay), soft)
    booking = Booking(
        booking_id,
        listing_id,
        status,
        revised_at,
        stay,
        guests=softly(partial(_guests, raw), soft),
        booked_at=softly(partial(fields.instant, raw, name="booked_at"), soft),
        total=softly(partial(_money, raw, names=_TOTAL), soft),
        payout=softly(partial(_money, raw, names=_PAYOUT), soft),
    )
    return booking, soft


def _stay(raw: Mapping[str, Any]) -> Stay | None:
    """``end_date`` is the day of departure, exclusive."""
    start, end = fields.day(raw, "start_date"), fields.day(raw, "end_date")
    if start is None and end is None:
        return None
    if start is None or end is None or not start < end:
        raise ValueError("start_date and end_date are not a stay")
    stay = Stay(start, end)
    if len(stay) > _LONGEST_STAY:
        raise ValueError(f"{len(stay)} nights are more than the {_LONGEST_STAY} Airbnb sells")
    return stay


def _agreed_nights(raw: Mapping[str, Any], stay: Stay | None) -> None:
    """``nights`` repeats what the dates say. The dates decide: a confirmed booking is not lost over a count."""
    nights = fields.count(raw, "nights")
    if stay is not None and nights not in (None, len(stay)):
        raise ValueError(f"{nights} nights, but {len(stay)} from start_date to end_date")


def _guests(raw: Mapping[str, Any]) -> int | None:
    """Adults and children. Airbnb does not count infants as guests."""
    details = raw.get("guest_details")
    if details is None:
        return fields.count(raw, "number_of_guests")  # deprecated in favour of guest_details
    if not isinstance(details, dict):
        raise ValueError("guest_details is not an object")  # noqa: TRY004 - one kind of unreadable, one handler
    adults = fields.count(details, "number_of_adults")
    children = fields.count(details, "number_of_children") or 0
    return None if adults is None else adults + children


def _money(raw: Mapping[str, Any], names: tuple[str, ...]) -> Money | None:
    amount = fields.amount(raw, *names)
    if amount is None:
        return None
    return Money(amount, required(fields.currency(raw, "host_currency"), "host_currency"))
