"""One call over HTTP, with every way it can fail said in the words of adapters.errors.

Shared by all channels: the meaning of a broken connection or a 503 does not depend on who is at the other end.
What a channel says in a body it understands (its own error codes) stays in that channel's mapping.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)

# Nothing of the request was answered and it certainly did not arrive whole.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def send(
    client: httpx.Client, request: httpx.Request, what: str, clock: Callable[[], datetime]
) -> httpx.Response:
    """Send ``request`` and return a 2xx or 304 answer, read to its end.

    ``what`` names the call in errors ("airbnb calendar of listing 42"): put no secret in it.
    Raises RateLimited, Unavailable, OutcomeUnknown, AuthenticationFailed, Rejected or UnexpectedResponse.
    Errors are raised ``from None``: httpx's own carry the URL, and a feed's URL is a secret.
    """
    repeatable = request.method in _SAFE_METHODS
    try:
        response = client.send(request)
    except _NOT_SENT as error:
        raise Unavailable(f"{what}: no connection ({type(error).__name__})") from None
    except httpx.RemoteProtocolError as error:
        # The connection broke, or a body ended before its announced length: a half-read page proves nothing.
        raise _no_answer(repeatable, what, error) from None
    except httpx.TimeoutException as error:
        raise _no_answer(repeatable, what, error) from None
    except httpx.DecodingError:
        raise UnexpectedResponse(f"{what}: the body does not decode") from None
    except httpx.TransportError as error:
        raise _no_answer(repeatable, what, error) from None
    except httpx.TooManyRedirects:
        raise UnexpectedResponse(f"{what}: too many redirects") from None
    if response.is_success or response.status_code == 304:
        return response
    raise error_from_status(response, what, clock)


def error_from_status(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> ChannelError:
    """The error an answer outside 2xx stands for."""
    status = response.status_code
    message = f"{what}: HTTP {status}"
    if status == 429:
        return RateLimited(message, retry_after=retry_after_seconds(response, clock))
    if status in (401, 403):
        return AuthenticationFailed(message)
    if status == 408 or status >= 500:
        after = retry_after_seconds(response, clock)
        return (
            RateLimited(message, retry_after=after)
            if status == 503 and after is not None
            else Unavailable(message)
        )
    if 400 <= status < 500:
        return Rejected(message)
    return UnexpectedResponse(message)


def retry_after_seconds(response: httpx.Response, clock: Callable[[], datetime]) -> float | None:
    """Retry-After in seconds from now, from both forms (RFC 9110, 10.2.3); None where absent or unreadable."""
    raw = response.headers.get("Retry-After", "").strip()
    if raw.isascii() and raw.isdigit():
        return float(raw)
    try:
        moment = parsedate_to_datetime(raw)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": a date in UTC of unknown origin (RFC 5322)
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock()).total_seconds())


def json_object(response: httpx.Response, what: str) -> dict[str, Any]:
    """The body as a JSON object. Raises UnexpectedResponse for anything else: HTML, nothing, a cut-off body."""
    try:
        body = json.loads(response.content)
    except (ValueError, RecursionError):
        raise UnexpectedResponse(
            f"{what}: {len(response.content)} bytes of {response.headers.get('Content-Type', 'no type')!r}, not JSON"
        ) from None
    if not isinstance(body, dict):
        raise UnexpectedResponse(f"{what}: JSON, but not an object")
    return body


def _no_answer(repeatable: bool, what: str, error: Exception) -> ChannelError:  # noqa: FBT001 - one caller, two words
    kind = type(error).__name__
    return (
        Unavailable(f"{what}: no whole answer ({kind})") if repeatable else OutcomeUnknown(f"{what}: {kind}")
    )
