"""The limiter's arithmetic: when a permit is due, and what reserving it changes. Pure; times in whole microseconds.

``reserve_permit`` in schema_rate_limits.sql is the same in the database; a test compares the two on random histories.

Why the quota holds. Among permits of one window, in the order in which they were reserved, let ``a`` be the first and
``b`` the last of ``limit + 1``, with slots ``s``. Each moved the TAT on by at least one interval from at least its own
slot, and a slot is at most ``slack = (burst - 1) * interval`` before the TAT, so

    s(b) >= s(a) + limit * interval - slack = s(a) + (limit - burst + 1) * interval >= s(a) + window + guard

and calls that arrive within ``guard`` of their slots are at least one window apart: no half-open window holds both.

A permit that may be used ``extra`` later than the others moves the TAT on by ``extra`` more. Then s(b) is that much
later too, and the distance of the arrivals, s(b) - (s(a) + guard + extra(a)), is at least one window as before: the
permits before it are not concerned, because only the first of two is brought nearer to the other by being late.

A penalty voids slots that are not yet due, and the TAT may go back to ``now + slack + interval``: of m permits with
slots up to now the last reserved has one at least (m - burst) intervals after the first's, so the first has moved the
TAT to s + m * interval <= now + burst * interval, and no further is needed for it. Where a permit may be used with an
extra, the time at which it is used up takes the place of now. "Now" is LOOK_AHEAD_US after the first reservation that
follows the penalty, not the penalty itself: who looked for penalties just before this one was committed has a slot up
to then, sends, and is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType

from channel_sync.resilience.rate_limiter.limits import LONGEST_PENALTY_S, RateLimitPolicy, RateLimitState

SECOND_US = 1_000_000

# A window of 10 s can spare 100 ms of guard without anybody noticing, which forgives a machine's hiccup; a second is
# enough for every window.
_GUARD_SHARE = 100
_LONGEST_SHARE_US = SECOND_US

# Half of the guard may be gone when a permit is given, three quarters when the call leaves, all of it when it arrives.
_LATENESS_SHARE = 2
_LEAVING_SHARE = 4

# Two round trips of 1.5 s, the reservation and the look for penalties, and some: beyond that a machine, or its way to
# the database, is not slow but stuck, and the caller's timeout ends the wait.
LONGEST_LATENESS_US = 4 * SECOND_US

# How long before its slot a waiter looks for penalties: the round trip shall not make it late. A penalty in between
# no longer stops it, as it would not stop a call just sent.
LOOK_AHEAD_US = 5_000

# How far ahead of its time a narrow key may reserve on a wide one that nobody waits for: what waking up and asking
# may take. More would keep others from slots that are free now.
PATIENCE_US = 50_000


@dataclass(frozen=True, slots=True)
class Pace:
    """One window: its quota, the time between permits, and how far ahead of the even pace they may run."""

    limit: int
    window_us: int
    interval_us: int
    slack_us: int


@dataclass(frozen=True, slots=True)
class Counter:
    """One key with its windows."""

    key: str
    paces: tuple[Pace, ...]


@dataclass(frozen=True, slots=True)
class Demand:
    """What one call asks for.

    ``lateness_us`` is how long after its slot a permit of it may be given; ``leaving_us`` how much later again the
    call may leave.
    """

    counters: tuple[Counter, ...]
    cost: int
    lateness_us: int
    leaving_us: int

    @property
    def keys(self) -> tuple[str, ...]:
        """From the widest to the narrowest."""
        return tuple(counter.key for counter in self.counters)


@dataclass(frozen=True, slots=True)
class KeyState:
    """A key as it stands. ``tats_us`` by length of window.

    ``voided``: slots not yet due may be handed out again. ``tardy_until_us``: permits with an extra are used by then.
    """

    paces: tuple[Pace, ...] = ()
    tats_us: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    blocked_until_us: int = 0
    generation: int = 0
    voided: bool = False
    tardy_until_us: int = 0


@dataclass(frozen=True, slots=True)
class Reservation:
    """The answer to a demand.

    Reserved, ``delay_us`` is the time until the slot. Otherwise it is how far away the slot is (more than the caller
    would wait), or after what time to ask again (not more).
    """

    reserved: bool
    delay_us: int
    generations: Mapping[str, int]


def microseconds(seconds: float) -> int:
    """The nearest whole number of them."""
    return round(seconds * SECOND_US)


@lru_cache(maxsize=4096)
def demand(policies: tuple[RateLimitPolicy, ...], cost: int) -> Demand:
    """The policies as numbers. Raises ValueError for what could never be granted."""
    keys = [policy.key for policy in policies]
    if not keys or len(set(keys)) < len(keys):
        raise ValueError(f"rate limit: every call needs at least one key, and each only once: {keys}")
    if cost < 1:
        raise ValueError(f"rate limit {keys[0]!r}: a call costs at least 1, not {cost}")
    guards = [_guard_us(policy, quota.window) for policy in policies for quota in policy.quotas]
    guard = min(guards, default=_LATENESS_SHARE * LONGEST_LATENESS_US)
    counters = tuple(_counter(policy, cost) for policy in policies)
    return Demand(counters, cost, guard // _LATENESS_SHARE, guard // _LEAVING_SHARE)


def _guard_us(policy: RateLimitPolicy, window: timedelta) -> int:
    share = min(window // timedelta(microseconds=_GUARD_SHARE), _LONGEST_SHARE_US)
    return max(microseconds(policy.guard_s), share)


def _counter(policy: RateLimitPolicy, cost: int) -> Counter:
    paces = []
    for quota in policy.quotas:
        window_us = quota.window // timedelta(microseconds=1)
        if window_us <= 0 or not 1 <= quota.burst <= quota.limit:
            raise ValueError(
                f"rate limit {policy.key!r}: a quota needs a window and 1 <= burst <= limit, "
                f"not {quota.limit} in {quota.window} with a burst of {quota.burst}"
            )
        if cost > quota.burst:
            raise ValueError(
                f"rate limit {policy.key!r}: a call of cost {cost} never fits a burst of {quota.burst}"
            )
        room = quota.limit - quota.burst + 1
        interval = -(-(window_us + _guard_us(policy, quota.window)) // room)
        paces.append(Pace(quota.limit, window_us, interval, (quota.burst - 1) * interval))
    if len({pace.window_us for pace in paces}) < len(paces):
        raise ValueError(f"rate limit {policy.key!r}: two quotas have the same window")
    return Counter(policy.key, tuple(paces))


def reserve(
    states: Sequence[KeyState], asked: Demand, at_us: int, *, longest_wait_us: int, extra_us: int
) -> tuple[Reservation, Sequence[KeyState]]:
    """Reserve the next slot that all keys grant, or nothing; and the states after it.

    Nothing is reserved when the slot is more than ``longest_wait_us`` away. Nor is it when a narrow key's turn comes
    later than a wide one's: a slot that late would leave the wide key's time until then unused, for everybody. The
    call asks again when the two meet; only where nobody waits for the wide key may it reserve a little ahead.
    """
    generations = {
        counter.key: state.generation for counter, state in zip(asked.counters, states, strict=True)
    }
    remembered = [_tats(state, counter, at_us) for counter, state in zip(asked.counters, states, strict=True)]
    slot, put_off, reach = at_us, 0, None
    for counter, state, tats in zip(asked.counters, states, remembered, strict=True):
        earliest = max(at_us, state.blocked_until_us, *_earliest(counter.paces, tats, asked.cost))
        if reach is not None and earliest > reach:
            put_off = max(put_off, earliest - reach, (reach - at_us) // 4)
        own = earliest if earliest > at_us else at_us + PATIENCE_US
        reach = own if reach is None else min(reach, own)
        slot = max(slot, earliest)
    if slot - at_us > longest_wait_us:
        return Reservation(reserved=False, delay_us=slot - at_us, generations=generations), states
    if put_off:
        return Reservation(reserved=False, delay_us=put_off, generations=generations), states
    after = [
        replace(
            state,
            paces=counter.paces,
            tats_us={
                pace.window_us: max(tat, slot) + asked.cost * pace.interval_us + extra_us
                for pace, tat in zip(counter.paces, tats, strict=True)
            },
            voided=False,
            tardy_until_us=max(state.tardy_until_us, slot + extra_us if extra_us else 0),
        )
        for counter, state, tats in zip(asked.counters, states, remembered, strict=True)
    ]
    return Reservation(reserved=True, delay_us=slot - at_us, generations=generations), after


def _tats(state: KeyState, counter: Counter, at_us: int) -> list[int]:
    """The TATs by which this call is judged: a window that the key did not have is new and remembers nothing."""
    tats = [state.tats_us.get(pace.window_us, 0) for pace in counter.paces]
    if not state.voided:
        return tats
    used_by_us = max(at_us + LOOK_AHEAD_US, state.tardy_until_us)
    return [
        min(tat, used_by_us + pace.slack_us + pace.interval_us)
        for pace, tat in zip(counter.paces, tats, strict=True)
    ]


def _earliest(paces: Sequence[Pace], tats: Sequence[int], cost: int) -> list[int]:
    """When ``cost`` permits at once conform to each window: the last of them as if they came one after another."""
    return [
        tat + (cost - 1) * pace.interval_us - pace.slack_us for pace, tat in zip(paces, tats, strict=True)
    ]


def penalized(state: KeyState, at_us: int, retry_after_us: int) -> KeyState:
    """The key after a penalty."""
    return replace(
        state,
        blocked_until_us=max(state.blocked_until_us, at_us + retry_after_us),
        generation=state.generation + 1,
        voided=True,
    )


def penalty_us(retry_after_s: float) -> int:
    """How long a channel's pause is kept to. Raises ValueError for a time that is none."""
    if not retry_after_s >= 0:
        raise ValueError(f"rate limit: a pause of {retry_after_s} s")
    return microseconds(min(retry_after_s, LONGEST_PENALTY_S))


def shown(key: str, state: KeyState, at_us: int) -> RateLimitState:
    """The key in words for people: the wait of one that asks now for a single permit."""
    counter = Counter(key, state.paces)
    tats = _tats(state, counter, at_us)
    due_us = max(at_us, state.blocked_until_us, *_earliest(counter.paces, tats, 1))
    blocked_us = max(0, state.blocked_until_us - at_us)
    return RateLimitState(key, (due_us - at_us) / SECOND_US, blocked_us / SECOND_US, state.generation)
