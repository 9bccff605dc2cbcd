"""Quotas in short, and who used a permit when."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta

from adapters.base_adapter import Quota, QuotaScope
from channel_sync.resilience.rate_limiter.limits import GUARD_S, RateLimiter, RateLimitPolicy


@dataclass(frozen=True, slots=True)
class Use:
    """A permit was used between two moments, in seconds: what a stalled machine leaves uncertain."""

    not_before: float
    not_after: float


def quota(limit: int, window_s: float, *, burst: int = 1) -> Quota:
    """At most ``limit`` in any ``window_s``."""
    return Quota(limit, timedelta(seconds=window_s), QuotaScope.ACCOUNT, burst)


def policy(key: str, *quotas: Quota, guard_s: float = GUARD_S) -> RateLimitPolicy:
    """One counter."""
    return RateLimitPolicy(key, quotas, guard_s)


def use(limiter: RateLimiter, policies: Sequence[RateLimitPolicy], timeout_s: float = 60.0) -> Use:
    """Acquire one permit and use it at once."""
    before = time.monotonic()
    permit = limiter.acquire(policies, timeout_s=timeout_s)
    return Use(before + permit.waited_s, time.monotonic())


def used_by_threads(
    limiter: RateLimiter, policies: Sequence[RateLimitPolicy], *, threads: int, each: int
) -> list[Use]:
    """What so many threads use that share the limiter and want all they can get."""

    def work(_: int) -> list[Use]:
        return [use(limiter, policies) for _ in range(each)]

    with ThreadPoolExecutor(threads) as pool:
        return [one for uses in pool.map(work, range(threads)) for one in uses]


def crowded(uses: Sequence[Use], allowed: Quota) -> int:
    """How many times more calls than allowed were certainly made within one window."""
    ordered = sorted(uses, key=lambda one: one.not_after)
    window_s = allowed.window.total_seconds()
    groups = (ordered[i : i + allowed.limit + 1] for i in range(len(ordered) - allowed.limit))
    return sum(
        max(one.not_after for one in group) - min(one.not_before for one in group) < window_s
        for group in groups
    )
