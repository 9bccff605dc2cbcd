"""The gateway's connections: one a purpose, each used by one thread, opened when needed and again when lost."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import psycopg

from channel_sync.storage import webhooks
from channel_sync.storage.database import Database
from channel_sync.storage.webhooks import Arrival

Found = TypeVar("Found")

# What is acknowledged is on the disk, whatever the server's own default is.
_STORING = {"synchronous_commit": "on", "statement_timeout": "10s"}
_ASKING = {"default_transaction_read_only": "on", "statement_timeout": "1s"}
_READING = {"default_transaction_read_only": "on", "statement_timeout": "5s"}


class _Line:
    def __init__(self, database: Database, settings: dict[str, str]) -> None:
        self._database, self._settings = database, settings
        self._connection: psycopg.Connection | None = None

    def run(self, work: Callable[[psycopg.Connection], Found]) -> Found:
        """The result of ``work``, done again on a new connection where the one that was open is lost."""
        if self._connection is not None:
            try:
                return work(self._connection)
            except psycopg.OperationalError:
                if not self._connection.broken:  # a timeout, not a loss
                    raise
                self.close()
        self._connection = self._database.open(autocommit=True, settings=self._settings)
        return work(self._connection)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


class Tables:
    """What the gateway does with the database. All of it raises psycopg.Error, or ConfigurationError for an old server."""

    def __init__(self, database: Database) -> None:
        self._storing = _Line(database, _STORING)
        self._asking = _Line(database, _ASKING)
        self._reading = _Line(database, _READING)

    def store(self, arrivals: Sequence[Arrival]) -> None:
        """Commit events. After an error they may be committed all the same: to store them again only counts them."""
        self._storing.run(lambda connection: webhooks.store(connection, arrivals))

    def asking(self, work: Callable[[psycopg.Connection], Found]) -> Found:
        """What ``work`` finds within a second."""
        return self._asking.run(work)

    def reading(self, work: Callable[[psycopg.Connection], Found]) -> Found:
        """What ``work`` finds within seconds."""
        return self._reading.run(work)

    def close(self) -> None:
        """Close the connections. Nothing may be under way on them."""
        for line in (self._storing, self._asking, self._reading):
            line.close()
