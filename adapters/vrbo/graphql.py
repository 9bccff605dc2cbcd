"""GraphQL over HTTP: the data of an answer, or the error it stands for. HTTP 200 is not success here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

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
from adapters.json_body import json_object

Path = tuple[object, ...]

UNAUTHENTICATED = "UNAUTHENTICATED"

_LIMITED = frozenset({"RATE_LIMIT_EXCEEDED", "RATE_LIMITED", "TOO_MANY_REQUESTS"})
_REFUSED = frozenset({UNAUTHENTICATED, "UNAUTHORIZED", "FORBIDDEN", "ACCESS_DENIED"})
_FAULTS = frozenset(
    {
        "INTERNAL_SERVER_ERROR", "INTERNAL", "SERVICE_UNAVAILABLE", "UNAVAILABLE", "TIMEOUT", "GATEWAY_TIMEOUT",
        "DOWNSTREAM_SERVICE_ERROR",
    }
)  # fmt: skip
_MISTAKES = frozenset(
    {"GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "BAD_REQUEST"}
)  # ours, in the document
_WORD = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")


class RefusedInside(Rejected):
    """Refused in an answer with HTTP 200: what was asked for, not the call. Any other refusal is about neither."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One of an answer's errors: its code, empty where it has none, and the path of what it cost."""

    code: str
    path: Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``data`` may lack what a fault lies on the path of."""

    data: Mapping[str, Any] | None
    faults: tuple[Fault, ...]


def answer_from_wire(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> Answer:
    """Data and faults of an answer. Raises what its status stands for, and UnexpectedResponse for what is no answer."""
    body = json_object(response.content)
    faults = _faults(body.get("errors")) if body is not None else ()
    if not response.is_success:
        raise wire.error_from_status(response, f"{what}{_said(faults or ())}", clock)
    if body is None or faults is None:
        raise UnexpectedResponse(f"{what}: {len(response.content)} bytes that are no GraphQL answer")
    data = body.get("data")
    if not isinstance(data, dict) and (data is not None or not faults):
        raise UnexpectedResponse(f"{what}: an answer with neither data nor errors")
    return Answer(data, faults)


def error_of_faults(
    faults: tuple[Fault, ...], response: httpx.Response, what: str, clock: Callable[[], datetime]
) -> ChannelError:
    """The error that these faults stand for; of several the one that decides what is done next."""
    codes = {fault.code for fault in faults}
    message = f"{what}{_said(faults)}"
    if codes & _LIMITED:
        return RateLimited(message, retry_after=wire.retry_after_seconds(response, clock))
    if codes & _REFUSED:
        return AuthenticationFailed(message)
    if codes & _FAULTS:
        return Unavailable(message) if wire.may_be_repeated(response.request) else OutcomeUnknown(message)
    if "" in codes:
        return UnexpectedResponse(f"{message}: an error without a code")
    return Rejected(message) if codes & _MISTAKES else RefusedInside(message)


def stops(code: str) -> bool:
    """Whether an error with this code is about the whole account, whatever its path."""
    return code in _LIMITED or code in _REFUSED


def _faults(errors: object) -> tuple[Fault, ...] | None:
    """The errors of a body; None where they are not written as errors are."""
    if errors is None:
        return ()
    if not isinstance(errors, list) or not all(isinstance(error, dict) for error in errors):
        return None
    return tuple(_fault(error) for error in errors)


def _fault(error: Mapping[str, Any]) -> Fault:
    extensions, path = error.get("extensions"), error.get("path")
    code = extensions.get("code") if isinstance(extensions, dict) else None
    return Fault(
        code if isinstance(code, str) and _WORD.fullmatch(code) else "",
        tuple(path) if isinstance(path, list) else (),
    )


def _said(faults: tuple[Fault, ...]) -> str:
    """The channel's codes, never its sentences: these may quote anything."""
    codes = sorted({fault.code for fault in faults if fault.code})
    return f" ({', '.join(codes[:3])})" if codes else ""
