"""Somebody who is delivered to: answers as it is told, and remembers every request byte for byte."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from time import monotonic
from typing import Any

ACCOUNT = "/webhooks/airbnb/airbnb-demo"


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came; ``headers`` have lower-case names."""

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Listener:
    """``answer`` gives the status for a request, None for hanging up without one."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answer: Callable[[Heard], int | None] = lambda _: 204
    silent: Event = field(default_factory=Event)  # set: every request waits for its end

    def bodies(self) -> list[bytes]:
        """The bodies as they arrived."""
        return [heard.body for heard in self.heard]


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener on a free port, until the block ends."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard = Heard(monotonic(), self.command, self.path, headers, body)
            listener.heard.append(heard)
            while listener.silent.is_set():
                if not self.connection.recv(1):  # the other side hung up
                    return
            status = listener.answer(heard)
            if status is None:
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        listener.url = f"http://127.0.0.1:{server.server_address[1]}{ACCOUNT}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield listener
        finally:
            listener.silent.clear()
            server.shutdown()
            thread.join()
