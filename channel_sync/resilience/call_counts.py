"""Counts every call to a channel and how it ended.

A call only adds to a sum in memory. The sums are written by a background thread a few seconds after the first of
them, and when a channel is closed; a process that is killed between loses these few seconds of counts and nothing else.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from threading import Lock, Timer

import psycopg

from adapters.errors import ConfigurationError
from channel_sync.storage.calls import CallCount

FLUSH_S = 5.0
MOST_KEPT = 10_000  # sums that wait for the database: more than two hours of a dozen kinds of calls

_SLOT_S = 5.0  # calls of so long a time are one sum
_log = logging.getLogger(__name__)

_Key = tuple[str, str, str, int]


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    waited_s: float = 0.0
    longest_wait_s: float = 0.0
    took_s: float = 0.0
    longest_s: float = 0.0

    def add(self, other: "_Sum") -> None:
        self.calls += other.calls
        self.waited_s += other.waited_s
        self.longest_wait_s = max(self.longest_wait_s, other.longest_wait_s)
        self.took_s += other.took_s
        self.longest_s = max(self.longest_s, other.longest_s)


class CallCounts:
    """Shared by all threads and channels of a process.

    ``write`` adds counts to the tables; where it raises psycopg.Error they are kept and written with the next.
    """

    def __init__(
        self,
        write: Callable[[Sequence[CallCount]], None],
        *,
        flush_s: float = FLUSH_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._flush_s = flush_s
        self._monotonic = monotonic
        self._lock = Lock()
        self._writing = Lock()
        self._sums: dict[_Key, _Sum] = {}
        self._timer: Timer | None = None
        self._warned = False

    def count(self, account: str, endpoint: str, outcome: str, *, waited_s: float, took_s: float) -> None:
        """Add one call that just ended. Never raises and never waits for the database."""
        key = (account, endpoint, outcome, int(self._monotonic() // _SLOT_S))
        with self._lock:
            self._add(key, _Sum(1, waited_s, waited_s, took_s, took_s))
            if self._timer is None:
                self._timer = Timer(self._flush_s, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write what was counted. When it returns, everything counted before is written, or kept for the next time."""
        with self._writing:
            with self._lock:
                taken, self._sums = self._sums, {}
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if not taken:
                return
            now = self._monotonic()
            counts = [
                CallCount(*key[:3], max(0.0, now - (key[3] + 1) * _SLOT_S), *astuple(sums))
                for key, sums in taken.items()
            ]
            try:
                self._write(counts)
                self._warned = False
            except (psycopg.Error, ConfigurationError) as error:
                self._keep(taken, error)

    def _keep(self, taken: dict[_Key, _Sum], error: Exception) -> None:
        with self._lock:
            for key, sums in taken.items():
                self._add(key, sums)
        if not self._warned:
            self._warned = True
            _log.warning(
                "calls to channels are not being counted in the tables (%s): kept for the next time",
                type(error).__name__,
            )

    def _add(self, key: _Key, sums: _Sum) -> None:
        """To be called under the lock. Beyond MOST_KEPT new kinds and times of calls are no longer counted."""
        known = self._sums.get(key)
        if known is not None:
            known.add(sums)
        elif len(self._sums) < MOST_KEPT:
            self._sums[key] = sums
