"""How much of a quota many processes use together, whether it holds where the calls arrive, and how fast permits can be had.

    python -m tests.benchmarks.rate_limiter [--processes 8] [--limit 200] [--window 1] [--seconds 12]
                                            [--second-limit 600 --second-window 5] [--busy 0] [--all]

One embedded server with fsync on. Processes with endless demand share a quota: permit, call over a kept connection, next
permit. Ours, then pyrate-limiter's PostgresBucket as its documentation sets it up, under the same conditions. --busy lets
so many processes compute beside. --all: 1, 4 and 8 processes, two windows at once, every core busy; about two minutes.

Figures are taken at the receiving end, from the kernel's timestamps:

- achieved / allowed: calls that arrived in [begin, begin + seconds), by limit x seconds / window of the tightest quota.
  Everybody is connected before the beginning. Where seconds is a multiple of every window no limiter that keeps the
  quota gets above 1.0; one that paces evenly may show one call more than its pace.
- fullest: the most calls in any sliding window; over: how many windows that begin at an arrival hold more than the limit.
- wait: what a permit took, over all processes, also one that was not there at the end.
- share: calls of the process with the fewest and of that with the most, and the difference in percent of the mean.
- lapsed: permits of ours that came too late to be used, and were taken again.
- late: from a permit's return to its arrival.
- ceiling: permits per second with limits out of reach and nothing sent. "durable" is ours with synchronous_commit on,
  which costs it what the peer's statements cost.

Prints figures, last as one JSON object.
"""

import argparse
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count, groupby
from statistics import fmean, quantiles

from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.migrate import migrate
from tests.benchmarks.arrivals import Arrivals, receiver, windows
from tests.benchmarks.large_account import database_server
from tests.benchmarks.limited_callers import Calls, LimiterName, Shift, Task, busy, work

OUT_OF_REACH = 5_000  # times the quota

# Each process imports the module that is run, this one: quick where what it imports is there.
_IMPORTED_ONCE = [
    "channel_sync.storage.migrate",
    "tests.benchmarks.large_account",
    "tests.benchmarks.limited_callers",
    "tests.benchmarks.pyrate_peer",
]
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One set of conditions. Quotas are (limit, seconds)."""

    processes: int
    quotas: tuple[tuple[int, float], ...]
    seconds: float
    ceiling_s: float
    busy: int = 0

    def __str__(self) -> str:
        """As the heading of its figures."""
        quotas = " and ".join(f"{limit} per {window_s:g} s" for limit, window_s in self.quotas)
        return f"{self.processes} processes, {quotas}, {self.seconds:g} s, {self.busy} busy loops beside"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one limiter did. ``fullest`` and ``over`` have one number per quota."""

    limiter: str
    achieved: float
    fullest: list[int]
    over: list[int]
    wait_p50_ms: float
    wait_p99_ms: float
    wait_max_ms: float
    fewest: int
    most: int
    spread_percent: float
    lapsed: int | None
    late_p99_ms: float
    late_max_ms: float
    unstamped: int


@dataclass(frozen=True, slots=True)
class Ceiling:
    """Permits per second: of ours as it ships, of ours with synchronous_commit on, of the peer."""

    ours: float
    durable: float
    pyrate: float


@dataclass(frozen=True, slots=True)
class Databases:
    """The URLs of one server's databases. ``durable`` is that of ours, waiting for the disk at each commit."""

    ours: str
    durable: str
    pyrate: str

    def candidates(self) -> tuple[tuple[LimiterName, str], ...]:
        """Who takes part in the ceiling, each with its database."""
        return ("ours", self.ours), ("ours", self.durable), ("pyrate", self.pyrate)


@contextmanager
def databases() -> Iterator[Databases]:
    """A server for the length of the benchmark."""
    with database_server() as server:
        ours, pyrate = with_database(server, "channel_sync"), with_database(server, "pyrate")
        migrate(ours)
        create_database(server, "pyrate")
        # What the URL asks for comes after what the session asks for, and so prevails.
        durable = f"{ours}{'&' if '?' in ours else '?'}options=-csynchronous_commit%3Don"
        yield Databases(ours, durable, pyrate)


def share_quota(scenario: Scenario, limiter: LimiterName, url: str) -> Figures:
    """Let the processes use the quota as much as they can."""
    key = f"share_{next(_numbers)}"
    with receiver() as end:
        task = Task(limiter, url, key, scenario.quotas, end.url)
        shift = work(task, processes=scenario.processes, seconds=scenario.seconds)
        arrivals = end.finish()
    held = [windows(arrivals.times_ns, limit, window_s) for limit, window_s in scenario.quotas]
    counted = _arrived_within(shift, arrivals, scenario.seconds)
    allowed = min(limit * scenario.seconds / window_s for limit, window_s in scenario.quotas)
    waits_ms = _percentiles([wait * 1e3 for calls in shift.calls for wait in calls.waits_s])
    late_ms = _percentiles(_late_ms(shift.calls, arrivals))
    shares = [counted[number] for number in range(scenario.processes)]
    return Figures(
        limiter=limiter,
        achieved=round(counted.total() / allowed, 4),
        fullest=[window.fullest for window in held],
        over=[window.violations for window in held],
        wait_p50_ms=waits_ms[50],
        wait_p99_ms=waits_ms[99],
        wait_max_ms=waits_ms[100],
        fewest=min(shares),
        most=max(shares),
        spread_percent=round(100 * (max(shares) - min(shares)) / fmean(shares), 1),
        lapsed=_lapsed(url, key, shift) if limiter == "ours" else None,
        late_p99_ms=late_ms[99],
        late_max_ms=late_ms[100],
        unstamped=arrivals.unstamped,
    )


def ceiling(scenario: Scenario, urls: Databases) -> Ceiling:
    """Let the processes take permits that are always there. The better of two rounds: what else runs only ever slows."""

    def per_second(limiter: LimiterName, url: str) -> float:
        quotas = tuple((limit * OUT_OF_REACH, window_s) for limit, window_s in scenario.quotas)
        task = Task(limiter, url, f"ceiling_{next(_numbers)}", quotas, receiver_url=None)
        shift = work(task, processes=scenario.processes, seconds=scenario.ceiling_s)
        return round(sum(len(calls.granted_ns) for calls in shift.calls) / scenario.ceiling_s, 1)

    rounds = [[per_second(*candidate) for candidate in urls.candidates()] for _ in range(2)]
    return Ceiling(*map(max, *rounds))


def _arrived_within(shift: Shift, arrivals: Arrivals, seconds: float) -> Counter[int]:
    end_ns = shift.began_ns + round(seconds * 1e9)
    together = zip(arrivals.times_ns, arrivals.callers, strict=True)
    return Counter(caller for at, caller in together if shift.began_ns <= at < end_ns)


def _late_ms(calls: Sequence[Calls], arrivals: Arrivals) -> list[float]:
    """One caller's calls arrive in the order in which it sent them."""
    by_caller = sorted(zip(arrivals.callers, arrivals.times_ns, strict=True))
    return [
        (at - granted) / 1e6
        for caller, group in groupby(by_caller, key=lambda arrival: arrival[0])
        for granted, (_, at) in zip(calls[caller].granted_ns, group, strict=True)
    ]


def _lapsed(url: str, key: str, shift: Shift) -> int:
    with Database(url).connect() as connection:
        rows = connection.execute("SELECT granted FROM rate_limit_state WHERE key = %s", [key]).fetchall()
    return int(rows[0][0]) - sum(len(calls.granted_ns) for calls in shift.calls)


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    """Of the sorted values, the 50th and 99th percentile and the greatest (100)."""
    cuts = quantiles(values, n=100, method="inclusive")
    return {50: round(cuts[49], 2), 99: round(cuts[98], 2), 100: round(max(values), 2)}


def measured(scenario: Scenario, urls: Databases) -> dict[str, object]:
    """Run one scenario, print it, and return it for the JSON."""
    print(f"\n{scenario}")
    print(
        f"{'':8}{'achieved':>9}{'fullest':>12}{'over':>12}{'wait p50/p99/max ms':>26}{'share':>18}{'lapsed':>8}{'late p99/max ms':>18}"
    )
    ours, _, pyrate = urls.candidates()
    found = []
    with busy(scenario.busy):
        for limiter, url in (ours, pyrate):
            figures = share_quota(scenario, limiter, url)
            found.append(figures)
            print(_line(figures), flush=True)
        reached = ceiling(scenario, urls)
    ratios = {
        "as_shipped": round(reached.ours / reached.pyrate, 1),
        "durable": round(reached.durable / reached.pyrate, 1),
    }
    print(
        f"ceiling: ours {reached.ours:.0f}/s ({ratios['as_shipped']} x), durable {reached.durable:.0f}/s "
        f"({ratios['durable']} x), pyrate {reached.pyrate:.0f}/s",
        flush=True,
    )
    return {
        **asdict(scenario),
        **{figures.limiter: asdict(figures) for figures in found},
        "ceiling_per_s": asdict(reached),
        "ceiling_ratio": ratios,
    }


def _line(figures: Figures) -> str:
    waits = f"{figures.wait_p50_ms:.1f} / {figures.wait_p99_ms:.0f} / {figures.wait_max_ms:.0f}"
    share = f"{figures.fewest}-{figures.most} ({figures.spread_percent:.1f} %)"
    late = f"{figures.late_p99_ms:.1f} / {figures.late_max_ms:.1f}"
    fullest, over = (" + ".join(map(str, numbers)) for numbers in (figures.fullest, figures.over))
    lapsed = "-" if figures.lapsed is None else figures.lapsed
    return f"{figures.limiter:8}{figures.achieved:>9.3f}{fullest:>12}{over:>12}{waits:>26}{share:>18}{lapsed:>8}{late:>18}"


def scenarios(given: argparse.Namespace) -> list[Scenario]:
    """What to measure."""
    one = ((given.limit, given.window),)
    if given.all:
        cores = os.cpu_count() or 1
        return [
            Scenario(1, one, 4, 1),
            Scenario(4, one, 4, 1),
            Scenario(8, one, 8, 1),
            Scenario(8, ((200, 1.0), (600, 5.0)), 10, 1),
            Scenario(8, one, 8, 1, busy=cores),
        ]
    two = ((given.second_limit, given.second_window),) if given.second_limit else ()
    return [Scenario(given.processes, (*one, *two), given.seconds, 2, given.busy)]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--window", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--second-limit", type=int)
    parser.add_argument("--second-window", type=float, default=5.0)
    parser.add_argument("--busy", type=int, default=0)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    multiprocessing.set_forkserver_preload(_IMPORTED_ONCE)
    load, cores = os.getloadavg()[0], os.cpu_count()
    with databases() as urls:
        runs = [measured(scenario, urls) for scenario in scenarios(given)]
    print(json.dumps({"cores": cores, "load_before": round(load, 2), "runs": runs}))


if __name__ == "__main__":
    main()
