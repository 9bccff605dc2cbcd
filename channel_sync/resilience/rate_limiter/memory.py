"""The rate limiter of one process, for tests and for tools that share a quota with nobody."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

from channel_sync.resilience.rate_limiter import pace
from channel_sync.resilience.rate_limiter.limits import Permit, RateLimitPolicy, RateLimitState
from channel_sync.resilience.rate_limiter.pace import Demand, KeyState, Reservation
from channel_sync.resilience.rate_limiter.waiting import LocalTime, permit_now, wait_for_permit


class InMemoryRateLimiter:
    """A RateLimiter for the threads of one process."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``monotonic`` and ``sleep`` are in seconds; sleeping has to move ``monotonic`` on."""
        self._local = LocalTime(monotonic, sleep)
        self._ledger = _InMemoryLedger(self._now_us)

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
        """As RateLimiter says."""
        self._ledger.penalize(keys, pace.penalty_us(retry_after_s))

    def snapshot(self, key: str) -> RateLimitState | None:
        """As RateLimiter says."""
        return self._ledger.snapshot(key)

    def _now_us(self) -> int:
        return pace.microseconds(self._local.monotonic())


class _InMemoryLedger:
    """Reservations in a dict."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._lock = Lock()
        self._states: dict[str, KeyState] = {}

    def reserve(self, asked: Demand, *, longest_wait_us: int, extra_us: int) -> Reservation:
        with self._lock:
            states = [self._states.setdefault(key, KeyState()) for key in asked.keys]
            reservation, after = pace.reserve(
                states, asked, self._now_us(), longest_wait_us=longest_wait_us, extra_us=extra_us
            )
            self._states.update(zip(asked.keys, after, strict=True))
        return reservation

    def generations(self, keys: Sequence[str]) -> Mapping[str, int]:
        with self._lock:
            return {key: self._states[key].generation for key in keys}

    def penalize(self, keys: Sequence[str], retry_after_us: int) -> None:
        with self._lock:
            for key in set(keys):
                state = self._states.get(key, KeyState())
                self._states[key] = pace.penalized(state, self._now_us(), retry_after_us)

    def snapshot(self, key: str) -> RateLimitState | None:
        with self._lock:
            state = self._states.get(key)
            return None if state is None else pace.shown(key, state, self._now_us())
