"""What an account's quota allowed and what its channel saw: the figures of a run under a quota, and the faults in it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.arrivals import windows

WINDOW_S = 1.0
RETRY_AFTER_S = 1

# By number of the calendar request, so that every run meets the same: about one in a hundred of each kind, and two
# requests to be left alone for a second.
_CALENDARS = "/airbnb/v2/calendars/*"
FAULTS: Sequence[Mapping[str, Any]] = (
    {
        "kind": "status",
        "path": _CALENDARS,
        "code": 429,
        "retry_after": str(RETRY_AFTER_S),
        "every": 331,
        "times": 2,
    },
    {"kind": "status", "path": _CALENDARS, "code": 500, "every": 97},
    {"kind": "drop", "path": _CALENDARS, "every": 103},
    {"kind": "drop", "path": _CALENDARS, "every": 211, "after": "headers"},
)


def quota_of(limit: int) -> list[dict[str, Any]]:
    """The account's own contract, as the portfolio has it."""
    return [{"limit": limit, "window_s": WINDOW_S, "per": "account"}]


def figures(
    calls: Sequence[Mapping[str, Any]], left_s: Sequence[float], limit: int, seconds: float
) -> dict[str, Any]:
    """What the channel saw of a run of so many seconds, beside what the quota alone would have taken.

    ``calls`` are as the sandbox recorded them, ``left_s`` when each left here; both by the one monotonic clock of the
    machine. A window is in excess at the channel although it was not when the calls left: that is the receiver, who
    was late to look at some of them.
    """
    arrived = _nanoseconds([call["arrived"] for call in calls])
    seen = windows(arrived, limit, WINDOW_S)
    left = windows(_nanoseconds(left_s), limit, WINDOW_S)
    asked_s = _together([call["arrived"] for call in calls if call["status"] == 429])
    alone_s = len(calls) / limit * WINDOW_S
    return {
        "quota": limit,
        "calls_seen": len(calls),
        "answers": dict(Counter(str(call["status"]) for call in calls)),
        "fullest_second_seen": seen.fullest,
        "windows_in_excess_seen": seen.violations,
        "fullest_second_left": left.fullest,
        "windows_in_excess_left": left.violations,
        "calls_span_s": (arrived[-1] - arrived[0]) / 1e9,
        "quota_alone_s": alone_s,
        "asked_to_wait_s": asked_s,
        "to_quota_alone": seconds / alone_s,
        "to_quota_and_waits": seconds / (alone_s + asked_s),
    }


def show(run: Mapping[str, Any]) -> str:
    """One run for people."""
    return (
        f"{'':16} quota alone {run['quota_alone_s']:.2f} s: {run['to_quota_alone']:.3f} times; with"
        f" {run['asked_to_wait_s']:.1f} s that the channel asked for {run['to_quota_and_waits']:.3f} times; calls over"
        f" {run['calls_span_s']:.2f} s; {run['calls_seen']:,} calls {run['answers']}; fullest second"
        f" {run['fullest_second_seen']} at the channel ({run['windows_in_excess_seen']} in excess),"
        f" {run['fullest_second_left']} as they left ({run['windows_in_excess_left']} in excess);"
        f" {run['permits_unused']} permits lapsed or were void"
    )


def _nanoseconds(times_s: Sequence[float]) -> list[int]:
    return sorted(round(at * 1e9) for at in times_s)


def _together(begins: Sequence[float]) -> float:
    """Seconds covered by the pauses that begin at these times."""
    covered, until = 0.0, float("-inf")
    for begin in sorted(begins):
        covered += begin + RETRY_AFTER_S - max(begin, until)
        until = begin + RETRY_AFTER_S
    return covered
