"""The connection that limiter, breaker and counters share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from channel_sync.storage import queries
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session


@pytest.fixture(autouse=True)
def _statements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements of these tests, beside the engine's own."""
    own = {
        "which": "SELECT pg_backend_pid(), %(number)s::int",
        "setting": "SELECT current_setting(%(name)s)",
        "add": "INSERT INTO property (code, name, time_zone, currency) VALUES (%(code)s, '', '', 'EUR') RETURNING code",
        "fail": "SELECT 1 / %(number)s::int",
        "sleep": "SELECT pg_sleep(60), set_config('statement_timeout', '10s', false)",
        "hurry": "SELECT set_config('statement_timeout', '50ms', false)",
    }
    monkeypatch.setattr(queries, "statements", lambda: own)


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """One on a fresh database."""
    with Session(database) as session:
        yield session


def _pid(session: Session) -> int:
    [(pid, _)] = session.rows("which", {"number": 0})
    return int(pid)


def test_one_connection_serves_all_threads(session: Session) -> None:
    """Statements of many threads go one after another over the same connection, each to its own answer."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: session.rows("which", {"number": number}), range(50)))
    assert list(range(50)) == [number for [(_, number)] in found]
    assert len({pid for [(pid, _)] in found}) == 1


def test_each_statement_is_committed(session: Session, database: Database) -> None:
    """What a statement did is seen by others at once, and no transaction stays open behind it."""
    assert session.rows("add", {"code": "a"}) == [("a",)]
    with database.connect() as connection:
        assert connection.execute("SELECT code FROM property").fetchall() == [("a",)]
        states = connection.execute(
            "SELECT state FROM pg_stat_activity WHERE pid = %s", [_pid(session)]
        ).fetchall()
    assert states == [("idle",)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("synchronous_commit", "off"),
        ("statement_timeout", "10s"),
        ("TimeZone", "UTC"),
        ("search_path", "channel_sync,public"),
    ],
)
def test_its_settings(session: Session, name: str, expected: str) -> None:
    """It does not wait for the disk, nor for ever for anything."""
    assert session.rows("setting", {"name": name}) == [(expected,)]


def test_a_lost_connection_is_replaced(session: Session, database: Database) -> None:
    """A statement on a connection that the server closed is executed on a new one."""
    before = _pid(session)
    with database.connect(autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [before])
    assert _pid(session) != before


def test_an_error_of_a_statement_is_raised_and_costs_no_connection(session: Session) -> None:
    """What the server refuses or what took too long is not executed again; the connection stays."""
    before = _pid(session)
    with pytest.raises(psycopg.errors.DivisionByZero):
        session.rows("fail", {"number": 0})
    session.rows("hurry", {})
    with pytest.raises(psycopg.errors.QueryCanceled):
        session.rows("sleep", {})
    assert _pid(session) == before


def test_it_opens_late_and_may_be_closed_at_any_time(database: Database) -> None:
    """Nothing is connected before the first statement, nor after the end; a statement after the end opens it again."""
    session = Session(database)
    with database.connect() as connection:
        others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        assert connection.execute(others).fetchone() == (1,)
    session.close()
    first = _pid(session)
    session.close()
    assert _pid(session) != first
    session.close()
    session.close()


def test_without_a_server_it_says_so() -> None:
    """The error is the driver's; the next statement tries again."""
    session = Session(Database("postgresql://nobody@127.0.0.1:1/none"))
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            session.rows("which", {"number": 0})
