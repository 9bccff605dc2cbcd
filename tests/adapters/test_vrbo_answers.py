"""Vrbo's errors, notifications, callbacks and tokens, as they come over the wire."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from adapters import wire
from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from adapters.model import Receipt
from adapters.vrbo import callbacks, graphql, notifications, oauth

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)

# Errors inside HTTP 200.


@pytest.mark.parametrize(
    ("code", "asked", "changed"),
    [
        ("RATE_LIMIT_EXCEEDED", RateLimited, RateLimited),
        ("UNAUTHENTICATED", AuthenticationFailed, AuthenticationFailed),
        ("FORBIDDEN", AuthenticationFailed, AuthenticationFailed),
        ("INTERNAL_SERVER_ERROR", Unavailable, OutcomeUnknown),
        ("SERVICE_UNAVAILABLE", Unavailable, OutcomeUnknown),
        ("BAD_USER_INPUT", graphql.RefusedInside, graphql.RefusedInside),
        ("A_CODE_OF_2031", graphql.RefusedInside, graphql.RefusedInside),
        ("GRAPHQL_VALIDATION_FAILED", Rejected, Rejected),
        ("Ann <ann@example.com>", UnexpectedResponse, UnexpectedResponse),
        (None, UnexpectedResponse, UnexpectedResponse),
    ],
)
def test_errors_by_code(code: str | None, asked: type[ChannelError], changed: type[ChannelError]) -> None:
    """A code decides what is done next, and of the channel's sentences nothing is repeated."""
    error = {"message": "Ann <ann@example.com> did it", "extensions": {"code": code}}
    for expected, repeatable in ((asked, True), (changed, False)):
        request = httpx.Request("POST", "https://x.example")
        if repeatable:
            wire.repeatable(request)
        response = httpx.Response(
            200, json={"data": None, "errors": [error]}, request=request, headers={"Retry-After": "7"}
        )
        answer = graphql.answer_from_wire(response, "vrbo", lambda: NOW)
        found = graphql.error_of_faults(answer.faults, response, "vrbo", lambda: NOW)
        assert type(found) is expected
        assert "ann" not in str(found).lower()
        if isinstance(found, RateLimited):
            assert found.retry_after == 7.0


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"data": null}', b'{"data": []}', b'{"errors": {}}', b'{"errors": [1]}', b"<p>"],
)
def test_what_is_no_answer(body: bytes) -> None:
    """Neither data nor errors is no answer."""
    response = httpx.Response(200, content=body, request=httpx.Request("POST", "https://x.example"))
    with pytest.raises(UnexpectedResponse):
        graphql.answer_from_wire(response, "vrbo", lambda: NOW)


# Notifications, callbacks and tokens.

NOTICE = {"propertyId": "901", "reservationId": "HA-1", "confirmationToken": "t-1", "actionType": "BOOKED"}


@pytest.mark.parametrize(
    ("payload", "notice"),
    [
        (NOTICE, notifications.Notice("901", "HA-1", "t-1", "BOOKED")),
        (NOTICE | {"propertyId": 901, "actionType": "booked"}, notifications.Notice("901", "HA-1", "t-1", None)),
        ('{"propertyId":"901","reservationId":"HA-1","confirmationToken":"t-1"}', notifications.Notice("901", "HA-1", "t-1", None)),
        (NOTICE | {"confirmationToken": None}, None),
        (NOTICE | {"confirmationToken": "a b"}, None),
        (NOTICE | {"reservationId": {}}, None),
        ("{", None),
        (None, None),
        ([], None),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_a_notification_says(payload: object, notice: notifications.Notice | None) -> None:
    """An object, or one in a string; without property, reservation or token it is none. Its receipt gives it back."""
    found = notifications.notice_from_wire(payload)
    assert found == notice
    if notice is not None:
        assert notifications.notice_from_reference(notice.receipt.reference) == notice
        assert notice.receipt == Receipt(notice.reservation_id, notice.receipt.reference)
        assert "t-1" not in repr(notice.receipt)


def test_notifications_of_something_else_are_passed_over() -> None:
    """A message that was not delivered is nothing to confirm; a reservation's that cannot be read is told."""
    elements = [
        {"notification": {"notificationId": "n-1", "eventType": "MessageReceived", "payload": {}}},
        {
            "notification": {
                "notificationId": "n-2",
                "eventType": "ReservationNotificationEvent",
                "payload": {"guest": "Ann"},
            }
        },
        None,
    ]
    found, unread, cursor = notifications.undelivered_from_wire(
        {"undeliveredNotifications": {"elements": elements, "cursor": "c"}}, "vrbo"
    )
    assert (found, cursor) == ([], "c")
    assert [problem.where for problem in unread] == ["n-2", "notification 3 of vrbo"]
    assert "Ann" not in repr(unread)


def test_a_callbacks_secret() -> None:
    """Told once, with its end and that of the one before; shown nowhere."""
    told = {
        "callbackConfigId": "c-1",
        "secret": "s3cret-value",
        "secretExpirationDateTime": "2027-03-10T09:30:00",
        "previousSecretExpirationDateTime": "2026-03-13T09:30:00",
    }
    found = callbacks.refreshed_from_wire({"refreshNotificationCallbackConfigSecret": told}, "vrbo")
    assert (found.config_id, found.secret.reveal()) == ("c-1", "s3cret-value")
    assert found.expires_at == NOW.replace(year=2027)
    assert found.previous_until == NOW + timedelta(days=3)
    assert "s3cret" not in repr(found)
    for name in ("callbackConfigId", "secret", "secretExpirationDateTime"):
        with pytest.raises(UnexpectedResponse):
            callbacks.refreshed_from_wire(
                {"refreshNotificationCallbackConfigSecret": told | {name: None}}, "vrbo"
            )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": "", "expires_in": 1800},
        {"access_token": "a b", "expires_in": 1800},
        {"access_token": "a\n", "expires_in": 1800},
        {"access_token": "a"},
        {"access_token": "a", "expires_in": "1800"},
        {"access_token": "a", "expires_in": True},
        {"access_token": "a", "expires_in": 10},
        {"access_token": "a", "expires_in": Decimal("1e999999999")},
        {"access_token": "a", "expires_in": Decimal("-1e999999999")},
    ],
    ids=range(10),
)
def test_a_token_that_is_none(body: dict[str, Any]) -> None:
    """A token that cannot be sent, or whose end is not told or is now, is no token."""
    with pytest.raises(UnexpectedResponse):
        oauth.token_from_wire(body, NOW, "vrbo")
