"""The worker: one resident process that applies what channels deliver as it arrives, without starting a process for it.

It also asks those channels that keep a queue whether something waits there (``channel_sync.stack.polls``).

It executes the job that the sensor launches, as runs that Dagster's pages show. Postgres tells it of every delivery;
what is not told (an event that was put off, a notification that was lost with its connection) it finds by looking.
It lives by its connection: another worker waits until that is gone, and the sensor takes over what is left.
"""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import NoReturn

import psycopg
from dagster import DagsterInstance
from dagster._core.errors import DagsterHomeNotSetError
from dagster._core.instance.ref import InstanceRef
from psycopg.sql import SQL, Identifier

from adapters.errors import ConfigurationError
from channel_sync import bootstrap, config
from channel_sync.defs import process
from channel_sync.defs.inbox import WORKER, apply_webhooks, end_lost_runs, run_config, run_tags
from channel_sync.stack import polls
from channel_sync.storage import inbox_watch, webhooks
from channel_sync.storage.session import NOTICE_LOSS
from channel_sync.sync.engine import Engine
from channel_sync.sync.pull import where

_POLL_S = 2.0
_BUSY_POLL_S = 0.1
_ACCOUNTS_AT_ONCE = 4  # so that a channel that answers slowly holds back no other's events
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
# Dagster captures output by redirecting that of the whole process, with a process per stream: not with runs in threads.
_NO_CAPTURE = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}
_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}

Say = Callable[[str], None]


def serve(settings: config.Settings, say: Say) -> None:
    """Apply what arrives until SIGTERM or SIGINT. Call from the main thread.

    Raises ConfigurationError where there is no database or no Dagster instance.
    """
    engine = bootstrap.engine(settings)
    stop = Event()
    # Not in the main thread: there Dagster turns a signal into the failure of the run that is under way.
    with _instance() as instance, ThreadPoolExecutor(1, "worker") as thread:
        try:
            _be_interrupted_by_signals()
            thread.submit(Worker(engine, instance, stop, say).work).result()
        except KeyboardInterrupt:
            say("stopping")
        finally:
            stop.set()


class Worker:
    """Works until ``stop`` is set. ``say`` is told what a person may want to know."""

    def __init__(self, engine: Engine, instance: DagsterInstance, stop: Event, say: Say) -> None:
        self._engine, self._instance, self._stop, self._say = engine, instance, stop, say
        self._running: dict[str, Future[bool]] = {}
        self._failures: dict[str, int] = {}
        self._rest_until: dict[str, float] = {}
        self._pause_s = _FIRST_PAUSE_S

    def work(self) -> None:
        """Apply; where the database is lost, come back to it after pauses that grow."""
        while not self._stop.is_set():
            try:
                with (
                    self._engine.database.open(autocommit=True, settings=NOTICE_LOSS) as connection,
                    ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, "inbox") as threads,
                    ThreadPoolExecutor(polls.AT_ONCE, "poll") as poll_threads,
                ):
                    queues = polls.Polls(self._engine, self._instance, poll_threads, self._say)
                    self._attend(connection, threads, queues)
            except Exception as error:  # noqa: BLE001 - mostly a lost database; what else it was, the next round meets again
                self._say(f"interrupted by {where(error)}: again in {self._pause_s:.1f} s")
                self._stop.wait(self._pause_s)
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
            finally:
                self._running.clear()  # all of them have ended with their threads

    def _attend(
        self, connection: psycopg.Connection, threads: ThreadPoolExecutor, queues: polls.Polls
    ) -> None:
        connection.execute(SQL("LISTEN {}").format(Identifier(webhooks.NOTIFIED)))
        if not self._is_the_one(connection):
            return
        for run_id in end_lost_runs(self._instance):
            self._say(f"run {run_id} had lost its worker: ended")
        self._say("applying what arrives")
        while not self._stop.is_set():
            self._take_ended()
            queues.attend(connection)
            for inbox in inbox_watch.due_inboxes(connection):
                self._begin(inbox.account, threads)
            self._pause_s = _FIRST_PAUSE_S
            if self._running:  # meanwhile notifications wait in the connection
                wait(self._running.values(), _BUSY_POLL_S, FIRST_COMPLETED)
            else:  # ends with the first notification
                for _ in connection.notifies(timeout=_POLL_S, stop_after=1):
                    pass

    def _is_the_one(self, connection: psycopg.Connection) -> bool:
        """Wait until no other worker lives. False when told to stop."""
        said = False
        while not inbox_watch.become_worker(connection):
            if not said:
                self._say("another worker lives: waiting for its end")
            said = True
            if self._stop.wait(_POLL_S):
                return False
        return True

    def _begin(self, account: str, threads: ThreadPoolExecutor) -> None:
        """Apply an account's events, unless that is under way or has just failed."""
        if account not in self._running and time.monotonic() >= self._rest_until.get(account, 0.0):
            self._running[account] = threads.submit(self._apply, account)

    def _take_ended(self) -> None:
        """Forget runs that have ended. Raises what the database's loss raised in them."""
        for account, run in [*self._running.items()]:
            if not run.done():
                continue
            del self._running[account]
            if run.result():
                self._failures.pop(account, None)
                continue
            failures = self._failures[account] = self._failures.get(account, 0) + 1
            pause_s = min(2.0**failures, _LONGEST_PAUSE_S)
            self._rest_until[account] = time.monotonic() + pause_s
            self._say(f"{account}: the run failed, see Dagster's pages; again in {pause_s:.0f} s")

    def _apply(self, account: str) -> bool:
        """Whether the run succeeded."""
        result = apply_webhooks.execute_in_process(
            run_config={**run_config(account), **_QUIET},
            instance=self._instance,
            tags={**run_tags(account), WORKER: "resident"},
            resources={"engine": self._engine},
            raise_on_error=False,
        )
        return result.success


@contextmanager
def _instance() -> Iterator[DagsterInstance]:
    """The instance in DAGSTER_HOME, with connections that are kept: 28 a run would be opened otherwise."""
    try:
        with DagsterInstance.get() as found:
            folder = found.root_directory
    except DagsterHomeNotSetError:
        raise ConfigurationError(
            "DAGSTER_HOME is not set: name the folder of the dagster.yaml that the daemon uses"
        ) from None
    with DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides=_NO_CAPTURE)) as instance:
        process.set_up(instance)
        yield instance


def _be_interrupted_by_signals() -> None:
    """The first SIGTERM or SIGINT becomes KeyboardInterrupt: what is under way is ended, and no further one counts."""
    signals = (signal.SIGTERM, signal.SIGINT)

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in signals:
        signal.signal(one, interrupt)
