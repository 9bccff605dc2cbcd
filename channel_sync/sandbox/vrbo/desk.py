"""What a partner can ask and have done at the simulated Vrbo: the fields of its queries and mutations."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import Any, TypeAlias

from graphql import GraphQLError

from channel_sync.sandbox.acknowledged import Acknowledged, Version
from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.vrbo import wire
from channel_sync.sandbox.vrbo.callbacks import Callback
from channel_sync.sandbox.world import World

MOST_RESERVATIONS, MOST_NOTIFICATIONS = 25, 10  # in a page

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_ALWAYS = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)

Told: TypeAlias = dict[str, Any]


class Refused(GraphQLError):
    """What is answered with an error inside HTTP 200."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message, extensions={"code": code})


class Desk:
    """Reservations, notifications and callbacks. Safe to use from several threads.

    ``delivered`` are the ids of notifications that were taken when they were posted. ``fails`` are reservations that
    cannot be read inside an answer, by their id, each with the code of its error. ``tells_actions``: a notification says
    what was done.
    """

    def __init__(self, world: World, acknowledged: Acknowledged, now: Callable[[], datetime]) -> None:
        self.delivered: set[str] = set()
        self.fails: dict[str, str] = {}
        self.tells_actions = True
        self.callbacks: dict[str, Callback] = {}
        self._world = world
        self._acknowledged = acknowledged
        self._now = now
        self._lock = Lock()

    def notifications(self) -> tuple[Told, ...]:
        """What is posted: of every version of every reservation that is not confirmed yet, oldest first."""
        told = [wire.notification_to_wire(version) for version in self._acknowledged.waiting()]
        if not self.tells_actions:
            for each in told:
                del each["payload"]["actionType"]
        return tuple(told)

    def operations(self) -> Mapping[str, Callable[..., Told | None]]:
        """The fields of both roots, by their names in the schema."""
        return {
            "property": self._property,
            "propertiesByAdvertiser": self._properties,
            "undeliveredNotifications": self._undelivered,
            "confirmReservationNotification": self._confirm,
            "cancelVrboReservation": self._cancel,
            "createNotificationCallbackConfig": self._create_callback,
            "refreshNotificationCallbackConfigSecret": self._refresh_callback,
            "subscribeNotificationEventType": self._subscribe,
        }

    # Questions.

    def _property(self, _info: object, **asked: Any) -> Told | None:
        wanted = {"id": asked["id"], "idSource": asked.get("idSource", "EXPEDIA")}
        for listing in self._world.listings.values():
            told = wire.property_to_wire(listing)
            if wanted in told["ids"]:
                return told | {"reservations": partial(self._reservations, listing.listing_id)}
        return None

    def _properties(self, _info: object, **asked: Any) -> Told:
        if asked["id"] != wire.ADVERTISER_ID:
            raise Refused("FORBIDDEN", "Not your advertiser.")
        known = [wire.property_to_wire(listing) for listing in self._world.listings.values()]
        page, following = _page(known, asked.get("cursor"), asked.get("pageSize", 10), MOST_RESERVATIONS)
        return {"elements": page, "cursor": following, "totalCount": len(known)}

    def _undelivered(self, _info: object, **asked: Any) -> Told:
        filters = asked["filters"]
        if filters.get("eventType", wire.EVENT_TYPE) != wire.EVENT_TYPE:
            raise Refused("BAD_USER_INPUT", "No such event type.")
        first, last = _span(filters.get("creationDateTime"))
        failed = {"code": "CONNECTION_FAILED", "message": "Nobody answered."}
        known = [
            {"notification": told, "error": failed}
            for told in self.notifications()
            if told["notificationId"] not in self.delivered
            and first <= _moment(told["creationDateTime"]) <= last
        ]
        page, following = _page(known, asked.get("cursor"), asked["limit"], MOST_NOTIFICATIONS)
        return {"elements": page, "cursor": following, "totalCount": len(known)}

    def _reservations(self, listing_id: str, _info: object, **asked: Any) -> Told:
        wanted = asked.get("filter") or {}
        first, last = _span(wanted.get("lastUpdatedDateTime"))
        known = [
            booking
            for booking in self._world.bookings(self._now(), listing_id)
            if first <= booking.updated_at <= last
            and ("ids" not in wanted or wire.reservation_id(booking.code) in wanted["ids"])
        ]
        page, following = _page(known, asked.get("after"), asked["pageSize"], MOST_RESERVATIONS)
        return {
            "totalCount": len(known),
            "pageInfo": {"hasNextPage": following is not None, "endCursor": following},
            "edges": [{"cursor": each.code, "node": partial(self._node, each)} for each in page],
        }

    def _node(self, booking: Booking, _info: object) -> Told:
        told = wire.reservation_to_wire(booking)
        if told["id"] in self.fails:
            raise Refused(self.fails[told["id"]], "This one cannot be read.")
        return told

    # Changes.

    def _confirm(self, _info: object, **asked: Any) -> Told:
        """A token is good for its own version of its own reservation, however often."""
        told = asked["input"]
        version = self._version(told["reservationId"], told["confirmationToken"])
        if version is None or wire.expedia_id(version.booking.listing_id) != told["propertyId"]:
            raise Refused("INVALID_CONFIRMATION_TOKEN", "The token is not of this reservation.")
        if wire.action_of(version) != told["actionType"] or not told["confirmationCode"].strip():
            raise Refused("BAD_USER_INPUT", "The notification told of something else.")
        self._acknowledged.add(version)
        return {"reservation": wire.reservation_to_wire(version.booking)}

    def _cancel(self, _info: object, **asked: Any) -> Told:
        told, now = asked["input"], self._now()
        if "secondaryReason" in told and told["primaryReason"] != "GUEST_REQUESTED_CANCEL":
            raise Refused("BAD_USER_INPUT", "This reason has no second one.")
        code = told["reservationId"].replace("HA-", "HM", 1)
        booking = self._world.booking(code, now)
        if booking is None or wire.expedia_id(booking.listing_id) != told["propertyId"]:
            raise Refused("NOT_FOUND", "No such reservation.")
        if not booking.confirmed:
            raise Refused("CONFLICT", "The reservation is cancelled already.")
        self._world.cancel(code, at=now, by="host")
        return {"reservation": wire.reservation_to_wire(self._world.booking(code, now) or booking)}

    def _create_callback(self, _info: object, **asked: Any) -> Told:
        told, now = asked["input"], self._now()
        with self._lock:
            number = len(self.callbacks) + 1
            timeout_s = told.get("requestTimeoutSeconds") or 30
            made = Callback(number, told["callbackUrl"], told["contactEmail"], timeout_s, now)
            made.renew(now, keep=False)
            self.callbacks[made.config_id] = made
        return {"callbackConfig": made.to_wire(), "secret": made.secrets[-1]}

    def _refresh_callback(self, _info: object, **asked: Any) -> Told:
        callback = self._callback(asked["input"]["callbackConfigId"])
        with self._lock:
            callback.renew(self._now(), keep=asked["input"]["keepExistingSecretActive"])
        return {
            **callback.to_wire(),
            "callbackConfigId": callback.config_id,
            "secret": callback.secrets[-1],
        }

    def _subscribe(self, _info: object, **asked: Any) -> Told:
        callback = self._callback(asked["input"]["callbackConfigId"])
        if asked["input"]["eventType"] != wire.EVENT_TYPE:
            raise Refused("BAD_USER_INPUT", "No such event type.")
        callback.event_types.add(wire.EVENT_TYPE)
        return {"eventType": wire.EVENT_TYPE, "callbackConfig": callback.to_wire()}

    def _callback(self, config_id: str) -> Callback:
        try:
            return self.callbacks[config_id]
        except KeyError:
            raise Refused("NOT_FOUND", "No such callback.") from None

    def _version(self, reservation_id: str, token: str) -> Version | None:
        return next(
            (
                version
                for version in self._acknowledged.versions()
                if wire.reservation_id(version.code) == reservation_id
                and wire.confirmation_token(version) == token
            ),
            None,
        )


def _page(known: list[Any], cursor: str | None, size: int, most: int) -> tuple[list[Any], str | None]:
    """The rows behind the cursor, and the cursor behind them; None at the end."""
    if not 1 <= size <= most:
        raise Refused("BAD_USER_INPUT", f"A page has 1 to {most} rows.")
    if cursor is not None and not re.fullmatch("after-[0-9]{1,9}", cursor):
        raise Refused("BAD_USER_INPUT", "The cursor is none of ours.")
    start = int(cursor.removeprefix("after-")) if cursor else 0
    end = start + size
    return known[start:end], f"after-{end}" if end < len(known) else None


def _span(told: Mapping[str, str] | None) -> tuple[datetime, datetime]:
    """The first and the last moment of a filter, both inclusive."""
    return _ALWAYS if told is None else (_moment(told["from"]), _moment(told["to"]))


def _moment(text: str) -> datetime:
    if not _MOMENT.fullmatch(text):
        raise Refused("BAD_USER_INPUT", "A time is written YYYY-MM-DDTHH:mm:ss with its offset.")
    return datetime.fromisoformat(text)
