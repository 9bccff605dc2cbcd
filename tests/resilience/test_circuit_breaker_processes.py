"""The circuit breaker over eight processes and a real host that dies, hangs and comes back."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from psycopg.rows import dict_row

from channel_sync.resilience.circuit_breaker.policy import Admission, BreakerPolicy, CircuitOpenError
from channel_sync.resilience.circuit_breaker.postgres import PostgresCircuitBreaker
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.resilience.breaker_callers import FORKSERVER, KEY, Task, callers, hold_probe, stopped
from tests.resilience.breaker_host import PATIENCE_S, Arrival, Host

PROCESSES = 8
IN_FLIGHT_S = 0.25  # what was under way at the opening has arrived by then
RIGHT = [0.0] * PROCESSES
MINUTES_OFF = [300.0, -300.0] * (PROCESSES // 2)

_HISTORY = """
    CREATE TABLE history AS SELECT * FROM circuit_breaker_state;
    CREATE FUNCTION keep_history() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO channel_sync.history SELECT new.*;
        RETURN NULL;
    END
    $$;
    CREATE TRIGGER keep_history AFTER UPDATE ON circuit_breaker_state FOR EACH ROW
    WHEN (old.epoch <> new.epoch) EXECUTE FUNCTION keep_history();
"""


@pytest.fixture
def watched(database: Database) -> Database:
    """A database that keeps every epoch of a circuit."""
    with database.connect() as connection:
        connection.execute(_HISTORY)
    return database


def history(database: Database) -> list[dict[str, Any]]:
    """Every epoch in order, with the real times of its openings and closings."""
    with database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "SELECT epoch, state, extract(epoch FROM opened_at)::float8 AS opened_at, "
            "extract(epoch FROM closed_at)::float8 AS closed_at FROM history ORDER BY epoch"
        )
        return cursor.fetchall()


def journal(task: Task, kind: str) -> list[str]:
    """What the callers wrote down of one kind."""
    lines = task.journal.read_text().splitlines() if task.journal.exists() else []
    return [line.removeprefix(f"{kind} ") for line in lines if line.startswith(f"{kind} ")]


def sent(task: Task) -> list[Arrival]:
    """The calls that the callers began."""
    calls = [line.split() for line in journal(task, "sent")]
    return [
        Arrival(int(pid), int(epoch), probe == "1", float(asked_at)) for pid, epoch, probe, asked_at in calls
    ]


def late(calls: Sequence[Arrival], epochs: Sequence[dict[str, Any]]) -> list[Arrival]:
    """Ordinary calls that arrived, or for which leave was asked, when the circuit was known not to be closed."""
    opened_at = epochs[0]["opened_at"]
    closed_again = next(row["epoch"] for row in epochs if row["state"] == "closed")
    return [
        call
        for call in calls
        if not call.probe
        and call.epoch < closed_again
        and (call.epoch > 0 or max(call.asked_at, call.arrived_at) > opened_at + IN_FLIGHT_S)
    ]


@pytest.mark.parametrize(
    ("probes", "needed", "clocks"),
    [(1, 1, RIGHT), (1, 1, MINUTES_OFF), (3, 2, MINUTES_OFF)],
    ids=["one probe", "one probe, clocks minutes off", "three probes, clocks minutes off"],
)
def test_a_dead_host_is_probed_exactly_as_stated(
    watched: Database, tmp_path: Path, probes: int, needed: int, clocks: list[float]
) -> None:
    """Eight processes send exactly N probes per half-open window, nothing else after the opening, and recover at once.

    Whatever their own clocks say. A probe is answered only when N have arrived and a while for one too many has passed.
    """
    policy = BreakerPolicy(
        open_s=0.3, longest_open_s=0.3, probes=probes, successes_to_close=needed, probe_ttl_s=60.0
    )
    dead = Event()

    def respond(call: Arrival) -> int:
        if call.probe:
            host.wait_for(lambda: host.probes(call.epoch) >= probes)
            time.sleep(0.2)
        return 500 if dead.is_set() else 200

    def everybody_called(since: int) -> bool:
        return PROCESSES == len({call.pid for call in host.arrivals[since:] if not call.probe})

    with Host(respond) as host:
        host.listen()
        task = Task(watched, host.port, policy, tmp_path / "journal")
        with callers(task, clocks):
            assert host.wait_for(lambda: everybody_called(0))
            dead.set()
            assert host.wait_for(lambda: len({call.epoch for call in host.arrivals if call.probe}) >= 4)
            window_of_death = max(call.epoch for call in host.arrivals)
            assert host.wait_for(lambda: history(watched)[-1]["epoch"] > window_of_death)
            dead.clear()
            revived = len(host.arrivals)
            assert host.wait_for(lambda: everybody_called(revived))
        arrivals = list(host.arrivals)

    epochs = history(watched)
    windows = [row["epoch"] for row in epochs if row["state"] == "half_open"]
    assert dict.fromkeys(windows, probes) == Counter(call.epoch for call in arrivals if call.probe)
    assert 1 == len({call.epoch for call in arrivals[revived:] if call.probe})
    assert ["open", "half_open"] * len(windows) + ["closed"] == [row["state"] for row in epochs]
    assert [] == late(arrivals, epochs)
    opened_at = epochs[0]["opened_at"]
    assert PROCESSES >= sum(
        not call.probe and call.epoch == 0 and call.arrived_at > opened_at for call in arrivals
    )
    assert [
        f"circuit {KEY} opened after 500: calls are held back",
        f"circuit {KEY} closed: calls are let through again",
    ] == journal(task, "logged")


def test_a_host_that_refuses_connections(watched: Database, tmp_path: Path) -> None:
    """One probe per window tries to connect, nothing else does, and the first that gets through closes the circuit."""
    policy = BreakerPolicy(open_s=0.3, longest_open_s=0.3)
    with Host(lambda _: 200) as host:
        task = Task(watched, host.port, policy, tmp_path / "journal")
        with callers(task, RIGHT):
            assert host.wait_for(lambda: 3 <= sum(call.probe for call in sent(task)))
            host.listen()
            assert host.wait_for(lambda: PROCESSES == len({c.pid for c in host.arrivals if not c.probe}))
        calls, arrivals = sent(task), list(host.arrivals)
    epochs = history(watched)
    windows = [row["epoch"] for row in epochs if row["state"] == "half_open"]
    assert dict.fromkeys(windows, 1) == Counter(call.epoch for call in calls if call.probe)
    assert 1 == sum(call.probe for call in arrivals)
    assert [] == late(calls, epochs)


def test_the_late_success_of_a_hung_probe_closes_nothing(watched: Database, tmp_path: Path) -> None:
    """A probe that hangs is replaced when its time is over; that it succeeds in the end is not believed."""
    policy = BreakerPolicy(open_s=0.2, longest_open_s=0.2, probe_ttl_s=0.5)
    hung, alive = Event(), Event()
    failing = True

    def respond(call: Arrival) -> int:
        if call.probe and call.epoch == first_window:
            hung.wait(PATIENCE_S)
            return 200
        return 200 if alive.is_set() else 500

    first_window = 2  # closed 0, open 1, half open 2
    with Host(respond) as host:
        host.listen()
        task = Task(watched, host.port, policy, tmp_path / "journal")
        with callers(task, RIGHT):
            assert host.wait_for(lambda: any(call.epoch > first_window for call in host.arrivals))
            hung.set()
            assert host.wait_for(
                lambda: any(line.split()[1:3] == ["2", "1"] for line in journal(task, "recorded"))
            )
            time.sleep(0.5)
            failing = all(row["state"] != "closed" for row in history(watched))
            alive.set()
            assert host.wait_for(lambda: any(row["state"] == "closed" for row in history(watched)))
    assert failing
    epochs = history(watched)
    assert ["open", "half_open", "half_open"] == [row["state"] for row in epochs[:3]]
    assert 1 == host.probes(first_window)
    assert [] == late(host.arrivals, epochs)


def test_killed_holders_of_a_probe_hold_up_nobody_for_long(database: Database) -> None:
    """Sixty processes are killed -9 around taking a probe's permit; each time a new one is to be had in good time."""
    policy = BreakerPolicy(failures=1, open_s=0.02, longest_open_s=0.02, probe_ttl_s=0.1)
    chance = random.Random(1)
    margin_s = 3.0  # for a busy machine; a permit that is stuck is stuck for ever
    held = 0
    with ExitStack() as stack:
        breaker = PostgresCircuitBreaker(stack.enter_context(Session(database)), policy)
        breaker.record_failure(breaker.admit(KEY), "ConnectError")
        following = _holder(stack, database, policy)
        for number in range(60):
            (process, parent), following = following, _holder(stack, database, policy)
            assert parent.poll(PATIENCE_S)
            parent.recv()
            parent.send("go")
            if number % 2:
                assert parent.poll(PATIENCE_S)  # it holds the permit
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.join()
            killed_at = time.monotonic()
            held += _held(parent)
            probe = _next_probe(breaker)
            assert time.monotonic() - killed_at < policy.open_s + policy.probe_ttl_s + margin_s
            breaker.record_failure(probe, "ConnectError")
    assert held >= 30


def _holder(
    stack: ExitStack, database: Database, policy: BreakerPolicy
) -> tuple[ForkServerProcess, Connection]:
    parent, child = FORKSERVER.Pipe()
    process = FORKSERVER.Process(target=hold_probe, args=(database, policy, child), daemon=True)
    stack.enter_context(parent)
    stack.enter_context(stopped([process]))
    with child:
        process.start()
    return process, parent


def _held(parent: Connection) -> bool:
    """Whether the killed process had said that it was given a permit."""
    try:
        return isinstance(parent.recv(), Admission)
    except (EOFError, ConnectionError):
        return False


def _next_probe(breaker: PostgresCircuitBreaker) -> Admission:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            return breaker.admit(KEY)
        except CircuitOpenError:
            time.sleep(0.01)
    raise AssertionError("no probe is let through any more")
