"""Connections: what they promise and what they never show."""

import threading

import psycopg
import pytest

from adapters.errors import ConfigurationError
from channel_sync.storage.database import Database, create_database, refuse_old_server, with_database
from channel_sync.storage.embedded import EmbeddedServer

_SECRET = "Correct-Horse"


def test_commits_on_success_and_rolls_back_on_error(database: Database) -> None:
    """What a block wrote is there when it ends well and is not when it raises."""
    insert = "INSERT INTO property (code, name, time_zone, currency) VALUES (%s, 'x', 'UTC', 'EUR')"
    with database.connect() as connection:
        connection.execute(insert, ["kept"])

    def fails() -> None:
        with database.connect() as connection:
            connection.execute(insert, ["lost"])
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fails()
    with database.connect() as connection:
        assert connection.execute("SELECT code FROM property").fetchall() == [("kept",)]
    assert connection.closed


def test_sessions_are_set_up(database: Database) -> None:
    """A session is named, speaks UTC, finds the engine's tables and cannot keep locks while idle for ever."""
    with database.connect() as connection:
        names = ("application_name", "timezone", "search_path", "idle_in_transaction_session_timeout")
        found = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    assert found == [("channel_sync",), ("UTC",), ("channel_sync,public",), ("5min",)]


def test_options_of_the_url_are_kept(database: Database) -> None:
    """An operator's own options and name in the URL win over ours."""
    url = f"{database.url}&options=-c%20work_mem%3D5MB&application_name=mine"
    with Database(url).connect() as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("5MB",)
        assert connection.execute("SHOW application_name").fetchone() == ("mine",)
        assert connection.execute("SHOW timezone").fetchone() == ("UTC",)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{_SECRET}@host:port/x",
        f"postgresql://user:{_SECRET}@host/x?nonsense=1",
        f"postgresql://user:half@{_SECRET}@127.0.0.1:1/x",
        f"postgresql://user:{_SECRET}/half@127.0.0.1/x",
        f"mysql://user:{_SECRET}@host/x",
        f"user={_SECRET}",
        "",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    """The error says the form a URL must have and nothing of the one it was given."""
    with pytest.raises(ConfigurationError, match="postgresql://user:password@host") as caught:
        Database(url)
    assert _SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_password_is_shown_when_the_server_is_not_there() -> None:
    """Neither the error of a failed connection nor a repr shows the password."""
    database = Database(f"postgresql://user:{_SECRET}@127.0.0.1:1/x")
    with pytest.raises(psycopg.OperationalError) as caught, database.connect():
        pass
    assert _SECRET not in str(caught.value) + repr(caught.value) + repr(database)


def test_an_old_server_is_refused() -> None:
    """A server older than Postgres 17 is refused by its version; 17 itself is not."""
    refuse_old_server(170000)
    with pytest.raises(ConfigurationError, match="Postgres 16: version 17 or newer"):
        refuse_old_server(169999)


def test_another_database_of_the_same_server() -> None:
    """Only the database's name changes in the URL."""
    url = "postgresql://u:p@h:5/one?host=/tmp/x&sslmode=disable"
    assert with_database(url, "two") == "postgresql://u:p@h:5/two?host=/tmp/x&sslmode=disable"
    assert Database(with_database(url, "two")).name == "two"


def test_creating_a_database_at_once_from_many_threads(postgres: EmbeddedServer) -> None:
    """Four callers at once create it once and none fails."""
    failures: list[BaseException] = []

    def create() -> None:
        try:
            create_database(postgres.url, 'odd "name"')
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with Database(with_database(postgres.url, 'odd "name"')).connect() as connection:
        assert connection.execute("SELECT current_database()").fetchone() == ('odd "name"',)
