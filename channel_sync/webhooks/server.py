"""The gateway on a socket: uvicorn, with bounds on what comes before a request is complete."""

import asyncio
import logging
import socket
from asyncio import TimerHandle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_HEAD_S = 10.0
_LONGEST_HEAD = 65_536
_CONNECTIONS = 4_000


class BoundedHeads(HttpToolsProtocol):
    """Hangs up on who sends the head of a request too slowly, never, or without end. uvicorn itself waits for ever."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._patience: TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Wait for the first head."""
        super().connection_made(transport)
        self._patience = self.loop.call_later(_HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Count what arrives for a head that is not complete yet."""
        begun = self._patience
        super().data_received(data)
        # Where another head has begun meanwhile, most of this may have been a body.
        self._head = self._head + len(data) if begun is not None and begun is self._patience else 0
        if self._head > _LONGEST_HEAD:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Wait for the head that begins."""
        super().on_message_begin()
        if self._patience is None:
            self._patience = self.loop.call_later(_HEAD_S, self.transport.abort)

    def on_headers_complete(self) -> None:
        """The head is there; the application bounds the body."""
        self._calm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._calm()
        super().connection_lost(exc)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 is any free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def address_of(listening: socket.socket) -> str:
    """Its URL."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: Any, host: str, port: int, say: Callable[[str], object]) -> None:
    """Serve an ASGI application until SIGTERM or SIGINT. Says its address first. Call from the main thread."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    with listen(host, port) as listening:
        say(f"webhooks at {address_of(listening)}")
        _server(app).run(sockets=[listening])


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an ASGI application in a thread, on a free port of this machine; its URL."""
    with listen("127.0.0.1", 0) as listening:
        server = _server(app)
        thread = Thread(target=server.run, args=([listening],), name="webhooks")
        thread.start()
        try:
            yield address_of(listening)
        finally:
            server.should_exit = True
            thread.join()


def _server(app: Any) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedHeads,
            ws="none",
            lifespan="auto",
            log_config=None,
            log_level="error",  # its warnings come once a bad request
            access_log=False,  # paths and sources are nobody's business
            proxy_headers=False,  # ``front`` believes whom it is told to believe
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=10,
        )
    )
