"""What eight processes that share one limit look like from the channel's side.

A machine that stops a process between its permit and its send makes a call late that no limiter can call back. So that
the verdict does not hang on the machine, a call counts as arrived ON_THE_WAY_S after its permit where it took longer.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest

from channel_sync.resilience.rate_limiter.limits import GUARD_S
from channel_sync.storage.database import Database
from tests.benchmarks.arrivals import Arrivals, receiver, windows
from tests.benchmarks.limited_callers import Shift, Task, work

PROCESSES = 8
ON_THE_WAY_S = GUARD_S / 2  # of the guard, the part that is meant for the way to the channel
RETRY_AFTER_S = 2


def settled(shift: Shift, arrivals: Arrivals) -> list[int]:
    """When the calls arrived, in order, none later than ON_THE_WAY_S after its permit."""
    permits = [iter(calls.granted_ns) for calls in shift.calls]  # a caller's calls arrive as it sent them
    return sorted(
        min(at, next(permits[caller]) + round(ON_THE_WAY_S * 1e9))
        for at, caller in zip(arrivals.times_ns, arrivals.callers, strict=True)
    )


def within(times_ns: Sequence[int], begin_ns: int, seconds: float) -> list[int]:
    """Those in [begin, begin + seconds)."""
    return [at for at in times_ns if begin_ns <= at < begin_ns + seconds * 1e9]


def test_the_windows_that_are_looked_at_hold_the_fullest_one() -> None:
    """Windows are half-open, and every one that begins at an arrival counts."""
    times = [0, 1, 2, 10, 11, 12, 13]

    assert (4, 1) == _counted(times, 3, 4e-9)
    assert (3, 0) == _counted(times, 3, 3e-9)
    assert (5, 4) == _counted(times, 3, 12e-9)


def _counted(times_ns: Sequence[int], limit: int, window_s: float) -> tuple[int, int]:
    seen = windows(times_ns, limit, window_s)
    return seen.fullest, seen.violations


@pytest.mark.parametrize("quotas", [((100, 1.0),), ((100, 1.0), (160, 2.0))], ids=["one", "two"])
def test_a_quota_shared_by_eight_processes_holds_where_the_calls_arrive(
    database: Database, quotas: tuple[tuple[int, float], ...]
) -> None:
    """No sliding window at the receiving end holds more than the quota, and no process is starved."""
    with receiver() as end:
        shift = work(Task("ours", database.url, "shared", quotas, end.url), processes=PROCESSES, seconds=3.0)
        arrivals = end.finish()

    times = settled(shift, arrivals)
    assert [0] * len(quotas) == [windows(times, limit, window_s).violations for limit, window_s in quotas]
    # The pace itself is a benchmark's business: a machine that is busy enough makes permits lapse.
    even_share = len(times) / PROCESSES
    shares = Counter(arrivals.callers)
    assert even_share > 2
    assert [] == [caller for caller in range(PROCESSES) if shares[caller] < even_share / 3]


def test_a_429_seen_by_one_process_stops_all_of_them_and_starts_no_herd(database: Database) -> None:
    """Nothing arrives for Retry-After, also of permits that others were waiting for; then calls come at their pace."""
    limit, pace_s = 50, 1 / 50
    with receiver(refused_call=15, retry_after_s=RETRY_AFTER_S) as end:
        task = Task("ours", database.url, "refused", ((limit, 1.0),), end.url)
        shift = work(task, processes=PROCESSES, seconds=5.0)
        arrivals = end.finish()

    assert arrivals.refused_ns is not None
    [told_ns] = [calls.penalized_ns for calls in shift.calls if calls.penalized_ns is not None]
    times = settled(shift, arrivals)
    # Sent before anybody but the one who was refused could know of it, or on the way then.
    silent_from_ns = told_ns + round(2 * ON_THE_WAY_S * 1e9)
    silent_until_ns = arrivals.refused_ns + RETRY_AFTER_S * 1_000_000_000
    assert [] == [at for at in times if silent_from_ns <= at < silent_until_ns]
    # Seven others held slots of the next 140 ms: the silence is longer than those.
    assert RETRY_AFTER_S - 0.5 < max(later - earlier for earlier, later in pairwise(times)) / 1e9

    after = within(times, silent_until_ns, 60.0)
    assert len(after) > PROCESSES
    assert 0 == windows(times, limit, 1.0).violations
    assert len(within(after, after[0], 0.1)) <= 0.1 / pace_s + 1
