"""Channex's webhooks: a word in a header that we chose, and a body that says what to ask for."""

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
    is_any_of,
    secrets_of,
    unreadable,
)

DEFAULT_HEADER = "x-channel-sync-token"

_HEADER_NAME = re.compile("[a-z0-9-]{1,64}")

_KINDS: Mapping[str, EventKind] = {
    "ari": EventKind.CALENDAR,
    "booking": EventKind.BOOKING,
    "booking_new": EventKind.BOOKING,
    "booking_modification": EventKind.BOOKING,
    "booking_cancellation": EventKind.BOOKING,
    "booking_unmapped_room": EventKind.BOOKING,
    "booking_unmapped_rate": EventKind.BOOKING,
    "non_acked_booking": EventKind.BOOKING,
    "reservation_request": EventKind.BOOKING_REQUEST,
    "alteration_request": EventKind.BOOKING_REQUEST,
    "inquiry": EventKind.BOOKING_REQUEST,
    "message": EventKind.MESSAGE,
    "review": EventKind.REVIEW,
    "updated_review": EventKind.REVIEW,
    "sync_error": EventKind.LISTING,
    "sync_warning": EventKind.LISTING,
    "rate_error": EventKind.LISTING,
    "new_channel": EventKind.LISTING,
    "updated_channel": EventKind.LISTING,
    "activate_channel": EventKind.LISTING,
    "deactivate_channel": EventKind.LISTING,
    "disconnect_channel": EventKind.LISTING,
    "disconnect_listing": EventKind.LISTING,
}


class ChannexWebhook(Webhook):
    """Nothing is signed: whoever knows the word may have sent it, and no body is believed, only asked about."""

    secret_names: ClassVar[tuple[str, ...]] = ("webhook_token",)
    kept_fields: ClassVar[frozenset[Path]] = frozenset(
        {
            ("event",),
            ("property_id",),
            ("timestamp",),
            ("payload", "property_id"),
            ("payload", "booking_id"),
            ("payload", "booking_revision_id"),
            ("payload", "revision_id"),
        }
    )

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:  # noqa: ARG002 - no time is signed
        """The header named by the account's setting ``webhook_header`` holds the account's ``webhook_token``."""
        name = account.settings.get("webhook_header", DEFAULT_HEADER).lower()
        if not _HEADER_NAME.fullmatch(name):
            raise WebhookRefused(f"account {account.code!r}: webhook_header is not the name of a header")
        valid = secrets_of(account, "webhook_token")
        if not is_any_of(header_of(delivery, name).encode(), valid):
            raise WebhookRefused(f"the word in {name} is not ours")

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event. A booking is always asked for: its revision is in the feed until it is acknowledged."""
        body = json_object(delivery.body)
        if body is None:
            return unreadable(ask=True)
        name = event_name(body.get("event"))
        told = body.get("payload")
        payload: Mapping[str, Any] = told if isinstance(told, dict) else {}
        kind = _KINDS.get(name, EventKind.UNKNOWN)
        revision = identifier(payload.get("booking_revision_id") or payload.get("revision_id"))
        place = identifier(body.get("property_id") or payload.get("property_id"))
        return (
            Event(
                kind,
                name,
                # One revision is told under several names ("booking" and "booking_new"): each is its own delivery.
                delivery_id=f"{name}:{revision}" if revision and kind is EventKind.BOOKING else None,
                booking_id=identifier(payload.get("booking_id")),
                listing_ids=(place,) if place else (),
                revised_at=instant(body.get("timestamp")),
                ask=kind in (EventKind.BOOKING, EventKind.UNKNOWN),
            ),
        )
