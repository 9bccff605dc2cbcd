"""Processes that pull, store and acknowledge, killed at random moments: what is acknowledged is always committed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from channel_sync.storage.database import Database
from channel_sync.sync.poll import poll
from tests.house import NOW
from tests.sync.queue_channel import QUEUE, ROOMS, QueueHouse, queue_house

_ENDLESS = """
import json, sys
from itertools import count
from adapters.model import Stay, ONE_DAY
from channel_sync.storage.database import Database
from channel_sync.sync.acknowledge import acknowledge
from channel_sync.sync.bookings import BookingBatch, pull_bookings, store_bookings
from tests.sync.queue_channel import QUEUE, queue_engine, real_clock
url, host, number = json.loads(sys.argv[1])
engine = queue_engine(Database(url), host, real_clock)
today = real_clock().date()
print("ready", flush=True)
for again in count():
    days = Stay(today, today + ONE_DAY)
    store_bookings(engine, pull_bookings(engine, BookingBatch(f"bookings_{number}x{again}", "run", QUEUE, days)))
    acknowledge(engine, QUEUE, "run")
"""


@pytest.fixture
def hotel(database: Database) -> Iterator[QueueHouse]:
    """The hotel on the made-up channel, which notes every acknowledgement of what is not committed."""
    with queue_house(database) as house:
        yield house


def fill(hotel: QueueHouse, chance: random.Random, first: int) -> dict[str, tuple[str, int]]:
    """Versions of reservations of one to three rooms: reference -> (reservation, hour of the version)."""
    versions = {}
    for number in range(first, first + 12):
        code = f"R{chance.randrange(8)}"
        nights = chance.randrange(1, 20)
        rooms = [
            (room, f"2026-06-{nights:02}", f"2026-06-{nights + 2:02}")
            for room in ROOMS[: chance.randrange(1, 4)]
        ]
        cancelled = chance.random() < 0.2
        moment = NOW + timedelta(hours=number)
        told = hotel.host.put(code, *([] if cancelled else rooms), at=moment, cancelled=cancelled)
        versions[told] = (code, number)
    return versions


def start(hotel: QueueHouse, number: int) -> "subprocess.Popen[str]":
    """A process that goes through all steps again and again."""
    return subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, json.dumps([hotel.database.url, hotel.host.url, number])],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@dataclass
class Witness:
    """Looks into the tables at the very moment of each acknowledgement, and kills the process that is ``doomed``."""

    hotel: QueueHouse
    versions: dict[str, tuple[str, int]] = field(default_factory=dict)
    untrue: list[str] = field(default_factory=list)
    doomed: "subprocess.Popen[str] | None" = None

    def look(self, references: list[str]) -> None:
        """Each version has to be committed."""
        for reference in references:
            code, hour = self.versions[reference]
            found = self.hotel.rows(
                "SELECT FROM booking_revision JOIN booking USING (booking_id) "
                "WHERE external_id = %s AND booking_revision.revised_at = %s",
                code,
                NOW + timedelta(hours=hour),
            )
            self.untrue.extend([] if found else [reference])
        if self.doomed is not None:  # while it tells: the channel takes it, and nobody notes that
            os.kill(self.doomed.pid, signal.SIGKILL)
            self.doomed = None

    def newest(self, code: str) -> datetime:
        """When the reservation last changed."""
        return NOW + timedelta(hours=max(hour for known, hour in self.versions.values() if known == code))


def test_nothing_is_acknowledged_that_is_not_committed(hotel: QueueHouse) -> None:
    """Asked at the moment of each acknowledgement; in the end each version is stored and acknowledged, once."""
    chance = random.Random(3)
    witness = Witness(hotel)
    hotel.host.on_ack = witness.look
    for number in range(5):
        process = start(hotel, number)
        try:
            assert process.stdout is not None
            assert "ready" == process.stdout.readline().strip()
            with hotel.host._lock:  # nobody is shown what the witness does not know yet
                witness.versions |= fill(hotel, chance, 100 * number)
            if number % 2:
                witness.doomed = process
                process.wait(60)
                assert hotel.rows("SELECT FROM booking_receipt WHERE verdict IS NULL")
            else:
                time.sleep(0.01 + 0.05 * number)
        finally:
            process.kill()
            process.communicate()
    poll(hotel.engine, QUEUE)

    assert [] == witness.untrue
    assert [] == hotel.host.waiting()
    assert {*witness.versions} == {*hotel.host.acknowledged}
    assert [{"n": 0}] == hotel.rows("SELECT count(*) AS n FROM booking_receipt WHERE verdict IS NULL")
    assert [{"n": len(witness.versions)}] == hotel.rows(
        "SELECT count(*) AS n FROM booking_revision JOIN booking USING (booking_id) WHERE external_id = whole"
    )
    for row in hotel.rows("SELECT whole, max(revised_at) AS newest FROM booking GROUP BY whole"):
        assert witness.newest(row["whole"]) == row["newest"]
