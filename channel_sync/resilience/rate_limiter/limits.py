"""What a rate limiter promises, in words and in arithmetic.

The algorithm is GCRA with reservations: each key has, per window, a theoretical arrival time (TAT), the moment at
which the next permit would be due at the even pace of the quota. A permit is a slot: a moment from which, and for
``guard`` after which, one call may be sent. A slot is handed out by moving the TAT on, so who asks first is served
first, and nobody polls.

The pace is chosen so that the quota holds at the channel and not only here:

    interval = (window + guard) / (limit - burst + 1)

Any half-open span [x, x + window) then holds at most ``limit`` calls, as long as each arrives within ``guard`` of its
slot. A permit that would be used later than that has lapsed: it is dropped and another one reserved. The arithmetic
and the proofs are in ``pace``; who waits, and how, is in ``waiting``; what keeps the state is ``postgres`` for all
processes of a database or ``memory`` for one process.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.base_adapter import Quota
from adapters.errors import RateLimited

GUARD_S = 0.020
LONGEST_PENALTY_S = 3600.0  # a channel that asks for more is asked again after an hour


class RateLimitTimeout(RateLimited):
    """The next permit is further away than the caller is willing to wait. Nothing was reserved."""


@dataclass(frozen=True, slots=True)
class RateLimitPolicy:
    """One counter of a channel: its key, and all the windows that it counts in at once.

    Without a window the key is only ever blocked by penalties. ``guard_s`` is the least time that every window
    allows between a slot and the call's arrival at the channel.
    """

    key: str
    quotas: tuple[Quota, ...] = ()
    guard_s: float = GUARD_S


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one call at once.

    ``waited_s`` is the time that acquiring it took. ``spare_s`` is for how long from then on the call may still be held
    up here: one that leaves later may be one too many among those of later slots.
    """

    keys: tuple[str, ...]
    cost: int
    waited_s: float
    spare_s: float


@dataclass(frozen=True, slots=True)
class RateLimitState:
    """A key as it stands. ``next_permit_s``: how long one that asks now would wait; ``blocked_s``: how much of it is penalty.

    ``generation`` counts penalties: a slot of an earlier generation is void.
    """

    key: str
    next_permit_s: float
    blocked_s: float
    generation: int


class RateLimiter(Protocol):
    """Shared by every process of the same store. Safe to use from several threads."""

    def acquire(
        self, policies: Sequence[RateLimitPolicy], *, cost: int = 1, timeout_s: float | None = None
    ) -> Permit:
        """Wait for a permit that every policy grants, and return when it is due: send at once.

        All keys are reserved together or none. ``policies`` go from the widest to the narrowest: the wait for a
        narrow key does not use up slots of a wide one. Raises RateLimitTimeout, with nothing reserved, when the
        permit is more than ``timeout_s`` away; ValueError when ``cost`` is more than some quota's burst;
        Unavailable when the shared store cannot be reached: what cannot be counted is not sent.
        """

    def try_acquire(self, policies: Sequence[RateLimitPolicy], *, cost: int = 1) -> Permit | None:
        """A permit that is due now, or None with nothing reserved. Raises what ``acquire`` raises apart from the timeout."""

    def penalize(self, keys: Sequence[str], *, retry_after_s: float) -> None:
        """Send nothing under these keys for ``retry_after_s`` from now on, and void slots already handed out.

        At most LONGEST_PENALTY_S; never shorter than an earlier penalty. Raises ValueError for a time below 0, and
        nothing because of the shared store: the answer that a call has brought is worth more than the pause.
        """

    def snapshot(self, key: str) -> RateLimitState | None:
        """The key as it stands; None before its first use. Raises Unavailable when the shared store cannot be reached."""
