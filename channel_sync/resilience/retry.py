"""Repeating what may be repeated. The one owner of retries: adapters and Dagster do not retry channel calls.

Only ``Retryable`` errors are repeated. A Retry-After of the channel is honoured exactly; where there is none the
wait grows with full jitter. A wait that would end after the deadline is not begun: the pull fails visibly and
the next scheduled one tries again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import stamina

from adapters.errors import Retryable

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and for how long one pull of one listing is tried. Times in seconds."""

    attempts: int = 4
    deadline_s: float = 60.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 15.0


@dataclass(slots=True)
class Waits:
    """Seconds spent waiting between attempts."""

    seconds: float = 0.0


def repeat(call: Callable[[], Result], policy: RetryPolicy, waits: Waits) -> Result:
    """Return what ``call`` returns, repeating it on Retryable; the last error is raised as it is.

    Time between a failure and the next attempt is added to ``waits``.
    """
    started = monotonic()
    failed_at: float | None = None

    def again(error: Exception) -> bool | float:
        if not isinstance(error, Retryable):
            return False
        if error.retry_after is None:
            return True
        return error.retry_after if monotonic() - started + error.retry_after <= policy.deadline_s else False

    attempts = stamina.retry_context(
        on=again,
        attempts=policy.attempts,
        timeout=policy.deadline_s,
        wait_initial=policy.first_wait_s,
        wait_max=policy.longest_wait_s,
        wait_jitter=policy.first_wait_s,
    )
    for attempt in attempts:
        with attempt:
            if failed_at is not None:
                waits.seconds += monotonic() - failed_at
            try:
                return call()
            except Retryable:
                failed_at = monotonic()
                raise
    raise AssertionError("a retry ends with a result or an error")
