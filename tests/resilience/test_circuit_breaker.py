"""What a circuit breaker promises, shown on both twins."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Thread

import pytest

from adapters.errors import Unavailable
from channel_sync.resilience.circuit_breaker.memory import InMemoryCircuitBreaker
from channel_sync.resilience.circuit_breaker.policy import (
    Admission,
    BreakerPolicy,
    BreakerState,
    CircuitOpenError,
    CircuitState,
)
from channel_sync.resilience.circuit_breaker.postgres import PostgresCircuitBreaker
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.resilience.breaker_clock import Clock, DrivenSession, Scene

KEY = "airbnb/api.airbnb.com"
POLICY = BreakerPolicy(
    failures=3,
    failure_ratio=0.5,
    window_s=8.0,
    open_s=4.0,
    longest_open_s=10.0,
    calm_s=64.0,
    probe_ttl_s=16.0,
)
THREE = BreakerPolicy(failures=3, open_s=4.0, probes=3, successes_to_close=2, probe_ttl_s=16.0)
Build = Callable[[BreakerPolicy], Scene]


@pytest.fixture(params=["postgres", "memory"])
def build(request: pytest.FixtureRequest) -> Iterator[Build]:
    """Makes a scene of a policy."""
    with ExitStack() as stack:

        def make(policy: BreakerPolicy) -> Scene:
            clock = Clock()
            if request.param == "memory":
                return Scene(InMemoryCircuitBreaker(policy, clock), policy, clock)
            session = stack.enter_context(DrivenSession(request.getfixturevalue("database"), clock))
            return Scene(PostgresCircuitBreaker(session, policy), policy, clock)

        yield make


@pytest.fixture
def scene(build: Build) -> Scene:
    """With one probe."""
    return build(POLICY)


@pytest.fixture
def three(build: Build) -> Scene:
    """With three probes of which two must succeed."""
    return build(THREE)


def test_unused_it_lets_calls_through(scene: Scene) -> None:
    """A key nobody used is closed and has no state; its first recorded call gives it one."""
    assert scene.breaker.snapshot(KEY) is None
    admission = scene.admit()
    assert Admission(KEY, 0) == admission
    scene.breaker.confirm(admission)
    scene.succeed(admission)
    assert BreakerState(KEY, CircuitState.CLOSED, 0.0, 0) == scene.state()


def test_it_opens_at_the_failure_that_fills_the_number(scene: Scene) -> None:
    """Two failures of three do not open it, the third does, and keys do not share a count."""
    scene.breaker.record_failure(scene.breaker.admit("ical/elsewhere"), "ConnectError")
    scene.fail()
    scene.fail()
    assert CircuitState.CLOSED == scene.state().state
    scene.fail()
    assert BreakerState(KEY, CircuitState.OPEN, 4.0, 1) == scene.state()
    assert not scene.breaker.admit("ical/elsewhere").probe


def test_it_opens_only_at_the_ratio(scene: Scene) -> None:
    """Failures that are fewer than the ratio of all calls do not open it, however many."""
    for _ in range(6):
        scene.succeed()
    for _ in range(5):
        scene.fail()
    assert CircuitState.CLOSED == scene.state().state
    scene.fail()  # the sixth of twelve
    assert CircuitState.OPEN == scene.state().state


def test_old_failures_fade(scene: Scene) -> None:
    """Half a window later half of the earlier slice counts, two windows later nothing of it."""
    scene.fail()
    scene.fail()
    scene.wait(12.0)  # the present slice is 4 of 8 seconds old
    scene.fail()  # 1 + 2 x 0.5
    assert CircuitState.CLOSED == scene.state().state
    scene.fail()  # 2 + 2 x 0.5
    assert CircuitState.OPEN == scene.state().state


def test_failures_of_two_windows_ago_are_forgotten(scene: Scene) -> None:
    """After two windows without a call the count begins anew."""
    scene.fail()
    scene.fail()
    scene.wait(16.0)
    scene.fail()
    scene.fail()
    assert CircuitState.CLOSED == scene.state().state


def test_a_refusal_says_how_long_and_why(scene: Scene) -> None:
    """While it is open the refusal names the key, the latest error and the rest of the time, and is an Unavailable."""
    scene.trip()
    scene.wait(1.5)
    with pytest.raises(CircuitOpenError, match=f"circuit {KEY} opened after ConnectError") as refused:
        scene.admit()
    assert 2.5 == refused.value.retry_after
    assert isinstance(refused.value, Unavailable)


def test_one_probe_is_let_through(scene: Scene) -> None:
    """When its time is over one call is let through as a probe, the next is told to ask within a second."""
    scene.trip()
    scene.wait(3.875)
    assert 0.125 == scene.refused()
    scene.wait(0.125)
    assert Admission(KEY, 2, probe=True) == scene.admit()
    assert 1.0 == scene.refused()
    assert BreakerState(KEY, CircuitState.HALF_OPEN, 1.0, 1) == scene.state()
    scene.wait(15.5)
    assert 0.5 == scene.refused()


def test_a_probe_that_succeeds_closes_it(scene: Scene) -> None:
    """Closed after a probe it counts from nothing."""
    scene.trip()
    scene.wait(4.0)
    scene.succeed()
    assert CircuitState.CLOSED == scene.state().state
    scene.fail()
    scene.fail()
    assert CircuitState.CLOSED == scene.state().state


def test_a_probe_that_fails_opens_it_for_twice_as_long(scene: Scene) -> None:
    """Each time it opens again it stays open twice as long, up to the longest."""
    scene.trip()
    lengths = []
    for _ in range(3):
        lengths.append(scene.refused())
        scene.wait(lengths[-1])
        scene.fail()
    lengths.append(scene.refused())
    assert [4.0, 8.0, 10.0, 10.0] == lengths
    assert 4 == scene.state().trips


def test_after_a_calm_it_opens_for_the_first_length_again(scene: Scene) -> None:
    """What counts is the time that it was closed: a long outage is no calm."""
    scene.trip()
    scene.wait(1000.0)
    scene.fail()
    assert 8.0 == scene.refused()
    scene.wait(8.0)
    scene.succeed()
    scene.wait(63.0)
    scene.trip()
    assert 10.0 == scene.refused()
    scene.wait(10.0)
    scene.succeed()
    scene.wait(64.0)
    scene.trip()
    assert (4.0, 1) == (scene.refused(), scene.state().trips)


def test_late_outcomes_of_an_earlier_epoch_are_ignored(scene: Scene) -> None:
    """A call that was under way when it opened neither closes it, nor prolongs it, nor counts after."""
    under_way = [scene.admit() for _ in range(4)]
    scene.trip()
    scene.wait(1.0)
    scene.succeed(under_way.pop())
    scene.fail(under_way.pop())
    assert BreakerState(KEY, CircuitState.OPEN, 3.0, 1) == scene.state()
    scene.wait(3.0)
    probe = scene.admit()
    scene.succeed(under_way.pop())
    scene.fail(under_way.pop())
    assert CircuitState.HALF_OPEN == scene.state().state
    scene.succeed(probe)
    assert CircuitState.CLOSED == scene.state().state
    scene.fail(probe)
    scene.fail()
    scene.fail()
    assert CircuitState.CLOSED == scene.state().state


def test_a_hung_probe_is_replaced_and_its_late_success_ignored(scene: Scene) -> None:
    """When its time to live is over a new epoch begins with a new probe, and only that one's outcome counts."""
    scene.trip()
    scene.wait(4.0)
    hung = scene.admit()
    scene.wait(16.0)
    replacement = scene.admit()
    assert Admission(KEY, hung.epoch + 1, probe=True) == replacement
    scene.succeed(hung)
    assert CircuitState.HALF_OPEN == scene.state().state
    scene.refused()
    scene.fail(replacement)
    scene.succeed(hung)
    assert CircuitState.OPEN == scene.state().state


def test_a_probe_outlives_its_time_in_no_case(scene: Scene) -> None:
    """An outcome that comes after the time to live is ignored even when nobody has asked for a new probe."""
    scene.trip()
    scene.wait(4.0)
    probe = scene.admit()
    scene.wait(16.0)
    scene.succeed(probe)
    assert CircuitState.HALF_OPEN == scene.state().state
    scene.succeed()
    assert CircuitState.CLOSED == scene.state().state


def test_exactly_as_many_probes_as_stated(three: Scene) -> None:
    """Of three probes three are let through, and two successes close it."""
    three.trip()
    three.wait(4.0)
    probes = [three.admit() for _ in range(3)]
    assert [Admission(KEY, 2, probe=True)] * 3 == probes
    three.refused()
    three.succeed(probes[0])
    three.refused()
    three.succeed(probes[1])
    assert CircuitState.CLOSED == three.state().state


def test_the_first_failure_of_several_probes_opens_it(three: Scene) -> None:
    """One probe that fails is enough, and what the others say after it is ignored."""
    three.trip()
    three.wait(4.0)
    first, second, third = (three.admit() for _ in range(3))
    three.succeed(first)
    three.fail(second)
    three.succeed(third)
    assert BreakerState(KEY, CircuitState.OPEN, 8.0, 2) == three.state()


def test_an_abandoned_probe_goes_back(scene: Scene) -> None:
    """The permit of a probe that was not sent can be had at once; abandoning an ordinary call changes nothing."""
    scene.breaker.abandon(scene.admit())
    scene.trip()
    scene.wait(4.0)
    probe = scene.admit()
    scene.breaker.abandon(probe)
    assert 0.0 == scene.state().retry_after_s
    again = scene.admit()
    assert probe == again
    scene.refused()
    scene.wait(16.0)
    scene.admit()
    scene.breaker.abandon(again)  # too late: another epoch
    scene.refused()


def test_abandoning_never_makes_more_probes_than_stated(three: Scene) -> None:
    """A permit given back twice is there once more than was out at most, never beyond the stated number."""
    three.trip()
    three.wait(4.0)
    three.succeed()
    probe = three.admit()
    for _ in range(3):
        three.breaker.abandon(probe)
    three.admit()
    three.admit()
    three.refused()


def test_confirm_refuses_what_is_over(scene: Scene) -> None:
    """An admission is over when the circuit opened since, when it closed again, and when a probe's time passed."""
    before = scene.admit()
    scene.breaker.confirm(before)
    scene.trip()
    with pytest.raises(CircuitOpenError) as refused:
        scene.breaker.confirm(before)
    assert 4.0 == refused.value.retry_after
    scene.wait(4.0)
    probe = scene.admit()
    scene.wait(15.875)
    scene.breaker.confirm(probe)
    scene.wait(0.125)
    with pytest.raises(CircuitOpenError):
        scene.breaker.confirm(probe)
    scene.succeed()
    with pytest.raises(CircuitOpenError) as refused:
        scene.breaker.confirm(before)
    assert 0.0 == refused.value.retry_after


def test_reset_closes_by_hand(scene: Scene) -> None:
    """After it calls are let through, counts and trips begin anew; of an unused key it changes nothing."""
    scene.breaker.reset("ical/never-used")
    assert scene.breaker.snapshot("ical/never-used") is None
    scene.trip()
    scene.breaker.reset(KEY)
    assert BreakerState(KEY, CircuitState.CLOSED, 0.0, 0) == scene.state()
    scene.fail()
    scene.fail()
    assert CircuitState.CLOSED == scene.state().state
    scene.fail()
    assert BreakerState(KEY, CircuitState.OPEN, 4.0, 1) == scene.state()


def test_threads_share_one_breaker(three: Scene) -> None:
    """Of eight threads that ask at once exactly three are given a probe."""
    three.trip()
    three.wait(4.0)
    given: list[Admission] = []

    def ask() -> None:
        try:
            given.append(three.admit())
        except CircuitOpenError:
            return

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Admission(KEY, 2, probe=True)] * 3 == given


@pytest.mark.parametrize(
    "numbers",
    [
        {"probes": 1, "successes_to_close": 2},
        {"successes_to_close": 0},
        {"failures": 0},
        {"failure_ratio": 1.5},
        {"window_s": 0.0},
        {"open_s": 0.0},
        {"probe_ttl_s": -1.0},
        {"open_s": 20.0, "longest_open_s": 10.0},
    ],
)
def test_a_policy_that_cannot_work_is_refused(numbers: dict[str, float]) -> None:
    """Numbers with which a circuit would never open or never close are a ValueError."""
    with pytest.raises(ValueError, match="must"):
        BreakerPolicy(**numbers)  # type: ignore[arg-type]  # whole numbers among them


def test_transitions_are_logged_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Two processes' breakers log one line when it opens and one when it closes, none for a probe that fails."""
    caplog.set_level(logging.INFO, "channel_sync")
    clock = Clock()
    with DrivenSession(database, clock) as one, DrivenSession(database, clock) as two:
        first, second = (Scene(PostgresCircuitBreaker(each, POLICY), POLICY, clock) for each in (one, two))
        under_way = [second.admit() for _ in range(3)]
        first.trip()
        for admission in under_way:
            second.fail(admission)
        first.wait(4.0)
        first.fail()
        first.wait(8.0)
        second.succeed()
    assert [
        f"circuit {KEY} opened after ConnectError: calls are held back",
        f"circuit {KEY} closed: calls are let through again",
    ] == caplog.messages


def test_without_the_database_no_call_is_let_through(caplog: pytest.LogCaptureFixture) -> None:
    """What decides about a call raises Unavailable without the URL; what follows one is dropped, logged once."""
    with Session(Database("postgresql://someone:Correct-Horse@127.0.0.1:1/house")) as session:
        breaker = PostgresCircuitBreaker(session)
        admission = Admission(KEY, 0, probe=True)
        for asking in (
            lambda: breaker.admit(KEY),
            lambda: breaker.confirm(admission),
            lambda: breaker.snapshot(KEY),
        ):
            with pytest.raises(Unavailable, match=f"circuit {KEY} cannot be read") as refused:
                asking()
            assert not isinstance(refused.value, CircuitOpenError)
            assert "Correct-Horse" not in str(refused.value)
        breaker.record_success(admission)
        breaker.record_failure(admission, "ConnectError")
        breaker.abandon(admission)
    assert [f"circuit {KEY}: outcomes are dropped (OperationalError)"] == caplog.messages


def test_production_never_passes_the_time(database: Database) -> None:
    """Without a clock of a test the database's own decides: a second later a second less is left."""
    policy = BreakerPolicy(failures=1, open_s=600.0)
    with Session(database) as session, database.connect(autocommit=True) as connection:
        breaker = PostgresCircuitBreaker(session, policy)
        breaker.record_failure(breaker.admit(KEY), "ConnectError")
        found = breaker.snapshot(KEY)
        row = connection.execute(
            "SELECT extract(epoch FROM open_until - clock_timestamp())::float8, open_until - opened_at = '600 s' "
            "FROM circuit_breaker_state"
        ).fetchone()
    assert found is not None
    assert row is not None
    assert 0 <= found.retry_after_s - row[0] < 30
    assert row[1]
