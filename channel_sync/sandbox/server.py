"""The simulated channels on a real socket.

Plain ``http.server``: faults need the socket itself, to drop a connection or to cut a body short.
"""

import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self

from channel_sync.sandbox.admin import Admin
from channel_sync.sandbox.airbnb import Airbnb
from channel_sync.sandbox.booking_com.channel import BookingCom
from channel_sync.sandbox.channex.channel import Channex
from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.exchange import Answer, Call, Request, json_answer
from channel_sync.sandbox.expedia.channel import Expedia
from channel_sync.sandbox.faults import Fault, Faults
from channel_sync.sandbox.feeds import Dialect, Feeds, feed_path
from channel_sync.sandbox.guests import bookings_at_random
from channel_sync.sandbox.simulated import SimulatedChannel
from channel_sync.sandbox.vrbo.channel import Vrbo
from channel_sync.sandbox.webhooks import Subscription, Webhooks
from channel_sync.sandbox.world import START, World

_CONDITIONS = ("if-none-match", "if-modified-since")
_VALIDATORS = ("ETag", "Last-Modified")
_BIGGEST_BODY = 1_000_000  # bytes of a request


class Sandbox:
    """Simulated channels at ``url`` + "/airbnb", "/ical" and so on, from the moment of entering to that of leaving.

    ``world`` is the truth behind Airbnb and the feeds; ``worlds`` has that of each channel, ``rooms`` in those of the
    others, where nothing happens but what is scripted unless they are ``lively``; ``clock`` its time, ``faults`` what
    goes wrong, ``calls`` the newest ``remembered`` requests, oldest first. ``webhooks`` tells who subscribes what
    happens. Port 0 takes a free one.
    """

    def __init__(
        self,
        seed: int = 1,
        listings: int = 6,
        *,
        rooms: int = 3,
        lively: bool = True,
        start: datetime = START,
        port: int = 0,
        host: str = "127.0.0.1",
        clock: Clock | None = None,
        world: World | None = None,
        remembered: int = 10_000,
    ) -> None:
        self.clock = clock or Clock()
        self.world = world or World(seed, listings, start)
        self.faults = Faults()
        self.calls: deque[Call] = deque(maxlen=remembered)
        self.airbnb = Airbnb(self.world, self.clock.now)
        self.feeds = Feeds(self.world, self.clock.now)
        # Each of the others has rooms of its own: no two simulated channels sell the same night to different guests.
        self.worlds: Mapping[str, World] = {
            "airbnb": self.world,
            "ical": self.world,
            **{
                name: World(seed * 100 + number, rooms, start, bookings=lively)
                for number, name in enumerate(("booking_com", "channex", "expedia", "vrbo"))
            },
        }
        now = self.clock.now
        self.booking_com = BookingCom(self.worlds["booking_com"], now)
        self.channex = Channex(self.worlds["channex"], now)
        self.expedia = Expedia(self.worlds["expedia"], now)
        self.vrbo = Vrbo(self.worlds["vrbo"], now)
        self.channels: Mapping[str, SimulatedChannel] = {
            "airbnb": self.airbnb,
            "booking_com": self.booking_com,
            "channex": self.channex,
            "expedia": self.expedia,
            "ical": self.feeds,
            "vrbo": self.vrbo,
        }
        self.webhooks = Webhooks(self.world, self.clock.now)
        self._admin = Admin(self.worlds, self.channels, self.clock, self.faults, self.calls, self.webhooks)
        self._address = (host, port)
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self._closing = Event()

    @property
    def url(self) -> str:
        """Where the sandbox listens: "http://127.0.0.1:PORT". Raises RuntimeError while it does not."""
        if self._server is None:
            raise RuntimeError("the sandbox does not run: enter it with 'with'")
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def feed_url(self, dialect: Dialect, listing_id: str) -> str:
        """The secret URL of a listing's feed."""
        return f"{self.url}/ical{feed_path(dialect, listing_id)}"

    def bookings_at_random(self, count: int, seed: int = 1, happenings: int | None = None) -> tuple[str, ...]:
        """Guests make ``count`` bookings just before now, alter some and cancel some: see ``guests``."""
        return bookings_at_random(self.world, count, seed, self.clock.now(), happenings)

    def __enter__(self) -> Self:
        self._closing.clear()
        self._server = _Server(self._address, self)
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing.set()
        self.webhooks.close()
        server, self._server = self._server, None
        if server is not None and self._thread is not None:
            server.shutdown()
            server.hang_up()
            server.server_close()
            self._thread.join()

    def respond(self, request: Request) -> tuple[Answer | None, Fault | None]:
        """The answer to a request, None for none at all, and the fault it met. Waits out a latency."""
        if request.path.startswith("/_sandbox/"):
            return self._admin.answer(request), None
        name, _, rest = request.path.removeprefix("/").partition("/")
        channel = self.channels.get(name)
        fault = self.faults.take(request.method, request.path)
        if fault is not None and fault.kind == "latency":
            self._closing.wait(fault.seconds)
        if fault is not None and fault.kind == "drop" and fault.after == "request":
            return None, fault
        if channel is None:
            known = ", ".join(self.channels)
            return json_answer(404, {"error": f"no simulated channel {name!r}: there are {known}"}), fault
        asked = replace(request, path=f"/{rest}")
        if fault is None or fault.kind == "latency":
            return channel.answer(asked), fault
        # What goes wrong is a whole answer, and the channel's validators do not speak of it.
        headers = {key: value for key, value in request.headers.items() if key not in _CONDITIONS}
        whole = replace(asked, headers=headers)
        answer = fault.applied(lambda: channel.answer(whole), channel.error)
        kept = tuple(header for header in answer.headers if header[0] not in _VALIDATORS)
        return replace(answer, headers=kept), fault

    def record(self, request: Request) -> Call:
        """Remember a call to a simulated channel as it arrives."""
        call = Call(
            at=self.clock.now(),
            arrived=monotonic(),
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.body,
        )
        if not request.path.startswith("/_sandbox/"):
            self.calls.append(call)
        return call


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined on closing: no thread outlives its sandbox
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Know the connection before its thread runs, so that none is missed on hanging up."""
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep alive: their threads read the end and return."""
        with self._lock:
            for connection in self._open:
                _shut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless it is only that a client hung up."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing: paths hold tokens, and ``calls`` remembers all of them."""

    def _serve(self) -> None:
        sandbox = self.server.sandbox
        path, _, query = self.path.partition("?")
        told = self.headers.get("Content-Length", "0")
        length = int(told) if told.isascii() and told.isdecimal() else _BIGGEST_BODY
        if length >= _BIGGEST_BODY:
            self.send_error(413)
            self.close_connection = True
            return
        request = Request(
            self.command,
            path,
            query,
            {name.lower(): value for name, value in self.headers.items()},
            self.rfile.read(length) if length else b"",
        )
        call = sandbox.record(request)
        answer, fault = sandbox.respond(request)
        if answer is None:
            self._hang_up()
            return
        call.status = answer.status
        body = b"" if self.command == "HEAD" else answer.body
        if fault is None or fault.kind not in ("drop", "truncate"):
            self.connection.sendall(answer.head() + body)
            return
        self.connection.sendall(answer.head() + body[: fault.bytes if fault.kind == "truncate" else 0])
        self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        _shut(self.connection)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server finds them by these names


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    seed: int = 1,
    listings: int = 6,
    *,
    say: Callable[[str], object],
    webhooks: Sequence[str] = (),
) -> None:
    """Run the sandbox until SIGTERM or SIGINT. Says its address first. Call from the main thread.

    ``webhooks`` are the URLs that the simulated Airbnb delivers to. Raises ValueError for one that is none.
    """
    subscriptions = [Subscription(url) for url in webhooks]
    stop = Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with Sandbox(seed=seed, listings=listings, port=port, host=host) as sandbox:
        for subscription in subscriptions:
            sandbox.webhooks.subscribe(subscription)
        say(f"sandbox at {sandbox.url}")
        stop.wait()
