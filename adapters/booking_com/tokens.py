"""Tokens of Booking.com's machine accounts: a client's id and secret exchanged for a JSON Web Token of one hour.

Nothing is stored here: the adapter goes through the TokenStore, which lets one process at a time exchange.
"""

from base64 import urlsafe_b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from adapters import wire
from adapters.accounts import Account, Token
from adapters.errors import AuthenticationFailed, UnexpectedResponse
from adapters.json_body import json_object
from adapters.model import Secret
from adapters.spending import Spend, marked

LIFETIME = timedelta(hours=1)
EXPIRY_MARGIN = timedelta(minutes=2)  # a token is not used so close to its end that it dies on the way

_PATH = "/token-based-authentication/exchange"
_REFUSED = frozenset({400, 401, 403})
_PARTS = 3  # of a token: what it is, what it says, its signature
_LONGEST = 8_192  # characters


def is_fresh(token: Token, now: datetime) -> bool:
    """Whether the token may still be used."""
    return now < token.expires_at - EXPIRY_MARGIN


def exchanged(client: httpx.Client, account: Account, host: str, clock: Callable[[], datetime]) -> Token:
    """A new token for the account's client id and secret.

    Raises AuthenticationFailed where they are refused, UnexpectedResponse for an answer without a usable token, and
    what a call raises. A lost answer may be asked for again: one more token does no harm.
    """
    what = f"booking_com token of account {account.code!r}"
    pair = {"client_id": account.secret("client_id"), "client_secret": account.secret("client_secret")}
    request = client.build_request("POST", f"{host}{_PATH}", json=pair)
    response = wire.exchange(client, wire.repeatable(marked(request, Spend("token"))), what)
    if response.status_code in _REFUSED:
        raise AuthenticationFailed(
            f"{what}: the client id and secret are refused (HTTP {response.status_code}): set those of the machine account"
        )
    if not response.is_success:
        raise wire.error_from_status(response, what, clock)
    access = wire.json_object(response, what).get("jwt")
    if not isinstance(access, str) or not _can_stand_in_a_header(access):
        raise UnexpectedResponse(f"{what}: no usable jwt")
    token = Token(Secret(access), _end(access, clock()))
    if not is_fresh(token, clock()):
        raise UnexpectedResponse(
            f"{what}: the new token ends at {token.expires_at}: is this machine's clock right?"
        )
    return token


def _end(access: str, now: datetime) -> datetime:
    """What the token itself says, but no later than an hour from now, which is what Booking.com promises.

    It was just given to us by its issuer: nothing in it has to be believed but when to ask for the next.
    """
    usual = now + LIFETIME
    parts = access.split(".")
    if len(parts) != _PARTS:
        return usual
    try:
        claims = json_object(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return usual
    seconds = (claims or {}).get("exp")
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return usual
    try:
        return min(datetime.fromtimestamp(seconds, UTC), usual)
    except (OverflowError, OSError, ValueError):
        return usual


def _can_stand_in_a_header(value: str) -> bool:
    return (
        0 < len(value) <= _LONGEST and value.isascii() and value.isprintable() and not set(value) & {" ", '"'}
    )
