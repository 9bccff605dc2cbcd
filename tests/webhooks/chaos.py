"""Bookings of the simulated Airbnb on their way into the tables while everything on the way is killed again and again."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from adapters.model import Stay
from channel_sync import bootstrap, config
from channel_sync.portfolio import applying, loading
from channel_sync.sandbox import demo
from channel_sync.sandbox.courier import Patience
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.webhooks import DeliveryFaults, Subscription
from channel_sync.sandbox.world import World
from channel_sync.storage.database import Database
from channel_sync.storage.inbox_watch import worker_lives
from channel_sync.sync.bookings import BookingBatch, pull_bookings, store_bookings
from tests.webhooks.one_run import Dagster, Process, dagster, wait_until
from tests.webhooks.truth import Outcome, compare, compare_nights, compare_revisions, compare_runs, rows

ACCOUNT = "airbnb-demo"
KINDS = ("gateway", "worker", "run")
FAULTS = DeliveryFaults(
    seed=12, duplicate=0.1, lose=0.05, wrong_signature=0.05, reorder=8, burst=20, delay_s=0.3
)
PATIENCE = Patience(first_wait_s=0.1, longest_wait_s=1.0, sendings=1_000)
_LEAST_PAUSE_S = (
    0.5  # what happens in a portion reaches back so far at most: no two things happen at one moment
)
_BACKLOG = 15  # events: a run that is to be killed at work needs some work
_BUSY = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend' AND state <> 'idle'"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much happens to how many bookings, how often something is killed, and how often the database is restarted.

    Every kind is killed equally often, and between two kills a portion happens. What is to be killed is at work, for
    ``rest_s`` at most.
    """

    deliveries: int = 300
    bookings: int = 20
    kills: int = 3
    database_restarts: int = 0
    rest_s: float = 0.05
    patience_s: float = 120.0
    seed: int = 1

    def __post_init__(self) -> None:
        """Refuse portions that leave a run nothing to be killed at."""
        if self.deliveries < 2 * _BACKLOG * self.portions:
            raise ValueError(f"{self.kills} kills take {2 * _BACKLOG * self.portions} deliveries or more")

    @property
    def portions(self) -> int:
        """One for each kill, two for each restart, and some to spare: a run may have ended before it is killed."""
        return self.kills + 2 * self.database_restarts + max(2, self.kills // 4)


def chaos(
    plan: Plan, database: Database, folder: Path, restart_database: Callable[[], None] = lambda: None
) -> Outcome:
    """Let it all happen, and compare the tables with the truth."""
    started = time.monotonic()
    with _world() as sandbox:
        environ = _environment(sandbox, database, folder)
        engine = bootstrap.engine(config.load(environ), environ=environ)
        applying.apply(database, loading.load(Path(str(demo.PORTFOLIO)), bootstrap.declarations()))
        since = datetime.now(UTC).date()
        with (
            dagster(database, environ, folder) as runs,
            _processes(environ, folder) as (gateway, worker, url),
        ):
            sandbox.webhooks.patience = PATIENCE
            sandbox.webhooks.faults = FAULTS
            sandbox.webhooks.subscribe(Subscription(f"{url}/webhooks/airbnb/{ACCOUNT}"))
            storm = _Storm(plan, sandbox, database, gateway, worker, runs, restart_database)
            storm.rage()
            assert sandbox.webhooks.settle(plan.patience_s), sandbox.webhooks.report()
            outcome = Outcome(sandbox.webhooks.report(), dict(storm.killed))
            outcome.unsettled = _until_nothing_is_due(database, plan.patience_s)
            wait_until("the end of the worker's runs", runs.worker_rests, plan.patience_s)
            worker.end()
            outcome.runs_ended_as_by_up = runs.end()
            compare_runs(outcome, database, runs.runs())
        compare_revisions(outcome, database)
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
    with Sandbox(world=World.empty(listings=6, start=start), lively=False) as sandbox:
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
def _processes(environ: Mapping[str, str], folder: Path) -> Iterator[tuple[Process, Process, str]]:
    """The gateway, which keeps its port when it is started again, and the worker; the gateway's URL."""
    said = folder / "gateway.log"
    first = Process(["channel_sync.cli", "webhooks", "--port", "0"], environ, said)
    try:
        url = _address(said)
    finally:
        first.kill()
    gateway = Process(["channel_sync.cli", "webhooks", "--port", url.rpartition(":")[2]], environ, said)
    worker = Process(["channel_sync.cli", "worker"], environ, folder / "worker.log")
    try:
        yield gateway, worker, url
    finally:
        gateway.kill()
        worker.kill()


def _address(said: Path) -> str:
    for _ in range(600):
        for line in said.read_text().splitlines() if said.exists() else ():
            if line.startswith("webhooks at "):
                return line.split()[-1]
        time.sleep(0.05)
    raise AssertionError(f"the gateway did not start: {said.read_text()}")


class _Storm:
    """Portion by portion bookings are made, altered and cancelled; at each, something is killed while it is at work."""

    def __init__(
        self,
        plan: Plan,
        sandbox: Sandbox,
        database: Database,
        gateway: Process,
        worker: Process,
        runs: Dagster,
        restart_database: Callable[[], None],
    ) -> None:
        self._plan, self._sandbox, self._database = plan, sandbox, database
        self._gateway, self._worker, self._runs = gateway, worker, runs
        self._restart_database = restart_database
        self._draw = Random(plan.seed)
        self._portions = iter(range(plan.portions))
        self.killed: Counter[str] = Counter()

    def rage(self) -> None:
        """Kill all that was planned, at random; at the end everything lives, and the rest happens."""
        happens = {
            "gateway": self._kill_gateway,
            "worker": self._kill_worker,
            "run": self._kill_run,
            "database": self._lose_database,
        }
        kinds = [KINDS[number % len(KINDS)] for number in range(self._plan.kills)]
        kinds += ["database"] * self._plan.database_restarts
        self._draw.shuffle(kinds)
        for kind in kinds:
            happens[kind]()
            self.killed[kind] += 1
        while self._happens():
            pass

    def _kill_gateway(self) -> None:
        before = self._events()
        self._happens()
        self._until("the gateway to store", lambda: self._events() > before)
        self._rest()
        self._gateway.kill()
        self._gateway.start_again()

    def _kill_worker(self) -> None:
        before = self._settled()
        self._happens()
        self._until("the worker to apply", lambda: self._settled() > before)
        self._rest()
        self._worker.kill()
        self._worker.start_again()

    def _kill_run(self) -> None:
        is_killed = False
        while not is_killed:
            run_id = self._launch()
            self._rest()
            is_killed = self._runs.kill_run(run_id)

    def _lose_database(self) -> None:
        """While gateway, worker and run need it."""
        self._launch()
        before = self._events()
        self._happens()
        self._until("the gateway to store", lambda: self._events() > before)
        self._rest()
        self._restart_database()

    def _launch(self) -> str:
        """A run at work. The worker hangs until it is: then both are."""
        self._until("a worker", self._worker_lives)
        self._until("the worker between two transactions", self._worker_hangs)
        try:
            assert self._happens(), "each run had ended before it was killed"
            self._until("a backlog", lambda: self._events() - self._settled() >= _BACKLOG)
            before = self._settled()
            run_id = self._runs.launch(ACCOUNT)
            self._until("the run to apply", lambda: self._settled() > before)
        finally:
            self._worker.go_on()
        return run_id

    def _worker_lives(self) -> bool:
        with self._database.connect() as connection:
            return worker_lives(connection)

    def _worker_hangs(self) -> bool:
        """Stopped, unless it is in a transaction: what it has locked, the run would wait for."""
        self._worker.halt()
        if not rows(self._database, _BUSY):
            return True
        self._worker.go_on()
        return False

    def _happens(self) -> bool:
        """The next portion, if there is one."""
        portion = next(self._portions, None)
        if portion is None:
            return False
        time.sleep(_LEAST_PAUSE_S)
        bookings, happenings = (
            whole * (portion + 1) // self._plan.portions - whole * portion // self._plan.portions
            for whole in (self._plan.bookings, self._plan.deliveries)
        )
        self._sandbox.bookings_at_random(bookings, self._plan.seed * 1_000 + portion, happenings)
        return True

    def _rest(self) -> None:
        time.sleep(self._draw.uniform(0, self._plan.rest_s))

    def _until(self, what: str, holds: Callable[[], object]) -> None:
        wait_until(what, holds, self._plan.patience_s)

    def _events(self) -> int:
        return self._count("SELECT count(*) FROM webhook_event")

    def _settled(self) -> int:
        return self._count("SELECT count(*) FROM webhook_event WHERE state <> 'received'")

    def _count(self, statement: str) -> int:
        ((number,),) = rows(self._database, statement)
        return int(number)


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
