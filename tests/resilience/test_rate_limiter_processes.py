"""The limiter shared by processes: the quota holds, shares are even, and whoever is killed leaves nothing behind."""

import random
import time
from collections.abc import Sequence
from contextlib import closing
from multiprocessing.connection import wait
from pathlib import Path

import pytest

from channel_sync.resilience.rate_limiter.in_flight import PostgresInFlight
from channel_sync.resilience.rate_limiter.limits import RateLimitPolicy, RateLimitTimeout
from channel_sync.resilience.rate_limiter.postgres import PostgresRateLimiter
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.resilience.limiter_children import (
    PROCESSES,
    acquire_for_ever,
    count_alone,
    hold_for_ever,
    running,
    use_for,
)
from tests.resilience.limiter_scene import Use, crowded, policy, quota


def _used(
    database: Database,
    policies: Sequence[RateLimitPolicy],
    seconds: float,
    clocks: Sequence[float],
) -> list[list[Use]]:
    """What one process for each of ``clocks`` (seconds ahead) uses."""
    barrier = PROCESSES.Barrier(len(clocks))
    pipes = [PROCESSES.Pipe(duplex=False) for _ in clocks]
    children = [
        PROCESSES.Process(
            target=use_for, args=(database.url, policies, seconds, barrier, pipe, ahead), daemon=True
        )
        for (_, pipe), ahead in zip(pipes, clocks, strict=True)
    ]
    found = []
    with running(children):
        for receiver, sender in pipes:
            with closing(receiver), closing(sender):
                assert receiver.poll(60)
                found.append(receiver.recv())
    return found


def test_eight_processes_share_one_quota(database: Database) -> None:
    """No second with more than the quota, most of the quota used, and every process gets its part of it."""
    allowed = quota(100, 1)
    shares = _used(database, [policy("a", allowed)], 2.0, [0.0] * 8)
    uses = [use for share in shares for use in share]
    assert crowded(uses, allowed) == 0
    # 196 without anybody else on the machine.
    assert len(uses) >= 100
    assert max(map(len, shares)) <= 2 * min(map(len, shares))


def test_wrong_clocks_change_nothing(database: Database) -> None:
    """Processes whose clocks are minutes apart keep one quota, and none of them waits longer than the others."""
    allowed = quota(50, 1)
    shares = _used(database, [policy("a", allowed)], 2.0, [-300.0, 300.0, 0.0, 86_400.0])
    uses = [use for share in shares for use in share]
    assert crowded(uses, allowed) == 0
    assert len(uses) >= 50
    assert max(map(len, shares)) <= 2 * min(map(len, shares))


@pytest.mark.parametrize(
    ("limit", "doing"),
    [(50, "wait for their permits"), (1_000_000, "reserve without a pause")],
    ids=["waiting", "in the statement"],
)
def test_killed_callers_cost_at_most_their_permits(database: Database, limit: int, doing: str) -> None:
    """Each time some of four callers are killed, whatever they are doing, the next permit is no further than the pace says."""
    chance = random.Random(f"{limit}{doing}")
    policies = [policy("a", quota(limit, 1))]
    with Session(database) as session:
        limiter = PostgresRateLimiter(session)
        for _ in range(17):
            pipes = [PROCESSES.Pipe(duplex=False) for _ in range(4)]
            children = [
                PROCESSES.Process(target=acquire_for_ever, args=(database.url, policies, sender), daemon=True)
                for _, sender in pipes
            ]
            with running(children):
                for receiver, sender in pipes:
                    with closing(receiver), closing(sender):
                        assert receiver.poll(60)
                for child in children:
                    time.sleep(chance.uniform(0, 0.03))
                    child.kill()
            # Four slots may be taken, those of the killed. The rest is what a slow machine may have allowed them beside.
            limiter.acquire(policies, timeout_s=5 * 1.02 / limit + 3.0)
    with database.connect() as connection:
        locked = connection.execute("SELECT key FROM rate_limit_state FOR UPDATE NOWAIT").fetchall()
    assert locked == [("a",)]


def test_killed_holders_let_go(database: Database) -> None:
    """Of two that want a key one holds it and one waits; when both are killed it is free at once, 64 times."""
    chance = random.Random(4)
    with PostgresInFlight(database) as in_flight:
        for number in range(16):
            keys = [f"{number}/{n % 2}" for n in range(4)]
            pipes = [PROCESSES.Pipe(duplex=False) for _ in keys]
            children = [
                PROCESSES.Process(target=hold_for_ever, args=(database.url, key, sender), daemon=True)
                for key, (_, sender) in zip(keys, pipes, strict=True)
            ]
            with running(children):
                receivers = [receiver for receiver, _ in pipes]
                give_up = time.monotonic() + 60
                while len(wait(receivers, 60)) < 2 and time.monotonic() < give_up:
                    time.sleep(0.005)
                with pytest.raises(RateLimitTimeout):
                    in_flight.hold(keys[0], timeout_s=0).__enter__()
                chance.shuffle(children)
                for child in children:
                    time.sleep(chance.uniform(0, 0.01))
                    child.kill()
                for key in keys[:2]:
                    with in_flight.hold(key, timeout_s=5.0):
                        pass
            for ends in pipes:
                for end in ends:
                    end.close()


def test_processes_hold_a_key_one_at_a_time(database: Database, tmp_path: Path) -> None:
    """Four processes that read a number and write it back a little later, alone, lose no step."""
    file = tmp_path / "number"
    file.write_text("0")
    children = [
        PROCESSES.Process(target=count_alone, args=(database.url, "a", str(file), 15), daemon=True)
        for _ in range(4)
    ]
    with running(children):
        for child in children:
            child.join(60)
        assert [0] * 4 == [child.exitcode for child in children]
    assert file.read_text() == "60"
