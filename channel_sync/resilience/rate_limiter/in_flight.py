"""At most one call in flight per key, over all processes of one database.

A key is held by an advisory lock of a database session. The server lets it go at once when the holder's process dies,
and within 30 s when its machine vanishes without a word. A holder whose session is lost while it calls, because the
server restarted, cannot know it: its call goes on, and another may begin.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from threading import Lock
from types import TracebackType
from typing import Protocol, Self

import psycopg

from adapters.errors import Unavailable
from channel_sync.resilience.rate_limiter.limits import RateLimitTimeout
from channel_sync.storage.database import Database
from channel_sync.storage.queries import query
from channel_sync.storage.session import NOTICE_LOSS

ASK_AGAIN_S = 1.0  # nobody knows how long the holder's call will take
_MOST_IDLE = 4


class InFlight(Protocol):
    """Keys that are held for the length of one call. Safe to use from several threads; holds are not re-entrant."""

    def hold(self, key: str, *, timeout_s: float) -> AbstractContextManager[None]:
        """Hold the key while the block runs, whatever ends it.

        Raises RateLimitTimeout, without running it, when the holder is not done within ``timeout_s``; Unavailable
        when the shared store cannot be reached.
        """


class InMemoryInFlight:
    """InFlight for the threads of one process."""

    def __init__(self) -> None:
        self._guard = Lock()
        self._held: dict[str, Lock] = {}

    @contextmanager
    def hold(self, key: str, *, timeout_s: float) -> Iterator[None]:
        """As InFlight says."""
        with self._guard:
            lock = self._held.setdefault(key, Lock())
        if not lock.acquire(timeout=max(0.0, timeout_s)):
            raise _still_held(key, timeout_s)
        try:
            yield
        finally:
            lock.release()


class PostgresInFlight:
    """InFlight whose keys are advisory locks.

    Such a lock may be taken twice by the session that has it, so each hold has a connection of its own; a few are kept
    open for the next. After ``close`` none is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._guard = Lock()
        self._idle: list[psycopg.Connection] = []
        self._most_idle = _MOST_IDLE

    @contextmanager
    def hold(self, key: str, *, timeout_s: float) -> Iterator[None]:
        """As InFlight says."""
        connection = self._locked(key, timeout_s)
        try:
            yield
        finally:
            self._unlock(connection, key)

    def close(self) -> None:
        """Close the idle connections now, and those in use when their calls end."""
        with self._guard:
            self._most_idle = 0
            idle, self._idle = self._idle, []
        for connection in idle:
            _drop(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _locked(self, key: str, timeout_s: float) -> psycopg.Connection:
        """A connection that has the lock."""
        try:
            while connection := self._kept():
                with suppress(psycopg.OperationalError):  # lost while it lay idle: the next, or a new one
                    return self._lock(connection, key, timeout_s)
            return self._lock(self._opened(), key, timeout_s)
        except psycopg.OperationalError:
            raise Unavailable(
                "calls one at a time cannot be kept apart: the database cannot be reached"
            ) from None

    def _lock(self, connection: psycopg.Connection, key: str, timeout_s: float) -> psycopg.Connection:
        try:
            locked = connection.execute(query("try_in_flight"), {"key": key}).fetchone() == (True,)
            if not locked and timeout_s > 0:
                milliseconds = max(1, round(timeout_s * 1000))  # 0 would mean for ever
                connection.execute(query("in_flight_patience"), {"lock_timeout": f"{milliseconds}ms"})
                with suppress(psycopg.errors.LockNotAvailable):
                    connection.execute(query("wait_in_flight"), {"key": key})
                    locked = True
        except BaseException:  # also an interrupt: whether it has the lock nobody knows
            _drop(connection)
            raise
        if locked:
            return connection
        self._keep(connection)
        raise _still_held(key, timeout_s)

    def _unlock(self, connection: psycopg.Connection, key: str) -> None:
        try:
            connection.execute(query("release_in_flight"), {"key": key})
        except psycopg.OperationalError:
            _drop(connection)  # lost, and the lock with it
        except BaseException:
            _drop(connection)
            raise
        else:
            self._keep(connection)

    def _opened(self) -> psycopg.Connection:
        return self._database.open(autocommit=True, settings=NOTICE_LOSS)

    def _kept(self) -> psycopg.Connection | None:
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _keep(self, connection: psycopg.Connection) -> None:
        with self._guard:
            if len(self._idle) < self._most_idle:
                self._idle.append(connection)
                return
        _drop(connection)


def _drop(connection: psycopg.Connection) -> None:
    with suppress(psycopg.Error):
        connection.close()


def _still_held(key: str, timeout_s: float) -> RateLimitTimeout:
    return RateLimitTimeout(
        f"{key}: the call in flight was not done within {timeout_s:.1f} s", retry_after=ASK_AGAIN_S
    )
