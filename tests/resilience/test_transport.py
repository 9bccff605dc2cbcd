"""The client that adapters are handed: bounded in size, counted by thread, silent about redirects."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from adapters.errors import RateLimited, Unavailable, UnexpectedResponse
from adapters.wire import send
from channel_sync.resilience.retry import RetryPolicy, Waits, repeat
from channel_sync.resilience.transport import GuardedClient, GuardedTransport
from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox

CLOCK = Clock()
POLICY = RetryPolicy(attempts=3, deadline_s=2.0, first_wait_s=0.01, longest_wait_s=0.02)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Something real to talk to."""
    with Sandbox() as sandbox:
        yield sandbox


def test_a_body_without_end_is_cut_off_and_is_no_answer() -> None:
    """An answer larger than the bound is refused while it is read, not after."""
    read = []

    def endless() -> Iterator[bytes]:
        while True:
            read.append(1)
            yield b"x" * 1024

    transport = GuardedTransport(
        httpx.MockTransport(lambda _: httpx.Response(200, content=endless())), max_body_bytes=10_000
    )
    with httpx.Client(transport=transport) as client, pytest.raises(UnexpectedResponse):
        send(client, client.build_request("GET", "http://channel.test/"), "a test", CLOCK.now)

    assert len(read) == 10


def test_requests_are_counted_by_thread(sandbox: Sandbox) -> None:
    """Each listing's pull runs in one thread: its requests are its own."""
    with GuardedClient() as client, ThreadPoolExecutor(2) as threads:

        def ask(times: int) -> int:
            before = client.requests_of_this_thread()
            for _ in range(times):
                client.get(f"{sandbox.url}/_sandbox/health")
            return client.requests_of_this_thread() - before

        assert [3, 5] == list(threads.map(ask, [3, 5]))


def test_redirects_are_not_followed_unless_asked_for(sandbox: Sandbox) -> None:
    """A channel that moves elsewhere does not take our credentials along."""
    sandbox.faults.add(Fault("status", code=302))
    with GuardedClient() as client:
        assert 302 == client.get(f"{sandbox.url}/airbnb/v2/listings").status_code


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
    assert "there" == repeat(call, POLICY, waits)
    assert waits.seconds >= 0.0
    assert [] == answers


def test_what_may_not_be_repeated_is_raised_at_once() -> None:
    """An answer that is not the protocol is not asked for again."""
    calls = []

    def call() -> None:
        calls.append(1)
        raise UnexpectedResponse("HTML")

    with pytest.raises(UnexpectedResponse):
        repeat(call, POLICY, Waits())

    assert [1] == calls


def test_a_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    """The error is raised as it came, and no time is spent."""
    calls = []

    def call() -> None:
        calls.append(1)
        raise RateLimited("slow", retry_after=60.0)

    waits = Waits()
    with pytest.raises(RateLimited):
        repeat(call, POLICY, waits)

    assert ([1], 0.0) == (calls, waits.seconds)


def test_attempts_are_bounded() -> None:
    """A channel that stays down is asked as often as the policy says, and its own error is raised."""
    calls = []

    def call() -> None:
        calls.append(1)
        raise Unavailable("down")

    with pytest.raises(Unavailable):
        repeat(call, POLICY, Waits())

    assert POLICY.attempts == len(calls)
