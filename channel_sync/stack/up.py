"""Everything that runs on one machine: Postgres, the simulated channels, webhook gateway and worker, Dagster's processes.

``up`` starts them in this order, watches them, and ends them in the opposite order. One stack per state folder; two
checkouts have two state folders and do not meet. All listens on 127.0.0.1 only: Dagster's pages know no passwords.

Dagster is one code server with the web server and the daemon attached to it. A daemon that loads the code itself
ends and restarts its own code server every minute; the proxying ``code-server start`` would be one more process of
100 MB whose only use is to reload changed code.
"""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

import psutil

from adapters.errors import ConfigurationError
from channel_sync import config
from channel_sync.stack import health
from channel_sync.stack.ownership import living_owner, sole_owner
from channel_sync.stack.processes import Service, Supervisor, end, marked
from channel_sync.storage import embedded

SAMPLE_PORTFOLIO = Path(__file__).parent.parent / "sandbox" / "portfolio.yaml"

_HOST = "127.0.0.1"
_DEFINITIONS = "channel_sync.definitions"
_LOCATION = "channel_sync"  # Dagster keeps which schedules are on under this name
_STOP_S = 120.0
_DATABASE_PAUSE_S = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked ``up`` for.

    ``portfolio`` None means the sample one with the sandbox, and what is in the tables without. ``ui_port`` 0 is any.
    Without ``worker`` deliveries are applied by runs that Dagster's sensor launches, some seconds later.
    """

    portfolio: Path | None
    sandbox: bool
    ui_port: int
    worker: bool = True


def up(settings: config.Settings, wish: Wish, say: Say) -> None:
    """Start everything, watch it, and return when SIGINT, SIGTERM or SIGHUP has ended it all.

    Raises ConfigurationError when another one lives in the same state folder or something does not start.
    """
    home = config.project_root()
    if not (home / "dagster.yaml").is_file():
        raise ConfigurationError(f"no dagster.yaml in {home}: run `channel-sync up` in the checkout")
    settings.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with ExitStack() as running:
            running.enter_context(sole_owner(settings.state_dir))
            running.enter_context(_interrupted_by_signals())
            _end_leftovers(settings, say)
            supervisor = _start(settings, wish, home, running, say)
            _watch(supervisor, settings, say)
    except KeyboardInterrupt:
        say("all stopped")


def down(settings: config.Settings, say: Say) -> None:
    """End the stack of this state folder, and whatever a killed one left behind, the embedded Postgres included."""
    if not settings.state_dir.is_dir():
        say(f"nothing runs in {settings.state_dir}")
        return
    owner = living_owner(settings.state_dir)
    if owner is not None:
        say(f"stopping process {owner.pid}")
        owner.terminate()
        try:
            owner.wait(_STOP_S)
        except psutil.TimeoutExpired:
            raise ConfigurationError(
                f"process {owner.pid} does not end within {_STOP_S:.0f} s: kill it and call `channel-sync down` again"
            ) from None
    with sole_owner(settings.state_dir):
        ended = _end_leftovers(settings, say)
        config.database_url_file(settings.state_dir).unlink(missing_ok=True)
        if embedded.stop(_data_dir(settings)):
            say("stopped Postgres")
        elif owner is None and not ended:
            say(f"nothing runs in {settings.state_dir}")


# Starting -----------------------------------------------------------------------------------------------------------


def _start(settings: config.Settings, wish: Wish, home: Path, running: ExitStack, say: Say) -> Supervisor:
    """Start all and wait until it serves. ``running`` is given what ends it again."""
    began = time.time()
    found = running.enter_context(_database(settings, say))
    sandbox_port, code_port, *spare_ports = health.free_ports(_HOST, 4)
    ui_port = _port(wish.ui_port, spare_ports[0], "Dagster's pages are", say)
    webhook_port = None
    if settings.enabled:
        webhook_port = _port(settings.webhook_port, spare_ports[1], "webhooks are taken", say)
    with_sandbox = wish.sandbox and settings.enabled
    environment = _environment(found, home, sandbox_port if with_sandbox else None)
    supervisor = Supervisor(settings.state_dir, environment, home, settings.state_dir / "logs", say)
    running.callback(_stop, supervisor, say)

    supervisor.run("-m", "channel_sync.cli", "migrate")
    prepare = partial(supervisor.run, "-m", "channel_sync.stack.dagster_storage")
    address_file = settings.state_dir / "code-server"
    prepare(*_former(address_file))
    address = f"{_HOST}:{code_port}"
    address_file.write_text(address)

    if with_sandbox:
        supervisor.start(_sandbox(sandbox_port))
    portfolio = wish.portfolio or (SAMPLE_PORTFOLIO if with_sandbox else None)
    if portfolio is not None and settings.enabled:
        supervisor.run("-m", "channel_sync.cli", "portfolio", "apply", str(portfolio.absolute()))
    if webhook_port is not None:
        supervisor.start(_webhooks(webhook_port))
    supervisor.start(_code_server(code_port, lambda: prepare(address)))
    supervisor.wait()
    workspace = _workspace_file(settings.state_dir, code_port)
    supervisor.start(_web_server(ui_port, workspace))
    supervisor.start(_daemon(ui_port, workspace, began))
    supervisor.wait()
    if wish.worker and settings.enabled:
        supervisor.start(_worker())
    _announce(settings, ui_port, webhook_port, sandbox_port if with_sandbox else None, say)
    return supervisor


def _port(wanted: int, spare: int, what: str, say: Say) -> int:
    """The port that was wished for, the spare one where that is taken or any is wished for."""
    if wanted and health.is_taken(_HOST, wanted):
        say(f"port {wanted} is taken: {what} on {spare}")
        return spare
    return wanted or spare


@contextmanager
def _database(settings: config.Settings, say: Say) -> Iterator[config.Settings]:
    """The settings as the children are to find them, with a database that runs."""
    if not settings.embedded:
        yield settings
        return
    address = config.database_url_file(settings.state_dir)
    try:
        say("starting Postgres")
        server = embedded.start(_data_dir(settings))
        url = urlsplit(server.url)._replace(path=f"/{config.DATABASE_NAME}").geturl()
        address.write_text(url)
        yield config.load(config.child_environment({config.DATABASE_URL: url}))
    finally:
        address.unlink(missing_ok=True)
        embedded.stop(_data_dir(settings))


def _environment(settings: config.Settings, home: Path, sandbox_port: int | None) -> dict[str, str]:
    additions = {
        "DAGSTER_HOME": str(_dagster_home(settings.state_dir, home)),
        "DAGSTER_DISABLE_TELEMETRY": "1",  # spares the web server the thread that would send it
        "DAGSTER_EVENT_BATCH_SIZE": "100",  # the partitions of a run's asset are written together, not each by itself
        config.ENABLED: str(settings.enabled).lower(),
        config.STATE_DIR: str(settings.state_dir),
        config.DATABASE_URL: settings.need_database(),
        config.DAGSTER_DATABASE_URL: settings.dagster_database_url or "",
    }
    if sandbox_port is not None:
        from channel_sync.sandbox import demo  # noqa: PLC0415 - not loaded where it is not used

        url = f"http://{_HOST}:{sandbox_port}"
        additions |= {config.SANDBOX_URL: url, **demo.environment(url)}
    return config.child_environment(additions)


def _dagster_home(state_dir: Path, home: Path) -> Path:
    """A folder in the state folder with the checkout's dagster.yaml.

    Not the checkout itself: Dagster's web server makes folders for its telemetry in DAGSTER_HOME even when it is told
    to send none, and runs keep their output there.
    """
    folder = state_dir / "dagster"
    folder.mkdir(exist_ok=True)
    link = folder / "dagster.yaml"
    link.unlink(missing_ok=True)
    link.symlink_to(home / "dagster.yaml")
    return folder


def _announce(
    settings: config.Settings, ui_port: int, webhook_port: int | None, sandbox_port: int | None, say: Say
) -> None:
    say(f"Dagster             http://{_HOST}:{ui_port}")
    if webhook_port is not None:
        say(f"webhooks            http://{_HOST}:{webhook_port}")
    if sandbox_port is not None:
        say(f"simulated channels  http://{_HOST}:{sandbox_port}")
    if settings.embedded:
        say(f"database            its URL is in {config.database_url_file(settings.state_dir)}")
    say(f"logs                {settings.state_dir / 'logs'}")
    if not settings.enabled:
        say(f"the channel manager is switched off: set {config.ENABLED}=true")
    say("Ctrl-C stops it all")


# The processes ------------------------------------------------------------------------------------------------------


def _sandbox(port: int) -> Service:
    return Service(
        "sandbox",
        ("-m", "channel_sync.cli", "sandbox", "--port", str(port)),
        lambda: health.answers(_HOST, port, "/_sandbox/health"),
    )


def _webhooks(port: int) -> Service:
    return Service(
        "webhooks",
        ("-m", "channel_sync.cli", "webhooks", "--host", _HOST, "--port", str(port)),
        lambda: health.answers(_HOST, port, "/health"),
    )


def _code_server(port: int, after_death: Callable[[], None]) -> Service:
    # It listens only after the definitions are loaded, and ends where they do not load.
    return Service(
        "code server",
        (
            *("-m", "dagster", "api", "grpc", "--module-name", _DEFINITIONS),
            *("--host", _HOST, "--port", str(port), "--location-name", _LOCATION),
        ),
        lambda: health.is_taken(_HOST, port),
        after_death,
    )


def _web_server(port: int, workspace: Path) -> Service:
    return Service(
        "web server",
        ("-m", "dagster_webserver", "--host", _HOST, "--port", str(port), "--workspace", str(workspace)),
        lambda: health.answers(_HOST, port, "/server_info") and health.location_loaded(_HOST, port),
    )


def _daemon(ui_port: int, workspace: Path, began: float) -> Service:
    return Service(
        "daemon",
        ("-m", "dagster._daemon", "run", "--workspace", str(workspace)),
        lambda: health.daemons_beat(_HOST, ui_port, since=began),
    )


def _worker() -> Service:
    # Nobody waits for it: what it does not apply, a run of the sensor's does.
    return Service("worker", ("-m", "channel_sync.cli", "worker"), lambda: True)


def _workspace_file(state_dir: Path, code_port: int) -> Path:
    """Where the code server is, for the web server and the daemon. JSON is YAML."""
    file = state_dir / "workspace.yaml"
    server = {"host": _HOST, "port": code_port, "location_name": _LOCATION}
    file.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
    return file


def _former(address_file: Path) -> list[str]:
    try:
        return [address_file.read_text()]
    except FileNotFoundError:
        return []


# Watching and ending ------------------------------------------------------------------------------------------------


def _watch(supervisor: Supervisor, settings: config.Settings, say: Say) -> NoReturn:
    pid, ask_again_at = None, 0.0
    while True:
        time.sleep(1)
        supervisor.look()
        if not settings.embedded or time.monotonic() < ask_again_at:
            continue
        try:
            server = embedded.start(_data_dir(settings))
        except ConfigurationError as error:
            say(str(error))
            ask_again_at = time.monotonic() + _DATABASE_PAUSE_S
            continue
        if pid not in (None, server.pid):
            say(f"Postgres had ended: started again (process {server.pid})")
        pid = server.pid


def _stop(supervisor: Supervisor, say: Say) -> None:
    say("stopping")
    supervisor.stop()


def _end_leftovers(settings: config.Settings, say: Say) -> bool:
    """End what a killed ``up`` of this state folder left running. Whether there was anything."""
    leftovers = marked(settings.state_dir)
    if leftovers:
        say(f"ending {len(leftovers)} processes of a stack that was killed")
        end(leftovers)
    return bool(leftovers)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP becomes KeyboardInterrupt; ending takes its time and no further one."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        for one in signals:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    former = {one: signal.signal(one, interrupt) for one in signals}
    try:
        yield
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)


def _data_dir(settings: config.Settings) -> Path:
    return settings.state_dir / "postgres"
