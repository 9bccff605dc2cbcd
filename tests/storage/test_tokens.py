"""Tokens shared by processes."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import psycopg
import pytest

from adapters.accounts import Token
from adapters.errors import AuthenticationFailed, Unavailable
from adapters.model import Secret
from channel_sync.storage.database import Database
from channel_sync.storage.tokens import PostgresTokenStore

_UNTIL = datetime(2026, 11, 23, 12, tzinfo=UTC)
_SPAWN = multiprocessing.get_context("spawn")  # a forked child would share the test's own connections


def _token(access: str, refresh: str | None = None) -> Token:
    return Token(Secret(access), _UNTIL, Secret(refresh) if refresh else None)


def _fetches(token: Token) -> tuple[list[Token | None], Callable[[Token | None], Token]]:
    calls: list[Token | None] = []

    def fetch(stored: Token | None) -> Token:
        calls.append(stored)
        return token

    return calls, fetch


def test_the_first_token_is_fetched_and_kept(database: Database) -> None:
    """Before the first there is none; the first is fetched with nothing in hand and then loaded by everybody."""
    store = PostgresTokenStore(database)
    assert store.load("a") is None
    calls, fetch = _fetches(_token("one", "refresh-1"))
    assert store.renew("a", None, fetch) == _token("one", "refresh-1")
    assert calls == [None]
    assert PostgresTokenStore(database).load("a") == _token("one", "refresh-1")
    assert store.load("b") is None


def test_a_stale_token_is_replaced_once(database: Database) -> None:
    """The holder of the stored token fetches; the holder of an older one, or of none, is given what is stored."""
    store = PostgresTokenStore(database)
    store.renew("a", None, lambda _: _token("one", "refresh-1"))
    calls, fetch = _fetches(_token("two", "refresh-2"))
    assert store.renew("a", _token("one"), fetch) == _token("two", "refresh-2")
    assert store.renew("a", _token("one"), fetch) == _token("two", "refresh-2")
    assert store.renew("a", None, fetch) == _token("two", "refresh-2")
    assert calls == [_token("one", "refresh-1")]


def test_a_refresh_token_that_is_not_rotated_stays(database: Database) -> None:
    """Where the channel sends no new refresh token the old one is handed to the next fetch."""
    store = PostgresTokenStore(database)
    store.renew("a", None, lambda _: _token("one", "refresh-1"))
    store.renew("a", _token("one"), lambda _: _token("two"))
    assert store.load("a") == _token("two", "refresh-1")


def test_a_failing_fetch_stores_nothing(database: Database) -> None:
    """The error is raised as it is, the stored token stays, and the next holder may try at once."""
    store = PostgresTokenStore(database)
    store.renew("a", None, lambda _: _token("one"))

    def fails(_: Token | None) -> Token:
        raise AuthenticationFailed("the grant was revoked")

    with pytest.raises(AuthenticationFailed, match="revoked"):
        store.renew("a", _token("one"), fails)
    assert store.load("a") == _token("one")
    assert store.renew("a", _token("one"), lambda _: _token("two")) == _token("two")


def test_a_token_survives_the_loss_of_the_connection(database: Database) -> None:
    """A token fetched while the database dropped the connection is stored all the same: the old grant is spent."""
    store = PostgresTokenStore(database)

    def fetch(_: Token | None) -> Token:
        with database.connect(autocommit=True) as other:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            other.execute(f"{others} WHERE datname = current_database() AND pid <> pg_backend_pid()")
        return _token("one", "refresh-1")

    assert store.renew("a", None, fetch) == _token("one", "refresh-1")
    assert store.load("a") == _token("one", "refresh-1")


def test_waiting_is_bounded(database: Database) -> None:
    """Whoever waits longer than its patience for another's fetch is told to come back later; other accounts do not wait."""
    store = PostgresTokenStore(database, patience=timedelta(milliseconds=50))
    store.renew("a", None, lambda _: _token("one"))
    with database.connect() as holder:
        holder.execute("SELECT FROM channel_token WHERE account = 'a' FOR UPDATE")
        with pytest.raises(Unavailable, match="account 'a'"):
            store.renew("a", _token("one"), lambda _: _token("two"))
        assert store.renew("b", None, lambda _: _token("three")) == _token("three")
    assert store.load("a") == _token("one")


def test_no_secret_is_shown(database: Database) -> None:
    """Tokens are in no repr of the store or of a token."""
    store = PostgresTokenStore(database)
    token = store.renew("a", None, lambda _: _token("one-secret", "two-secret"))
    assert "secret" not in repr(token) + repr(store)


def _renew_at_once(url: str, barrier: Barrier, counter: Path) -> None:
    def fetch(_: Token | None) -> Token:
        with counter.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        time.sleep(0.1)
        return _token("two")

    barrier.wait()
    renewed = PostgresTokenStore(Database(url)).renew("a", _token("one"), fetch)
    assert renewed.access == Secret("two")


def test_eight_processes_fetch_once(database: Database, tmp_path: Path) -> None:
    """Eight processes that hold the same stale token end with the same new one after one fetch."""
    PostgresTokenStore(database).renew("a", None, lambda _: _token("one"))
    counter = tmp_path / "fetches"
    barrier = _SPAWN.Barrier(8)
    processes = [
        _SPAWN.Process(target=_renew_at_once, args=(database.url, barrier, counter), daemon=True)
        for _ in range(8)
    ]
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 8
    finally:
        for process in processes:
            process.kill()
    assert len(counter.read_text().splitlines()) == 1


def _hold(url: str, holding: Event) -> None:
    def fetch(_: Token | None) -> Token:
        holding.set()
        threading.Event().wait(60)
        return _token("never")

    PostgresTokenStore(Database(url)).renew("a", _token("one"), fetch)


def test_a_killed_holder_lets_go(database: Database) -> None:
    """A process killed while it fetches releases the account at once, and nothing of it is stored."""
    store = PostgresTokenStore(database, patience=timedelta(seconds=20))
    store.renew("a", None, lambda _: _token("one"))
    holding = _SPAWN.Event()
    process = _SPAWN.Process(target=_hold, args=(database.url, holding), daemon=True)
    process.start()
    try:
        assert holding.wait(30)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        assert store.renew("a", _token("one"), lambda _: _token("two")) == _token("two")
    finally:
        process.kill()
        process.join()


def test_a_lost_server_is_an_error_of_the_database() -> None:
    """Without a server nothing is fetched."""
    store = PostgresTokenStore(Database("postgresql://nobody@127.0.0.1:1/none"))
    calls, fetch = _fetches(_token("one"))
    with pytest.raises(psycopg.OperationalError):
        store.renew("a", None, fetch)
    assert calls == []
