"""Bookings of the simulated Airbnb on their way into the tables while everything on the way is killed again and again."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from threading import Event, Thread

from adapters.model import Stay
from channel_sync import bootstrap, config
from channel_sync.portfolio import applying, loading
from channel_sync.sandbox import demo
from channel_sync.sandbox.courier import Patience
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.webhooks import DeliveryFaults, Subscription
from channel_sync.sandbox.world import World
from channel_sync.storage.database import Database
from channel_sync.sync.bookings import BookingBatch, pull_bookings, store_bookings
from tests.webhooks.truth import Outcome, compare, compare_nights, rows

ACCOUNT = "airbnb-demo"
FAULTS = DeliveryFaults(
    seed=12, duplicate=0.1, lose=0.05, wrong_signature=0.05, reorder=8, burst=20, delay_s=0.3
)
PATIENCE = Patience(first_wait_s=0.1, longest_wait_s=1.0, sendings=1_000)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much happens to how many bookings, in how many portions, and how often what is killed or started again.

    ``rest_s`` lies between two kills at most.
    """

    deliveries: int = 300
    bookings: int = 20
    portions: int = 5
    kills: int = 2
    database_restarts: int = 0
    rest_s: float = 1.5
    patience_s: float = 60.0
    seed: int = 1


class Process:
    """A process that can be killed and is started again."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", *command]
        self._environ = config.child_environment(environ)
        self._log = log
        self._process = self._started()

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(20)

    def start_again(self) -> None:
        """Another one in its place."""
        self._process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=config.project_root(), env=self._environ, stdout=log, stderr=log
            )


def chaos(
    plan: Plan, database: Database, folder: Path, restart_database: Callable[[], None] | None = None
) -> Outcome:
    """Let it all happen, and compare the tables with the truth."""
    started = time.monotonic()
    with _world() as sandbox:
        environ = _environment(sandbox, database, folder)
        engine = bootstrap.engine(config.load(environ), environ=environ)
        applying.apply(database, loading.load(Path(str(demo.PORTFOLIO)), bootstrap.declarations()))
        since = datetime.now(UTC).date()
        with _processes(environ, folder) as (processes, url):
            sandbox.webhooks.patience = PATIENCE
            sandbox.webhooks.faults = FAULTS
            sandbox.webhooks.subscribe(Subscription(f"{url}/webhooks/airbnb/{ACCOUNT}"))
            killer = _Killer(plan, processes, restart_database)
            with killer.at_work():
                _let_happen(plan, sandbox)
                killer.wait(plan.patience_s)
            assert sandbox.webhooks.settle(plan.patience_s), sandbox.webhooks.report()
            outcome = Outcome(sandbox.webhooks.report(), killer.killed)
            outcome.unsettled = _until_nothing_is_due(database, plan.patience_s)
        until = datetime.now(UTC).date() + timedelta(days=1)
        batch = BookingBatch("bookings_backstop", "backstop", ACCOUNT, Stay(since - timedelta(days=1), until))
        healed = store_bookings(engine, pull_bookings(engine, batch)).entry
        assert healed.error is None, healed.error_message
        outcome.healed_by_pull = healed.rows_changed
        compare(outcome, database, sandbox)
        compare_nights(outcome, database, sandbox)
    outcome.seconds = round(time.monotonic() - started, 1)
    return outcome


@contextmanager
def _world() -> Iterator[Sandbox]:
    """A world in real time, where nothing happens but what is scripted."""
    start = datetime.now(UTC) - timedelta(days=30)
    with Sandbox(world=World.empty(listings=6, start=start)) as sandbox:
        yield sandbox


def _environment(sandbox: Sandbox, database: Database, folder: Path) -> dict[str, str]:
    return {
        config.ENABLED: "true",
        config.DATABASE_URL: database.url,
        config.SANDBOX_URL: sandbox.url,
        config.STATE_DIR: str(folder),
        **demo.environment(sandbox.url),
    }


@contextmanager
def _processes(environ: Mapping[str, str], folder: Path) -> Iterator[tuple[list[Process], str]]:
    """The gateway, which keeps its port when it is started again, and one that applies; the gateway's URL."""
    said = folder / "gateway.log"
    first = Process(["channel_sync.cli", "webhooks", "--port", "0"], environ, said)
    try:
        url = _address(said)
    finally:
        first.kill()
    processes = [
        Process(["channel_sync.cli", "webhooks", "--port", url.rpartition(":")[2]], environ, said),
        Process(["tests.webhooks.applying", ACCOUNT], environ, folder / "applying.log"),
    ]
    try:
        yield processes, url
    finally:
        for process in processes:
            process.kill()


def _address(said: Path) -> str:
    for _ in range(600):
        for line in said.read_text().splitlines() if said.exists() else ():
            if line.startswith("webhooks at "):
                return line.split()[-1]
        time.sleep(0.05)
    raise AssertionError(f"the gateway did not start: {said.read_text()}")


class _Killer:
    """Kills one of the processes, or starts the database again, at random moments."""

    def __init__(
        self, plan: Plan, processes: Sequence[Process], restart_database: Callable[[], None] | None
    ) -> None:
        self._plan = plan
        self._processes = processes
        self._restart_database = restart_database
        self._draw = Random(plan.seed)
        self._over = Event()
        self._failed: list[Exception] = []
        self.killed = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """In the background, until all is killed that was planned or the block ends."""
        thread = Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
        assert not self._failed, self._failed

    def wait(self, patience_s: float) -> None:
        """Until it has done all of it."""
        until = time.monotonic() + patience_s
        while self.killed < self._plan.kills and not self._failed and time.monotonic() < until:
            time.sleep(0.05)

    def _work(self) -> None:
        restarts = self._plan.database_restarts if self._restart_database else 0
        every = max(1, self._plan.kills // (restarts + 1))
        try:
            while self.killed < self._plan.kills:
                if self._over.wait(self._draw.uniform(0.3, 1) * self._plan.rest_s):
                    return
                # Each in its turn first: a small plan kills them all, too.
                first = self.killed < len(self._processes)
                process = self._processes[self.killed] if first else self._draw.choice(self._processes)
                process.kill()
                process.start_again()
                self.killed += 1
                if restarts and self.killed % every == 0 and self._restart_database:
                    restarts -= 1
                    self._restart_database()
        except Exception as error:  # noqa: BLE001 - told where it is waited for
            self._failed.append(error)


def _let_happen(plan: Plan, sandbox: Sandbox) -> None:
    """Bookings are made, altered and cancelled, portion by portion."""
    for portion in range(plan.portions):
        bookings, happenings = (
            whole * (portion + 1) // plan.portions - whole * portion // plan.portions
            for whole in (plan.bookings, plan.deliveries)
        )
        sandbox.bookings_at_random(bookings, plan.seed * 1_000 + portion, happenings)
        time.sleep(0.5)


def _until_nothing_is_due(database: Database, patience_s: float) -> list[object]:
    """Events that are not settled in time."""
    until = time.monotonic() + patience_s
    while True:
        left = rows(
            database, "SELECT name, state, attempts, reason FROM webhook_event WHERE state = 'received'"
        )
        if not left or time.monotonic() > until:
            return list(left)
        time.sleep(0.1)
