"""What a notification of a reservation holds, and the receipt that confirms it.

The confirmation token stands in the notification and nowhere else. A receipt's reference is what the confirmation
repeats, as JSON; the webhook and the list of undelivered notifications make the same one of the same notification.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters import json_fields
from adapters.errors import UnexpectedResponse
from adapters.json_body import json_object
from adapters.model import Problem, Receipt
from adapters.vrbo import fields
from adapters.webhook import identifier

EVENT_TYPE = "ReservationNotificationEvent"
ACTIONS = frozenset({"BOOKED", "CANCELLED", "MODIFIED"})

_TOKEN = re.compile("[A-Za-z0-9_.:+/=~-]{1,4096}")
_SHOWN = ("propertyId", "reservationId", "actionType")


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification of a reservation. ``action`` is None where it does not tell what was done."""

    property_id: str
    reservation_id: str
    token: str
    action: str | None

    @property
    def receipt(self) -> Receipt:
        """What confirms it."""
        reference = [self.property_id, self.reservation_id, self.token, self.action]
        return Receipt(self.reservation_id, json.dumps(reference))


def notice_from_wire(payload: object) -> Notice | None:
    """What a notification's payload says; None where it lacks what a confirmation needs."""
    if isinstance(payload, str):  # the schema says JSON, which may be JSON in a string
        payload = json_object(payload.encode("utf-8", "replace"))
    if not isinstance(payload, dict):
        return None
    place, reservation = identifier(payload.get("propertyId")), identifier(payload.get("reservationId"))
    token, action = payload.get("confirmationToken"), payload.get("actionType")
    if not (place and reservation and isinstance(token, str) and _TOKEN.fullmatch(token)):
        return None
    return Notice(
        place, reservation, token, action if isinstance(action, str) and action in ACTIONS else None
    )


def notice_from_reference(reference: str) -> Notice | None:
    """What a receipt of ours stands for; None for a reference that is none."""
    try:
        told = json.loads(reference)
    except ValueError:
        return None
    if not isinstance(told, list) or len(told) != 4 or not all(isinstance(part, str) for part in told[:3]):
        return None
    return Notice(*told) if told[3] is None or told[3] in ACTIONS else None


def undelivered_from_wire(
    data: Mapping[str, Any], what: str
) -> tuple[list[Notice], list[Problem], str | None]:
    """One page of undelivered notifications, those that cannot be read as problems, and the cursor of the next page."""
    try:
        page = fields.part(data, "undeliveredNotifications")
        elements, cursor = fields.array(page, "elements"), fields.cursor(page, "cursor")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    notices: list[Notice] = []
    problems: list[Problem] = []
    for number, element in enumerate(elements, start=1):
        inner = element.get("notification") if isinstance(element, dict) else None
        told = inner if isinstance(inner, dict) else {}
        if told.get("eventType", EVENT_TYPE) != EVENT_TYPE:
            continue
        notice = notice_from_wire(told.get("payload"))
        if notice is not None:
            notices.append(notice)
        else:
            where = identifier(told.get("notificationId")) or f"notification {number} of {what}"
            reason = "it does not say what it is about and how to confirm it"
            problems.append(json_fields.unread(where, reason, told.get("payload"), _SHOWN))
    return notices, problems, cursor
