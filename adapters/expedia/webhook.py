"""Expedia's notifications: events of its GraphQL API, under a signature whose making is not public.

Expedia gives a secret when a callback is registered and a second one while it is replaced; how a notification is
signed with it is told to partners only. ``signature`` below is a placeholder of ours: replace that one function, and
the names of the two headers in the account's settings, by what the partner documentation says.
"""

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
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

_HEADER_NAME = re.compile("[a-z0-9-]{1,64}")

# Words in an event's name, the first that is found decides. The names themselves are not public.
_KINDS: Mapping[str, EventKind] = {
    "TEST": EventKind.TEST,
    "MESSAGE": EventKind.MESSAGE,
    "REVIEW": EventKind.REVIEW,
    "PAYMENT": EventKind.MONEY,
    "RESERVATION": EventKind.BOOKING,
    "BOOKING": EventKind.BOOKING,
    "PROPERTY": EventKind.LISTING,
}


class ExpediaWebhook(Webhook):
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
        """Our placeholder reading: an HMAC over time and body in one header, the time in another."""
        secrets = secrets_of(account, "webhook_secret")
        timestamp = header_of(
            delivery, _header(account, "webhook_timestamp_header", DEFAULT_TIMESTAMP_HEADER)
        )
        given = header_of(delivery, _header(account, "webhook_signature_header", DEFAULT_SIGNATURE_HEADER))
        refuse_stale(instant_of_epoch(timestamp), account, now)
        valid = [signature(secret, delivery.body, timestamp).encode() for secret in secrets]
        if not is_any_of(given.encode(), valid):
            raise WebhookRefused("the signature is not Expedia's")

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event, always asked about."""
        body = json_object(delivery.body)
        if body is None:
            return unreadable(ask=True)
        name = event_name(body.get("eventType"))
        told = body.get("payload")
        payload: Mapping[str, Any] = told if isinstance(told, dict) else {}
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


def signature(secret: bytes, body: bytes, timestamp: str) -> str:
    """What the signature header should hold. A placeholder: HMAC-SHA256 over "timestamp.body", in lower-case hex."""
    return hmac.digest(secret, timestamp.encode() + b"." + body, "sha256").hex()


def _header(account: Account, setting: str, default: str) -> str:
    name = account.settings.get(setting, default).lower()
    if not _HEADER_NAME.fullmatch(name):
        raise WebhookRefused(f"account {account.code!r}: {setting} is not the name of a header")
    return name
