"""What stands between every adapter and the wire. An adapter is handed a client built here and cannot get past it.

One call, in this order:

    in-flight key     where calls must not overlap
    circuit           refused at once while the channel is failing
    rate limit        waits for a permit of every quota that counts the call
    circuit again     if the permit took long
    send              the answer is read to its end, within bounds
    judge             tell limiter and circuit how it ended, and count it

However a call ends, its key is let go of and its admission is settled.
"""

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from adapters.base_adapter import Declaration, Quota
from adapters.errors import Unavailable
from adapters.spending import Spend, spend_of
from adapters.wire import retry_after_seconds
from channel_sync.resilience import quota_keys
from channel_sync.resilience.bounds import CONNECT_S, BoundedTransport
from channel_sync.resilience.call_counts import CallCounts
from channel_sync.resilience.circuit_breaker.policy import Admission, CircuitBreaker, CircuitOpenError
from channel_sync.resilience.rate_limiter.in_flight import InFlight
from channel_sync.resilience.rate_limiter.limits import (
    Permit,
    RateLimiter,
    RateLimitPolicy,
    RateLimitTimeout,
)

LONGEST_WAIT_S = 60.0  # for a permit or another call's end; what takes longer is tried again by another step

_LONG_SINCE_ADMITTED_S = 0.05
# Defects of ours: nothing was sent, and the channel had no part in it.
_NEVER_LEFT = (httpx.LocalProtocolError, httpx.UnsupportedProtocol)


@dataclass(frozen=True, slots=True)
class Guards:
    """What every call passes, shared with the other processes or, in tests, not."""

    limiter: RateLimiter
    breaker: CircuitBreaker
    in_flight: InFlight
    calls: CallCounts


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: an account of a channel, with the quotas in force for it. ``clock`` gives the present time in UTC."""

    declaration: Declaration
    account: str
    quotas: Sequence[Quota]
    clock: Callable[[], datetime]


@dataclass(slots=True)
class _Course:
    """One call as it goes on, for the counters. Times in seconds; ``sent_at`` is of the monotonic clock."""

    waited_s: float = 0.0
    sent_at: float | None = None


class ChannelTransport(httpx.BaseTransport):
    """Lets a marked request through when everybody may call, and tells everybody how it ended."""

    def __init__(self, inner: httpx.BaseTransport, guards: Guards, caller: Caller) -> None:
        """``inner`` gives whole answers or raises, and is closed with this."""
        self._inner = inner
        self._guards = guards
        self._caller = caller
        self._channel = caller.declaration.name
        self._thread = threading.local()

    def requests_of_this_thread(self) -> int:
        """How many requests the calling thread has sent through this transport so far."""
        return getattr(self._thread, "sent", 0)

    def waited_of_this_thread(self) -> float:
        """How many seconds the calling thread has waited for permits and for other calls' ends so far."""
        return getattr(self._thread, "waited_s", 0.0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send when it is this call's turn, and judge the answer.

        Raises RuntimeError for a request that is not marked, ValueError for one that lacks what a quota counts by,
        RateLimitTimeout or CircuitOpenError or Unavailable for one that was not sent, and what httpx raises.
        """
        host = request.url.netloc.decode("ascii")
        spend = spend_of(request)
        if spend is None:
            raise RuntimeError(
                f"{request.method} to {host} is not marked: an adapter marks what a call spends"
            )
        policies = quota_keys.policies(self._channel, self._caller.quotas, self._caller.account, host, spend)
        course = _Course()
        try:
            with ExitStack() as held:
                if spend.one_at_a_time is not None:
                    key = quota_keys.in_flight_key(
                        self._channel, host, self._caller.account, spend.one_at_a_time
                    )
                    with self._waiting(course):
                        held.enter_context(self._guards.in_flight.hold(key, timeout_s=LONGEST_WAIT_S))
                response = self._admitted(request, host, policies, spend.cost, course)
        except BaseException as error:
            self._count(spend, course, _named(error))
            raise
        self._count(spend, course, str(response.status_code))
        return response

    def _admitted(
        self,
        request: httpx.Request,
        host: str,
        policies: Sequence[RateLimitPolicy],
        cost: int,
        course: _Course,
    ) -> httpx.Response:
        """What the circuit lets through; its admission is settled however the call ends."""
        breaker = self._guards.breaker
        admission = breaker.admit(quota_keys.host_key(self._channel, host))
        try:
            permit = self._acquire(policies, cost, course)
            if permit.waited_s > _LONG_SINCE_ADMITTED_S:
                breaker.confirm(admission)
            departure = _departure(permit.spare_s, lambda: self._acquire(policies, cost, course))
            response = self._send(request, departure, course)
        except httpx.TransportError as error:
            if isinstance(error, _NEVER_LEFT):
                breaker.abandon(admission)
            else:
                breaker.record_failure(admission, type(error).__name__)
            raise
        except httpx.RequestError:  # it answered, though not with anything of use
            breaker.record_success(admission)
            raise
        except BaseException:
            breaker.abandon(admission)
            raise
        self._judge(response, admission, policies)
        return response

    def _acquire(self, policies: Sequence[RateLimitPolicy], cost: int, course: _Course) -> Permit:
        with self._waiting(course):
            return self._guards.limiter.acquire(policies, cost=cost, timeout_s=LONGEST_WAIT_S)

    def _send(
        self, request: httpx.Request, departure: Callable[[str, Any], None], course: _Course
    ) -> httpx.Response:
        """Send a copy: what is added to it must not travel on into a redirect made from the request."""
        extensions = {**request.extensions, "trace": departure}
        sent = httpx.Request(
            request.method,
            request.url,
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
        self._thread.sent = self.requests_of_this_thread() + 1
        course.sent_at = time.monotonic()
        return self._inner.handle_request(sent)

    def _judge(
        self, response: httpx.Response, admission: Admission, policies: Sequence[RateLimitPolicy]
    ) -> None:
        """A limit is everybody's to keep and no fault; a fault is the channel's own, and no refusal of ours is one."""
        status = response.status_code
        after_s = retry_after_seconds(response, self._caller.clock)
        if status == 429 or (status == 503 and after_s is not None):
            pause_s = self._caller.declaration.pause.total_seconds()
            keys = [policy.key for policy in policies]
            self._guards.limiter.penalize(keys, retry_after_s=after_s or pause_s)
        elif status == 408 or status >= 500:
            self._guards.breaker.record_failure(admission, f"HTTP {status}")
            return
        self._guards.breaker.record_success(admission)

    @contextmanager
    def _waiting(self, course: _Course) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            waited_s = time.monotonic() - began
            course.waited_s += waited_s
            self._thread.waited_s = self.waited_of_this_thread() + waited_s

    def _count(self, spend: Spend, course: _Course, outcome: str) -> None:
        took_s = time.monotonic() - course.sent_at if course.sent_at is not None else 0.0
        self._guards.calls.count(
            self._caller.account, spend.endpoint, outcome, waited_s=course.waited_s, took_s=took_s
        )

    def close(self) -> None:
        """Close the connections, and write down what was counted."""
        self._inner.close()
        self._guards.calls.flush()


def _departure(spare_s: float, renew_permit: Callable[[], object]) -> Callable[[str, Any], None]:
    """Watches a call until it leaves: where that took more than ``spare_s`` from now, its permit has lapsed.

    A connection to a channel far away takes several round trips to make, and a thread may have to wait for others of
    its process.
    """
    permitted_at = time.monotonic()

    def trace(event: str, _details: Any) -> None:
        if event.endswith(".send_request_headers.started") and time.monotonic() - permitted_at > spare_s:
            renew_permit()

    return trace


def _named(error: BaseException) -> str:
    """How a call that has no answer ended, for the counters."""
    if isinstance(error, RateLimitTimeout):
        return "refused: rate limit"
    if isinstance(error, CircuitOpenError):
        return "refused: circuit open"
    if isinstance(error, Unavailable):
        return "refused: no database"
    return type(error).__name__


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates that are trusted, read once a process: reading them costs more than a small pull."""
    return httpx.create_ssl_context()


class GuardedClient(httpx.Client):
    """An httpx client that calls as one account and takes neither another transport nor a proxy.

    Redirects are followed only where a channel asks for it. What is open to the channel at one time is bounded by the
    threads that call: a permit must not grow old in a queue for connections.
    """

    def __init__(self, guards: Guards, caller: Caller) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        real = httpx.HTTPTransport(verify=_trusted(), limits=limits, trust_env=False)
        self._guarded = ChannelTransport(BoundedTransport(real), guards, caller)
        timeout = httpx.Timeout(caller.declaration.silence.total_seconds(), connect=CONNECT_S)
        super().__init__(transport=self._guarded, timeout=timeout, follow_redirects=False, trust_env=False)

    def requests_of_this_thread(self) -> int:
        """How many requests the calling thread has sent."""
        return self._guarded.requests_of_this_thread()

    def waited_of_this_thread(self) -> float:
        """How many seconds the calling thread has waited for permits and for other calls' ends."""
        return self._guarded.waited_of_this_thread()
