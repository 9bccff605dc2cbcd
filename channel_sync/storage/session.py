"""A connection for small statements that must not wait for anybody's transaction.

Limiter, breaker and counters each change a row that every process shares. On the caller's own connection the row
would stay locked until the caller's transaction ends.
"""

from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from types import TracebackType
from typing import Any, Self

import psycopg

from channel_sync.storage.database import Database
from channel_sync.storage.queries import query

# A machine that vanished is found out within half a minute: its statements end and its session's locks are released.
NOTICE_LOSS = {
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}

# A crash of the server may forget the last half second of statements (never corrupt them), which costs at most that
# half second's permits; waiting for the disk each time would cost three quarters of the pace.
_SETTINGS = {"synchronous_commit": "off", "statement_timeout": "10s", **NOTICE_LOSS}


class Session:
    """One autocommit connection, opened when it is first needed and again when it was lost.

    Shared by the threads of a process, one statement at a time. Not to be carried into a forked process.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = Lock()
        self._connection: psycopg.Connection | None = None

    def rows(self, name: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a named statement, committed. Only for statements that may be executed twice.

        A lost connection is replaced and the statement repeated once. Raises psycopg.OperationalError when the
        server cannot be reached.
        """
        with self._lock:
            if self._connection is not None:
                try:
                    return self._connection.execute(query(name), parameters).fetchall()
                except psycopg.OperationalError:
                    if not self._connection.broken:  # a timeout, not a loss
                        raise
                    self._close()
            self._connection = self._database.open(autocommit=True, settings=_SETTINGS)
            return self._connection.execute(query(name), parameters).fetchall()

    def close(self) -> None:
        """Close the connection; the next statement opens another."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
