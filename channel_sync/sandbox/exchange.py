"""One question to a simulated channel and its answer, before the socket and after it."""

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

_PHRASES = {status.value: status.phrase for status in HTTPStatus}  # gateways answer with codes beyond these

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. ``path`` and ``query`` are as they came, byte for byte: nothing decoded.

    ``headers`` have lower-case names.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def parameter(self, name: str, default: str = "") -> str:
        """The last value of a query parameter, decoded."""
        return parse_qs(self.query, keep_blank_values=True).get(name, [default])[-1]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: one status, one body and its length."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()

    def with_headers(self, *headers: tuple[str, str]) -> "Answer":
        """The same answer with more headers."""
        return replace(self, headers=(*self.headers, *headers))

    def head(self) -> bytes:
        """The status line and the headers, to the empty line. The length is that of the whole body."""
        lines = [f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Unknown')}"]
        if self.status != HTTPStatus.NOT_MODIFIED:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(slots=True)
class Call:
    """One request as it arrived. ``status`` is None until it is answered, and for ever if it never is.

    ``at`` is the simulated time of arrival, ``arrived`` the real one: seconds of the monotonic clock.
    """

    at: datetime
    arrived: float
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    status: int | None = None


def json_answer(status: int, body: Any) -> Answer:
    """An answer in compact JSON."""
    return Answer(status, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())
