"""Processes that apply the inbox, killed or side by side: as one orderly pass."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

from channel_sync.sync import inbox
from tests.house import House
from tests.sync.decided_scene import add_inn, facts, told
from tests.sync.test_inbox import cancelled, deliver, message, states

_ENDLESS = """
import json, sys
from channel_sync import bootstrap, config
from channel_sync.sync import inbox
environ = json.loads(sys.argv[1])
engine = bootstrap.engine(config.load(environ), environ=environ)
print("ready", flush=True)
while sys.stdin.readline():
    while inbox.apply_due(engine, "inn", "run", limit=7).events:
        pass
    print("done", flush=True)
"""


def fill(house: House) -> int:
    """An inbox of bookings, changes and cancellations in no order, some twice; returns how many events."""
    chance = random.Random(7)
    bodies = []
    for number in range(60):
        first = date(2026, 6, 1) + timedelta(days=chance.randrange(60))
        nights = {
            "check_in": first.isoformat(),
            "check_out": (first + timedelta(days=chance.randrange(1, 5))).isoformat(),
        }
        listing = chance.choice(["direct-1", "direct-1", "direct-2", "nowhere"])
        bodies += [
            message(number, hour=12, listing_id=listing, **nights),
            message(number, hour=13, listing_id=listing, guests=2, **nights),
        ]
        if chance.random() < 0.4:
            bodies.append(cancelled(number, hour=14))
    chance.shuffle(bodies)
    deliver(house, *bodies, *bodies[:10])
    return len(bodies) + 10


def start(house: House) -> "subprocess.Popen[str]":
    """A process that applies what is due whenever it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, json.dumps(dict(house.environ))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def begin(process: "subprocess.Popen[str]") -> None:
    """Wait until it is ready, and let it work."""
    assert process.stdout is not None
    assert process.stdin is not None
    assert "ready" == process.stdout.readline().strip()
    process.stdin.write("go\n")
    process.stdin.flush()


def orderly(house: House) -> list[object]:
    """What one pass over the same inbox ends in."""
    house.execute("TRUNCATE booking, house_availability CASCADE")
    house.execute(
        "UPDATE webhook_event SET state = 'received', settled_at = NULL, attempts = 0, next_attempt_at = received_at"
    )
    inbox.apply_due(house.engine, "inn", "orderly")
    return facts(house)


def test_killed_at_random_moments_the_inbox_ends_as_in_one_pass(quiet_house: House) -> None:
    """A dozen processes die at it; what is left is applied, and nothing is lost, doubled or half done."""
    add_inn(quiet_house, units=2)
    events = fill(quiet_house)
    interrupted = 0
    for number in range(12):
        process = start(quiet_house)
        try:
            begin(process)
            time.sleep(0.02 + 0.03 * (number % 4))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        left = [state for state, _ in states(quiet_house)].count("received")
        interrupted += 0 < left < events
        assert [] == quiet_house.rows(
            "SELECT * FROM booking WHERE revised_at = 'epoch' OR NOT EXISTS "
            "(SELECT FROM booking_revision WHERE booking_revision.booking_id = booking.booking_id)"
        )
    assert interrupted
    inbox.apply_due(quiet_house.engine, "inn", "last")

    assert "received" not in {state for state, _ in states(quiet_house)}
    killed = facts(quiet_house)
    assert orderly(quiet_house) == killed


def test_two_processes_at_once_apply_nothing_twice(quiet_house: House) -> None:
    """Each event is settled by one of them at the first attempt, and the tables are those of one pass."""
    add_inn(quiet_house, units=2)
    fill(quiet_house)
    processes = [start(quiet_house) for _ in range(2)]
    try:
        for process in processes:
            begin(process)
        for process in processes:
            assert process.stdout is not None
            assert "done" == process.stdout.readline().strip()
    finally:
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()

    inbox.apply_due(quiet_house.engine, "inn", "last")
    assert [{"attempts": 1}] == quiet_house.rows("SELECT DISTINCT attempts FROM webhook_event")
    assert quiet_house.rows("SELECT count(*) FROM booking_revision") == quiet_house.rows(
        "SELECT count(DISTINCT (booking_external_id, revised_at)) FROM webhook_event"
    )
    both = facts(quiet_house)
    assert told(quiet_house)
    assert orderly(quiet_house) == both
