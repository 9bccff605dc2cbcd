"""The whole stack as `make up` starts it, in a state folder of its own, and the simulated world behind it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from adapters.errors import ConfigurationError
from channel_sync import config
from channel_sync.stack import up
from channel_sync.stack.processes import marked
from channel_sync.storage.database import Database, with_database
from tests.stack.graphql import Dagster, until

_START_S = 180.0
_STOP_S = 120.0
_LAST_LINES = 40


@dataclass(slots=True)
class WholeStack:
    """``start`` brings it up, as often as it was ended. ``process`` is that of `channel-sync up` itself."""

    state_dir: Path
    http: httpx.Client
    process: subprocess.Popen[bytes] | None = None
    dagster: Dagster = field(init=False)
    sandbox_url: str = field(init=False)
    webhooks_url: str = field(init=False)
    database: Database = field(init=False)

    @property
    def screen(self) -> Path:
        """What the person who started it sees."""
        return self.state_dir.with_suffix(".screen")

    def start(self, *more: str) -> None:
        """Start it, with ``more`` arguments of `up`, and wait until it serves."""
        environment = config.child_environment(
            {config.STATE_DIR: str(self.state_dir), config.ENABLED: "true", config.WEBHOOK_PORT: "0"}
        )
        with self.screen.open("wb") as screen:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "channel_sync.cli", "up", "--port", "0", *more],
                cwd=config.project_root(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        said = until("the stack's addresses", self._announced, _START_S)
        self.dagster = Dagster(_address(said, "Dagster"), self.http)
        self.sandbox_url = _address(said, "simulated channels")
        self.webhooks_url = _address(said, "webhooks")
        self.database = Database(config.database_url_file(self.state_dir).read_text().strip())

    def end(self, how: signal.Signals) -> int:
        """Send `up` a signal and wait for its end; the exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(_STOP_S)

    def processes(self) -> list[psutil.Process]:
        """All that lives of it: `up`, what carries its mark, and Postgres, whose command names the state folder."""
        found = {process.pid: process for process in marked(self.state_dir)}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                own = self.process is not None and process.pid == self.process.pid
                if own or str(self.state_dir) in " ".join(process.cmdline()):
                    found[process.pid] = process
                    found |= {child.pid: child for child in process.children(recursive=True)}
        return [process for process in found.values() if _lives(process)]

    def sandbox(self, method: str, what: str, told: Any = None) -> Any:
        """Steer the simulated channels."""
        response = self.http.request(method, f"{self.sandbox_url}/_sandbox/{what}", json=told)
        response.raise_for_status()
        return response.json()

    def rows(self, statement: str, *parameters: object, dagster: bool = False) -> list[tuple[Any, ...]]:
        """What a query finds in the product's database, or in Dagster's."""
        name = config.dagster_database_name(self.database.url)
        database = Database(with_database(self.database.url, name)) if dagster else self.database
        with database.connect() as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def _announced(self) -> str | None:
        assert self.process is not None
        ended, said = self.process.poll() is not None, self.screen.read_text()
        assert not ended, f"`channel-sync up` ended: {said}"
        return said if "Ctrl-C" in said else None


@contextmanager
def whole_stack() -> Iterator[WholeStack]:
    """A stack that is not started yet; afterwards nothing of it is left, however the test went."""
    _end_stacks_of_killed_tests()
    # Not tmp_path: Postgres puts its socket here, whose path may not be long, and as root runs as another user.
    folder = Path(tempfile.mkdtemp(prefix=f"cs-stack-{os.getpid()}-")).resolve()
    folder.chmod(0o711)
    with httpx.Client(timeout=60) as http:
        stack = WholeStack(folder / "state", http)
        try:
            yield stack
        finally:
            _tell(stack)
            _down(folder)
            if stack.process is not None:
                stack.process.wait(_STOP_S)
            left = [str(process) for process in stack.processes()]
            shutil.rmtree(folder, ignore_errors=True)
    assert left == []


def _end_stacks_of_killed_tests() -> None:
    """A test run that was killed could not end its stack: the folder's name says whose it was."""
    for folder in Path(tempfile.gettempdir()).glob("cs-stack-*-*"):
        pid = folder.name.split("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with suppress(OSError, ConfigurationError):  # another user's, or another run is at it
                _down(folder.resolve())
                shutil.rmtree(folder, ignore_errors=True)


def _down(folder: Path) -> None:
    up.down(config.load({config.STATE_DIR: str(folder / "state")}), print)


def _tell(stack: WholeStack) -> None:
    """The last words of every process, for the report of a test that failed."""
    for log in [stack.screen, *sorted((stack.state_dir / "logs").glob("*.log"))]:
        if log.is_file():
            print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-_LAST_LINES:], sep="\n")


def _address(said: str, name: str) -> str:
    found = re.search(rf"^{name} +(http://\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
