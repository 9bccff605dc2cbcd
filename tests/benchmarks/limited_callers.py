"""Processes that share one limit: each asks for a permit, calls the receiving end over a kept connection, asks again.

Their times are comparable: one machine, and its clock for what happened, its monotonic clock for when to begin and end.
"""

import gc
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Literal

import httpx

from adapters.base_adapter import Quota, QuotaScope
from channel_sync.resilience.rate_limiter.limits import RateLimitPolicy, RateLimitTimeout
from channel_sync.resilience.rate_limiter.postgres import PostgresRateLimiter
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.benchmarks.arrivals import CALLER_HEADER, COUNTED_PATH

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])  # imported once, and not by each process

LimiterName = Literal["ours", "pyrate"]
_Acquire = Callable[[float], bool]  # waits until a permit is due; False when not within so many seconds
_Penalize = Callable[[float], None]  # for so many seconds


@dataclass(frozen=True, slots=True)
class Task:
    """What every caller is given. ``key`` names what they share: a key of ours, a table of pyrate-limiter's.

    Quotas are (limit, seconds). Without a ``receiver_url`` permits are taken and not used.
    """

    limiter: LimiterName
    database_url: str = field(repr=False)
    key: str
    quotas: tuple[tuple[int, float], ...]
    receiver_url: str | None


@dataclass(slots=True)
class Calls:
    """What one caller did. ``granted_ns``: when each permit was there, by the machine's clock.

    ``waits_s``: what each took, and last what the one took that was not there in time, if there was one.
    ``penalized_ns``: when the penalty for a 429 had been recorded.
    """

    granted_ns: list[int] = field(default_factory=list)
    waits_s: list[float] = field(default_factory=list)
    penalized_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """What all the callers did from ``began_ns`` on, in the order of their numbers."""

    began_ns: int
    calls: Sequence[Calls]


def work(task: Task, *, processes: int, seconds: float) -> Shift:
    """Let so many processes call without a pause for so long. All begin at once, connected to everything."""
    with ExitStack() as stack:
        lines = [stack.enter_context(_process(_call, task, number)) for number in range(processes)]
        for line in lines:
            line.recv()
        begin = time.monotonic() + 0.1
        began_ns = time.time_ns() + round((begin - time.monotonic()) * 1e9)
        for line in lines:
            line.send((begin, begin + seconds))
        return Shift(began_ns, [line.recv() for line in lines])


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    with ExitStack() as stack:
        for _ in range(processes):
            stack.enter_context(_process(_spin))
        yield


@contextmanager
def _process(target: Callable[..., None], *arguments: object) -> Iterator[Connection]:
    """A process, killed at the end whatever it does then, and the line to it."""
    ours, theirs = _PROCESSES.Pipe()
    process: BaseProcess = _PROCESSES.Process(target=target, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        process.kill()
        process.join()
        ours.close()


# In the processes ----------------------------------------------------------------------------------------------------


def _spin(line: Connection) -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        sum(range(100_000))
    line.close()


def _call(line: Connection, task: Task, number: int) -> None:
    calls = Calls()
    with ExitStack() as stack:
        acquire, penalize = stack.enter_context(_LIMITERS[task.limiter](task))
        send = stack.enter_context(_sender(task.receiver_url, number))
        gc.freeze()  # as every process of ours does once it is set up: a full collection stops it for 0.1 s and more
        line.send("ready")
        begin, end = line.recv()
        time.sleep(max(0.0, begin - time.monotonic()))
        while (asked := time.monotonic()) < end:
            granted = acquire(end - asked)
            calls.waits_s.append(time.monotonic() - asked)
            if not granted:
                break
            calls.granted_ns.append(time.time_ns())
            retry_after_s = send()
            if retry_after_s is not None:
                penalize(retry_after_s)
                calls.penalized_ns = time.time_ns()
        line.send(calls)
        line.recv()  # until killed: closing everything would disturb those who still call


@contextmanager
def _sender(url: str | None, number: int) -> Iterator[Callable[[], float | None]]:
    """Sends one call, and says what Retry-After it was refused with."""
    if url is None:
        yield lambda: None
        return
    with httpx.Client(base_url=url, headers={CALLER_HEADER: str(number)}, trust_env=False) as client:
        client.get("/").raise_for_status()

        def send() -> float | None:
            answer = client.get(COUNTED_PATH)
            if answer.status_code == 429:
                return float(answer.headers["Retry-After"])
            answer.raise_for_status()
            return None

        yield send


@contextmanager
def _ours(task: Task) -> Iterator[tuple[_Acquire, _Penalize]]:
    with Session(Database(task.database_url)) as session:
        limiter = PostgresRateLimiter(session)
        limiter.acquire([policy(f"{task.key}/warm", [(1_000_000, 1.0)])])
        policies = [policy(task.key, task.quotas)]

        def acquire(timeout_s: float) -> bool:
            try:
                limiter.acquire(policies, timeout_s=timeout_s)
            except RateLimitTimeout:
                return False
            return True

        yield acquire, lambda seconds: limiter.penalize([task.key], retry_after_s=seconds)


def policy(key: str, quotas: Sequence[tuple[int, float]]) -> RateLimitPolicy:
    """The key with these (limit, seconds) quotas, no burst."""
    counted = (Quota(limit, timedelta(seconds=window_s), QuotaScope.IP) for limit, window_s in quotas)
    return RateLimitPolicy(key, tuple(counted))


@contextmanager
def _pyrate(task: Task) -> Iterator[tuple[_Acquire, _Penalize]]:
    from tests.benchmarks.pyrate_peer import pyrate_limiter

    with pyrate_limiter(task.database_url, task.key, task.quotas) as limiter:

        def acquire(timeout_s: float) -> bool:
            return bool(limiter.try_acquire(task.key, timeout=timeout_s))

        def penalize(_: float) -> None:
            raise NotImplementedError("pyrate-limiter knows no penalties")

        yield acquire, penalize


_LIMITERS = {"ours": _ours, "pyrate": _pyrate}
