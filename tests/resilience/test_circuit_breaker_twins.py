"""The two circuit breakers do the same: whatever happens in whatever order, to the last count."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from channel_sync.resilience.circuit_breaker.memory import InMemoryCircuitBreaker
from channel_sync.resilience.circuit_breaker.policy import (
    Admission,
    BreakerPolicy,
    CircuitBreaker,
    CircuitOpenError,
)
from channel_sync.resilience.circuit_breaker.postgres import PostgresCircuitBreaker
from channel_sync.resilience.circuit_breaker.window import Counts, windowed_count
from channel_sync.storage.database import Database
from tests.resilience.breaker_clock import Clock, DrivenSession

POLICIES = [
    BreakerPolicy(failures=1, window_s=8.0, open_s=1.0, longest_open_s=4.0, calm_s=8.0, probe_ttl_s=2.0),
    BreakerPolicy(
        failures=3,
        failure_ratio=0.75,
        window_s=3.0,
        open_s=0.5,
        longest_open_s=64.0,
        calm_s=16.0,
        probes=3,
        successes_to_close=2,
        probe_ttl_s=1.0,
    ),
    BreakerPolicy(
        failures=2,
        window_s=1.0,
        open_s=2.0,
        longest_open_s=5.0,
        calm_s=4.0,
        probes=2,
        successes_to_close=2,
        probe_ttl_s=4.0,
    ),
]
EIGHTHS = [
    1,
    3,
    4,
    8,
    9,
    16,
    24,
    40,
    128,
]  # exact as seconds in both; among them every length of the policies

steps = st.one_of(
    st.tuples(st.just("admit"), st.just(0)),
    st.tuples(st.just("admit and fail"), st.just(0)),
    st.tuples(st.just("admit and succeed"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from(EIGHTHS)),
    st.tuples(st.sampled_from(["succeed", "fail", "confirm", "abandon"]), st.integers(0, 5)),
    st.tuples(st.just("reset"), st.just(0)),
)


def answer(breaker: CircuitBreaker, step: str, admission: Admission) -> object:
    """What a breaker says to one step; a refusal is its text and its Retry-After."""
    try:
        match step:
            case "admit":
                return breaker.admit(admission.key)
            case "succeed":
                breaker.record_success(admission)
            case "fail":
                breaker.record_failure(admission, f"error of epoch {admission.epoch}")
            case "confirm":
                breaker.confirm(admission)
            case "abandon":
                breaker.abandon(admission)
            case "reset":
                breaker.reset(admission.key)
    except CircuitOpenError as refusal:
        return str(refusal), refusal.retry_after
    return breaker.snapshot(admission.key)


def test_both_answer_alike(database: Database) -> None:
    """Admissions, refusals, states and counts are equal after any sequence, and probes are never too many."""
    clock = Clock()
    numbers = iter(range(10**6))
    with DrivenSession(database, clock) as session, database.connect(autocommit=True) as connection:

        @settings(max_examples=400)
        @given(policy=st.sampled_from(POLICIES), sequence=st.lists(steps, min_size=5, max_size=40))
        def check(policy: BreakerPolicy, sequence: list[tuple[str, int]]) -> None:
            key = f"ical/{next(numbers)}"
            shared = PostgresCircuitBreaker(session, policy)
            alone = InMemoryCircuitBreaker(policy, clock)
            admissions = [Admission(key, 0)]
            probes: Counter[int] = Counter()

            def both(step: str, admission: Admission) -> None:
                one = answer(shared, step, admission)
                assert answer(alone, step, admission) == one
                if isinstance(one, Admission):
                    admissions.append(one)
                    probes[one.epoch] += one.probe
                if step == "abandon":
                    probes[admission.epoch] -= admission.probe

            for step, number in sequence:
                match step.split():
                    case ["wait"]:
                        clock.seconds += number / 8
                    case ["admit", "and", ending]:
                        before = len(admissions)
                        both("admit", Admission(key, 0))
                        if len(admissions) > before:
                            both(ending, admissions[-1])
                    case _:
                        both(step, admissions[-1 - number % len(admissions)])
            assert all(count <= policy.probes for count in probes.values())
            stored = connection.execute(
                "SELECT epoch, last_error, calls, failures, earlier_calls, earlier_failures, probe_successes, "
                "extract(epoch FROM open_until - opened_at)::float8 FROM circuit_breaker_state WHERE key = %s",
                [key],
            ).fetchall()
            twin = [
                (
                    circuit.epoch,
                    circuit.last_error,
                    circuit.counts.calls,
                    circuit.counts.failures,
                    circuit.counts.earlier_calls,
                    circuit.counts.earlier_failures,
                    circuit.probe_successes,
                )
                for circuit in alone._circuits.values()
            ]
            assert twin == [row[:-1] for row in stored]
            assert all(row[-1] is None or row[-1] <= policy.longest_open_s for row in stored)

        check()


def test_the_sliding_count_is_the_same_in_both(database: Database) -> None:
    """The count over the window is one formula in SQL and in Python, to the last bit, also for a clock set back."""
    with database.connect() as connection:

        @given(
            counted=st.integers(0, 10**6),
            earlier=st.integers(0, 10**6),
            elapsed_s=st.floats(-1e4, 1e6),
            window_s=st.floats(1e-3, 1e5),
        )
        def check(counted: int, earlier: int, elapsed_s: float, window_s: float) -> None:
            row = connection.execute(
                "SELECT windowed_count(%s, %s, %s, %s)", [counted, earlier, elapsed_s, window_s]
            ).fetchone()
            assert row is not None
            assert windowed_count(counted, earlier, elapsed_s, window_s) == row[0]
            assert counted <= row[0] <= counted + earlier

        check()


@given(
    times=st.lists(st.integers(1, 200), min_size=1, max_size=60),
    window=st.integers(1, 40),
)
def test_the_sliding_count_is_near_the_true_one(times: list[int], window: int) -> None:
    """It never leaves the span between what is surely in the window and what may be: one slice or two."""
    counts, now, moments = Counts(0.0), 0, []
    for step in times:
        now += step
        moments.append(now)
        counts = counts.counting(now, window, failed=True)
        calls, failures = counts.estimate(now, window)
        assert calls == failures
        assert sum(moment >= counts.started for moment in moments) <= calls
        assert calls <= sum(moment > now - 2 * window for moment in moments)
