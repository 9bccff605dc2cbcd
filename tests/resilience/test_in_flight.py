"""At most one call in flight per key: kept by advisory locks and by the twin in memory."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from adapters.errors import RateLimited, Unavailable
from channel_sync.resilience.rate_limiter.in_flight import (
    ASK_AGAIN_S,
    InFlight,
    InMemoryInFlight,
    PostgresInFlight,
)
from channel_sync.resilience.rate_limiter.limits import RateLimitTimeout
from channel_sync.storage.database import Database


@pytest.fixture(params=["postgres", "memory"])
def in_flight(request: pytest.FixtureRequest) -> Iterator[InFlight]:
    """Each of the twins."""
    if request.param == "memory":
        yield InMemoryInFlight()
        return
    with PostgresInFlight(request.getfixturevalue("database")) as kept:
        yield kept


def test_a_key_is_held_by_one_at_a_time(in_flight: InFlight) -> None:
    """Of many threads that want one key no two are inside together, and each has its turn."""
    inside: list[int] = []
    most: list[int] = []

    def call(number: int) -> None:
        with in_flight.hold("a", timeout_s=60):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.002)
            inside.remove(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(call, range(24)))
    assert most == [1] * 24


def test_keys_do_not_wait_for_each_other(in_flight: InFlight) -> None:
    """Who holds one key keeps nobody from another."""
    with in_flight.hold("a", timeout_s=0), in_flight.hold("b", timeout_s=0):
        pass


@pytest.mark.parametrize("timeout_s", [0.0, 0.05])
def test_waiting_is_bounded(in_flight: InFlight, timeout_s: float) -> None:
    """Whoever waits longer than its patience is told to come back, also the holder itself; the holder keeps the key."""
    with in_flight.hold("airbnb/a", timeout_s=0):
        for _ in range(2):
            with (
                pytest.raises(RateLimitTimeout, match="airbnb/a: the call in flight") as refused,
                in_flight.hold("airbnb/a", timeout_s=timeout_s),
            ):
                pytest.fail("two in flight")
            assert isinstance(refused.value, RateLimited)
            assert refused.value.retry_after == ASK_AGAIN_S
    with in_flight.hold("airbnb/a", timeout_s=0):
        pass


def test_a_waiter_goes_on_when_the_holder_is_done(in_flight: InFlight) -> None:
    """The end of one call is the beginning of the next."""
    held = threading.Event()
    order = []

    def first() -> None:
        with in_flight.hold("a", timeout_s=0):
            held.set()
            time.sleep(0.1)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert held.wait(30)
    with in_flight.hold("a", timeout_s=60):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_call_that_fails_lets_go(in_flight: InFlight) -> None:
    """Whatever ends the block, its error is raised as it is and the key is free."""
    for error in (RuntimeError("the call"), psycopg.OperationalError("another's"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, in_flight.hold("a", timeout_s=0):
            raise error
        assert raised.value is error
        with in_flight.hold("a", timeout_s=0):
            pass


# In Postgres only -----------------------------------------------------------------------------------------------


@pytest.fixture
def watcher(database: Database) -> Iterator[psycopg.Connection]:
    """A session that looks at the others and ends them."""
    with database.connect(autocommit=True) as connection:
        yield connection


_OTHERS = (
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"
)


def _cut_off(watcher: psycopg.Connection) -> None:
    watcher.execute("SELECT pg_terminate_backend(pid, 5000) " + _OTHERS)


def _become(watcher: psycopg.Connection, expected: int) -> bool:
    """Whether there are so many sessions; that of a closed connection is gone a moment later."""
    give_up = time.monotonic() + 30
    while watcher.execute("SELECT count(*) " + _OTHERS).fetchone() != (expected,):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.01)
    return True


def test_a_lost_connection_is_replaced(database: Database, watcher: psycopg.Connection) -> None:
    """One lost between two calls, or during one, costs no call anything."""
    with PostgresInFlight(database) as in_flight:
        with in_flight.hold("a", timeout_s=0):
            pass
        _cut_off(watcher)
        with in_flight.hold("a", timeout_s=0):
            _cut_off(watcher)
        with in_flight.hold("a", timeout_s=0):
            assert _become(watcher, 1)


def test_connections_are_used_again_and_closed(database: Database, watcher: psycopg.Connection) -> None:
    """A call after another needs no new connection; few are kept; none is left after the end."""
    in_flight = PostgresInFlight(database)
    barrier = threading.Barrier(8)

    def call(number: int) -> None:
        with in_flight.hold(f"key {number}", timeout_s=60):
            barrier.wait(30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, range(8)))
    assert _become(watcher, 4)
    kept = watcher.execute("SELECT pid " + _OTHERS + " ORDER BY pid").fetchall()
    for _ in range(5):
        with in_flight.hold("a", timeout_s=0):
            assert watcher.execute("SELECT pid " + _OTHERS + " ORDER BY pid").fetchall() == kept
    with in_flight.hold("a", timeout_s=0):
        in_flight.close()
    assert _become(watcher, 0)


def test_without_the_database_nothing_is_sent() -> None:
    """What cannot be kept apart is not begun; the error shows no password."""
    in_flight = PostgresInFlight(Database("postgresql://nobody:Correct-Horse@127.0.0.1:1/none"))
    with (
        pytest.raises(Unavailable, match="the database cannot be reached") as refused,
        in_flight.hold("a", timeout_s=0),
    ):
        pytest.fail("begun")
    assert "Horse" not in str(refused.value)
    assert refused.value.__cause__ is None
