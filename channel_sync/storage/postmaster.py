"""The postmaster of a data folder: whether it lives, what it left when it was killed, how it is ended.

Facts relied upon: a postmaster's working directory is its data folder, and so is that of its backends; line 1 of
``postmaster.pid`` is its pid, line 5 its socket folder, line 8 its status
(https://www.postgresql.org/docs/18/storage-file-layout.html).
"""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

SOCKET = ".s.PGSQL.5432"


def pid_lines(data_dir: Path) -> list[str]:
    """The lines of the pid file, none where there is none."""
    try:
        return (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def living(data_dir: Path) -> psutil.Process | None:
    """The living postmaster of this folder. A pid alone proves nothing: it may by now be somebody else's."""
    lines = pid_lines(data_dir)
    if not lines or not lines[0].strip().isdigit():
        return None
    try:
        process = psutil.Process(int(lines[0]))
    except psutil.NoSuchProcess:
        return None
    return process if _is_ours(process, data_dir) else None


def _is_ours(process: psutil.Process, data_dir: Path) -> bool:
    try:
        return process.name() == "postgres" and _alive(process) and Path(process.cwd()) == data_dir
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def clear_remains(data_dir: Path) -> None:
    """End the backends that outlived a killed postmaster and remove its pid files: both would stop the next one."""
    if living(data_dir) is not None:
        return
    orphans = [process for process in psutil.process_iter() if _is_ours(process, data_dir)]
    for how in (signal.SIGQUIT, signal.SIGKILL):
        for orphan in orphans:
            _signal(orphan, how)
        if _wait_until_ended(orphans, 5.0):
            break
    lines = pid_lines(data_dir)
    (data_dir / "postmaster.pid").unlink(missing_ok=True)
    if len(lines) >= 5:
        for name in (SOCKET, SOCKET + ".lock"):
            (Path(lines[4].strip()) / name).unlink(missing_ok=True)


def end(process: psutil.Process) -> None:
    """End a postmaster: first breaking its clients' connections, then at once, then by force."""
    for how, patience_s in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        _signal(process, how)
        if _wait_until_ended([process], patience_s):
            return


def _signal(process: psutil.Process, how: signal.Signals) -> None:
    try:
        process.send_signal(how)
    except psutil.NoSuchProcess:
        return


def _wait_until_ended(processes: Sequence[psutil.Process], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while any(_alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
