"""The embedded server: started once, found again, mended after kills, stopped when told."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import Queue
from pathlib import Path

import psutil
import psycopg
import psycopg2  # type: ignore[import-untyped]  # Dagster's driver, which brings no types
import pytest
from sqlalchemy import create_engine, text

from adapters.errors import ConfigurationError
from channel_sync.storage import embedded
from channel_sync.storage.database import Database


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that does not exist yet; its server is stopped whatever happens."""
    with tempfile.TemporaryDirectory(prefix=f"pg-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        path = Path(folder).resolve() / "data"
        try:
            yield path
        finally:
            embedded.stop(path)


def _start(data_dir: Path) -> embedded.EmbeddedServer:
    return embedded.start(data_dir, durable=False)


def _kill(pid: int) -> None:
    """Kill a process as the system does when memory is short, and wait until it is gone."""
    process = psutil.Process(pid)
    process.kill()
    for _ in range(500):
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.01)
    pytest.fail(f"process {pid} survived being killed")


def _write_one(url: str) -> None:
    with Database(url).connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")


def _read_one(url: str) -> object:
    with Database(url).connect() as connection:
        return connection.execute("SELECT one FROM kept").fetchone()


def test_starting_again_finds_the_running_server(data_dir: Path) -> None:
    """Two starts are one server; stopping it is said once, and what was stored is there after the next start."""
    server = _start(data_dir)
    assert _start(data_dir) == server
    _write_one(server.url)
    assert embedded.stop(data_dir) is True
    assert embedded.stop(data_dir) is False
    assert not psutil.pid_exists(server.pid) or psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE
    again = _start(data_dir)
    assert again.url == server.url
    assert _read_one(again.url) == (1,)


def _start_and_report(data_dir: Path, found: "Queue[int]") -> None:
    found.put(_start(data_dir).pid)


def test_four_processes_start_one_server_and_leave_it_running(data_dir: Path) -> None:
    """Processes that start a server at the same moment are given the same one, and their end does not end it."""
    spawn = multiprocessing.get_context("spawn")
    found: Queue[int] = spawn.Queue()
    processes = [
        spawn.Process(target=_start_and_report, args=(data_dir, found), daemon=True) for _ in range(4)
    ]
    try:
        for process in processes:
            process.start()
        pids = {found.get(timeout=60) for _ in processes}
        for process in processes:
            process.join(60)
    finally:
        for process in processes:
            process.kill()
        found.close()
        found.join_thread()
    assert pids == {_start(data_dir).pid}


def test_the_server_outlives_a_killed_starter(data_dir: Path) -> None:
    """A starter that is killed takes nothing with it, and the next one attaches to the same server."""
    code = (
        "import os, signal, sys; from pathlib import Path; from channel_sync.storage import embedded;"
        "print(embedded.start(Path(sys.argv[1]), durable=False).pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(data_dir)], capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == -signal.SIGKILL
    assert _start(data_dir).pid == int(ended.stdout)


def test_a_killed_server_is_started_again_with_its_data(data_dir: Path) -> None:
    """After kill -9 of the postmaster, while a backend is at work that does not notice, the next start recovers."""
    server = embedded.start(data_dir)
    _write_one(server.url)
    busy = psycopg.connect(server.url, autocommit=True)
    try:
        busy.execute("SET statement_timeout = 0")
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000) AS a")
        _kill(server.pid)
        again = embedded.start(data_dir)
        assert again.pid != server.pid
        assert _read_one(again.url) == (1,)
    finally:
        busy.close()


def test_a_pid_file_of_somebody_else_does_not_stop_the_start(data_dir: Path) -> None:
    """A pid that by now belongs to another program is not taken for the server, nor is that program touched."""
    server = _start(data_dir)
    lines = (data_dir / "postmaster.pid").read_text().splitlines()
    socket_lock = data_dir / ".s.PGSQL.5432.lock"
    lock_lines = socket_lock.read_text().splitlines()
    _kill(server.pid)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (data_dir / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        socket_lock.write_text("\n".join([str(stranger.pid), *lock_lines[1:]]) + "\n")
        assert _start(data_dir).pid not in {server.pid, stranger.pid}
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_half_made_folder_is_made_anew(data_dir: Path) -> None:
    """What a killed first start left behind is not taken for a data folder."""
    unfinished = data_dir.with_name("data.new")
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    data_dir.mkdir()
    _write_one(_start(data_dir).url)
    assert not unfinished.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.txt", "mine", "neither empty nor a Postgres data folder"),
        ("PG_VERSION", "17\n", "made by Postgres 17"),
    ],
)
def test_a_folder_of_something_else_is_refused(data_dir: Path, name: str, content: str, said: str) -> None:
    """A folder that holds other things, or another version's data, is refused by name and left as it is."""
    data_dir.mkdir()
    (data_dir / name).write_text(content)
    with pytest.raises(ConfigurationError, match=said) as caught:
        _start(data_dir)
    assert str(data_dir) in str(caught.value)
    assert [(file.name, file.read_text()) for file in data_dir.iterdir()] == [(name, content)]


@pytest.mark.parametrize("folder", ["x" * 150, "a house, 100% ünlike"])
def test_any_path_and_every_driver(data_dir: Path, folder: str) -> None:
    """Paths too long for a socket, and odd ones, work; two servers run at once; each driver takes the URL."""
    odd = data_dir.with_name(folder)
    try:
        one, two = _start(data_dir), _start(odd)
        assert one.pid != two.pid
        _write_one(two.url)
        for url in (one.url, two.url):
            with psycopg.connect(url) as connection:
                shown = connection.execute("SHOW data_directory").fetchone()
            assert shown == (str(data_dir if url == one.url else odd),)
            other = psycopg2.connect(url)
            other.close()
            for driver in ("psycopg", "psycopg2"):
                engine = create_engine(url.replace("postgresql://", f"postgresql+{driver}://"))
                with engine.connect() as bound:
                    assert bound.execute(text("SELECT 1")).scalar() == 1
                engine.dispose()
    finally:
        embedded.stop(odd)


def test_settings_for_real_use(data_dir: Path) -> None:
    """Unless told otherwise nothing committed can be lost; nothing listens on TCP; only the owner can enter; no rows are logged."""
    server = embedded.start(data_dir)
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "",
        "log_error_verbosity": "terse",
        "log_min_error_statement": "panic",
        "server_encoding": "UTF8",
    }
    with Database(server.url).connect() as connection:
        for name, value in wanted.items():
            found = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
            assert found == (value,), name
        connection.execute("CREATE TABLE guest (name text PRIMARY KEY)")
        connection.execute("INSERT INTO guest VALUES ('Confidential Guest')")
        with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
            connection.execute("INSERT INTO guest VALUES ('Confidential Guest')")
    assert data_dir.stat().st_mode & 0o077 == 0
    logged = (data_dir / "server.log").read_text()
    assert "duplicate key" in logged
    assert "Confidential" not in logged


def test_stopping_does_not_wait_for_clients(data_dir: Path) -> None:
    """A server with an open transaction stops all the same."""
    server = _start(data_dir)
    client = psycopg.connect(server.url)
    try:
        client.execute("SELECT 1")
        server.stop()
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
    finally:
        client.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_permission_is_an_error(data_dir: Path) -> None:
    """A folder that cannot be made is the system's own error, at once."""
    data_dir.parent.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            _start(data_dir)
    finally:
        data_dir.parent.chmod(0o711)
