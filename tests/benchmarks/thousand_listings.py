"""How long one Dagster run takes to pull and store a large account, beside what its requests cost anybody.

    python -m tests.benchmarks.thousand_listings [--listings 1000] [--nights 365] [--latency-ms 0] [--threads 8]
        [--quota 50] [--faults]

One embedded server with fsync on, and the simulated channels in a process of their own. The job sync_availability runs
over the months that hold the nights, each run in a process of its own, on an instance of the project's dagster.yaml
whose storage is Postgres: first on empty tables, again with nothing changed, and once more after some guests booked.

The floor of a run is what the very requests that it sent cost a bare httpx client, in as many threads, that throws the
bodies away: the faster of two passes right after the run. The simulated channel computes a calendar when it is first
asked for it (about 7 ms) and then repeats it: a pass before each run, not counted, pays for that.

"waiting" is the time between the first byte of a request and the last of its answer, over all threads, divided by
their number: the channel's own time, and that of a thread whose answer is there while another thread computes. So the
channel's true share lies between floor / seconds and waiting. The rest of a run is ours. On a busy machine compare CPU
times. Prints figures, last as one JSON object.

With --quota the account may make so many calls a second, and what counts is what that alone would take: see
tests.benchmarks.kept_quota. With --faults some of the calendars are refused, fail or break off.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from channel_sync import config
from channel_sync.sandbox import demo
from channel_sync.sandbox.rentals import listings_of
from channel_sync.storage.database import Database, create_database, with_database
from tests.benchmarks import kept_quota
from tests.benchmarks.large_account import ACCOUNT, channels, database_server, fetch_all, portfolio_of

SHARE_BOOKED = 0.02  # of the listings, between the second run and the third
NIGHTS_BOOKED = 3


@dataclass(frozen=True, slots=True)
class Task:
    """What a run is given. ``last`` is the last night; the run writes what it sent into ``asked``."""

    first: str
    last: str
    threads: int
    asked: str


@dataclass(frozen=True, slots=True)
class Run:
    """What a run's own process saw. Seconds of the run itself: ``process_s`` has Python and its imports too."""

    run_id: str
    seconds: float
    cpu_s: float
    process_s: float
    peak_rss_mb: int
    requests: int
    transport_s: float  # over all threads
    steps_s: Mapping[str, float]


# The run, in a process of its own ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it left: when (monotonic), and for how many seconds it was under way, to the end of the answer."""

    method: str
    path: str
    left_s: float
    took_s: float


class Watched(httpx.BaseTransport):
    """A transport, beneath limiter and breaker, that notes what is sent. Its answers are whole."""

    def __init__(self, inner: httpx.BaseTransport, seen: list[Sent]) -> None:
        self._inner = inner
        self._seen = seen

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and note how long that took, answered or not."""
        began = time.monotonic()
        try:
            return self._inner.handle_request(request)
        finally:
            path = request.url.raw_path.decode()
            self._seen.append(Sent(request.method, path, began, time.monotonic() - began))

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


def run_job(task: Task, began: float) -> Run:
    """Run the job once, in this process. ``began`` is when the process did."""
    import dagster as dg

    from channel_sync import bootstrap
    from channel_sync.defs import assemble
    from channel_sync.defs.partitions import ACCOUNTS, range_tags
    from channel_sync.resilience.transport import ChannelTransport
    from channel_sync.storage.portfolio import AccountRow
    from channel_sync.sync.engine import OpenChannel

    seen: list[Sent] = []
    engine = bootstrap.engine(config.load())

    @contextmanager
    def open_watched(account: AccountRow) -> Iterator[OpenChannel]:
        with engine.open_channel(account) as channel:
            guarded = channel.adapter.client._transport
            assert isinstance(guarded, ChannelTransport)
            guarded._inner = Watched(guarded._inner, seen)
            yield channel

    watched = replace(engine, open_channel=open_watched, threads=task.threads)
    job = assemble.definitions(watched).resolve_job_def("sync_availability")
    tags = range_tags("availability", ACCOUNT, date.fromisoformat(task.first), date.fromisoformat(task.last))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(ACCOUNTS["availability"].name), [ACCOUNT])
        started, cpu = time.perf_counter(), time.process_time()
        result = job.execute_in_process(instance=instance, tags=tags)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        steps = _step_seconds(instance.all_logs(result.run_id))
    Path(task.asked).write_text(json.dumps([asdict(sent) for sent in seen]))
    return Run(
        result.run_id,
        seconds,
        cpu,
        time.time() - began,
        round(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            / (2**20 if sys.platform == "darwin" else 2**10)
        ),
        len(seen),
        sum(sent.took_s for sent in seen),
        {**steps, "between the steps": seconds - sum(steps.values())},
    )


def _step_seconds(log: Sequence[Any]) -> dict[str, float]:
    """Seconds by kind of step, from start to success: list, pull, store, collect, check."""
    open_since: dict[str, float] = {}
    found: Counter[str] = Counter()
    for entry in log:
        event = entry.dagster_event
        if event is None or event.step_key is None:
            continue
        if event.is_step_start:
            open_since[event.step_key] = entry.timestamp
        elif event.is_step_success:
            name = event.step_key.rpartition(".")[2].partition("_availability")[0]
            name = name if name in {"list", "pull", "store", "collect"} else "check"
            found[name] += entry.timestamp - open_since[event.step_key]
    return dict(found)


# Everything around it -----------------------------------------------------------------------------------------------


class Scene:
    """The server, the channels and the portfolio, and what is done to them between runs."""

    def __init__(self, server: str, sandbox: str, folder: Path, arguments: argparse.Namespace) -> None:
        self.sandbox = sandbox
        self.threads: int = arguments.threads
        self.quota: int | None = arguments.quota
        self.faults: Sequence[Mapping[str, Any]] = kept_quota.FAULTS if arguments.faults else ()
        self.listings = list(listings_of(arguments.listings).values())
        self.first = datetime.now(UTC).date().replace(day=1)
        last = self.first + timedelta(days=arguments.nights - 1)
        self.last = (last.replace(day=1) + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        self.folder = folder
        self.latency: Sequence[Mapping[str, Any]] = ()
        self.url = with_database(server, config.DATABASE_NAME)
        self.environ = {
            "PATH": os.environ["PATH"],
            "DAGSTER_HOME": str(folder),
            "DAGSTER_EVENT_BATCH_SIZE": "100",  # as `channel-sync up` sets it
            "CHANNEL_MANAGER_ENABLED": "true",
            "CHANNEL_SYNC_DATABASE_URL": self.url,
            "CHANNEL_SYNC_SANDBOX_URL": sandbox,
            "CHANNEL_SYNC_STATE_DIR": str(folder / "state"),
            **demo.environment(sandbox),
        }
        settings = config.load(self.environ)
        assert settings.dagster_database_url is not None
        self.environ["CHANNEL_SYNC_DAGSTER_DATABASE_URL"] = settings.dagster_database_url

    @property
    def nights(self) -> int:
        """How many nights of a listing the months hold."""
        return (self.last - self.first).days + 1

    def prepare(self, server: str, latency_s: float) -> None:
        """Tables, portfolio and Dagster's storage; time stands still in the simulated world."""
        create_database(server, config.dagster_database_name(self.url))
        (self.folder / "dagster.yaml").symlink_to(config.project_root() / "dagster.yaml")
        self._python("-m", "channel_sync.cli", "migrate")
        file = self.folder / "portfolio.yaml"
        quotas = kept_quota.quota_of(self.quota) if self.quota else ()
        file.write_text(json.dumps(portfolio_of(self.listings, quotas)))  # JSON is YAML
        self._python("-m", "channel_sync.cli", "portfolio", "apply", str(file))
        self._python("-m", "channel_sync.stack.dagster_storage")
        self._steer("clock", {"now": datetime.now(UTC).isoformat()}).raise_for_status()
        self.warm()
        if latency_s:
            self.latency = [{"kind": "latency", "path": "/airbnb/*", "seconds": latency_s}]

    def warm(self) -> None:
        """Let the simulated channel compute every calendar that is going to be asked for."""
        paths = [
            f"/airbnb/v2/calendars/{listing.listing_id}/{self.first}/{self.last}" for listing in self.listings
        ]
        fetch_all(self.sandbox, paths, self.threads)

    def book(self) -> int:
        """Guests book stays on some of the listings; how many nights that are."""
        booked = self.listings[:: round(1 / SHARE_BOOKED)]
        for listing in booked:
            for ahead in range(self.nights - NIGHTS_BOOKED, 0, -1):
                check_in = self.first + timedelta(days=ahead)
                stay = {
                    "listing_id": listing.listing_id,
                    "check_in": str(check_in),
                    "check_out": str(check_in + timedelta(days=NIGHTS_BOOKED)),
                }
                if self._steer("world", {"book": stay}).is_success:
                    break
            else:
                raise AssertionError(f"listing {listing.listing_id} is booked out")
        self.warm()
        return len(booked) * NIGHTS_BOOKED

    def run(self, name: str) -> dict[str, Any]:
        """One run and its floor, each in a process of its own, as figures."""
        asked = self.folder / "asked.json"
        task = Task(str(self.first), str(self.last), self.threads, str(asked))
        log_before = self._log_end()
        permits_before = self._permits()
        self._tell("DELETE", "calls")
        self._tell("POST", "faults", [*self.faults, *self.latency])
        run = Run(**json.loads(self._child("run", asdict(task))))
        calls = self._tell("GET", "calls")
        self._tell("DELETE", "faults")
        wal_mb = (self._log_end() - log_before) / 2**20
        self._tell("POST", "faults", self.latency)
        floor_s, floor_cpu_s = json.loads(self._child("floor", [self.sandbox, str(asked), self.threads]))
        self._tell("DELETE", "faults")
        stored = self._stored(run.run_id)
        waiting = run.transport_s / self.threads
        figures = {
            "run": name,
            **{key: value for key, value in asdict(run).items() if key not in ("run_id", "steps_s")},
            "steps_s": run.steps_s,
            **stored,
            "rows_per_s": stored["rows_read"] / run.seconds,
            "wal_mb": wal_mb,
            "waiting_s": waiting,
            "waiting_share": waiting / run.seconds,
            "floor_s": floor_s,
            "floor_cpu_s": floor_cpu_s,
            "to_floor": run.seconds / floor_s,
            "pull_to_floor": run.steps_s["pull"] / floor_s,
            "cpu_to_floor": run.cpu_s / floor_cpu_s,
        }
        show(figures)
        if self.quota:
            left_s = [sent["left_s"] for sent in json.loads(asked.read_text())]
            figures |= kept_quota.figures(calls, left_s, self.quota, run.seconds)
            figures["permits_unused"] = self._permits() - permits_before - len(calls)
            print(kept_quota.show(figures), flush=True)
        return figures

    def _stored(self, run_id: str) -> dict[str, Any]:
        """What the sync log says of a run."""
        with Database(self.url).connect() as connection:
            row = connection.execute(
                "SELECT sum(rows_read), sum(rows_changed), sum(nights_closed),"
                " sum(requests), count(*) FILTER (WHERE outcome IN ('stored', 'unchanged')), count(*),"
                " count(DISTINCT listing_id), (SELECT count(*) FROM channel_availability)"
                " FROM sync_log WHERE run_id = %s AND subject = 'availability'",
                [run_id],
            ).fetchone()
        assert row is not None
        *sums, well, pulls, listings, rows = row
        if {well, pulls, listings} != {len(self.listings)} or rows != len(self.listings) * self.nights:
            raise AssertionError(
                f"{well} of {len(self.listings)} listings were stored, {listings} in {pulls} pulls; {rows} rows"
            )
        names = ("rows_read", "rows_changed", "nights_closed", "attempts")
        return dict(zip(names, map(int, sums), strict=True))

    def _permits(self) -> int:
        """How many permits were ever granted under the account's own key."""
        with Database(self.url).connect() as connection:
            row = connection.execute(
                "SELECT sum(granted) FROM rate_limit_state WHERE cardinality(limits) > 0"
            ).fetchone()
        return int(row[0] or 0) if row else 0

    def _log_end(self) -> int:
        """The end of the server's log in bytes; Dagster's own writing is part of it."""
        with Database(self.url).connect() as connection:
            row = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        assert row is not None
        return int(row[0])

    def _steer(self, what: str, told: Mapping[str, Any]) -> httpx.Response:
        return httpx.post(f"{self.sandbox}/_sandbox/{what}", json=told, trust_env=False)

    def _tell(self, method: str, what: str, told: object = None) -> Any:
        answer = httpx.request(
            method, f"{self.sandbox}/_sandbox/{what}", json=told, trust_env=False, timeout=60
        )
        return answer.raise_for_status().json()

    def _child(self, what: str, told: object) -> str:
        lines = self._python("-m", "tests.benchmarks.thousand_listings", "--child", what, json.dumps(told))
        return lines.splitlines()[-1]

    def _python(self, *words: str) -> str:
        # Standard error goes to a file: Dagster writes a line there for every event.
        with (self.folder / "log").open("w+") as log:
            ended = subprocess.run(
                [sys.executable, *words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environ,
                cwd=config.project_root(),
                check=False,
            )
            if ended.returncode:
                log.seek(0)
                sys.exit(log.read()[-4000:])
        return ended.stdout


def show(figures: Mapping[str, Any]) -> None:
    """One run for people."""
    steps = ", ".join(f"{name} {seconds:.1f}" for name, seconds in figures["steps_s"].items())
    print(
        f"{figures['run']:16} {figures['seconds']:7.2f} s ({steps}); {figures['requests']:,} requests,"
        f" {figures['rows_read']:,} rows, {figures['rows_changed']:,} changed; {figures['rows_per_s']:,.0f} rows/s;"
        f" CPU {figures['cpu_s']:.1f} s; {figures['peak_rss_mb']} MB peak; {figures['wal_mb']:.0f} MB WAL; waiting"
        f" {figures['waiting_share']:.0%}; floor {figures['floor_s']:.2f} s, {figures['to_floor']:.2f} times"
        f" (CPU {figures['cpu_to_floor']:.1f} times)",
        flush=True,
    )


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The three runs."""
    with ExitStack() as stack:
        server = stack.enter_context(database_server())
        sandbox = stack.enter_context(channels(arguments.listings))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scene = Scene(server, sandbox, folder, arguments)
        scene.prepare(server, arguments.latency_ms / 1000)
        runs = [scene.run("first"), scene.run("unchanged")]
        nights = scene.book()
        runs.append(scene.run("some booked"))
    written = [run["rows_changed"] for run in runs]
    if written != [runs[0]["rows_read"], 0, nights]:
        raise AssertionError(f"rows were written that did not change: {written}, booked were {nights}")
    return {
        "listings": arguments.listings,
        "nights": scene.nights,
        "threads": arguments.threads,
        "latency_ms": arguments.latency_ms,
        "quota": arguments.quota,
        "faults": arguments.faults,
        "dagster_storage": "postgres",
        "runs": [_rounded(run) for run in runs],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def main() -> None:
    """Read the arguments, run and print."""
    began = time.time()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--listings", type=int, default=1000)
    parser.add_argument("--nights", type=int, default=365, help="rounded up to whole months")
    parser.add_argument("--latency-ms", type=float, default=0, help="of the simulated channel, per answer")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--quota", type=int, help="calls a second that the account may make")
    parser.add_argument(
        "--faults", action="store_true", help="429s, 500s and dropped connections among the calendars"
    )
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    match arguments.child:
        case ["run", told]:
            print(json.dumps(asdict(run_job(Task(**json.loads(told)), began))))
        case ["floor", told]:
            url, asked, threads = json.loads(told)
            sent = json.loads(Path(asked).read_text())
            paths = [one["path"] for one in sent if one["method"] == "GET"]
            print(json.dumps(min(fetch_all(url, paths, threads) for _ in range(2))))
        case _:
            print(json.dumps(measure(arguments)))


if __name__ == "__main__":
    main()
