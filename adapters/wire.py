"""One call over HTTP, with every way it can fail said in the words of adapters.errors.

Shared by all channels: the meaning of a broken connection or a 503 does not depend on who is at the other end.
What a channel says in a body it understands (its own error codes) stays in that channel's mapping.

Here it is decided what may ever be repeated: a call that certainly was not done, a question, a call that carries
an Idempotency-Key, by which the channel knows it again, and one whose adapter says that it is ``repeatable``. Everything else that went out and was not clearly answered is
OutcomeUnknown, which nobody repeats. PUT and DELETE count as everything else: on paper they can be done twice, but
what a second one does after somebody else's change in between is each channel's own story.
"""

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
from adapters.json_body import exact_value

# Nothing of the request was answered and it certainly did not arrive whole.
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_QUESTIONS = frozenset({"GET", "HEAD", "OPTIONS"})
_IDEMPOTENCY_KEY = "Idempotency-Key"
_REPEATABLE = "channel_sync.repeatable"
_NOT_JSON = object()


def send(
    client: httpx.Client, request: httpx.Request, what: str, clock: Callable[[], datetime]
) -> httpx.Response:
    """Send ``request`` and return a 2xx or 304 answer, read to its end.

    ``what`` names the call in errors ("airbnb calendar of listing 42"): put no secret in it.
    Raises RateLimited, Unavailable, OutcomeUnknown, AuthenticationFailed, Rejected or UnexpectedResponse.
    """
    response = exchange(client, request, what)
    if response.is_success or response.status_code == 304:
        return response
    raise error_from_status(response, what, clock)


def exchange(client: httpx.Client, request: httpx.Request, what: str) -> httpx.Response:
    """Send ``request`` and return the answer whatever its status, read to its end.

    For a channel that reads its own words in an error's body; the others use ``send``.
    Raises Unavailable, OutcomeUnknown or UnexpectedResponse, without a cause or context: httpx's own errors
    carry the request with its headers and URL, and a feed's URL is a secret.
    """
    try:
        return client.send(request)
    except (httpx.RequestError, httpx.InvalidURL) as error:
        failure = _failure(error, request, what)
    raise failure


def _failure(error: Exception, request: httpx.Request, what: str) -> ChannelError:
    """What a call without a whole answer stands for."""
    kind = type(error).__name__
    if isinstance(error, _NOT_SENT):
        return Unavailable(f"{what}: no connection ({kind})")
    if isinstance(error, httpx.TransportError):
        # Among them RemoteProtocolError: the connection broke, or a body ended before its announced length.
        # A half-read page proves nothing.
        if may_be_repeated(request):
            return Unavailable(f"{what}: no whole answer ({kind})")
        return OutcomeUnknown(f"{what}: {kind}")
    # A body that does not decode, is too large, redirects for ever or to no address.
    return UnexpectedResponse(f"{what}: not a usable answer ({kind})")


def repeatable(request: httpx.Request) -> httpx.Request:
    """The same request, said to do no more when it is done twice, whatever its method.

    For a question that is a POST on this channel, and for what states how something is, not how it changes: an
    acknowledgement, a number of units for sale. Say it only where a second one cannot undo somebody else's change.
    """
    request.extensions = {**request.extensions, _REPEATABLE: True}
    return request


def may_be_repeated(request: httpx.Request) -> bool:
    """Whether doing the call twice does no more than doing it once."""
    return (
        request.method in _QUESTIONS
        or _IDEMPOTENCY_KEY in request.headers
        or request.extensions.get(_REPEATABLE) is True
    )


def error_from_status(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> ChannelError:
    """The error an answer outside 2xx stands for. The answer must know its request."""
    status = response.status_code
    message = f"{what}: HTTP {status}"
    after = retry_after_seconds(response, clock)
    if status == 429 or (status == 503 and after is not None):
        return RateLimited(message, retry_after=after)
    if status in (401, 403):
        return AuthenticationFailed(message)
    if status == 408 or status >= 500:
        # A gateway says 502 or 504 also when the channel behind it did what was asked.
        return Unavailable(message) if may_be_repeated(response.request) else OutcomeUnknown(message)
    if 400 <= status < 500:
        return Rejected(message)
    return UnexpectedResponse(message)


def retry_after_seconds(response: httpx.Response, clock: Callable[[], datetime]) -> float | None:
    """Retry-After in seconds from now, from both forms (RFC 9110, 10.2.3); None where absent or unreadable.

    A date is counted from the answer's own Date: both are of the channel's clock, so that ours may be wrong.
    Without a Date it is counted from ``clock``.
    """
    raw = response.headers.get("Retry-After", "").strip()
    if raw.isascii() and raw.isdigit() and len(raw) < 10:
        return float(raw)
    moment = _moment(raw)
    if moment is None:
        return None
    return max(0.0, (moment - (_moment(response.headers.get("Date", "")) or clock())).total_seconds())


def _moment(http_date: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(http_date)
    except ValueError:
        return None
    # "-0000": a date in UTC of unknown origin (RFC 5322)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def json_object(response: httpx.Response, what: str) -> dict[str, Any]:
    """The body as a JSON object, its numbers ``int`` and ``Decimal``: never ``float``, which money would not survive.

    Raises UnexpectedResponse for anything else: HTML, nothing, a cut-off body, NaN.
    """
    body = _parsed(response.content)
    if body is _NOT_JSON:
        kind = response.headers.get("Content-Type", "no type")[:40]
        raise UnexpectedResponse(f"{what}: {len(response.content)} bytes of {kind!r}, not JSON")
    if not isinstance(body, dict):
        raise UnexpectedResponse(f"{what}: JSON, but not an object")
    return body


def _parsed(content: bytes) -> object:
    try:
        return exact_value(content)
    except ValueError:
        return _NOT_JSON
