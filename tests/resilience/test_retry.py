"""What is repeated, how often, after which wait."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
    Unsupported,
)
from channel_sync.resilience import retry
from channel_sync.resilience.circuit_breaker.policy import CircuitOpenError
from channel_sync.resilience.rate_limiter.limits import RateLimitTimeout
from channel_sync.resilience.retry import RetryPolicy, Waits, put_off, repeat

QUICK = RetryPolicy(attempts=3, deadline_s=2.0, first_wait_s=0.01, longest_wait_s=0.02)
MINUTES = RetryPolicy(attempts=4, deadline_s=60.0, first_wait_s=0.5, longest_wait_s=15.0)


class Time:
    """A clock that only sleeping moves, and what was slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let it pass."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """Nobody really sleeps."""
    time = Time()
    monkeypatch.setattr(retry, "monotonic", lambda: time.now)
    monkeypatch.setattr("tenacity.nap.time.sleep", time.sleep)
    return time


def failing(*errors: ChannelError) -> tuple[Callable[[], str], list[int]]:
    """A call that fails so, and the last way for ever; with a list that counts its attempts."""
    attempts: list[int] = []

    def call() -> str:
        attempts.append(1)
        raise errors[min(len(attempts), len(errors)) - 1]

    return call, attempts


@pytest.mark.parametrize("error", [Unavailable("down"), RateLimited("slow", retry_after=0.0)])
def test_what_may_be_repeated_is_repeated(error: Exception) -> None:
    """A passing fault is tried again and its wait counted."""
    answers: list[Exception | str] = [error, "there"]

    def call() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    waits = Waits()
    assert "there" == repeat(call, QUICK, waits)
    assert waits.seconds >= 0.0
    assert [] == answers


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("sent"),
        UnexpectedResponse("HTML"),
        AuthenticationFailed("401"),
        Rejected("404"),
        Unsupported("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_not_be_repeated_is_raised_at_once(error: ChannelError, time: Time) -> None:
    """A call that may have been done, or that would end the same, is made once."""
    call, attempts = failing(error)
    with pytest.raises(type(error)):
        repeat(call, MINUTES, Waits())
    assert ([1], []) == (attempts, time.slept)


def test_attempts_are_bounded(time: Time) -> None:
    """A channel that stays down is asked as often as the policy says, and its own error is raised."""
    call, attempts = failing(Unavailable("down"))
    with pytest.raises(Unavailable, match="down"):
        repeat(call, MINUTES, Waits())
    assert MINUTES.attempts == len(attempts)
    assert MINUTES.attempts - 1 == len(time.slept)


@pytest.mark.parametrize(
    "limit", [RateLimited("429", retry_after=7.0), RateLimitTimeout("far", retry_after=7.0)]
)
def test_limits_do_not_count_as_attempts(limit: RateLimited, time: Time) -> None:
    """A limit is waited for until the deadline, exactly as long each time as was said; then the limit is raised."""
    call, attempts = failing(limit)
    waits = Waits()
    with pytest.raises(type(limit)):
        repeat(call, MINUTES, waits)
    assert [7.0] * 8 == time.slept  # a ninth wait would end after the deadline
    assert (9, 56.0) == (len(attempts), waits.seconds)


def test_limits_between_faults_leave_the_attempts_as_they_are(time: Time) -> None:
    """Only the faults among the failures use attempts up."""
    limit, fault = RateLimited("429", retry_after=1.0), Unavailable("down")
    call, attempts = failing(limit, fault, limit, limit, fault, limit, fault, limit, fault)
    with pytest.raises(Unavailable):
        repeat(call, MINUTES, Waits())
    assert 9 == len(attempts)
    assert 8 == len(time.slept)


def test_an_open_circuit_counts_as_an_attempt(time: Time) -> None:
    """An open circuit is asked again when it said, as often as a channel that is down."""
    call, attempts = failing(CircuitOpenError("open", retry_after=3.0))
    with pytest.raises(CircuitOpenError):
        repeat(call, MINUTES, Waits())
    assert (4, [3.0] * 3) == (len(attempts), time.slept)


@pytest.mark.parametrize(
    "error", [RateLimited("slow", retry_after=60.5), Unavailable("", retry_after=3600.0)]
)
def test_a_wait_that_would_end_after_the_deadline_is_not_begun(error: ChannelError, time: Time) -> None:
    """The error is raised as it came, and no time is spent."""
    call, attempts = failing(error)
    waits = Waits()
    with pytest.raises(type(error)):
        repeat(call, MINUTES, waits)
    assert ([1], [], 0.0) == (attempts, time.slept, waits.seconds)


def test_a_wait_that_ends_at_the_deadline_is_begun(time: Time) -> None:
    """Exactly as long as there is time is not too long."""
    call, attempts = failing(RateLimited("slow", retry_after=60.0))
    with pytest.raises(RateLimited):
        repeat(call, MINUTES, Waits())
    assert ([1, 1], [60.0]) == (attempts, time.slept)


@given(st.lists(st.floats(0.0, 1.0), min_size=9, max_size=9))
def test_jitter_is_full(shares: list[float]) -> None:
    """Each wait is drawn between nothing and a bound that doubles up to the longest wait."""
    time, bounds, drawn = Time(), [], iter(shares)

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return low + next(drawn) * (high - low)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "monotonic", lambda: time.now)
        patch.setattr("tenacity.nap.time.sleep", time.sleep)
        policy = RetryPolicy(attempts=10, deadline_s=1000.0, first_wait_s=0.5, longest_wait_s=15.0)
        with pytest.raises(Unavailable):
            repeat(failing(Unavailable("down"))[0], policy, Waits(), uniform)
    assert [(0.0, bound) for bound in (0.5, 1, 2, 4, 8, 15, 15, 15, 15)] == bounds
    assert [share * bound for share, (_, bound) in zip(shares, bounds, strict=True)] == time.slept


def test_those_who_failed_together_do_not_come_back_together(time: Time) -> None:
    """Without being told otherwise, waits are drawn anew for everybody."""
    for _ in range(20):
        with pytest.raises(Unavailable):
            repeat(failing(Unavailable("down"))[0], RetryPolicy(attempts=2), Waits())
    assert 20 == len(set(time.slept))
    assert 0.0 <= min(time.slept) < max(time.slept) <= 0.5


@pytest.mark.usefixtures("time")
def test_waits_elsewhere_are_told_with_those_between_attempts() -> None:
    """What a thread waited in the guards from here on is part of what it waited, and what it did before is not."""
    elsewhere_s = 40.0
    waits = Waits(lambda: elsewhere_s)
    call, _ = failing(RateLimited("slow", retry_after=7.0), Rejected("no"))
    with pytest.raises(Rejected):
        repeat(call, MINUTES, waits)
    elsewhere_s = 42.5
    assert 9.5 == waits.seconds


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (RateLimited("429", retry_after=3600.0), 3600.0),
        (RateLimitTimeout("far", retry_after=60.0), 60.0),
        (CircuitOpenError("open", retry_after=240.0), 240.0),
        (RateLimited("429", retry_after=59.0), None),
        (RateLimited("429"), None),
        (Unavailable("down"), None),
        (Rejected("no"), None),
        (RuntimeError("a defect"), None),
    ],
)
def test_what_is_a_minute_away_is_put_off(error: Exception, seconds: float | None) -> None:
    """Only a stated wait of a minute or more is worth coming back for, and it says when."""
    assert seconds == put_off(error)
