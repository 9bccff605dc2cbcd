"""Carries deliveries to where they are wanted: a small pool of threads that tries again until it is answered 2xx."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import count
from socket import SHUT_RDWR
from threading import Condition, Thread
from time import monotonic
from typing import Literal
from urllib.parse import urlsplit

from channel_sync.sandbox.news import Notice

State = Literal["pending", "answered", "lost", "given_up"]
Headers = Callable[["Delivery", bool], Mapping[str, str]]  # of a sending now; True: with a wrong signature

_ANSWER_S = 10.0  # how long an answer is waited for


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a delivery is tried: the wait doubles from the first to the longest. Seconds."""

    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0
    sendings: int = 14

    def wait_s(self, sent: int) -> float:
        """How long to wait after so many sendings."""
        return float(min(self.longest_wait_s, self.first_wait_s * 2 ** min(sent - 1, 30)))


@dataclass(slots=True)
class Delivery:
    """One notice on its way to one URL. ``statuses`` are the answers to its sendings, None where there was none.

    ``copies`` are those to what was sent twice by mistake. ``made_at`` and ``answered_at`` are seconds of the monotonic
    clock.
    """

    number: int
    url: str
    host_with_port: bool
    notice: Notice
    made_at: float
    state: State = "pending"
    statuses: list[int | None] = field(default_factory=list)
    copies: list[int | None] = field(default_factory=list)
    answered_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Errand:
    """One sending. A copy is sent once, whatever comes of it."""

    delivery: Delivery
    forged: bool = False
    is_copy: bool = False


class Courier:
    """Sends from the first ``send`` on until ``close``. Safe to use from several threads."""

    def __init__(self, headers: Headers, patience: Patience, senders: int) -> None:
        self._headers = headers
        self._patience = patience
        self._turn = Condition()
        self._due: list[tuple[float, int, _Errand]] = []
        self._numbers = count()
        self._under_way = 0
        self._open: set[HTTPConnection] = set()
        self._closing = False
        self._threads = [Thread(target=self._work, name=f"courier {n}", daemon=True) for n in range(senders)]
        for thread in self._threads:
            thread.start()

    def send(
        self, delivery: Delivery, after_s: float = 0.0, *, forged: bool = False, is_copy: bool = False
    ) -> None:
        """Send it; ``forged``: at first with a wrong signature; ``is_copy``: once more, by mistake."""
        with self._turn:
            self._add(_Errand(delivery, forged, is_copy), after_s)

    def is_idle(self) -> bool:
        """Whether nothing is left to be sent, or sent again."""
        with self._turn:
            return not self._due and not self._under_way

    def close(self) -> None:
        """Send nothing more, and wait for no answer."""
        with self._turn:
            self._closing = True
            self._due.clear()
            for connection in self._open:
                _hang_up(connection)
            self._turn.notify_all()
        for thread in self._threads:
            thread.join()

    def _add(self, errand: _Errand, after_s: float) -> None:
        heappush(self._due, (monotonic() + after_s, next(self._numbers), errand))
        self._turn.notify()

    def _work(self) -> None:
        while (errand := self._next()) is not None:
            status = self._post(errand)
            with self._turn:
                self._under_way -= 1
                self._settle(errand, status)

    def _next(self) -> _Errand | None:
        """The next errand when it is due; None at the end."""
        with self._turn:
            while not self._closing:
                wait_s = self._due[0][0] - monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    self._under_way += 1
                    return heappop(self._due)[2]
                self._turn.wait(wait_s)
            return None

    def _settle(self, errand: _Errand, status: int | None) -> None:
        delivery = errand.delivery
        if errand.is_copy:
            delivery.copies.append(status)
            return
        delivery.statuses.append(status)
        if status is not None and 200 <= status < 300:
            delivery.state, delivery.answered_at = "answered", monotonic()
        elif len(delivery.statuses) >= self._patience.sendings:
            delivery.state = "given_up"
        elif not self._closing:
            self._add(_Errand(delivery), self._patience.wait_s(len(delivery.statuses)))

    def _post(self, errand: _Errand) -> int | None:
        """The status of the answer; None where there was none."""
        delivery = errand.delivery
        parts = urlsplit(delivery.url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_ANSWER_S)
        headers = {**self._headers(delivery, errand.forged), "User-Agent": "Airbnb (simulated)"}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection.connect()
            with self._turn:
                if self._closing:
                    return None
                self._open.add(connection)
            connection.request("POST", target, delivery.notice.body, dict(headers))
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            return None
        else:
            return answer.status
        finally:
            with self._turn:
                self._open.discard(connection)
            connection.close()


def _hang_up(connection: HTTPConnection) -> None:
    try:
        if connection.sock is not None:
            connection.sock.shutdown(SHUT_RDWR)
    except OSError:
        return  # the other side was faster
