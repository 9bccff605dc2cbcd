"""Notifications of Expedia Group, as Expedia's and Vrbo's webhooks share them: how one is signed and what it names.

The making of the signature is documented; the names of the headers that it and its time stand in are told to partners
only: they are settings of the account.
"""

import hmac
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.json_body import json_object
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

DEFAULT_SIGNATURE_HEADER = "x-expedia-signature"
DEFAULT_TIMESTAMP_HEADER = "x-expedia-timestamp"

# One digest for each secret that is good; two are documented. What stands beside a digest and is none is no signature.
_SIGNATURES = re.compile("sha256=([A-Za-z0-9+/]{43}=(?:,[A-Za-z0-9+/]{43}=){0,3})")
_MILLISECONDS = re.compile("[0-9]{13}")
_HEADER_NAME = re.compile("[a-z0-9-]{1,64}")

# Words in an event's name, the first that is found decides: "ReservationNotificationEvent", "MessageThreadCreated".
_KINDS: Mapping[str, EventKind] = {
    "TEST": EventKind.TEST,
    "MESSAGE": EventKind.MESSAGE,
    "REVIEW": EventKind.REVIEW,
    "PAYMENT": EventKind.MONEY,
    "RESERVATION": EventKind.BOOKING,
    "BOOKING": EventKind.BOOKING,
    "PROPERTY": EventKind.LISTING,
}


class GroupWebhook(Webhook):
    """A notification says what to ask for: the reservation itself is queried."""

    secret_names: ClassVar[tuple[str, ...]] = ("webhook_secret",)
    kept_fields: ClassVar[frozenset[Path]] = frozenset(
        {
            ("notificationId",),
            ("eventType",),
            ("creationDateTime",),
            ("payload", "propertyId"),
            ("payload", "reservationId"),
        }
    )

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """An HMAC over time and body in one header, the time in another. While a secret is replaced there are two."""
        secrets = secrets_of(account, "webhook_secret")
        timestamp = header_of(
            delivery, _header(account, "webhook_timestamp_header", DEFAULT_TIMESTAMP_HEADER)
        )
        given = header_of(delivery, _header(account, "webhook_signature_header", DEFAULT_SIGNATURE_HEADER))
        refuse_stale(_signed_time(timestamp), account, now)
        valid = [signature(secret, delivery.body, timestamp).encode() for secret in secrets]
        told = _SIGNATURES.fullmatch(given)
        fits = [is_any_of(each.encode(), valid) for each in told[1].split(",")] if told else []
        if not any(fits):
            raise WebhookRefused("the signature is not Expedia Group's")

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event, always asked about."""
        body = json_object(delivery.body)
        if body is None:
            return unreadable(ask=True)
        name = event_name(body.get("eventType"))
        payload = payload_of(body)
        place = identifier(payload.get("propertyId"))
        return (
            Event(
                next((kind for word, kind in _KINDS.items() if word in name.upper()), EventKind.UNKNOWN),
                name,
                delivery_id=identifier(body.get("notificationId")),
                booking_id=identifier(payload.get("reservationId")),
                listing_ids=(place,) if place else (),
                revised_at=instant(body.get("creationDateTime")),
                ask=True,
            ),
        )


def payload_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a notification carries; empty where that is no object."""
    told = body.get("payload")
    return told if isinstance(told, dict) else {}


def signature(secret: bytes, body: bytes, timestamp: str) -> str:
    """What the signature header holds behind "sha256=": HMAC-SHA256 over "timestamp.body", in base64."""
    return b64encode(hmac.digest(secret, timestamp.encode() + b"." + body, "sha256")).decode()


def _signed_time(text: str) -> datetime:
    """Seconds since 1970, or milliseconds: the documentation says "epoch time"."""
    if _MILLISECONDS.fullmatch(text):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    return instant_of_epoch(text)


def _header(account: Account, setting: str, default: str) -> str:
    name = account.settings.get(setting, default).lower()
    if not _HEADER_NAME.fullmatch(name):
        raise WebhookRefused(f"account {account.code!r}: {setting} is not the name of a header")
    return name
