"""Booking.com's notification service: it sends tokens that we issued to it, and tells that something is new.

Booking.com signs nothing. It fetches a token from us with a client's name and secret, and shows it with each notification.
"""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote_plus

import jwt

from adapters.accounts import Account
from adapters.errors import WebhookRefused
from adapters.json_body import json_object
from adapters.scrubbing import Path
from adapters.webhook import (
    Delivery,
    Event,
    EventKind,
    Reply,
    Webhook,
    event_name,
    header_of,
    identifier,
    is_any_of,
    secrets_of,
    unreadable,
)

LIFETIME = timedelta(minutes=15)  # of a token
SKEW = timedelta(minutes=1)  # between the clocks of our own machines

_AUDIENCE = "channel-sync/webhooks/booking_com"
_LONGEST_FORM = 10_000  # bytes
_SHORTEST_KEY = 32  # bytes, as RFC 7518, 3.2 demands of HS256
_TOKEN = re.compile(r"Bearer ([A-Za-z0-9_-]{1,1000}\.[A-Za-z0-9_-]{1,1000}\.[A-Za-z0-9_-]{43})")

_KINDS: Mapping[str, EventKind] = {
    "VCC_BALANCE": EventKind.MONEY,
    "VIRTUAL_CREDIT_CARD_UPDATE": EventKind.MONEY,
    "PAYOUT_UPDATE": EventKind.MONEY,
    "BANK_TRANSFER_UPDATE": EventKind.MONEY,
    "PAYOUT_METHOD_UPDATE": EventKind.MONEY,
    "VCC_FEES_PAYOUT": EventKind.MONEY,
    "MESSAGING_API_NEW_MESSAGE": EventKind.MESSAGE,
}


class BookingComWebhook(Webhook):
    """Alerts about money and messages. None carries a booking: those are pulled."""

    secret_names: ClassVar[tuple[str, ...]] = ("webhook_jwt_key", "webhook_client_secret")
    kept_fields: ClassVar[frozenset[Path]] = frozenset({("metadata", "uuid"), ("metadata", "type")})

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """A token that this account was issued and that has not ended."""
        found = _TOKEN.fullmatch(header_of(delivery, "authorization"))
        if found is None:
            raise WebhookRefused("the Authorization header is not a token of ours")
        verify_token(found[1], account, now)

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """One event, by the type in its metadata."""
        body = json_object(delivery.body)
        if body is None:
            return unreadable(ask=False)
        told = body.get("metadata")
        metadata: Mapping[str, Any] = told if isinstance(told, dict) else {}
        name = event_name(metadata.get("type"))
        return (Event(_KINDS.get(name, EventKind.UNKNOWN), name, identifier(metadata.get("uuid"))),)

    def issue_token(self, delivery: Delivery, account: Account, now: datetime) -> Reply | None:
        """The grant of RFC 6749, 4.4: the client's name and secret in Basic, a form or JSON."""
        client_id, client_secret = _credentials(delivery)
        token, expires_in = issue_token(client_id, client_secret, account, now)
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in}
        return Reply(200, json.dumps(answer).encode())


def issue_token(client_id: str, client_secret: str, account: Account, now: datetime) -> tuple[str, int]:
    """A new token for this account and the seconds it lives.

    The client is named by the account's setting ``webhook_client_id`` and known by its ``webhook_client_secret``.
    Raises WebhookRefused where either is not the account's, or the account has no usable key.
    """
    expected = account.settings.get("webhook_client_id", "")
    secret_is_known = is_any_of(_utf8(client_secret), secrets_of(account, "webhook_client_secret"))
    if not expected or not is_any_of(_utf8(client_id), [expected.encode()]) or not secret_is_known:
        raise WebhookRefused("not the client of this account")
    claims = {"aud": _AUDIENCE, "sub": account.code, "iat": now, "exp": now + LIFETIME}
    token = jwt.encode(claims, _keys(account)[0], algorithm="HS256")
    return token, int(LIFETIME.total_seconds())


def verify_token(token: str, account: Account, now: datetime) -> None:
    """Raise WebhookRefused unless the token is one that this account was issued, and ``now`` is within its life."""
    claims = [claims for key in _keys(account) if (claims := _claims(token, key, account)) is not None]
    if not claims:
        raise WebhookRefused("the token is not one that this account was issued")
    issued, ends = claims[0]["iat"], claims[0]["exp"]
    if not isinstance(issued, int) or not isinstance(ends, int):
        raise WebhookRefused("the token does not say when it ends")
    seconds = now.astimezone(UTC).timestamp()
    if not issued - SKEW.total_seconds() <= seconds < min(ends, issued + LIFETIME.total_seconds()):
        raise WebhookRefused("the token has ended or has not begun")


def _claims(token: str, key: bytes, account: Account) -> dict[str, Any] | None:
    """What the token says, if it was signed with ``key`` for this account. Its times are looked at with our clock."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=["HS256"],
            audience=_AUDIENCE,
            subject=account.code,
            options={
                "require": ["aud", "sub", "iat", "exp"],
                "strict_aud": True,
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except (
        jwt.PyJWTError,
        ValueError,
        TypeError,
        RecursionError,
    ):  # the last: a header of nothing but brackets
        return None


def _keys(account: Account) -> list[bytes]:
    keys = [key for key in secrets_of(account, "webhook_jwt_key") if len(key) >= _SHORTEST_KEY]
    if not keys:
        raise WebhookRefused(f"account {account.code!r}: webhook_jwt_key has less than {_SHORTEST_KEY} bytes")
    return keys


def _credentials(delivery: Delivery) -> tuple[str, str]:
    """The client's name and secret, however they were sent. Raises WebhookRefused where they were not."""
    form: Mapping[str, object] = json_object(delivery.body) or dict(
        parse_qsl(delivery.body[:_LONGEST_FORM].decode("utf-8", "replace"))
    )
    if form.get("grant_type") != "client_credentials":
        raise WebhookRefused("no grant that we know")
    client_id, client_secret = _basic(delivery) or (form.get("client_id"), form.get("client_secret"))
    if not isinstance(client_id, str) or not isinstance(client_secret, str):
        raise WebhookRefused("no name and secret of a client")
    return client_id, client_secret


def _basic(delivery: Delivery) -> tuple[str, str] | None:
    """Name and secret of HTTP Basic, each form-encoded as RFC 6749, 2.3.1 asks; None where there is no such header."""
    told = delivery.headers.get("authorization", "")
    if not told.startswith("Basic "):
        return None
    try:
        pair = b64decode(told.removeprefix("Basic "), validate=True).decode()
    except ValueError:
        return None
    client_id, separator, client_secret = pair.partition(":")
    return (unquote_plus(client_id), unquote_plus(client_secret)) if separator else None


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
