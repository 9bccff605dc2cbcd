"""Queues of channels, asked by the worker at each channel's own cadence: what waits there is stored and acknowledged.

A quiet queue leaves no trace. Without a worker the schedules ask often enough for every deadline.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta

import psycopg
from dagster import DagsterInstance

from adapters.base_adapter import Capability
from adapters.errors import ConfigurationError
from channel_sync.defs.polling import report_poll
from channel_sync.defs.pools import paused
from channel_sync.storage import portfolio
from channel_sync.sync.engine import Engine
from channel_sync.sync.poll import Polled, poll
from channel_sync.sync.pull import where

AT_ONCE = 16  # accounts: one that answers slowly holds back no other
_LOOK_EVERY_S = 1.0
_LONGEST_PAUSE_S = 900.0


class Polls:
    """Accounts polled beside each other on ``threads``. ``say`` is told what a person may want to know."""

    def __init__(
        self,
        engine: Engine,
        instance: DagsterInstance,
        threads: ThreadPoolExecutor,
        say: Callable[[str], None],
    ) -> None:
        self._engine, self._instance, self._threads, self._say = engine, instance, threads, say
        self._running: dict[str, Future[Polled]] = {}
        self._rest_until: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._look_at = 0.0

    def attend(self, connection: psycopg.Connection) -> None:
        """Begin the polls that are due; those of disabled and paused accounts never are."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_EVERY_S
        every = self._cadences(connection)
        self._take_ended(every)
        due = [code for code in every if code not in self._running and now >= self._rest_until.get(code, 0.0)]
        for code in sorted({*due} - paused(self._instance, due)):
            self._rest_until[code] = now + every[code]
            self._running[code] = self._threads.submit(self._poll, code)

    def _cadences(self, connection: psycopg.Connection) -> dict[str, float]:
        """Seconds between two polls, by the code of each enabled account whose channel wants to be asked."""
        found = {}
        for account in portfolio.accounts(connection):
            declaration = self._engine.declarations.get(account.channel)
            if declaration is None or Capability.PULL_BOOKINGS not in declaration.capabilities:
                continue
            if declaration.poll_every is not None:
                found[account.code] = declaration.poll_every / timedelta(seconds=1)
        return found

    def _poll(self, account: str) -> Polled:
        polled = poll(self._engine, account)
        report_poll(self._instance, self._engine, account, polled)
        return polled

    def _take_ended(self, every: dict[str, float]) -> None:
        """Forget polls that have ended; an account whose poll failed rests, the longer the oftener it failed."""
        for account, running in [*self._running.items()]:
            if not running.done():
                continue
            del self._running[account]
            defect = running.exception()
            polled = None if defect is not None else running.result()
            error = _words(defect) if defect is not None else polled and polled.error
            if error is None:
                self._failures.pop(account, None)
                continue
            failures = self._failures[account] = self._failures.get(account, 0) + 1
            asked_s = (polled.put_off_s if polled else None) or 0.0
            doubled_s = every.get(account, _LONGEST_PAUSE_S) * 2.0 ** min(failures, 10)
            pause_s = max(min(doubled_s, _LONGEST_PAUSE_S), asked_s)
            self._rest_until[account] = time.monotonic() + pause_s
            self._say(f"{account}: the poll failed: {error}: again in {pause_s:.0f} s")


def _words(defect: BaseException) -> str:
    """What a person can do something about is said in full; of anything else, only what it was and where."""
    if isinstance(defect, ConfigurationError):
        return str(defect)
    return where(defect) if isinstance(defect, Exception) else type(defect).__name__
