"""Waiting for a permit: the same for every limiter, whatever keeps its state."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from channel_sync.resilience.rate_limiter.limits import Permit, RateLimitTimeout
from channel_sync.resilience.rate_limiter.pace import (
    LONGEST_LATENESS_US,
    LOOK_AHEAD_US,
    SECOND_US,
    Demand,
    Reservation,
)

_FOR_EVER_US = 1 << 60
_HICCUPS = 3  # lapses in a row that are no accident any more


class Ledger(Protocol):
    """Where reservations are kept."""

    def reserve(self, asked: Demand, *, longest_wait_us: int, extra_us: int) -> Reservation:
        """Reserve the next slot or none, as ``pace.reserve`` says."""

    def generations(self, keys: Sequence[str]) -> Mapping[str, int]:
        """The generation of each key now."""


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Seconds of this process. Only differences mean anything."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def sleep_until(self, due: float) -> None:
        """Return when ``monotonic`` has reached ``due``, not earlier."""
        while (rest := due - self.monotonic()) > 0:
            self.sleep(rest)


def wait_for_permit(ledger: Ledger, asked: Demand, local: LocalTime, *, timeout_s: float | None) -> Permit:
    """Return when a permit is due. Raises RateLimitTimeout with nothing reserved when that is too far away.

    The ledger's clock and ours are never compared: it names a delay, which began after we asked and before it answered.
    Reckoned from its answer the slot is not missed early; reckoned from our asking it is not used late.
    """
    started = local.monotonic()
    allowance_us, lapses = asked.lateness_us, 0
    while True:
        sent = local.monotonic()
        left_us = _FOR_EVER_US if timeout_s is None else _left_us(started + timeout_s - sent)
        answer = ledger.reserve(asked, longest_wait_us=left_us, extra_us=allowance_us - asked.lateness_us)
        due = local.monotonic() + answer.delay_us / SECOND_US
        if answer.delay_us > left_us:
            raise RateLimitTimeout(
                f"{asked.keys[-1]}: the next permit is {answer.delay_us / SECOND_US:.1f} s away",
                retry_after=answer.delay_us / SECOND_US,
            )
        if not answer.reserved:
            local.sleep_until(due)
            continue
        if answer.delay_us > LOOK_AHEAD_US:
            local.sleep_until(due - LOOK_AHEAD_US / SECOND_US)
            if ledger.generations(asked.keys) != answer.generations:
                continue
        local.sleep_until(due)
        now = local.monotonic()
        lapses_at = sent + (answer.delay_us + allowance_us) / SECOND_US
        if now <= lapses_at:
            spare_s = lapses_at - now + asked.leaving_us / SECOND_US
            return Permit(asked.keys, asked.cost, now - started, spare_s)
        # Lapsed. A hiccup costs this permit. When it happens again and again the machine or the way to the database
        # is slower than the guard forgives: later permits may be used later, for which the ledger keeps the next one
        # further away. That is slower, but the caller is neither stuck nor over the quota.
        lapses += 1
        if lapses >= _HICCUPS:
            allowance_us = min(2 * allowance_us, LONGEST_LATENESS_US)


def permit_now(ledger: Ledger, asked: Demand, local: LocalTime) -> Permit | None:
    """A permit that is due at once, or None with nothing reserved."""
    try:
        return wait_for_permit(ledger, asked, local, timeout_s=0.0)
    except RateLimitTimeout:
        return None


def _left_us(seconds: float) -> int:
    return max(0, int(seconds * SECOND_US))
