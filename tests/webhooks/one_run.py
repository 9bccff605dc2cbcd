"""Processes that are killed, Dagster's among them: one run of `apply_webhooks` is launched as the sensor's are.

A code server executes it in a process of its own, and says so of a run whose process has died.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.client import DagsterGrpcClient
from psycopg.sql import SQL, Identifier

from channel_sync import config
from channel_sync.defs.inbox import WORKER, apply_webhooks, run_config, run_tags
from channel_sync.stack import health
from channel_sync.stack.dagster_storage import end_orphaned_runs
from channel_sync.storage.database import Database, create_database

_HOST = "127.0.0.1"
_LOCATION = "channel_sync"
_START_S = 120.0


class Process:
    """A process that can be killed and is started again."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", *command]
        self._environ = config.child_environment(environ)
        self._log = log
        self._process = self._started()

    @property
    def pid(self) -> int:
        """Of the process that lives now, or lived last."""
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        self._process.kill()
        self._process.wait(20)

    def end(self) -> None:
        """Tell it to end, which it does well."""
        self._process.terminate()
        assert self._process.wait(60) == 0

    def start_again(self) -> None:
        """Another one in its place."""
        self._process = self._started()

    def halt(self) -> None:
        """It hangs, and holds what it holds."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """It hangs no longer."""
        self._process.send_signal(signal.SIGCONT)

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command, cwd=config.project_root(), env=self._environ, stdout=log, stderr=log
            )


def wait_until(what: str, holds: Callable[[], object], within_s: float) -> None:
    """Wait for something."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


class Dagster:
    """An instance as `channel-sync up` makes one, and a code server that executes runs."""

    def __init__(self, instance: dg.DagsterInstance, environ: Mapping[str, str], folder: Path) -> None:
        self._instance = instance
        self._launched: dict[str, set[psutil.Process]] = {}
        (self._port,) = health.free_ports(_HOST, 1)
        self._code_server = Process(
            [
                *("dagster", "api", "grpc", "--module-name", "channel_sync.definitions"),
                *("--host", _HOST, "--port", str(self._port), "--location-name", _LOCATION),
            ],
            environ,
            folder / "code_server.log",
        )

    def launch(self, account: str) -> str:
        """What the sensor asks for, past the queue; its id. Returns when its process has loaded all it needs."""
        wait_until("the code server", lambda: health.is_taken(_HOST, self._port), _START_S)
        location = GrpcServerCodeLocationOrigin(_HOST, self._port, location_name=_LOCATION)
        run = self._instance.create_run_for_job(
            apply_webhooks,
            run_config=run_config(account),
            tags=run_tags(account),
            status=dg.DagsterRunStatus.STARTING,
            remote_job_origin=RemoteJobOrigin(
                RemoteRepositoryOrigin(location, "__repository__"), apply_webhooks.name
            ),
        )
        client = DagsterGrpcClient(host=_HOST, port=self._port)
        before = self._run_processes()
        DefaultRunLauncher.launch_run_from_grpc_client(self._instance, run, client)
        self._launched[run.run_id] = self._run_processes() - before
        return run.run_id

    def kill_run(self, run_id: str) -> bool:
        """kill -9 of the run's process. False where it was done before."""
        processes = self._run_processes() & self._launched[run_id]
        _kill(processes)
        run = self._instance.get_run_by_id(run_id)
        return bool(processes and run and run.status is not dg.DagsterRunStatus.SUCCESS)

    def end(self) -> int:
        """Kill the code server, and end the runs it did not, as `up` does before it starts another; how many."""
        self.kill()
        return len(end_orphaned_runs(self._instance, f"{_HOST}:{self._port}"))

    def kill(self) -> None:
        """kill -9 of the code server and of the runs that it launched."""
        processes = self._run_processes()
        self._code_server.kill()
        _kill(processes)

    def runs(self) -> dict[str, str]:
        """Who executed each run, "worker" or "launched", and its status; by id."""
        return {
            run.run_id: f"{'worker' if WORKER in run.tags else 'launched'} {run.status.value}"
            for run in self._instance.get_runs()
        }

    def worker_rests(self) -> bool:
        """Whether all runs of workers are ended, those too that were lost with theirs."""
        return all(run.is_finished for run in self._instance.get_runs() if WORKER in run.tags)

    def _run_processes(self) -> set[psutil.Process]:
        """Beside the runs, a code server has a child that keeps account of what they share."""
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(self._code_server.pid).children()
            return {child for child in children if "spawn_main" in " ".join(child.cmdline())}
        return set()


def _kill(processes: Collection[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, 20)


@contextmanager
def dagster(database: Database, environ: dict[str, str], folder: Path) -> Iterator[Dagster]:
    """Dagster, its storage beside the tables; ``environ`` is told what its processes have to know."""
    name = config.dagster_database_name(database.url)
    create_database(database.url, name)
    home = folder / "dagster"
    home.mkdir()
    (home / "dagster.yaml").symlink_to(config.project_root() / "dagster.yaml")
    url = config.dagster_url_beside(database.url)
    environ |= {"DAGSTER_HOME": str(home), config.DAGSTER_DATABASE_URL: url}
    # The file names a variable for the URL, which this process does not have.
    reference = InstanceRef.from_dir(str(home), overrides={"storage": {"postgres": {"postgres_url": url}}})
    try:
        with dg.DagsterInstance.from_ref(reference) as instance:
            prepared = Dagster(instance, environ, folder)
            try:
                yield prepared
            finally:
                prepared.kill()
    finally:
        with database.connect(autocommit=True) as connection:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
