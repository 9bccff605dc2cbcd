"""OAuth tokens in Postgres: one row per account, renewed by one process at a time.

A refresh token that the channel rotates is worth one use: a second process that spends it again is logged out, and
with it the whole account. So the fetch runs under the row's lock, and whoever waited for it uses what it brought.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from adapters.accounts import Token
from adapters.errors import Unavailable
from adapters.model import Secret
from channel_sync.storage.database import Database
from channel_sync.storage.queries import query

_Row = tuple[str | None, str | None, datetime | None]


@dataclass(frozen=True, slots=True)
class PostgresTokenStore:
    """The TokenStore that every process sharing the database shares. ``patience`` bounds the wait for another's fetch."""

    database: Database
    patience: timedelta = timedelta(seconds=60)

    def load(self, account: str) -> Token | None:
        """The newest token of this account, or None before the first."""
        with self.database.connect() as connection:
            return _token(connection.execute(query("load_token"), {"account": account}).fetchone())

    def renew(self, account: str, stale: Token | None, fetch: Callable[[Token | None], Token]) -> Token:
        """Replace ``stale`` and return what replaced it; see TokenStore.

        ``fetch`` is called with the stored token if that is still the stale one, and not at all otherwise. What it
        raises is raised here and stores nothing. Raises Unavailable when another process holds the account's lock
        for longer than ``patience``; a process that dies holding it lets go of it at once.
        """
        fetched: Token | None = None
        try:
            with self.database.connect(autocommit=True) as connection:
                connection.execute(query("open_token"), {"account": account})
                with connection.transaction():
                    stored = self._lock(connection, account)
                    if stored is not None and (stale is None or stored.access != stale.access):
                        return stored
                    fetched = fetch(stored)
                    _store(connection, account, fetched)
        except psycopg.OperationalError:
            if fetched is None:
                raise
            # The connection was lost meanwhile. The old refresh token is spent: the new one must not get lost as well.
            with self.database.connect() as connection:
                _store(connection, account, fetched)
        return fetched

    def _lock(self, connection: psycopg.Connection, account: str) -> Token | None:
        patience_ms = str(max(1, round(self.patience.total_seconds() * 1000)))  # 0 would mean for ever
        connection.execute("SELECT set_config('lock_timeout', %s, true)", [patience_ms])
        try:
            return _token(connection.execute(query("lock_token"), {"account": account}).fetchone())
        except psycopg.errors.LockNotAvailable:
            raise Unavailable(
                f"account {account!r}: another process has been renewing its token for {self.patience}"
            ) from None


def _store(connection: psycopg.Connection, account: str, token: Token) -> None:
    values = {
        "account": account,
        "access": token.access.reveal(),
        "refresh": token.refresh.reveal() if token.refresh else None,
        "expires_at": token.expires_at,
    }
    connection.execute(query("store_token"), values)


def _token(row: _Row | None) -> Token | None:
    access, refresh, expires_at = row or (None, None, None)
    if access is None or expires_at is None:
        return None
    return Token(Secret(access), expires_at, Secret(refresh) if refresh is not None else None)
