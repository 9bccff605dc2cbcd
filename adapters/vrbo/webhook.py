"""Vrbo's notifications: as those of all of Expedia Group, and each holds the token that confirms it."""

from dataclasses import replace
from typing import ClassVar

from adapters.expedia_group import GroupWebhook, payload_of
from adapters.json_body import json_object
from adapters.scrubbing import LONGEST_TOKEN, Path
from adapters.vrbo.notifications import notice_from_wire
from adapters.webhook import Delivery, Event, EventKind


class VrboWebhook(GroupWebhook):
    """A notification says what to ask for, and is confirmed with its token once that is committed.

    The token is kept with the delivery: it is in no list that can be asked for later.
    """

    kept_fields: ClassVar[frozenset[Path]] = GroupWebhook.kept_fields | {("payload", "actionType")}
    kept_tokens: ClassVar[frozenset[Path]] = frozenset({("payload", "confirmationToken")})

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event, always asked about, with its receipt where it is about a reservation and can be confirmed."""
        (event,) = super().events(delivery)
        if event.kind is not EventKind.BOOKING:
            return (event,)
        notice = notice_from_wire(payload_of(json_object(delivery.body) or {}))
        if notice is None or len(notice.token) > LONGEST_TOKEN:
            return (replace(event, problem="it holds no token that can be kept: nothing will confirm it"),)
        return (replace(event, receipt=notice.receipt),)
