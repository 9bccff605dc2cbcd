"""A verified delivery as events of the inbox. Pure."""

import re
from dataclasses import replace
from hashlib import sha256
from urllib.parse import parse_qsl, urlencode

from adapters.webhook import Delivery, Event, EventKind, Webhook
from channel_sync.storage.webhooks import Arrival
from channel_sync.webhooks.receivers import Receiver

_LONGEST = 200  # characters of what a channel calls something
_SECRET = re.compile("token|secret|pass|auth|key|sign", re.IGNORECASE)
_MARK = "removed"


def arrivals(receiver: Receiver, delivery: Delivery) -> tuple[Arrival, ...]:
    """One per event; one of unknown kind where the delivery says nothing that can be read."""
    webhook = receiver.webhook
    events = _events(webhook, delivery)
    whole = sha256(delivery.body).hexdigest()
    first = Arrival(
        channel_account_id=receiver.channel_account_id,
        account=receiver.account.code,
        delivery_key="",
        method=delivery.method,
        path=_plain(delivery.path, len(delivery.path)),
        query=_kept_query(webhook, delivery.query),
        headers={
            name: _plain(delivery.headers[name], _LONGEST)
            for name in webhook.kept_headers
            if name in delivery.headers
        },
        body=webhook.scrubbed(delivery.body),
        kind="",
        name="",
    )
    return tuple(
        replace(
            first,
            delivery_key=_key(event, whole) + (f"#{number}" if number > 1 else ""),
            kind=event.kind.value,
            name=_plain(event.name, _LONGEST),
            booking_external_id=event.booking_id and _plain(event.booking_id, _LONGEST),
            listing_external_ids=tuple(_plain(listing, _LONGEST) for listing in event.listing_ids),
            revised_at=event.revised_at,
            reason=event.problem and _plain(event.problem, _LONGEST),
        )
        for number, event in enumerate(events, 1)
    )


def _events(webhook: Webhook, delivery: Delivery) -> tuple[Event, ...]:
    try:
        return webhook.events(delivery) or (Event(EventKind.UNKNOWN, "", problem="it names no event"),)
    except Exception as defect:  # noqa: BLE001 - it is from the channel, so it is kept: it can be read by a later version
        return (Event(EventKind.UNKNOWN, "", problem=f"a defect of ours: {type(defect).__name__}"),)


def _key(event: Event, whole: str) -> str:
    if event.delivery_id is None:
        return f"sha256:{whole}"
    plain = _plain(event.delivery_id, len(event.delivery_id))
    # An id of any length: an index takes only so much, and two long ones may begin alike.
    return plain if len(plain) <= _LONGEST else f"id:{sha256(plain.encode()).hexdigest()}"


def _kept_query(webhook: Webhook, query: str) -> str:
    kept = [
        (name, _MARK if _SECRET.search(name) else webhook.scrubbed(value.encode()).decode(errors="replace"))
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace")
    ]
    return urlencode(kept)


def _plain(text: str, longest: int) -> str:
    """What the database takes as text."""
    return text[:longest].encode(errors="replace").decode().replace("\0", "\ufffd")
