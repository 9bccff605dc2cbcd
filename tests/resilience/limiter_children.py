"""What child processes do with limiter and in-flight keys; imports little, so that hundreds of them start quickly."""

import contextlib
import datetime as dt
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Barrier

from channel_sync.resilience.rate_limiter.in_flight import PostgresInFlight
from channel_sync.resilience.rate_limiter.limits import RateLimitPolicy
from channel_sync.resilience.rate_limiter.postgres import PostgresRateLimiter
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.resilience.limiter_scene import Use, use

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__, "channel_sync.resilience.circuit_breaker.postgres"])


@contextlib.contextmanager
def running(processes: Sequence[ForkServerProcess]) -> Iterator[None]:
    """Start them; when the block ends, however it does, none of them runs any more."""
    try:
        for process in processes:
            process.start()
        yield
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def use_for(
    url: str,
    policies: Sequence[RateLimitPolicy],
    seconds: float,
    start: Barrier,
    uses: Connection,
    clock_ahead_s: float = 0.0,
) -> None:
    """Use all permits there are for so long, with every local clock so wrong, and send the uses."""
    _misset_clocks(clock_ahead_s)
    with Session(Database(url)) as session:
        limiter = PostgresRateLimiter(session)
        limiter.snapshot("")  # connected
        start.wait()
        found: list[Use] = []
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            found.append(use(limiter, policies))
    uses.send(found)


def _misset_clocks(ahead_s: float) -> None:
    """Nobody in this process who reads the time of day is told the right one."""
    right = time.time
    real = dt.datetime

    class Misset(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Misset":
            found = real.now(tz) + dt.timedelta(seconds=ahead_s)
            return cls(*found.timetuple()[:6], found.microsecond, found.tzinfo)

    if ahead_s:
        time.time = lambda: right() + ahead_s
        time.time_ns = lambda: int((right() + ahead_s) * 1e9)
        dt.datetime = Misset  # type: ignore[misc]


def acquire_for_ever(url: str, policies: Sequence[RateLimitPolicy], begun: Connection) -> None:
    """Ask for one permit after the other until killed."""
    with Session(Database(url)) as session:
        limiter = PostgresRateLimiter(session)
        limiter.snapshot("")
        begun.send(None)
        while True:
            limiter.acquire(policies)


def hold_for_ever(url: str, key: str, begun: Connection) -> None:
    """Hold a key until killed."""
    with PostgresInFlight(Database(url)) as in_flight, in_flight.hold(key, timeout_s=60):
        begun.send(None)
        time.sleep(600)


def count_alone(url: str, key: str, file: str, times: int) -> None:
    """Add 1 to the number in a file so many times; correct only if nobody else does meanwhile."""
    with PostgresInFlight(Database(url)) as in_flight:
        for _ in range(times):
            with in_flight.hold(key, timeout_s=60), open(file, "r+") as number:  # noqa: PTH123 - read and written at one go
                found = int(number.read() or 0)
                time.sleep(0.001)
                number.seek(0)
                number.write(str(found + 1))
