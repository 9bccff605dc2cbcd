"""What callers are told. Nothing about the reason: whoever is refused learns only that."""

from http import HTTPStatus
from math import ceil

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

_JSON = "application/json"


def accepted() -> Response:
    """It is committed, or there is nothing to commit."""
    return Response(b"{}", 200, media_type=_JSON)


def failed(status: HTTPStatus, *, retry_after_s: float | None = None, allow: str | None = None) -> Response:
    """An error in the same words whatever the reason. The connection ends with it: its rest is not read."""
    headers = {"connection": "close"}
    if retry_after_s is not None:
        headers["retry-after"] = str(max(1, ceil(retry_after_s)))
    if allow is not None:
        headers["allow"] = allow
    return Response(b'{"error": "%s"}' % status.phrase.encode(), status, headers, _JSON)


async def of_exception(_request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    allow = (error.headers or {}).get("allow") or (error.headers or {}).get("Allow")
    return failed(HTTPStatus(error.status_code), allow=allow)


def nothing_here() -> Starlette:
    """The gateway while the channel manager is switched off: every path is one that does not exist."""
    app = Starlette(exception_handlers={HTTPException: of_exception})
    app.router.redirect_slashes = False
    return app
