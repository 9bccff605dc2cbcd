"""Expedia's classes of errors and its two ladders of retries, as its guide gives them."""

from collections.abc import Collection
from datetime import timedelta

from adapters.errors import AuthenticationFailed, ChannelError, RateLimited, Rejected, Unavailable

# Minutes from the first try, where no connection comes about. After the last one: hold, and raise an alarm.
CONNECTION_LADDER = (1, 2, 4, 8, 15)
# Minutes from the try before, where Expedia names an error that may pass. After the last one (8 h 32): drop the message.
TRANSIENT_LADDER = (1, 2, 4, 6, 8, 16, 32, 64, 128, 256, 512)

_TRANSIENT_CODES = frozenset({*range(4000, 4100), 4206, 5000})
_AUTHENTICATION_CODES = range(1000, 2000)
_CONCURRENT = 3210  # a second message of the hotel while the first is still being worked on


def next_attempt(code: int | None, attempt: int) -> timedelta | None:
    """How long to wait for the ``attempt``-th repetition, counted from 1; None: there is none, hold or drop it.

    ``code`` is the error's; None: no connection came about or no answer. Time runs as the two ladders say.
    """
    if code is None:
        ladder: tuple[int, ...] = CONNECTION_LADDER
    elif code in _TRANSIENT_CODES:
        ladder = TRANSIENT_LADDER
    else:
        return None
    return timedelta(minutes=ladder[attempt - 1]) if 1 <= attempt <= len(ladder) else None


def error_of(codes: Collection[int], what: str, *, throttled: bool = False) -> ChannelError:
    """What a message answered with these error codes stands for. Nothing of it was done.

    ``throttled``: the words beside a code say that there were too many calls; no code is known for that.
    """
    message = f"{what}: error {', '.join(map(str, sorted(codes)))}"
    if any(code in _AUTHENTICATION_CODES for code in codes):
        return AuthenticationFailed(message)
    if throttled or _CONCURRENT in codes:
        return RateLimited(message)
    waits = [wait for code in codes if (wait := next_attempt(code, 1)) is not None]
    if waits and len(waits) == len(codes):
        return Unavailable(message, retry_after=max(waits).total_seconds())
    return Rejected(message)
