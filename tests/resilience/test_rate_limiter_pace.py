"""The limiter's arithmetic: what it proves on paper holds on random histories, and Postgres computes the same."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count, pairwise
from typing import Any

import psycopg
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from adapters.base_adapter import Quota
from channel_sync.resilience.rate_limiter import pace
from channel_sync.resilience.rate_limiter.limits import RateLimitPolicy
from channel_sync.resilience.rate_limiter.pace import Demand, KeyState, Reservation
from channel_sync.resilience.rate_limiter.postgres import _flat
from channel_sync.resilience.rate_limiter.waiting import LocalTime, wait_for_permit
from channel_sync.storage.database import Database
from tests.resilience.limiter_scene import policy, quota

FOR_EVER = 1 << 60
_keys = count(1)


@st.composite
def quotas(draw: st.DrawFn, *, most: int = 3) -> tuple[Quota, ...]:
    """Up to ``most`` windows of different lengths between 10 ms and 20 s, with and without bursts."""
    windows = draw(st.lists(st.integers(10, 20_000), min_size=1, max_size=most, unique=True))
    found = []
    for window in windows:
        limit = draw(st.integers(1, 40))
        found.append(quota(limit, window / 1000, burst=draw(st.integers(1, limit))))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens ``after_us`` the last step: a call, or a penalty where ``penalty_us`` is not 0.

    ``late`` is the share of the time allowed that the permit is used late; ``extra_us`` is allowed beside it.
    """

    after_us: int
    cost: int
    late: float
    extra_us: int
    penalty_us: int


steps = st.lists(
    st.builds(
        Step,
        after_us=st.one_of(st.just(0), st.integers(0, 50_000), st.integers(0, 5_000_000)),
        cost=st.integers(1, 6),
        late=st.sampled_from([0.0, 1.0]) | st.floats(0, 1),
        extra_us=st.just(0) | st.integers(0, 300_000),
        penalty_us=st.sampled_from([0, 0, 0, 0, 0, 0, 0, 1, 1_000, 400_000, 3_000_000]),
    ),
    max_size=80,
)


def _guard_us(pace_: pace.Pace, allowed: Quota) -> int:
    return pace_.interval_us * (allowed.limit - allowed.burst + 1) - pace_.window_us


@given(quotas(), steps)
@settings(max_examples=400)
def test_no_window_at_the_channel_holds_more_than_the_quota(
    windows: tuple[Quota, ...], history: list[Step]
) -> None:
    """Whatever is asked, however late within its guard and its extra each permit is used, across penalties: every window holds.

    Of the slots of an earlier generation those are used that are due just after the first reservation after the penalty.
    """
    policies = (policy("a", *windows),)
    states: Sequence[KeyState] = [KeyState()]
    at, void_from = 10**15, None
    waiting: list[tuple[int, int, int]] = []  # slot, arrival, cost
    arrivals: list[tuple[int, int]] = []
    for step in history:
        at += step.after_us
        if step.penalty_us:
            states = [pace.penalized(states[0], at, step.penalty_us)]
            void_from = at
            continue
        cost = min(step.cost, *(each.burst for each in windows))
        asked = pace.demand(policies, cost)
        if void_from is not None:
            due = at + pace.LOOK_AHEAD_US
            waiting = [(slot, arrival, n) for slot, arrival, n in waiting if slot <= due]
            void_from = None
        answer, states = pace.reserve(states, asked, at, longest_wait_us=20_000_000, extra_us=step.extra_us)
        if answer.reserved:
            guard = min(
                _guard_us(each, allowed)
                for each, allowed in zip(asked.counters[0].paces, windows, strict=True)
            )
            slot = at + answer.delay_us
            waiting.append((slot, slot + int(step.late * (guard + step.extra_us)), cost))
    arrivals = sorted((arrival, cost) for _, arrival, cost in waiting)
    for allowed in windows:
        length = allowed.window // timedelta(microseconds=1)
        for first, (begin, _) in enumerate(arrivals):
            inside = sum(cost for arrival, cost in arrivals[first:] if arrival < begin + length)
            assert inside <= allowed.limit


@given(
    quotas(most=1),
    st.integers(1, 100),
    st.just(0) | st.integers(1, 500_000),
    st.floats(0, 1),
)
@settings(max_examples=300)
def test_a_penalty_hands_out_again_only_what_was_not_used(
    windows: tuple[Quota, ...], before: int, extra_us: int, part: float
) -> None:
    """A queue is voided in its midst: what was due is used as late as may be, what follows as early: the window holds.

    And what follows need not wait for the voided slots.
    """
    [allowed] = windows
    asked = pace.demand((policy("a", allowed),), 1)
    [step] = asked.counters[0].paces
    states: Sequence[KeyState] = [KeyState()]
    slots = []
    for number in range(before):
        extra = extra_us if number == before // 2 else 0
        answer, states = pace.reserve(states, asked, 10**12, longest_wait_us=FOR_EVER, extra_us=extra)
        slots.append((10**12 + answer.delay_us, extra))
    at = 10**12 + int(part * (slots[-1][0] - 10**12))
    states = [pace.penalized(states[0], at, 0)]
    arrivals = [
        slot + _guard_us(step, allowed) + extra for slot, extra in slots if slot <= at + pace.LOOK_AHEAD_US
    ]
    again = []
    for _ in range(allowed.limit + 1):
        answer, states = pace.reserve(states, asked, at, longest_wait_us=FOR_EVER, extra_us=0)
        again.append(at + answer.delay_us)
    used = sorted([*arrivals, *again])
    for first, last in zip(used, used[allowed.limit :], strict=False):
        assert last - first >= step.window_us
    tardy = max((slot + extra for slot, extra in slots if extra), default=0)
    assert again[0] <= max(at + pace.LOOK_AHEAD_US, tardy) + step.interval_us


@given(quotas(most=1), st.integers(2, 60))
def test_the_pace_is_all_that_the_guard_leaves(windows: tuple[Quota, ...], calls: int) -> None:
    """One who asks for all there is gets the burst at once and then a permit each interval, to the microsecond."""
    asked = pace.demand((policy("a", *windows),), 1)
    [allowed], [step] = windows, asked.counters[0].paces
    states: Sequence[KeyState] = [KeyState()]
    slots = []
    for _ in range(calls):
        answer, states = pace.reserve(states, asked, 10**15, longest_wait_us=FOR_EVER, extra_us=0)
        slots.append(answer.delay_us)
    assert slots == [max(0, n + 1 - allowed.burst) * step.interval_us for n in range(calls)]


def test_the_guard_grows_with_the_window() -> None:
    """A hundredth of the window, at least what the policy says, and a second is enough."""
    for window_s, guard_us in ((0.5, 20_000), (1, 20_000), (10, 100_000), (60, 600_000), (86_400, 1_000_000)):
        [counter] = pace.demand((policy("a", quota(1, window_s)),), 1).counters
        assert guard_us == counter.paces[0].interval_us - counter.paces[0].window_us
    asked = pace.demand((policy("a", quota(1, 1), quota(1, 10)), policy("b", quota(2, 1), guard_s=0.010)), 1)
    assert (5_000, 2_500) == (asked.lateness_us, asked.leaving_us)


# One key and another -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caller:
    """One that asks again as soon as its call is sent. A penalty for its own key may be running when it begins."""

    asked: Demand
    penalty_us: int = 0


def _history(callers: Sequence[Caller], until_us: int) -> list[tuple[int, int]]:
    """Who (by number) is granted which slot, when each caller asks again at its slot or when it is told to."""
    states: dict[str, KeyState] = {}
    for caller in callers:
        if caller.penalty_us:
            states[caller.asked.keys[-1]] = pace.penalized(KeyState(), 0, caller.penalty_us)
    turns = [(0, number) for number in range(len(callers))]
    granted = []
    while turns and turns[0][0] < until_us:
        at, number = heapq.heappop(turns)
        asked = callers[number].asked
        known = [states.get(key, KeyState()) for key in asked.keys]
        answer, after = pace.reserve(known, asked, at, longest_wait_us=FOR_EVER, extra_us=0)
        if answer.reserved:
            states.update(zip(asked.keys, after, strict=True))
            granted.append((number, at + answer.delay_us))
        assert answer.reserved or answer.delay_us > 0
        heapq.heappush(turns, (at + answer.delay_us, number))
    return granted


WIDE = policy("wide", quota(50, 1))  # one call every 20.4 ms
INTERVAL_US = 20_400


@given(
    st.lists(
        st.tuples(
            st.integers(1, 60), st.integers(1, 5), st.sampled_from([0, 300_000, 2_000_000, 3600 * 10**6])
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(2, 5),
)
@example([(1, 1, 3600 * 10**6)], 2)
def test_narrow_keys_cost_the_wide_one_no_pace(narrow: list[tuple[int, int, int]], others: int) -> None:
    """While two or more wait for the wide key, each of its slots is used, whoever else waits for a slow or penalised key."""
    listings = [
        Caller(
            pace.demand((WIDE, policy(f"listing {n}", quota(limit, 1, burst=min(burst, limit)))), 1),
            penalty_us,
        )
        for n, (limit, burst, penalty_us) in enumerate(narrow)
    ]
    plain = [Caller(pace.demand((WIDE,), 1))] * others
    slots = sorted(slot for _, slot in _history([*plain, *listings], 1_500_000))
    assert {b - a for a, b in pairwise(slots)} == {INTERVAL_US}


@given(st.integers(2, 40), st.integers(1, 8))
def test_a_narrow_key_keeps_its_own_pace(limit: int, callers: int) -> None:
    """Callers of a narrow key that nobody disturbs use all of it: coming back costs no slot."""
    asked = pace.demand((WIDE, policy("narrow", quota(limit, 1))), 1)
    slots = [slot for _, slot in _history([Caller(asked)] * callers, 3_000_000)]
    assert {b - a for a, b in pairwise(slots)} == {asked.counters[1].paces[0].interval_us}


def test_nobody_is_left_out() -> None:
    """Where wide and narrow callers compete for long, each kind gets a fair part and no caller starves."""
    narrow = pace.demand((WIDE, policy("narrow", quota(20, 1))), 1)
    wide = pace.demand((WIDE,), 1)
    granted = _history([Caller(wide)] * 4 + [Caller(narrow)] * 4, 20_000_000)
    shares = [sum(who == number for who, _ in granted) for number in range(8)]
    assert min(shares[:4]) >= 100
    assert min(shares[4:]) >= 50


# Late ------------------------------------------------------------------------------------------------------------


class SlowLedger:
    """Keeps reservations on a clock of its own that it also moves: each round trip takes its time, half of it each way."""

    def __init__(self, trips_us: Sequence[int]) -> None:
        self.at_us = 10**12
        self.states: dict[str, KeyState] = {}
        self.reserved = 0
        self._trips_us = count(0)
        self._given = trips_us

    def _trip(self) -> None:
        self.at_us += self._given[next(self._trips_us) % len(self._given)] // 2

    def reserve(self, asked: Demand, *, longest_wait_us: int, extra_us: int) -> Reservation:
        self._trip()
        states = [self.states.get(key, KeyState()) for key in asked.keys]
        answer, after = pace.reserve(
            states, asked, self.at_us, longest_wait_us=longest_wait_us, extra_us=extra_us
        )
        self.states.update(zip(asked.keys, after, strict=True))
        self.reserved += answer.reserved
        self._trip()
        return answer

    def generations(self, keys: Sequence[str]) -> Mapping[str, int]:
        self._trip()
        return {key: self.states[key].generation for key in keys}

    def sleep(self, seconds: float) -> None:
        self.at_us += -int(-seconds * 1_000_000 // 1)

    def monotonic(self) -> float:
        return (self.at_us - 10**12) / 1_000_000


@given(quotas(most=2), st.lists(st.integers(0, 1_500_000), min_size=1, max_size=7), st.floats(0, 1))
@example((quota(1, 1),), [1_500_000], 1.0)
def test_a_slow_way_to_the_ledger_starves_nobody_and_breaks_no_quota(
    windows: tuple[Quota, ...], trips_us: list[int], held_up: float
) -> None:
    """However long each round trip takes, up to 1.5 s, every caller gets its permit after few lapses, and windows hold.

    Of what a permit may spare the call takes the share ``held_up`` to leave.
    """
    ledger = SlowLedger(trips_us)
    asked = pace.demand((policy("a", *windows),), 1)
    local = LocalTime(ledger.monotonic, ledger.sleep)
    used = []
    for _ in range(30):
        before = ledger.reserved
        permit = wait_for_permit(ledger, asked, local, timeout_s=None)
        assert ledger.reserved - before <= 12
        assert permit.spare_s * 1_000_000 >= asked.leaving_us - 1  # a float of seconds
        used.append(ledger.at_us + int(permit.spare_s * held_up * 1_000_000))
    for allowed in windows:
        length = allowed.window // timedelta(microseconds=1)
        for first, begin in enumerate(used):
            assert sum(moment < begin + length for moment in used[first:]) <= allowed.limit


# The same in Postgres --------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, tuple[RateLimitPolicy, ...], Step, int]]:
    """Steps over up to three keys in any selection, whose declarations change on the way; with a longest wait."""
    declared = draw(st.lists(quotas() | st.just(()), min_size=3, max_size=6))
    found = []
    for step in draw(steps):
        keys = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True))
        policies = tuple(policy(key, *draw(st.sampled_from(declared))) for key in keys)
        found.append((len(keys), policies, step, draw(st.sampled_from([0, 1_000, 5_000_000, FOR_EVER]))))
    return found


def _stored(connection: psycopg.Connection, keys: Sequence[str]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT windows_us, tats_us, blocked_until_us, generation, voided, tardy_until_us "
        "FROM rate_limit_state WHERE key = ANY (%s) ORDER BY key",
        [list(keys)],
    ).fetchall()


@given(histories())
@settings(max_examples=60)
def test_postgres_reckons_as_the_twin_does(
    database: Database, history: list[tuple[int, tuple[RateLimitPolicy, ...], Step, int]]
) -> None:
    """On the same history both give the same answers and keep the same state, to the microsecond."""
    assume(history)
    name = f"{next(_keys)}/"
    states: dict[str, KeyState] = {}
    at = 1_790_000_000_000_000
    with database.connect(autocommit=True) as connection:
        for _, given_policies, step, longest_wait in history:
            at += step.after_us
            policies = tuple(replace(each, key=name + each.key) for each in given_policies)
            keys = [each.key for each in policies]
            known = [states.get(key, KeyState()) for key in keys]
            if step.penalty_us:
                connection.execute(
                    "SELECT penalize_rate_limits(%s::text[], %s, %s)", [keys, step.penalty_us, at]
                )
                after: Sequence[KeyState] = [pace.penalized(each, at, step.penalty_us) for each in known]
            else:
                cost = min([step.cost, *(each.burst for one in policies for each in one.quotas)])
                asked = pace.demand(policies, cost)
                expected, after = pace.reserve(
                    known, asked, at, longest_wait_us=longest_wait, extra_us=step.extra_us
                )
                connection.execute("SELECT open_rate_limits(%s::text[])", [keys])
                [(reserved, delay_us, generations)] = connection.execute(
                    "SELECT * FROM reserve_permit(%(keys)s::text[], %(sizes)s::int[], %(limits)s::int[], "
                    "%(windows)s::bigint[], %(intervals)s::bigint[], %(slacks)s::bigint[], %(cost)s::bigint, "
                    "%(longest_wait)s::bigint, %(extra)s::bigint, %(patience)s::bigint, %(look_ahead)s::bigint, at_us => %(at)s)",
                    {**_flat(asked), "longest_wait": longest_wait, "extra": step.extra_us, "at": at},
                ).fetchall()
                found = Reservation(reserved, delay_us, dict(zip(keys, generations, strict=True)))
                assert expected == found
            states.update(zip(keys, after, strict=True))
        twin = [
            (
                list(state.tats_us),
                list(state.tats_us.values()),
                state.blocked_until_us,
                state.generation,
                state.voided,
                state.tardy_until_us,
            )
            for _, state in sorted(states.items())
        ]
        assert twin == _stored(connection, list(states))
