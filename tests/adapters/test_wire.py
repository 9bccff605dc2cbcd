"""Statuses, Retry-After and bodies in the words of adapters.errors. Broken connections: see the contract suite."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
SECRET_URL = "https://feeds.example/s3cret-path.ics?t=s3cret"


def clock() -> datetime:
    return NOW


def answer(status: int, **headers: str) -> httpx.Response:
    """The answer to a question."""
    return httpx.Response(
        status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        request=httpx.Request("GET", SECRET_URL),
    )


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Rejected),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, Rejected),
        (408, Unavailable),
        (410, Rejected),
        (422, Rejected),
        (429, RateLimited),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
        (301, UnexpectedResponse),
        (100, UnexpectedResponse),
    ],
)
def test_each_status_is_one_error(status: int, error: type[ChannelError]) -> None:
    """A status outside 2xx stands for exactly one kind of error, which names the call and the status."""
    raised = wire.error_from_status(answer(status), "airbnb listings", clock)
    assert type(raised) is error
    assert str(raised) == f"airbnb listings: HTTP {status}"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("Wed, 21 Oct 2026 07:30:00 GMT", 120.0),
        ("Wed, 21 Oct 2026 07:30:00 -0000", 120.0),
        ("Wed, 21 Oct 2026 09:30:00 +0200", 120.0),
        ("Wed, 21 Oct 2026 07:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("9" * 400, None),
    ],
)
def test_retry_after_in_both_forms(header: str, seconds: float | None) -> None:
    """Seconds and dates are read; a date gone by means now; what is neither means nothing."""
    assert wire.retry_after_seconds(answer(429, Retry_After=header), clock) == seconds


def test_no_retry_after() -> None:
    """Without the header nothing is said about when to come back."""
    assert wire.retry_after_seconds(answer(429), clock) is None


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_no_retry_after_breaks_us(header: str) -> None:
    """Whatever a channel writes there is a wait of no less than nothing, or nothing at all."""
    seconds = wire.retry_after_seconds(answer(429, Retry_After=header), clock)
    assert seconds is None or seconds >= 0


@given(st.integers(-(10**6), 10**6))
def test_a_date_is_as_far_away_as_it_is(seconds: int) -> None:
    """A Retry-After date is counted from our clock, and never below zero."""
    header = (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert wire.retry_after_seconds(answer(503, Retry_After=header), clock) == max(0, seconds)


def test_an_unavailable_channel_that_names_a_time_limits_us() -> None:
    """503 with Retry-After is a limit, 503 without it an outage."""
    limited = wire.error_from_status(answer(503, Retry_After="3"), "x", clock)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after == 3


@pytest.mark.parametrize("date", ["Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 -0000"])
def test_a_date_is_counted_from_the_answers_own(date: str) -> None:
    """Where the answer says what time it is at the channel, our clock may be years away from it."""
    late = answer(429, Retry_After="Wed, 21 Oct 2015 07:29:30 GMT", Date=date)
    assert wire.retry_after_seconds(late, clock) == 90


def test_an_answer_whose_date_is_none() -> None:
    """What cannot be read as the channel's time leaves ours to count from."""
    late = answer(429, Retry_After="Wed, 21 Oct 2026 07:30:00 GMT", Date="today")
    assert wire.retry_after_seconds(late, clock) == 120


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_a_fault_of_the_channel_depends_on_what_was_asked(status: int) -> None:
    """A gateway's 502 does not say that nothing was done: only a question or a keyed call may be repeated."""

    def told(method: str, **headers: str) -> ChannelError:
        request = httpx.Request(method, SECRET_URL, headers=headers)
        return wire.error_from_status(httpx.Response(status, request=request), "x", clock)

    assert type(told("GET")) is Unavailable
    assert type(told("POST")) is OutcomeUnknown
    assert type(told("PUT")) is OutcomeUnknown
    assert type(told("POST", **{"Idempotency-Key": "7f2c"})) is Unavailable


@pytest.mark.parametrize(("status", "headers"), [(429, {}), (503, {"Retry-After": "3"})])
def test_a_refused_change_was_not_made(status: int, headers: dict[str, str]) -> None:
    """A limit is said before anything is done: the call may be repeated whatever it changes."""
    response = httpx.Response(status, headers=headers, request=httpx.Request("POST", SECRET_URL))
    assert type(wire.error_from_status(response, "x", clock)) is RateLimited


@pytest.mark.parametrize("status", [200, 204, 304])
def test_an_answer_is_handed_on(status: int) -> None:
    """Success and "not modified" are answers, not errors."""
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(status))) as client:
        assert wire.send(client, httpx.Request("GET", SECRET_URL), "feed", clock).status_code == status


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
        httpx.TooManyRedirects,
        httpx.RequestError,
    ],
)
def test_a_failure_of_the_wire_keeps_the_secret(error: type[httpx.RequestError], method: str) -> None:
    """Every failure becomes an error of ours whose chain of causes holds neither httpx's error nor the URL."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"broke at {request.url}", request=request)

    with httpx.Client(transport=httpx.MockTransport(fail)) as client, pytest.raises(ChannelError) as caught:
        wire.send(client, httpx.Request(method, SECRET_URL), "feed of listing 1", clock)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "s3cret" not in f"{caught.value!r}"


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
def test_a_lost_answer_depends_on_what_was_asked(error: type[httpx.RequestError]) -> None:
    """A question may be asked again; a call that changes something may have been done."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise error("broke")

    with httpx.Client(transport=httpx.MockTransport(fail)) as client:
        with pytest.raises(Unavailable):
            wire.exchange(client, httpx.Request("GET", SECRET_URL), "x")
        with pytest.raises(OutcomeUnknown):
            wire.exchange(client, httpx.Request("POST", SECRET_URL), "x")
        with pytest.raises(OutcomeUnknown):
            wire.exchange(client, httpx.Request("DELETE", SECRET_URL), "x")
        keyed = httpx.Request("POST", SECRET_URL, headers={"idempotency-key": "7f2c"})
        with pytest.raises(Unavailable):
            wire.exchange(client, keyed, "x")


def test_a_call_that_was_not_sent_changed_nothing() -> None:
    """Without a connection even a call that changes something may be repeated."""

    def fail(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("slow")

    with (
        httpx.Client(transport=httpx.MockTransport(fail)) as client,
        pytest.raises(Unavailable, match="no connection"),
    ):
        wire.exchange(client, httpx.Request("POST", SECRET_URL), "x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b'{"a": 1',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e9999999999999999999}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b"[1, 2]",
        b'"text"',
        b"null",
    ],
)
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    """HTML, nothing, a cut-off body, NaN and JSON of another shape are refused, and the body is not kept."""
    with pytest.raises(UnexpectedResponse) as caught:
        wire.json_object(httpx.Response(200, content=body), "airbnb listings")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**18), max_value=10**18))
def test_numbers_keep_every_digit(number: Decimal) -> None:
    """A number with a point is a Decimal with the digits that were on the wire, never a float."""
    read = wire.json_object(httpx.Response(200, content=f'{{"price": {number:f}}}'.encode()), "x")["price"]
    assert isinstance(read, Decimal)
    assert str(read) == f"{number:f}"
