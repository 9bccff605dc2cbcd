"""Processes are watched, started again, and ended with all that came out of them."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from channel_sync import config
from channel_sync.stack import health
from channel_sync.stack.processes import Service, StartFailed, Supervisor, end, marked

# Writes its own process id and that of a child of its own, then waits.
_PARENT = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(60)
"""
_STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text("ready")
time.sleep(60)
"""
_OWNER = """
import pathlib, sys, time
from channel_sync.stack.processes import Service, Supervisor
home = pathlib.Path(sys.argv[1])
supervisor = Supervisor(home, {}, home, home / "logs", print)
ready = home / "ready"
supervisor.start(Service("parent", ("-c", sys.argv[2], str(ready)), ready.exists))
supervisor.wait()
(home / "up").touch()
time.sleep(60)
"""


@pytest.fixture
def said() -> list[str]:
    """What was told to the person at the screen."""
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    """A supervisor of its own folder, with nothing left running afterwards."""
    made = Supervisor(tmp_path, config.child_environment({}), tmp_path, tmp_path / "logs", said.append)
    yield made
    made.stop()
    assert marked(tmp_path) == []


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "waited 20 s in vain"
        time.sleep(0.02)


def _parent(tmp_path: Path) -> Service:
    ready = tmp_path / "ready"
    return Service("parent", ("-c", _PARENT, str(ready)), lambda: ready.exists() and ready.read_text() != "")


def test_a_service_ends_with_its_children(supervisor: Supervisor, tmp_path: Path) -> None:
    """Stopping ends a service and the processes that it started."""
    supervisor.start(_parent(tmp_path))
    supervisor.wait()
    child = psutil.Process(int((tmp_path / "ready").read_text()))

    supervisor.stop()

    _until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert marked(tmp_path) == []


def test_a_dead_service_is_started_again(supervisor: Supervisor, tmp_path: Path, said: list[str]) -> None:
    """A killed service is told, rid of its orphans, mended after, and started again after a pause."""
    mended: list[str] = []
    ready = tmp_path / "ready"
    supervisor.start(
        Service(
            "parent", _parent(tmp_path).arguments, _parent(tmp_path).is_ready, lambda: mended.append("mended")
        )
    )
    supervisor.wait()
    orphan = psutil.Process(int(ready.read_text()))
    first = next(process for process in marked(tmp_path) if str(ready) in process.cmdline())
    ready.unlink()

    first.kill()

    while len(said) < 2:
        supervisor.look()
        time.sleep(0.02)
    _until(ready.exists)
    assert "parent was ended by SIGKILL" in said[0]
    assert "starting it again in 1 s" in said[0]
    assert "parent started again" in said[1]
    assert mended == ["mended"]
    assert not orphan.is_running()


def test_a_service_that_cannot_start_is_named(supervisor: Supervisor) -> None:
    """A service that ends while it starts is an error that names it, its code and its log."""
    supervisor.start(Service("broken part", ("-c", "raise SystemExit(3)"), lambda: False))

    with pytest.raises(StartFailed, match=r"broken part ended with code 3, see .*broken-part\.log"):
        supervisor.wait()


def test_a_command_that_fails_says_what_it_said(supervisor: Supervisor) -> None:
    """The error of a command is the command's own words."""
    with pytest.raises(StartFailed, match=r"\Athe table is missing\Z"):
        supervisor.run("-c", "raise SystemExit('channel-sync: the table is missing')")


def test_what_ignores_the_request_is_killed(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not end when asked does not stay."""
    monkeypatch.setattr("channel_sync.stack.processes._END_S", 0.2)
    ready = tmp_path / "ready"
    supervisor.start(Service("stubborn", ("-c", _STUBBORN, str(ready)), ready.exists))
    supervisor.wait()

    supervisor.stop()

    assert marked(tmp_path) == []


def test_the_leftovers_of_a_killed_owner_are_found(tmp_path: Path) -> None:
    """After kill -9 of the owner its processes, and theirs, are known by the mark alone and can be ended."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path), _PARENT], cwd=config.project_root()
    )
    try:
        _until((tmp_path / "up").exists)
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        left = marked(tmp_path)
        end(left)

    assert int((tmp_path / "ready").read_text()) in [process.pid for process in left]
    assert marked(tmp_path) == []
    assert marked(tmp_path / "elsewhere") == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's notice is Linux's")
def test_a_service_dies_with_its_owner(tmp_path: Path) -> None:
    """On Linux a service is told to end when its owner is killed."""
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path), _PARENT], cwd=config.project_root()
    )
    try:
        _until((tmp_path / "up").exists)
        (service,) = psutil.Process(owner.pid).children()
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    try:
        _until(lambda: not service.is_running() or service.status() == psutil.STATUS_ZOMBIE)
    finally:
        end(marked(tmp_path))


def test_a_long_log_is_cut(supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that has grown long is begun anew, and what it held is kept once."""
    monkeypatch.setattr("channel_sync.stack.processes._LONGEST_LOG", 10)
    ready, log = tmp_path / "ready", tmp_path / "logs" / "parent.log"
    supervisor.start(_parent(tmp_path))
    supervisor.wait()
    log.write_text("a line of a log that is long")

    supervisor.look()

    assert log.read_text() == ""
    assert log.with_suffix(".log.1").read_text() == "a line of a log that is long"
    log.unlink()
    supervisor.look()
    assert ready.exists()


def test_free_ports_differ() -> None:
    """Ports chosen together are different, and nobody listens there."""
    ports = health.free_ports("127.0.0.1", 5)

    assert len(set(ports)) == 5
    assert not any(health.is_taken("127.0.0.1", port) for port in ports)
    assert not health.answers("127.0.0.1", ports[0], "/")
