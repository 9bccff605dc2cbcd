"""What stands between every adapter and the wire: bounded time, bounded bodies, counted requests.

An adapter is handed a client built here and cannot get past it.
"""

import ssl
import threading
import time
from collections.abc import Iterator
from functools import cache

import httpx

MAX_BODY_BYTES = 32 * 1024 * 1024  # a year of one listing's calendar is about 100 kB
CONNECT_S = 10.0
READ_S = 30.0  # silence between two reads
WHOLE_ANSWER_S = 120.0  # from sending to the last byte: a slow drip must not hold a run for ever


class BodyTooLarge(httpx.RequestError):
    """An answer went on for more than MAX_BODY_BYTES."""


class GuardedTransport(httpx.BaseTransport):
    """Wraps the real transport: bounds every answer in size and time and counts requests per thread."""

    def __init__(self, inner: httpx.BaseTransport, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        """``inner`` does the sending and is closed with this."""
        self._inner = inner
        self._max_body_bytes = max_body_bytes
        self._counts = threading.local()

    def requests_of_this_thread(self) -> int:
        """How many requests the calling thread has sent through this transport so far."""
        return getattr(self._counts, "sent", 0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and bound what comes back."""
        self._counts.sent = self.requests_of_this_thread() + 1
        deadline = time.monotonic() + WHOLE_ANSWER_S
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101 - a sync transport's stream is sync
        response.stream = _BoundedStream(response.stream, self._max_body_bytes, deadline)
        return response

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


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted, read once a process: reading them costs more than a small pull."""
    return httpx.create_ssl_context()


class GuardedClient(httpx.Client):
    """An httpx client whose every answer is bounded. Redirects are followed only where a channel asks for it."""

    def __init__(self, *, connections: int = 8) -> None:
        """``connections`` bounds what is open to the channel at one time."""
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._guard = GuardedTransport(httpx.HTTPTransport(verify=_trusted(), limits=limits))
        super().__init__(
            transport=self._guard,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    def requests_of_this_thread(self) -> int:
        """How many requests the calling thread has sent."""
        return self._guard.requests_of_this_thread()
