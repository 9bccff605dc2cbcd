"""Repeating what may be repeated. The one owner of retries: adapters and Dagster do not retry channel calls.

Only ``Retryable`` errors are repeated; what is one is decided in ``adapters.wire``: a call that was certainly not done,
a question, a call with an idempotency key. A stated Retry-After is honoured exactly; where there is none the wait is
drawn between nothing and a bound that doubles (full jitter), so that callers who failed together do not come back
together. A wait that would end after the deadline is not begun: the pull fails visibly, and a later step or the next
scheduled one tries again.

A limit is no failure: the channel works, and the rate limiter makes the next attempt wait for its turn. So it does not
count against the attempts; the deadline alone bounds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import SystemRandom
from time import monotonic
from typing import TypeVar

import stamina

from adapters.errors import RateLimited, Retryable

Result = TypeVar("Result")

LONGEST_IN_PLACE_S = 60.0  # who is told to wait longer gives up the place it waits in

_LARGEST_EXPONENT = 30
_uniform = SystemRandom().uniform


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and for how long one pull of one listing is tried. Times in seconds.

    ``attempts`` counts those that fail, the first one included. Without a Retry-After the wait after the n-th is at
    most ``first_wait_s`` * 2 ** (n - 1), and never more than ``longest_wait_s``.
    """

    attempts: int = 4
    deadline_s: float = 60.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0


class Waits:
    """Seconds that a thread spends waiting, from here on: between attempts, and in ``elsewhere``.

    ``elsewhere`` is a running total of the calling thread, that of the channel's guards for one.
    """

    def __init__(self, elsewhere: Callable[[], float] = lambda: 0.0) -> None:
        self._elsewhere = elsewhere
        self._already_s = elsewhere()
        self._between_s = 0.0

    @property
    def seconds(self) -> float:
        """All of it so far. To be asked in the thread that waits."""
        return self._between_s + self._elsewhere() - self._already_s

    def add(self, seconds: float) -> None:
        """A wait between two attempts."""
        self._between_s += seconds


def repeat(
    call: Callable[[], Result],
    policy: RetryPolicy,
    waits: Waits,
    uniform: Callable[[float, float], float] = _uniform,
) -> Result:
    """Return what ``call`` returns, repeating it on Retryable; the last error is raised as it is.

    Time between a failure and the next attempt is added to ``waits``. ``uniform`` draws from a span.
    """
    started = monotonic()
    failed_at: float | None = None
    tries = failures = 0

    def again(error: Exception) -> bool | float:
        nonlocal tries, failures
        if not isinstance(error, Retryable):
            return False
        tries += 1
        failures += not isinstance(error, RateLimited)
        if failures >= policy.attempts:
            return False
        wait_s = error.retry_after
        if wait_s is None:
            bound_s = policy.first_wait_s * 2 ** min(tries - 1, _LARGEST_EXPONENT)
            wait_s = uniform(0.0, min(policy.longest_wait_s, bound_s))
        return wait_s if monotonic() - started + wait_s <= policy.deadline_s else False

    # Attempts and deadline are bounded by the hook: stamina's own bounds know neither limits nor Retry-After.
    for attempt in stamina.retry_context(on=again, attempts=None, timeout=None):
        with attempt:
            if failed_at is not None:
                waits.add(monotonic() - failed_at)
            try:
                return call()
            except Retryable:
                failed_at = monotonic()
                raise
    raise AssertionError("a retry ends with a result or an error")


def put_off(error: BaseException) -> float | None:
    """After how many seconds to try again what was given up because that is a minute away or more; else None.

    For who runs the pulls: the wait is longer than a step should sleep for.
    """
    if isinstance(error, Retryable) and error.retry_after is not None:
        return error.retry_after if error.retry_after >= LONGEST_IN_PLACE_S else None
    return None
