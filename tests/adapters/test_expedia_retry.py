"""Expedia's classes of errors and its ladders of retries, to the letter."""

from datetime import timedelta

import pytest

from adapters.errors import AuthenticationFailed, ChannelError, RateLimited, Rejected, Unavailable
from adapters.expedia import fields
from adapters.expedia.retry import error_of, next_attempt
from adapters.xml_body import read_xml


@pytest.mark.parametrize(("attempt", "minutes"), list(enumerate((1, 2, 4, 8, 15), start=1)))
def test_without_a_connection(attempt: int, minutes: int) -> None:
    """1, 2, 4, 8 and 15 minutes after the first try it is tried again."""
    assert timedelta(minutes=minutes) == next_attempt(None, attempt)


@pytest.mark.parametrize("code", [4000, 4001, 4099, 4206, 5000])
@pytest.mark.parametrize(
    ("attempt", "minutes"), list(enumerate((1, 2, 4, 6, 8, 16, 32, 64, 128, 256, 512), start=1))
)
def test_errors_that_may_pass(code: int, attempt: int, minutes: int) -> None:
    """From one minute to 8 h 32 after the try before it is tried again."""
    assert timedelta(minutes=minutes) == next_attempt(code, attempt)


def test_the_ladders_end() -> None:
    """After their last rung, before their first and for any other error there is no further try."""
    ended = [next_attempt(None, 6), next_attempt(4000, 12), next_attempt(None, 0), next_attempt(4000, -1)]
    others = [next_attempt(code, 1) for code in (0, 1001, 2002, 3107, 3999, 4100, 4101, 4205, 5001, 7013)]
    assert [None] * 14 == ended + others
    assert timedelta(hours=8, minutes=32) == next_attempt(4000, 11)


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ([1000], AuthenticationFailed),
        ([1003, 3202], AuthenticationFailed),
        ([2002], Rejected),
        ([3010], Rejected),
        ([3107], Rejected),
        ([3210], RateLimited),
        ([4000], Unavailable),
        ([4099], Unavailable),
        ([4206], Unavailable),
        ([5000], Unavailable),
        ([4100], Rejected),
        ([4101], Rejected),
        ([4205], Rejected),
        ([5001], Rejected),
        ([9999], Rejected),
        ([0], Rejected),
        ([4000, 3203], Rejected),
    ],
)
def test_what_an_error_stands_for(codes: list[int], kind: type[ChannelError]) -> None:
    """The class of its code decides what is done next; what is wrong in itself is not tried again."""
    error = error_of(codes, "expedia test")
    assert kind is type(error)
    assert ", ".join(map(str, sorted(codes))) in str(error)
    if isinstance(error, Unavailable):
        assert error.retry_after == 60.0


@pytest.mark.parametrize(
    "words", ["Request throttled", "Too many requests", "rate limit exceeded", "Rate-Limit"]
)
def test_a_limit_told_in_words(words: str) -> None:
    """An error in XML with HTTP 200 that speaks of too many calls is a limit, whatever its code; no word is shown."""
    body = (
        f'<BookingRetrievalRS xmlns="x"><Error code="4299">{words} by testuser</Error></BookingRetrievalRS>'
    )
    error = fields.refusal(read_xml(body.encode()), "expedia test")
    assert isinstance(error, RateLimited)
    assert "testuser" not in str(error)
