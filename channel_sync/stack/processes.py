"""Processes of our own: started, watched, started again when they die, and ended with all that came out of them.

Every process started here, and whatever it starts in turn (Dagster's run workers), carries the owner's mark in its
environment. The mark says whose a process is even after everything that started it was killed, which a process id
cannot: ids are used again. On Linux a child is also told by the kernel when the process that started it dies.

Processes are started from the main thread only: the kernel's notice is about the thread that started them.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from adapters.errors import ConfigurationError

MARK = "CHANNEL_SYNC_STACK"

_READY_S = 120.0
_END_S = 8.0
_STEADY_S = 60.0
_LONGEST_PAUSE_S = 60.0
_LONGEST_LOG = 20_000_000  # bytes; one older file of the same length is kept
_LAST_LINES = 20
_PR_SET_PDEATHSIG = 1


class StartFailed(ConfigurationError):
    """A process ended, or did not answer in time, while the whole was starting."""


@dataclass(frozen=True, slots=True)
class Service:
    """A process that is meant to run for ever.

    ``arguments`` are those of this Python. ``is_ready`` asks from outside whether it serves. ``after_death`` mends
    what its sudden end left behind, before it is started again.
    """

    name: str
    arguments: tuple[str, ...]
    is_ready: Callable[[], bool]
    after_death: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Child:
    service: Service
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0
    restart_at: float | None = None


@dataclass(slots=True)
class Supervisor:
    """Runs services for one owner, in the order of ``start``. Not for use by several threads."""

    owner: Path
    environment: Mapping[str, str] = field(repr=False)
    working_dir: Path
    log_dir: Path
    say: Callable[[str], None]
    _children: list[_Child] = field(default_factory=list)

    def run(self, *arguments: str) -> None:
        """Run one command of this Python to its end. Raises StartFailed with what it said last."""
        process = self._spawn(arguments, subprocess.PIPE)
        try:
            said, _ = process.communicate()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            lines = said.decode(errors="replace").strip().splitlines()[-_LAST_LINES:]
            raise StartFailed("\n".join(lines).removeprefix("channel-sync: ") or _ended(process.returncode))

    def start(self, service: Service) -> None:
        """Start a service; ``wait`` waits for it."""
        self._children.append(_Child(service, self._launch(service), time.monotonic()))

    def wait(self) -> None:
        """Wait until every service is ready. Raises StartFailed naming the first that ended or stays silent."""
        for child in self._children:
            while not child.service.is_ready():
                if child.process.poll() is not None:
                    raise StartFailed(self._failure(child, _ended(child.process.returncode)))
                if time.monotonic() - child.started > _READY_S:
                    raise StartFailed(self._failure(child, f"does not answer after {_READY_S:.0f} s"))
                time.sleep(0.1)

    def look(self) -> None:
        """Start again what has died, each time after a longer pause. Call it about once a second."""
        now = time.monotonic()
        for child in self._children:
            _keep_short(self._log(child.service))
            if child.process.poll() is None:
                if now - child.started > _STEADY_S:
                    child.deaths = 0
            elif child.restart_at is None:
                child.deaths += 1
                pause = min(_LONGEST_PAUSE_S, 2.0 ** (child.deaths - 1))
                child.restart_at = now + pause
                self.say(
                    f"{self._failure(child, _ended(child.process.returncode))}; starting it again in {pause:.0f} s"
                )
            elif now >= child.restart_at:
                self._restart(child)

    def stop(self) -> None:
        """End all, the last started first. What does not end when asked is killed."""
        for child in reversed(self._children):
            _end_group(child.process)
        self._children.clear()
        end(marked(self.owner))

    def _restart(self, child: _Child) -> None:
        end(process for process in marked(self.owner) if _session(process) == child.process.pid)
        try:
            child.service.after_death()
        except StartFailed as error:
            self.say(f"after the end of {child.service.name}: {error}")
        child.process = self._launch(child.service)
        child.started, child.restart_at = time.monotonic(), None
        self.say(f"{child.service.name} started again (process {child.process.pid})")

    def _launch(self, service: Service) -> subprocess.Popen[bytes]:
        self.log_dir.mkdir(parents=True, exist_ok=True)
        with self._log(service).open("ab") as log:
            return self._spawn(service.arguments, log.fileno())

    def _spawn(self, arguments: Iterable[str], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own Python and arguments, no shell
            [sys.executable, *arguments],
            cwd=self.working_dir,
            env={**self.environment, MARK: str(self.owner)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is ours to pass on, in order
            preexec_fn=_dies_with_us(),  # noqa: PLW1509 - this process has no other threads
        )

    def _log(self, service: Service) -> Path:
        return self.log_dir / f"{service.name.replace(' ', '-')}.log"

    def _failure(self, child: _Child, how: str) -> str:
        return f"{child.service.name} {how}, see {self._log(child.service)}"


def marked(owner: Path) -> list[psutil.Process]:
    """The living processes that carry the owner's mark, without this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(owner):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or another user's
    return found


def end(processes: Iterable[psutil.Process]) -> None:
    """End processes that are not our children: ask, wait, kill."""
    left = list(processes)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in left:
            try:
                ask(process)
            except psutil.NoSuchProcess:
                continue
        _, left = psutil.wait_procs(left, timeout=_END_S)


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a child with everything in its session. A run that is told to end writes down that it failed."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        try:
            os.killpg(process.pid, how)
            process.wait(_END_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _dies_with_us() -> Callable[[], None] | None:
    """What a child does before it becomes another program: ask the kernel for SIGTERM at our death (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # we died before the kernel was asked
            os._exit(1)

    return ask


def _keep_short(log: Path) -> None:
    """Copy and cut a log that has grown long. Its writer appends, so it goes on at the new end."""
    with suppress(OSError):  # removed by somebody, or a full disk: no reason to end what runs
        if log.stat().st_size > _LONGEST_LOG:
            shutil.copyfile(log, log.with_suffix(".log.1"))
            os.truncate(log, 0)


def _ended(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
