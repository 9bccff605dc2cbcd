"""Tokens of Airbnb's partner API: exchanging a refresh token for an access token.

Nothing is stored here: the adapter goes through the TokenStore, which lets one process at a time exchange.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from adapters import wire
from adapters.accounts import Account, Token
from adapters.errors import AuthenticationFailed, OutcomeUnknown, Unavailable, UnexpectedResponse
from adapters.model import Secret
from adapters.spending import Spend, marked

EXPIRY_MARGIN = timedelta(seconds=60)  # a token is not used so close to its end that it dies on the way

_REFUSED = frozenset({400, 401, 403})


def is_fresh(token: Token, now: datetime) -> bool:
    """Whether the token may still be used."""
    return now < token.expires_at - EXPIRY_MARGIN


def renewed_token(
    client: httpx.Client, account: Account, stored: Token | None, clock: Callable[[], datetime]
) -> Token:
    """Exchange the account's refresh token for a new access token.

    The stored refresh token comes first: it has replaced the account's secret. Where it is refused the secret
    is tried, which a person may have mended since. Raises AuthenticationFailed when no refresh token is taken.
    """
    try:
        return _exchanged(client, account, stored, clock)
    except OutcomeUnknown as error:
        # Repeating it is harmless: an exchange sells nothing, and a refresh token that was used up is refused.
        raise Unavailable(str(error)) from None


def _exchanged(
    client: httpx.Client, account: Account, stored: Token | None, clock: Callable[[], datetime]
) -> Token:
    grants = [Secret(account.secret("refresh_token"))]
    if stored is not None and stored.refresh is not None and stored.refresh not in grants:
        grants.insert(0, stored.refresh)
    what = f"airbnb token of account {account.code!r}"
    for refresh in grants:
        response = _grant(client, account, refresh, what)
        if response.is_success:
            return token_from_wire(wire.json_object(response, what), refresh, clock(), what)
        if response.status_code not in _REFUSED:
            raise wire.error_from_status(response, what, clock)
    raise AuthenticationFailed(
        f"{what}: the refresh token is refused (HTTP {response.status_code}): let the host connect the account "
        "again and set the new refresh_token"
    )


def token_from_wire(body: Mapping[str, Any], refresh: Secret, now: datetime, what: str) -> Token:
    """The token of a grant. A reply without refresh token, the usual one, keeps the old.

    Raises UnexpectedResponse for a token that cannot stand in a header, or whose end is not told or is past:
    every call would then renew.
    """
    access = body.get("access_token")
    if not isinstance(access, str) or not is_header_text(access):
        raise UnexpectedResponse(f"{what}: no usable access_token")
    expires_at = _expiry(body, now)
    if expires_at is None:
        raise UnexpectedResponse(f"{what}: neither expires_at nor expires_in tells when the token ends")
    token = Token(Secret(access), expires_at, refresh)
    if not is_fresh(token, now):
        raise UnexpectedResponse(
            f"{what}: the new token ends at {expires_at}: is this machine's clock right?"
        )
    rotated = body.get("refresh_token")
    if isinstance(rotated, str) and rotated:
        return Token(token.access, expires_at, Secret(rotated))
    return token


def is_header_text(value: str) -> bool:
    """Whether the value can stand in an HTTP header: not with a line end from a badly set variable."""
    return bool(value) and value.isascii() and value.isprintable() and " " not in value


def _grant(client: httpx.Client, account: Account, refresh: Secret, what: str) -> httpx.Response:
    pair = f"{account.secret('client_id')}:{account.secret('client_secret')}"
    request = client.build_request(
        "POST",
        f"{account.base_url}/v2/oauth2/authorizations",
        headers={"Authorization": f"Basic {b64encode(pair.encode()).decode()}"},
        json={"grant_type": "refresh_token", "refresh_token": refresh.reveal()},
    )
    return wire.exchange(client, marked(request, Spend("oauth2")), what)


def _expiry(body: Mapping[str, Any], now: datetime) -> datetime | None:
    """``expires_at`` in seconds since 1970, else ``expires_in`` in seconds from now."""
    for name, origin in (("expires_at", datetime(1970, 1, 1, tzinfo=UTC)), ("expires_in", now)):
        seconds = body.get(name)
        if isinstance(seconds, (int, Decimal)) and not isinstance(seconds, bool):
            try:
                return origin + timedelta(seconds=int(seconds))
            except OverflowError:
                return None
    return None
