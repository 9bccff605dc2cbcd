"""Webhooks of the house's own systems (a website, a front desk), signed as Standard Webhooks are.

The scheme is that of standardwebhooks.com; the events are ours, and the README beside this file lists them.
"""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, ClassVar

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.json_body import json_object
from adapters.model import Booking, BookingStatus, Stay
from adapters.scrubbing import Path
from adapters.webhook import (
    Delivery,
    Event,
    EventKind,
    Webhook,
    event_name,
    header_of,
    identifier,
    instant,
    instant_of_epoch,
    is_any_of,
    refuse_stale,
    secrets_of,
    unreadable,
)

_MOST_SIGNATURES = 8  # in one header: one for each secret of the sender
_SECRET_PREFIX = b"whsec_"
_ID = re.compile("[A-Za-z0-9_-]{1,64}")  # without ".", which stands between what is signed
_SIGNATURE = re.compile("([a-z0-9]{1,8}),([A-Za-z0-9+/=]{1,200})")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST_GUESTS = 10_000

_KINDS: Mapping[str, EventKind] = {
    "booking": EventKind.BOOKING,
    "reservation": EventKind.BOOKING,
    "booking_request": EventKind.BOOKING_REQUEST,
    "calendar": EventKind.CALENDAR,
    "listing": EventKind.LISTING,
    "account": EventKind.ACCOUNT,
    "message": EventKind.MESSAGE,
    "payment": EventKind.MONEY,
    "payout": EventKind.MONEY,
    "review": EventKind.REVIEW,
    "test": EventKind.TEST,
}

_FIELDS = (
    "booking_id", "listing_id", "status", "check_in", "check_out", "revised_at", "booked_at", "units", "guests",
)  # fmt: skip


class HouseWebhook(Webhook):
    """An event is ``{"type": "booking.confirmed", "data": {...}}``; a booking's data is the whole revision."""

    secret_names: ClassVar[tuple[str, ...]] = ("webhook_secret",)
    kept_headers: ClassVar[tuple[str, ...]] = (*Webhook.kept_headers, "webhook-id", "webhook-timestamp")
    kept_fields: ClassVar[frozenset[Path]] = frozenset({("type",)} | {("data", name) for name in _FIELDS})

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """One of the signatures of version 1 is an HMAC-SHA256 over "id.timestamp.body" with one of our secrets."""
        keys = [_key(secret, account) for secret in secrets_of(account, "webhook_secret")]
        message_id, timestamp = header_of(delivery, "webhook-id"), header_of(delivery, "webhook-timestamp")
        given = _signatures(header_of(delivery, "webhook-signature"))
        if not _ID.fullmatch(message_id):
            raise WebhookRefused("webhook-id is not an id")
        refuse_stale(instant_of_epoch(timestamp), account, now)
        signed = f"{message_id}.{timestamp}.".encode() + delivery.body
        valid = [b64encode(hmac.digest(key, signed, "sha256")) for key in keys]
        if not max([is_any_of(each, valid) for each in given]):
            raise WebhookRefused("no signature is of our secret")

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event. What stands before the first "." of its type says what it is about."""
        body = json_object(delivery.body)
        if body is None:
            return unreadable(ask=False)
        name = event_name(body.get("type"))
        kind = _KINDS.get(name.split(".")[0], EventKind.UNKNOWN)
        told = body.get("data")
        fields: Mapping[str, Any] = told if isinstance(told, dict) else {}
        booking, problem = _booking(fields) if kind is EventKind.BOOKING else (None, None)
        listing_id = identifier(fields.get("listing_id"))
        return (
            Event(
                kind,
                name,
                delivery_id=identifier(delivery.headers.get("webhook-id")),
                booking_id=identifier(fields.get("booking_id")),
                listing_ids=(listing_id,) if listing_id else (),
                revised_at=instant(fields.get("revised_at")),
                booking=booking,
                ask=problem is not None,
                problem=problem,
            ),
        )


def _key(secret: bytes, account: Account) -> bytes:
    """The bytes of a secret, written "whsec_" and base64."""
    try:
        key = b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not key or not secret.startswith(_SECRET_PREFIX):
        raise WebhookRefused(f"account {account.code!r}: webhook_secret is not 'whsec_' and base64")
    return key


def _signatures(header: str) -> list[bytes]:
    """The signatures of version 1, as they are written. Those of other versions are passed over."""
    found = [_SIGNATURE.fullmatch(each) for each in header.split(" ")]
    given = [each[2].encode() for each in found if each is not None and each[1] == "v1"]
    if None in found or not given or len(found) > _MOST_SIGNATURES:
        raise WebhookRefused("webhook-signature does not list signatures")
    return given


def _booking(fields: Mapping[str, Any]) -> tuple[Booking | None, str | None]:
    """The booking, or what of it cannot be read."""
    booking_id, listing_id = identifier(fields.get("booking_id")), identifier(fields.get("listing_id"))
    revised_at = instant(fields.get("revised_at"))
    if booking_id is None or listing_id is None or revised_at is None:
        return None, "booking_id, listing_id or revised_at cannot be read"
    try:
        return (
            Booking(
                booking_id,
                listing_id,
                BookingStatus(str(fields.get("status"))),
                revised_at,
                _stay(fields),
                units=_count(fields, "units") or 1,
                guests=_count(fields, "guests"),
                booked_at=instant(fields.get("booked_at")),
            ),
            None,
        )
    except ValueError:  # its message may hold what was written
        return None, "status, check_in, check_out, units or guests cannot be read"


def _stay(fields: Mapping[str, Any]) -> Stay | None:
    ends = [fields.get("check_in"), fields.get("check_out")]
    if ends == [None, None]:
        return None
    check_in, check_out = (_day(each) for each in ends)
    return Stay(check_in, check_out)


def _day(value: object) -> date:
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise ValueError("not a date")
    return date.fromisoformat(value)


def _count(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_GUESTS:
        raise ValueError("not a count")
    return value
