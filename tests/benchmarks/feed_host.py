"""A host that serves one recorded feed over real HTTP, in the dialect of the channel that produced it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.benchmarks.feed_truth import State


class Feed:
    """A host that serves one feed over HTTP on a free port: the state it is set to, stamped with the poll's time."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.at = state.at
        feed = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = rendered(feed.state, feed.at)
                self.send_response(200)
                self.send_header("Content-Type", "text/calendar; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name is the base class's
                del format

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/calendar.ics?t=recorded"

    @contextmanager
    def running(self) -> Iterator["Feed"]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def rendered(state: State, at: datetime) -> bytes:
    """The state as its producer writes it: Airbnb or Booking.com."""
    airbnb = any("airbnb" in (event.uid + event.summary).lower() for event in state.events)
    head = (
        ["PRODID:-//Airbnb Inc//Hosting Calendar 1.0//EN", "CALSCALE:GREGORIAN", "VERSION:2.0"]
        if airbnb
        else [
            "VERSION:2.0",
            r"PRODID:-//admin.booking.com\\\, b.v.//NONSGML v1.0//EN",
            "CALSCALE:GREGORIAN",
            "METHOD:PUBLISH",
        ]
    )
    lines = ["BEGIN:VCALENDAR", *head]
    for event in state.events:
        description = (event.description or "").replace("\n", r"\n")
        lines += [
            "BEGIN:VEVENT",
            f"DTSTAMP:{at:%Y%m%dT%H%M%SZ}",
            f"DTSTART;VALUE=DATE:{event.start:%Y%m%d}",
            f"DTEND;VALUE=DATE:{event.end:%Y%m%d}",
            f"SUMMARY:{event.summary}",
            f"UID:{event.uid}",
            *([f"DESCRIPTION:{description}"] if description else []),
            "END:VEVENT",
        ]
    return "".join(f"{folded}\r\n" for line in [*lines, "END:VCALENDAR"] for folded in _folded(line)).encode()


def _folded(line: str) -> Iterator[str]:
    """Lines of at most 75 characters (RFC 5545, 3.1), cut wherever they get too long, as real hosts do."""
    yield line[:75]
    yield from (f" {line[start : start + 74]}" for start in range(75, len(line), 74))
