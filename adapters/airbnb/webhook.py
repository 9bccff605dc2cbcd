"""Airbnb's webhooks: notifications, and questions that are answered before a guest may book.

The README beside this file says where each fact comes from and how sure it is.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from adapters.accounts import Account
from adapters.airbnb import reservations, signature
from adapters.json_body import json_object
from adapters.model import ONE_DAY, BookingStatus, Stay
from adapters.scrubbing import Path
from adapters.webhook import (
    UNREADABLE_STAY,
    Delivery,
    Event,
    EventKind,
    Question,
    Reply,
    Webhook,
    event_name,
    identifier,
    instant,
    unreadable,
)

_CANCELLATION = "reservation_cancellation_confirmation"

_KINDS: Mapping[str, EventKind] = {
    "reservation_acceptance_confirmation": EventKind.BOOKING,
    _CANCELLATION: EventKind.BOOKING,
    "reservation_alteration_confirmation": EventKind.BOOKING,
    "reservation_requested": EventKind.BOOKING_REQUEST,
    "reservation_request_voided": EventKind.BOOKING_REQUEST,
    "listing_approval_status_changed": EventKind.LISTING,
    "listing_synchronization_settings_updated": EventKind.LISTING,
    "listings_mapped": EventKind.LISTING,
    "listings_unlinked": EventKind.LISTING,
    "listing_takedown_notification": EventKind.LISTING,
    "listing_edited": EventKind.LISTING,
    "tns_listing_suspension": EventKind.LISTING,
    "tns_listing_reactivation": EventKind.LISTING,
    "authorization_revoked": EventKind.ACCOUNT,
    "tns_user_suspension": EventKind.ACCOUNT,
    "tns_user_reactivation": EventKind.ACCOUNT,
    "eci_user_suspension": EventKind.ACCOUNT,
    "eci_user_reactivation": EventKind.ACCOUNT,
    "message_added": EventKind.MESSAGE,
    "payout_notification": EventKind.MONEY,
    "review_created": EventKind.REVIEW,
    "review_submitted": EventKind.REVIEW,
    "review_published": EventKind.REVIEW,
    "review_expired": EventKind.REVIEW,
    "review_response_submitted": EventKind.REVIEW,
    "test_notification": EventKind.TEST,
}

# Trust and safety writes of users and listings under words that are not all known.
_PREFIXES: Mapping[str, EventKind] = {"tns_listing_": EventKind.LISTING, "tns_": EventKind.ACCOUNT}

_RESERVATION_FIELDS = (
    "confirmation_code", "listing_id", "listing_id_str", "start_date", "end_date", "nights", "status_type",
    "booked_at", "updated_at", "host_currency", "expected_payout_amount_accurate", "expected_payout_amount",
    "total_price_accurate", "total_price", "number_of_guests",
)  # fmt: skip

_MOST_LISTINGS = 1_000  # of one delivery

_CHECK, _MAKE, _ALTER = "check_availability", "make_reservation", "alter_reservation"
_VERDICTS = {_CHECK: "available", _MAKE: "succeed", _ALTER: "succeed"}
_TEST_LISTING = "0"
_LONGEST_STAY = 1_125  # nights
_LONGEST_QUERY = 2_000  # characters
_CODE = re.compile("[A-Z0-9]{6,16}")

_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class AirbnbWebhook(Webhook):
    """Notifications with an action and, most of them, the whole reservation; and three kinds of questions."""

    secret_names: ClassVar[tuple[str, ...]] = ("webhook_public_key",)
    kept_fields: ClassVar[frozenset[Path]] = frozenset(
        {
            ("action",),
            ("listing_id",),
            ("listing_id_str",),
            ("listing_ids",),
            ("updates", "listing_id"),
            ("updates", "listing_id_str"),
            ("mappings", "updated_listing_id"),
            ("listing_approval_status", "listing_id"),
            ("listing_approval_status", "listing_id_str"),
            ("reservation", "guest_details", "number_of_adults"),
            ("reservation", "guest_details", "number_of_children"),
        }
        | {("reservation", name) for name in _RESERVATION_FIELDS}
    )

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """Airbnb's own signature, over everything that counts."""
        signature.verify(delivery, account, now)

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event: a delivery holds one action."""
        body = json_object(delivery.body)
        if body is None:
            return unreadable(ask=True)
        name = event_name(body.get("action"))
        kind = _kind(name)
        if kind is EventKind.BOOKING:
            return (_booking_event(name, body.get("reservation")),)
        told = body.get("reservation")
        reservation = told if isinstance(told, dict) else {}
        return (
            Event(
                kind,
                name,
                booking_id=identifier(reservation.get("confirmation_code")),
                listing_ids=tuple(dict.fromkeys(_listing_ids(body, reservation)))[:_MOST_LISTINGS],
                revised_at=instant(reservation.get("updated_at")),
                ask=kind is EventKind.UNKNOWN and told is not None,
            ),
        )

    def question(self, delivery: Delivery) -> Question | None:
        """GET asks for nights, POST wants to make a reservation, PUT to alter the one its path names."""
        if delivery.method == "GET":
            asked = dict(parse_qsl(delivery.query[:_LONGEST_QUERY]))
            return _question(asked, _CHECK) if asked.get("action") == _CHECK else None
        body = json_object(delivery.body)
        if body is None or "action" in body or "listing_id" not in body:
            return None
        if delivery.method == "POST":
            return _question(body, _MAKE)
        if delivery.method == "PUT":
            code = delivery.path.rsplit("/", 1)[-1]
            named = {"confirmation_code": code} if _CODE.fullmatch(code) else {}
            return _question({**body, **named}, _ALTER)
        return None

    def reply(self, question: Question, *, free: bool) -> Reply:
        """Always 200: the verdict is in the body."""
        verdict: dict[str, object] = {_VERDICTS[question.asked]: free}
        if not free:
            verdict["failure_code"] = None  # Airbnb's codes are not public
        return Reply(200, json.dumps(verdict).encode())


def _kind(name: str) -> EventKind:
    if name in _KINDS:
        return _KINDS[name]
    by_prefix = (kind for prefix, kind in _PREFIXES.items() if name.startswith(prefix))
    return next(by_prefix, EventKind.UNKNOWN)


def _booking_event(name: str, raw: object) -> Event:
    """The reservation as a pull would read it. What cannot be read is asked for."""
    page = reservations.bookings_from_wire({"reservations": [raw]}, _FIRST, _LAST, "the delivery")
    reasons = [problem.reason for problem in page.problems]
    told = raw if isinstance(raw, dict) else {}
    booking = page.bookings[0] if page.bookings else None
    if booking is None and not reasons:
        reasons = ["its status_type is that of a request"]
    if booking is not None and name == _CANCELLATION and booking.status is not BookingStatus.CANCELLED:
        booking, reasons = None, [*reasons, "a cancellation whose status_type says that the booking stands"]
    if booking is None:
        return Event(
            EventKind.BOOKING,
            name,
            booking_id=identifier(told.get("confirmation_code")),
            listing_ids=tuple(dict.fromkeys(_listing_ids({}, told))),
            ask=True,
            problem="; ".join(reasons),
        )
    return Event(
        EventKind.BOOKING,
        name,
        booking_id=booking.booking_id,
        listing_ids=(booking.listing_id,),
        revised_at=booking.revised_at,
        booking=booking,
        problem="; ".join(reasons) or None,
    )


def _listing_ids(body: Mapping[str, Any], reservation: Mapping[str, Any]) -> Iterator[str]:
    """Every listing that a delivery names, in the places where Airbnb names them."""
    places = [reservation, body, body.get("listing_approval_status"), *_rows(body, "updates")]
    named: list[object] = [
        place.get("listing_id_str") or place.get("listing_id") for place in places if isinstance(place, dict)
    ]
    named += [row.get("updated_listing_id") for row in _rows(body, "mappings") if isinstance(row, dict)]
    for value in [*named, *_rows(body, "listing_ids")]:
        listing_id = identifier(value)
        if listing_id is not None:
            yield listing_id


def _rows(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    return found if isinstance(found, list) else []


def _question(told: Mapping[str, Any], asked: str) -> Question:
    listing_id = identifier(told.get("listing_id"))
    booking_id = identifier(told.get("confirmation_code"))
    if listing_id == _TEST_LISTING:
        return Question(listing_id, None, asked=asked)
    stay = _stay(told)
    if listing_id is None or stay is None:
        return Question("", UNREADABLE_STAY, asked=asked)
    return Question(listing_id, stay, booking_id, asked)


def _stay(told: Mapping[str, Any]) -> Stay | None:
    start, nights = told.get("start_date"), identifier(told.get("nights"))
    if not isinstance(start, str) or not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", start):
        return None
    if nights is None or not re.fullmatch("[0-9]{1,4}", nights) or not 1 <= int(nights) <= _LONGEST_STAY:
        return None
    try:
        check_in = date.fromisoformat(start)
        return Stay(check_in, check_in + int(nights) * ONE_DAY)
    except (ValueError, OverflowError):
        return None
