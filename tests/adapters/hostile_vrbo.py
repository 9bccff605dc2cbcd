"""Vrbo's answers, as a hostile channel may change them."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx

from adapters import wire
from adapters.accounts import Listing
from adapters.vrbo import callbacks, graphql, mapping, notifications, oauth
from channel_sync.sandbox.acknowledged import Acknowledged
from channel_sync.sandbox.vrbo import wire as simulated
from channel_sync.sandbox.world import World
from tests.adapters.hostile import Case

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
_WORLD = World(seed=3, listings=3)


def cases() -> Iterator[Case]:
    """Pages of reservations, properties and notifications, a cancellation, a callback and a token."""
    bookings = _WORLD.bookings(NOW)[:6]
    place = simulated.property_to_wire(_WORLD.listings["1003"])
    edges = [{"node": simulated.reservation_to_wire(booking)} for booking in bookings]
    page = {"pageInfo": {"hasNextPage": True, "endCursor": "abc"}, "edges": edges}
    yield "reservations", _body({"property": {**place, "reservations": page}}), _read(_reservations)
    listings = [simulated.property_to_wire(each) for each in _WORLD.listings.values()]
    properties = {"elements": listings, "cursor": None, "totalCount": 3}
    yield "properties", _body({"propertiesByAdvertiser": properties}), _read(_properties)
    versions = list(Acknowledged(_WORLD, lambda: NOW).versions())[:4]
    told = [simulated.notification_to_wire(version) for version in versions]
    undelivered = {"elements": [{"notification": each} for each in told], "cursor": "abc"}
    yield "undelivered", _body({"undeliveredNotifications": undelivered}), _read(_undelivered)
    ended = simulated.reservation_to_wire(bookings[0])
    yield "cancellation", _body({"cancelVrboReservation": {"reservation": ended}}), _read(_cancelled)
    config = {"id": "c-1", "secretExpirationDateTime": "2027-03-10T09:30:00"}
    made = {"createNotificationCallbackConfig": {"callbackConfig": config, "secret": "s3cret-of-a-callback"}}
    yield "callback", _body(made), _read(_callback)
    refused = [{"message": "m", "extensions": {"code": "RATE_LIMIT_EXCEEDED"}}]
    yield "errors", _body(None, refused), _error
    token = {"access_token": "eg-1-2-3", "token_type": "bearer", "expires_in": 1800}
    yield "token", json.dumps(token).encode(), _token


def _body(data: object, errors: list[dict[str, Any]] | None = None) -> bytes:
    return json.dumps({"data": data, **({"errors": errors} if errors else {})}).encode()


def _read(of_answer: Callable[[graphql.Answer], object]) -> Callable[[bytes], object]:
    def read(body: bytes) -> object:
        response = _response(body)
        answer = graphql.answer_from_wire(response, "vrbo", lambda: NOW)
        if answer.data is None:
            raise graphql.error_of_faults(answer.faults, response, "vrbo", lambda: NOW)
        return of_answer(answer)

    return read


def _error(body: bytes) -> object:
    """The error that the body stands for, as a value: a good body of errors is not refused."""
    response = _response(body)
    answer = graphql.answer_from_wire(response, "vrbo", lambda: NOW)
    return repr(graphql.error_of_faults(answer.faults, response, "vrbo", lambda: NOW))


def _response(body: bytes) -> httpx.Response:
    request = wire.repeatable(httpx.Request("POST", "https://vrbo.example/graphql"))
    return httpx.Response(200, content=body, headers={"Content-Type": "application/json"}, request=request)


def _reservations(answer: graphql.Answer) -> object:
    page = mapping.reservations_from_wire(answer, None, "vrbo reservations")
    assert all(len(problem.raw) <= 4_000 for problem in page.problems)
    return page


def _properties(answer: graphql.Answer) -> object:
    return mapping.listings_from_wire(answer.data or {}, "vrbo properties")


def _undelivered(answer: graphql.Answer) -> object:
    notices, problems, cursor = notifications.undelivered_from_wire(answer.data or {}, "vrbo notifications")
    for notice in notices:
        assert notifications.notice_from_reference(notice.receipt.reference) == notice
    return notices, problems, cursor


def _cancelled(answer: graphql.Answer) -> object:
    return mapping.cancelled_from_wire(answer.data or {}, Listing("321.1003.10037", "Asia/Kuwait", "KWD"))


def _callback(answer: graphql.Answer) -> object:
    return callbacks.created_from_wire(answer.data or {}, "vrbo callback")


def _token(body: bytes) -> object:
    return oauth.token_from_wire(wire.json_object(_response(body), "vrbo token"), NOW, "vrbo token")
