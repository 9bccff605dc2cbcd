"""What comes back from a channel, bounded in size and in time, and read to its end before anybody judges it."""

import time
from collections.abc import Iterator, Mapping

import httpx

MAX_BODY_BYTES = 32 * 1024 * 1024  # unpacked; a year of one listing's calendar is about 100 kB
CONNECT_S = 10.0
READ_S = 30.0  # silence between two reads
WHOLE_ANSWER_S = 120.0  # from sending to the last byte: a slow drip must not hold a run for ever

TIMEOUT = httpx.Timeout(READ_S, connect=CONNECT_S)

# The body that is handed on is unpacked, and of another length than was announced.
_OF_THE_PACKED_BODY = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class BodyTooLarge(httpx.RequestError):
    """An answer went on for more than MAX_BODY_BYTES."""


class BoundedTransport(httpx.BaseTransport):
    """Wraps the real transport: an answer of it is whole, within the bounds, and no longer needs the connection."""

    def __init__(self, inner: httpx.BaseTransport, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """``inner`` does the sending and is closed with this."""
        self._inner = inner
        self._max_body_bytes = max_body_bytes

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and read the answer to its end.

        Raises BodyTooLarge, httpx.ReadTimeout for an answer that takes too long, and what else httpx raises.
        """
        deadline = time.monotonic() + WHOLE_ANSWER_S
        request.extensions = {**request.extensions, "timeout": _timeout(request.extensions.get("timeout"))}
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - a sync transport's stream is sync
        response.stream = _BoundedStream(response.stream, self._max_body_bytes, deadline)
        try:
            body = b"".join(self._unpacked(response))
        finally:
            response.close()
        headers = [pair for pair in response.headers.raw if pair[0].lower() not in _OF_THE_PACKED_BODY]
        return httpx.Response(
            response.status_code, headers=headers, content=body, extensions=response.extensions
        )

    def _unpacked(self, response: httpx.Response) -> Iterator[bytes]:
        """A few bytes on the wire can be a very large body."""
        size = 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._max_body_bytes:
                raise BodyTooLarge(f"an answer of more than {self._max_body_bytes} bytes")
            yield chunk

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _BoundedStream(httpx.SyncByteStream):
    """Passes an answer's bytes on until there are too many or they take too long."""

    def __init__(self, inner: httpx.SyncByteStream, limit: int, deadline: float) -> None:
        self._inner = inner
        self._limit = limit
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for chunk in self._inner:
            size += len(chunk)
            if size > self._limit:
                raise BodyTooLarge(f"an answer of more than {self._limit} bytes")
            if time.monotonic() > self._deadline:
                raise httpx.ReadTimeout(f"an answer that took more than {WHOLE_ANSWER_S:.0f} s")
            yield chunk

    def close(self) -> None:
        self._inner.close()


def _timeout(given: Mapping[str, float | None] | None) -> dict[str, float | None]:
    """The request's own timeouts, and ours where it has none: no call waits for ever."""
    return {name: (given or {}).get(name) or ours for name, ours in TIMEOUT.as_dict().items()}
