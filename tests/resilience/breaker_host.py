"""A host that can be dead in several ways and remembers who called, for tests of the circuit breaker."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from types import TracebackType
from typing import Self

PATIENCE_S = 30.0  # how long anything is waited for before the test fails


@dataclass(frozen=True, slots=True)
class Arrival:
    """One call: under which admission it was sent, when that was asked for and when it arrived, by the real clock.

    ``arrived_at`` is 0 for a call that is known only from its sender.
    """

    pid: int
    epoch: int
    probe: bool
    asked_at: float
    arrived_at: float = 0.0


class Host:
    """A real HTTP server of this process. ``respond`` gives the status of a call, and may take its time."""

    def __init__(self, respond: Callable[[Arrival], int]) -> None:
        self.respond = respond
        self.arrivals: list[Arrival] = []
        self._changed = Condition()
        self._server = _Server(("127.0.0.1", 0), self._handler(), bind_and_activate=False)
        self._server.server_bind()  # from here on the port is ours and refuses connections
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        """Where it is."""
        return self._server.server_port

    def listen(self) -> None:
        """Take connections."""
        self._server.server_activate()
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def wait_for(self, what: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
        """Wait until something is so; looked at after every arrival and every 20 ms. Whether it came to be."""
        deadline = time.monotonic() + patience_s
        with self._changed:
            while not what():
                if time.monotonic() > deadline:
                    return False
                self._changed.wait(0.02)
        return True

    def probes(self, epoch: int) -> int:
        """How many probes of an epoch arrived."""
        return sum(arrival.probe and arrival.epoch == epoch for arrival in list(self.arrivals))

    def _arrived(self, arrival: Arrival) -> None:
        with self._changed:
            self.arrivals.append(arrival)
            self._changed.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pid, epoch, probe, asked_at = self.headers["X-Admission"].split()
                arrival = Arrival(int(pid), int(epoch), probe == "1", float(asked_at), time.time())
                host._arrived(arrival)
                with suppress(ConnectionError):  # the caller was killed
                    self.send_response(host.respond(arrival))
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
                """Say nothing."""

        return Handler

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
