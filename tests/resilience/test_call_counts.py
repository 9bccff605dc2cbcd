"""Counting calls: nothing is lost but what a kill takes, and nothing waits for the database."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest

from channel_sync.resilience import call_counts
from channel_sync.resilience.call_counts import CallCounts
from channel_sync.storage.calls import CallCount, add_calls, forget_old_calls
from channel_sync.storage.database import Database

NEVER_S = 3600.0  # the background thread has no part in a test


class Table:
    """Where counts are written, and whether it is out of reach."""

    def __init__(self) -> None:
        self.rows: list[CallCount] = []
        self.lost = False
        self.written = Event()

    def write(self, counts: Sequence[CallCount]) -> None:
        """Keep them."""
        if self.lost:
            raise psycopg.OperationalError("no route to host secret-host")
        self.rows += counts
        self.written.set()

    def calls(self) -> int:
        """All that were counted."""
        return sum(row.calls for row in self.rows)


def call(counts: CallCounts, outcome: str = "200", *, waited_s: float = 0.0, took_s: float = 0.0) -> None:
    """One call of an account to its calendars."""
    counts.count("north", "calendars", outcome, waited_s=waited_s, took_s=took_s)


def test_calls_that_end_alike_are_one_row() -> None:
    """Sums and longest times are kept by account, endpoint and outcome."""
    table = Table()
    counts = CallCounts(table.write, flush_s=NEVER_S, monotonic=lambda: 1000.0)
    call(counts, waited_s=1.0, took_s=0.25)
    call(counts, waited_s=0.5, took_s=0.5)
    call(counts, "429", took_s=0.125)
    counts.flush()
    assert [
        CallCount("north", "calendars", "200", 0.0, 2, 1.5, 1.0, 0.75, 0.5),
        CallCount("north", "calendars", "429", 0.0, 1, 0.0, 0.0, 0.125, 0.125),
    ] == table.rows
    counts.flush()
    assert 3 == table.calls()


def test_the_background_thread_writes_after_a_while() -> None:
    """Nobody has to ask for it, and it is over when everything is written."""
    table = Table()
    counts = CallCounts(table.write, flush_s=0.05)
    call(counts)
    assert table.written.wait(timeout=20)
    table.written.clear()
    call(counts)
    assert table.written.wait(timeout=20)
    assert 2 == table.calls()


def test_threads_lose_no_call() -> None:
    """Calls that end while others are written are counted once."""
    table = Table()
    counts = CallCounts(table.write, flush_s=0.001)

    def work(_: int) -> None:
        for _ in range(500):
            call(counts)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    counts.flush()
    assert 8 * 500 == table.calls()


def test_what_could_not_be_written_is_written_later(caplog: pytest.LogCaptureFixture) -> None:
    """An outage of the database costs no count, is told once, and shows nothing of where the database is."""
    now = [1000.0]
    table = Table()
    counts = CallCounts(table.write, flush_s=NEVER_S, monotonic=lambda: now[0])
    table.lost = True
    for _ in range(3):
        call(counts)
        counts.flush()
        now[0] += 60.0
    table.lost = False
    counts.flush()
    assert [(1, 175.0), (1, 115.0), (1, 55.0)] == [(row.calls, row.age_s) for row in table.rows]
    assert [logging.WARNING] == [record.levelno for record in caplog.records]
    assert "secret-host" not in caplog.text
    table.lost = True
    call(counts)
    counts.flush()
    assert 2 == len(caplog.records)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long outage does not fill the memory: known sums grow, new ones are given up."""
    monkeypatch.setattr(call_counts, "MOST_KEPT", 3)
    table = Table()
    counts = CallCounts(table.write, flush_s=NEVER_S)
    for number in range(10):
        call(counts, str(200 + number))
        call(counts, "200")
    counts.flush()
    assert {"200": 11, "201": 1, "202": 1} == {row.outcome: row.calls for row in table.rows}


def test_counts_of_a_minute_add_up_in_the_table(database: Database) -> None:
    """Several processes' counts of one minute are one row; waits and times add up and the longest stays."""
    one = CallCount("north", "calendars", "200", 0.0, 2, 1.5, 1.0, 0.75, 0.5)
    two = CallCount("north", "calendars", "200", 0.25, 1, 2.0, 2.0, 0.25, 0.25)
    other = CallCount("south", "calendars", "200", 600.0, 1, 0.0, 0.0, 1.0, 1.0)
    with database.connect(autocommit=True) as connection:
        for counts in ([one, two, other], [one], [other, two]):
            add_calls(connection, counts)
        rows = connection.execute(
            "SELECT account, sum(calls)::int, sum(waited_s), max(longest_wait_s), sum(took_s), max(longest_s),"
            " count(DISTINCT minute)::int, bool_and(date_trunc('minute', minute) = minute),"
            " clock_timestamp() - max(minute) < interval '3 minutes' FROM api_call GROUP BY account ORDER BY 1"
        ).fetchall()
    north, south = rows
    assert ("north", 6, 7.0, 2.0, 2.0, 0.5) == north[:6]
    assert ("south", 2, 0.0, 0.0, 2.0, 1.0) == south[:6]
    assert north[6] <= 2  # the minute may have ended meanwhile
    assert (True, True) == north[7:]
    assert (True, False) == south[7:]


def test_processes_that_count_the_same_do_not_block_each_other_for_ever(database: Database) -> None:
    """Rows are written in one order: writers of the same rows in opposite orders never wait in a circle."""
    kinds = [CallCount("north", f"kind_{number}", "200", 0.0, 1, 0.0, 0.0, 0.0, 0.0) for number in range(50)]

    def write(counts: list[CallCount]) -> None:
        with database.connect(autocommit=True) as connection:
            for _ in range(20):
                add_calls(connection, counts)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, [kinds, kinds[::-1], kinds, kinds[::-1]]))
    with database.connect() as connection:
        assert (50 * 20 * 4,) == connection.execute("SELECT sum(calls)::int FROM api_call").fetchone()


def test_old_counts_are_forgotten(database: Database) -> None:
    """Minutes before a moment are removed and the others stay."""
    old, new = (CallCount("north", "feed", "200", age_s, 1, 0, 0, 0, 0) for age_s in (86_400.0 * 40, 0.0))
    with database.connect() as connection:
        add_calls(connection, [old, new])
        assert 1 == forget_old_calls(connection, datetime.now(UTC) - timedelta(days=30))
        assert (1,) == connection.execute("SELECT count(*) FROM api_call").fetchone()
