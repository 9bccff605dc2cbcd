"""The receiving end: an HTTP server in a process of its own that notes when each call arrives.

The moment is the kernel's: it stamps a packet when it takes it in, so a server that waits for the processor does not
make an arrival look late. Where a packet carries no stamp, the time after it was read is taken, and counted as such.

Only the standard library is needed, and nothing of the project: the process starts in a tenth of a second.
"""

import argparse
import json
import selectors
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

CALLER_HEADER = "X-Caller"
COUNTED_PATH = "/call"  # any other is answered and not counted: it opens a connection

_SO_TIMESTAMPNS = 35  # Linux; Python's socket module does not name it
_TIMESPEC = struct.Struct("@ll")
_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_REFUSED = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {}\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrived, in order of time. Times are nanoseconds since 1970, of this machine's clock.

    ``unstamped`` is how many carried no kernel timestamp; ``refused_ns`` when the 429 had been sent, if one was.
    """

    times_ns: Sequence[int]
    callers: Sequence[int]
    unstamped: int
    refused_ns: int | None


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiving end."""

    url: str
    _process: "subprocess.Popen[str]" = field(repr=False)

    def finish(self) -> Arrivals:
        """End the process: what arrived at it."""
        output, _ = self._process.communicate(timeout=30)
        seen = json.loads(output)
        arrivals = sorted(seen["arrivals"])
        return Arrivals(
            [at for at, _ in arrivals], [who for _, who in arrivals], seen["unstamped"], seen["refused_ns"]
        )


@contextmanager
def receiver(*, refused_call: int = 0, retry_after_s: int = 0) -> Iterator[Receiver]:
    """A receiving end on a free port of this machine. The ``refused_call``-th call (from 1) is answered with a 429."""
    command = [sys.executable, "-I", __file__, str(refused_call), str(retry_after_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="ascii"
    ) as process:
        try:
            assert process.stdout is not None
            yield Receiver(f"http://127.0.0.1:{int(process.stdout.readline())}", process)
        finally:
            process.kill()


# What the times say --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Windows:
    """The sliding windows [t, t + window) that begin at an arrival: the fullest, and how many hold more than the limit."""

    fullest: int
    violations: int


def windows(times_ns: Sequence[int], limit: int, window_s: float) -> Windows:
    """Look at every window that begins at one of the ordered ``times_ns``.

    No window, wherever it begins, holds more than the fullest of these.
    """
    width, end, fullest, violations = round(window_s * 1e9), 0, 0, 0
    for start, begin in enumerate(times_ns):
        while end < len(times_ns) and times_ns[end] < begin + width:
            end += 1
        fullest = max(fullest, end - start)
        violations += end - start > limit
    return Windows(fullest, violations)


# The server, in its process ------------------------------------------------------------------------------------------


class _Server:
    """One thread, any number of kept connections."""

    def __init__(self, refused_call: int, retry_after_s: int) -> None:
        self._refused_call = refused_call
        self._refused = _REFUSED.format(retry_after_s).encode("ascii")
        self._selector = selectors.DefaultSelector()
        self._heads: dict[socket.socket, bytes] = {}
        self._arrivals: list[tuple[int, int]] = []
        self._unstamped = 0
        self._refused_ns: int | None = None

    def serve(self) -> None:
        """Print the port, answer until standard input ends, print what arrived."""
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            if sys.platform == "linux":  # accepted connections inherit it
                listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._selector.register(listener, selectors.EVENT_READ)
            self._selector.register(sys.stdin, selectors.EVENT_READ)
            print(listener.getsockname()[1], flush=True)
            while self._serve_ready(listener):
                pass
        seen = {"arrivals": self._arrivals, "unstamped": self._unstamped, "refused_ns": self._refused_ns}
        print(json.dumps(seen), flush=True)

    def _serve_ready(self, listener: socket.socket) -> bool:
        for key, _ in self._selector.select():
            if key.fileobj is sys.stdin:
                return False
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._heads[connection] = b""
                self._selector.register(connection, selectors.EVENT_READ)
            elif isinstance(key.fileobj, socket.socket):
                self._read(key.fileobj)
        return True

    def _read(self, connection: socket.socket) -> None:
        try:
            part, ancillary, _, _ = connection.recvmsg(65536, 256)
        except ConnectionError:
            part, ancillary = b"", []
        if not part:
            self._selector.unregister(connection)
            del self._heads[connection]
            connection.close()
            return
        read_ns = time.time_ns()
        head = self._heads[connection] + part
        self._heads[connection] = b"" if head.endswith(_HEAD_END) else head
        if head.endswith(_HEAD_END):
            answer = self._answer(head, _stamp_ns(ancillary), read_ns)
            connection.sendall(answer)
            if answer is self._refused:
                self._refused_ns = time.time_ns()

    def _answer(self, head: bytes, stamp_ns: int | None, read_ns: int) -> bytes:
        request, *lines = head.decode("ascii").split("\r\n")
        if request.split()[1] != COUNTED_PATH:
            return _OK
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self._arrivals.append((stamp_ns or read_ns, int(headers[CALLER_HEADER.lower()])))
        self._unstamped += stamp_ns is None
        return self._refused if len(self._arrivals) == self._refused_call else _OK


def _stamp_ns(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(content) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(content)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return None


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("refused_call", type=int)
    parser.add_argument("retry_after_s", type=int)
    given = parser.parse_args()
    _Server(given.refused_call, given.retry_after_s).serve()


if __name__ == "__main__":
    main()
