"""Processes that call a host under a shared circuit breaker; killed by their pid when the test leaves them.

This module is what the children import: it must stay cheap.
"""

import datetime as dt
import http.client
import logging
import multiprocessing
import os
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from channel_sync.resilience.circuit_breaker.policy import Admission, BreakerPolicy, CircuitOpenError
from channel_sync.resilience.circuit_breaker.postgres import PostgresCircuitBreaker
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["__main__", "tests.resilience.breaker_callers"])
KEY = "airbnb/api.airbnb.com"
_POLL_S = 0.02  # much more eager than a refusal asks for: the permits must hold against a crowd


def real_time() -> float:
    """The machine's clock, also where ``time.time`` is faked."""
    return time.clock_gettime(time.CLOCK_REALTIME)


@dataclass(frozen=True, slots=True)
class Task:
    """What a caller does: it calls the host at ``port`` and appends what it does to ``journal``."""

    database: Database
    port: int
    policy: BreakerPolicy
    journal: Path


@contextmanager
def callers(task: Task, clocks_off_s: Sequence[float]) -> Iterator[None]:
    """As many processes as there are clocks, each wrong by so many seconds, calling until the block ends."""
    processes = [FORKSERVER.Process(target=call_on, args=(task, off), daemon=True) for off in clocks_off_s]
    with stopped(processes):
        for process in processes:
            process.start()
        yield


@contextmanager
def stopped(processes: Sequence[ForkServerProcess]) -> Iterator[None]:
    """Kill those of the processes that run when the block ends."""
    try:
        yield
    finally:
        for process in processes:
            if process.pid is not None:
                process.kill()
                process.join()


def call_on(task: Task, clock_off_s: float) -> None:
    """Call, record, and call again, for ever."""
    _turn_clocks(clock_off_s)
    logging.basicConfig(filename=task.journal, format="logged %(message)s", level=logging.INFO)
    with Session(task.database) as session, task.journal.open("a", buffering=1) as journal:
        breaker = PostgresCircuitBreaker(session, task.policy)
        while True:
            asked_at = real_time()
            try:
                admission = breaker.admit(KEY)
            except CircuitOpenError:
                time.sleep(_POLL_S * random.uniform(0.5, 1.5))
                continue
            journal.write(f"sent {_words(admission, asked_at)}\n")
            if error := _call(task.port, admission, asked_at):
                breaker.record_failure(admission, error)
            else:
                breaker.record_success(admission)
            journal.write(f"recorded {_words(admission, asked_at)}\n")
            time.sleep(_POLL_S)


def hold_probe(database: Database, policy: BreakerPolicy, parent: Connection) -> None:
    """At the parent's word ask until a probe's permit is given, say so, and hang."""
    with Session(database) as session:
        breaker = PostgresCircuitBreaker(session, policy)
        breaker.snapshot(KEY)  # connected
        parent.send("ready")
        parent.recv()
        while True:
            try:
                admission = breaker.admit(KEY)
            except CircuitOpenError:
                continue
            parent.send(admission)
            time.sleep(3600)


def _words(admission: Admission, asked_at: float) -> str:
    return f"{os.getpid()} {admission.epoch} {admission.probe:d} {asked_at}"


def _call(port: int, admission: Admission, asked_at: float) -> str | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/", headers={"X-Admission": _words(admission, asked_at)})
        status = connection.getresponse().status
    except OSError as failure:
        return type(failure).__name__
    finally:
        connection.close()
    return None if status == 200 else str(status)


def _turn_clocks(off_s: float) -> None:
    """Make every clock that Python code could ask by name wrong by so much."""
    wall, wall_ns, monotonic = time.time, time.time_ns, time.monotonic
    time.time = lambda: wall() + off_s
    time.time_ns = lambda: wall_ns() + int(off_s * 1e9)
    time.monotonic = lambda: monotonic() + off_s
    real = dt.datetime

    class Turned(real):  # type: ignore[misc, valid-type]  # a class made at run time
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            return real.now(tz) + dt.timedelta(seconds=off_s)

    dt.datetime = Turned  # type: ignore[misc]  # on purpose
