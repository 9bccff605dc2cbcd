"""Tokens of Expedia Group's APIs: client credentials exchanged for a bearer token.

Nothing is stored here: the adapter goes through the TokenStore, which lets one process at a time exchange.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from adapters import wire
from adapters.accounts import Account, Token
from adapters.errors import AuthenticationFailed, UnexpectedResponse
from adapters.model import Secret
from adapters.spending import Spend, marked

PATH = "/identity/oauth2/v3/token/"
EXPIRY_MARGIN = timedelta(seconds=60)  # a token is not used so close to its end that it dies on the way

_LONGEST_LIFE_S = 10 * 366 * 86_400
_REFUSED = frozenset({400, 401, 403})


def is_fresh(token: Token, now: datetime) -> bool:
    """Whether the token may still be used."""
    return now < token.expires_at - EXPIRY_MARGIN


def new_token(client: httpx.Client, account: Account, clock: Callable[[], datetime]) -> Token:
    """A token for the account's credentials. Raises AuthenticationFailed where they are refused."""
    what = f"vrbo token of account {account.code!r}"
    pair = f"{account.secret('client_id')}:{account.secret('client_secret')}"
    request = client.build_request(
        "POST",
        f"{account.base_url}{PATH}",
        headers={"Authorization": f"Basic {b64encode(pair.encode()).decode()}"},
        data={"grant_type": "client_credentials"},
    )
    # A grant whose answer was lost is asked for again: it sells nothing, and the first token simply ends unused.
    response = wire.exchange(client, wire.repeatable(marked(request, Spend("oauth2"))), what)
    if response.status_code in _REFUSED:
        raise AuthenticationFailed(
            f"{what}: the client's id and secret are refused (HTTP {response.status_code})"
        )
    if not response.is_success:
        raise wire.error_from_status(response, what, clock)
    return token_from_wire(wire.json_object(response, what), clock(), what)


def token_from_wire(body: Mapping[str, Any], now: datetime, what: str) -> Token:
    """The token of a grant.

    Raises UnexpectedResponse for a token that cannot stand in a header, or whose end is not told or is past:
    every call would then renew.
    """
    access, seconds = body.get("access_token"), body.get("expires_in")
    if not isinstance(access, str) or not _is_header_text(access):
        raise UnexpectedResponse(f"{what}: no usable access_token")
    if not isinstance(seconds, (int, Decimal)) or isinstance(seconds, bool):
        raise UnexpectedResponse(f"{what}: no expires_in tells when the token ends")
    if not 0 < seconds <= _LONGEST_LIFE_S:
        raise UnexpectedResponse(f"{what}: expires_in is not a number of seconds")
    token = Token(Secret(access), now + timedelta(seconds=int(seconds)))
    if not is_fresh(token, now):
        raise UnexpectedResponse(f"{what}: the new token ends at {token.expires_at}")
    return token


def _is_header_text(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and " " not in value
