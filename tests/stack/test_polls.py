"""The worker's polls: every enabled account at its channel's cadence, beside each other, failing ones less often."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import dagster as dg
import pytest

from adapters.errors import Unavailable
from channel_sync.defs.partitions import ACCOUNTS
from channel_sync.defs.pools import pool_of
from channel_sync.stack.polls import Polls
from channel_sync.storage.database import Database
from channel_sync.storage.portfolio import AccountRow
from tests.sync.queue_channel import QUEUE, ROOMS, QueueHouse, queue_house

JUNE = ("2026-06-01", "2026-06-04")


@pytest.fixture
def hotel(database: Database) -> Iterator[QueueHouse]:
    """The hotel on the made-up channel, which is to be polled every second."""
    with queue_house(database) as house:
        yield house


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance of this test's own."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        found.add_dynamic_partitions(str(ACCOUNTS["bookings"].name), [QUEUE])
        yield found


class Attendant:
    """Attends to the polls as the worker does, until something holds."""

    def __init__(self, hotel: QueueHouse, instance: dg.DagsterInstance, threads: ThreadPoolExecutor) -> None:
        self.said: list[str] = []
        self._hotel = hotel
        self.polls = Polls(hotel.engine, instance, threads, self.said.append)

    def until(self, what: str, holds: Callable[[], object], within_s: float = 60.0) -> None:
        """Wait for it."""
        deadline = time.monotonic() + within_s
        with self._hotel.database.connect(autocommit=True) as connection:
            while not holds():
                assert time.monotonic() < deadline, f"waited in vain for {what}"
                self.polls.attend(connection)
                time.sleep(0.02)


def pause(seconds: float) -> Callable[[], bool]:
    """Holds once so many seconds are over."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def test_what_comes_into_the_queue_is_acknowledged_by_the_next_poll(
    hotel: QueueHouse, instance: dg.DagsterInstance
) -> None:
    """Again and again, without a run; what changed is seen in Dagster, and nobody is told on the screen."""
    with ThreadPoolExecutor(4) as threads:
        attendant = Attendant(hotel, instance, threads)
        for number in range(2):
            hotel.host.put(f"R{number}", (ROOMS[0], *JUNE))
            attendant.until("the acknowledgement", lambda: not hotel.host.waiting())
        key = dg.AssetKey("channel_bookings")
        attendant.until("events", lambda: len(instance.fetch_materializations(key, limit=9).records) == 2)

    assert [] == attendant.said
    assert [] == list(instance.get_runs())
    assert hotel.host.calls.count("queue") >= 3


def test_disabled_and_paused_accounts_are_left_alone(hotel: QueueHouse, instance: dg.DagsterInstance) -> None:
    """And polled as soon as they are enabled and have a slot again."""
    hotel.execute("UPDATE channel_account SET enabled = false")
    instance.event_log_storage.set_concurrency_slots(pool_of(QUEUE), 0)
    with ThreadPoolExecutor(4) as threads:
        attendant = Attendant(hotel, instance, threads)
        attendant.until("a while", pause(1.5))
        hotel.execute("UPDATE channel_account SET enabled = true WHERE code = %s", QUEUE)
        attendant.until("a while", pause(1.5))
        assert [] == hotel.host.calls

        instance.event_log_storage.set_concurrency_slots(pool_of(QUEUE), 1)
        attendant.until("a poll", lambda: hotel.host.calls)


def test_an_account_that_fails_rests_and_holds_back_no_other(
    hotel: QueueHouse, instance: dg.DagsterInstance
) -> None:
    """Its pauses grow; one that hangs keeps a thread and nothing else. Both are said on the screen, without a trace."""
    hotel.execute(
        "INSERT INTO channel_account (code, channel, environment) VALUES ('broken', 'queue', 'sandbox'), "
        "('slow', 'queue', 'sandbox')"
    )
    opened: list[str] = []
    released = Event()
    real = hotel.engine.open_channel

    def open_channel(row: AccountRow) -> object:
        opened.append(row.code)
        if row.code == "broken":
            raise Unavailable("nobody there")
        if row.code == "slow":
            released.wait(60)
        return real(row)

    troubled = replace(hotel, engine=replace(hotel.engine, open_channel=open_channel))  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as threads:
        attendant = Attendant(troubled, instance, threads)
        attendant.until("two failures", lambda: len(attendant.said) >= 2)
        hotel.host.put("R1", (ROOMS[0], *JUNE))
        attendant.until("the acknowledgement", lambda: not hotel.host.waiting())
        released.set()

    assert 1 == opened.count("slow")
    assert 2 <= opened.count("broken") < opened.count(QUEUE)
    assert ["again in 2 s", "again in 4 s"] == [line.rpartition(": ")[2] for line in attendant.said[:2]]
    assert all(line.startswith("broken: the poll failed: ") for line in attendant.said[:2])
