"""The rate limiter of every process that shares one database.

The database's clock alone says when a permit is due, read once the rows are locked: the clocks of the machines that
ask may differ by minutes. A reservation is one round trip on the session's own connection, and so is the look for
a penalty after a wait. A round trip has to be well below half of the guard; a database that is further away wants a
larger ``guard_s``, or permits lapse and the pace falls.

Without the database no call is sent (Unavailable): what cannot be counted would break the quota for everybody.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.types.numeric import Int8

from adapters.errors import Unavailable
from channel_sync.resilience.rate_limiter import pace
from channel_sync.resilience.rate_limiter.limits import Permit, RateLimitPolicy, RateLimitState
from channel_sync.resilience.rate_limiter.pace import Demand, KeyState, Pace, Reservation
from channel_sync.resilience.rate_limiter.waiting import LocalTime, permit_now, wait_for_permit
from channel_sync.storage.session import Session

_log = logging.getLogger(__name__)


class PostgresRateLimiter:
    """A RateLimiter whose state is in Postgres. Safe to use from several threads."""

    def __init__(self, session: Session) -> None:
        """``session`` may be shared with others; whoever made it closes it."""
        self._ledger = _PostgresLedger(session)
        self._local = LocalTime()

    def acquire(
        self, policies: Sequence[RateLimitPolicy], *, cost: int = 1, timeout_s: float | None = None
    ) -> Permit:
        """As RateLimiter says."""
        return wait_for_permit(
            self._ledger, pace.demand(tuple(policies), cost), self._local, timeout_s=timeout_s
        )

    def try_acquire(self, policies: Sequence[RateLimitPolicy], *, cost: int = 1) -> Permit | None:
        """As RateLimiter says."""
        return permit_now(self._ledger, pace.demand(tuple(policies), cost), self._local)

    def penalize(self, keys: Sequence[str], *, retry_after_s: float) -> None:
        """As RateLimiter says. Never costs a call its answer: without the database it is logged and forgotten."""
        try:
            self._ledger.penalize(keys, pace.penalty_us(retry_after_s))
        except Unavailable as failure:
            _log.warning("%s: a pause of %.0f s is not kept", failure, retry_after_s)

    def snapshot(self, key: str) -> RateLimitState | None:
        """As RateLimiter says."""
        return self._ledger.snapshot(key)


class _PostgresLedger:
    """Reservations as rows of rate_limit_state."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def reserve(self, asked: Demand, *, longest_wait_us: int, extra_us: int) -> Reservation:
        parameters = {**_flat(asked), "longest_wait": Int8(longest_wait_us), "extra": Int8(extra_us)}
        while True:
            [(reserved, delay_us, generations)] = self._rows("reserve_permit", parameters)
            if delay_us is not None:
                return Reservation(reserved, delay_us, dict(zip(asked.keys, generations, strict=True)))
            self._rows("open_rate_limits", {"keys": list(asked.keys)})

    def generations(self, keys: Sequence[str]) -> Mapping[str, int]:
        return dict(self._rows("rate_limit_generations", {"keys": list(keys)}))

    def penalize(self, keys: Sequence[str], retry_after_us: int) -> None:
        self._rows("penalize_rate_limits", {"keys": sorted(set(keys)), "retry_after": Int8(retry_after_us)})

    def snapshot(self, key: str) -> RateLimitState | None:
        rows = self._rows("rate_limit_state", {"key": key})
        if not rows:
            return None
        [(at_us, limits, windows, intervals, slacks, tats, *rest)] = rows
        paces = tuple(map(Pace, limits, windows, intervals, slacks))
        return pace.shown(key, KeyState(paces, dict(zip(windows, tats, strict=True)), *rest), at_us)

    def _rows(self, name: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        try:
            return self._session.rows(name, parameters)
        except psycopg.OperationalError:
            raise Unavailable("rate limits cannot be kept: the database cannot be reached") from None


@lru_cache(maxsize=4096)
def _flat(asked: Demand) -> Mapping[str, Any]:
    """The demand as parameters. One type of integer throughout: each mixture would be another prepared statement.

    Arrays of numbers as Postgres writes them: turning lists into that anew would take each call some 30 microseconds.
    """
    paces = [each for counter in asked.counters for each in counter.paces]
    return {
        "keys": list(asked.keys),
        "sizes": _array(len(counter.paces) for counter in asked.counters),
        "limits": _array(each.limit for each in paces),
        "windows": _array(each.window_us for each in paces),
        "intervals": _array(each.interval_us for each in paces),
        "slacks": _array(each.slack_us for each in paces),
        "cost": Int8(asked.cost),
        "patience": Int8(pace.PATIENCE_US),
        "look_ahead": Int8(pace.LOOK_AHEAD_US),
    }


def _array(numbers: Iterable[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
