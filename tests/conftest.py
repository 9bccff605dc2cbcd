"""What every test may ask for: an embedded server of its own worker, a fresh database, the outside witnesses."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings
from psycopg.sql import SQL, Identifier

from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.world import World
from channel_sync.storage import embedded
from channel_sync.storage.database import Database, create_database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import migrate
from tests.house import House, build_house

# Asserts in what tests share explain themselves; said before anybody imports it.
pytest.register_assert_rewrite(
    "tests.adapters.contract",
    "tests.adapters.contract_acknowledgements",
    "tests.adapters.contract_pushes",
    "tests.adapters.contract_verbs",
)

# Property tests draw the same examples everywhere and every time, and a busy machine fails none of them.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("steady")

_TEMPLATE = "migrated"
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedServer]:
    """An embedded server private to this worker; ``url`` is its empty maintenance database."""
    _stop_servers_of_killed_runs()
    # Not tmp_path: pytest closes its folder to every other user, and as root the server runs as another one.
    with tempfile.TemporaryDirectory(prefix=f"pg-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder).resolve() / "data"
        try:
            yield embedded.start(data_dir, durable=False)
        finally:
            embedded.stop(data_dir)


def _stop_servers_of_killed_runs() -> None:
    """A run that was killed could not stop its server: the folder's name says whose it was."""
    for folder in Path(tempfile.gettempdir()).glob("pg-*-*"):
        pid = folder.name.split("-")[1]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(PermissionError):  # another user's
                embedded.stop(folder.resolve() / "data")
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _template(postgres: EmbeddedServer) -> str:
    """The name of a migrated database that is copied for every test."""
    migrate(with_database(postgres.url, _TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def database(postgres: EmbeddedServer, _template: str) -> Iterator[Database]:
    """A fresh, migrated database, dropped after the test even if somebody is still connected."""
    name = f"test_{next(_numbers)}"
    create_database(postgres.url, name, template=_template)
    yield Database(with_database(postgres.url, name))
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        # With PYTHONUNBUFFERED a line that nobody flushes would reach its reader all the same.
        if name in ("DAGSTER_HOME", "PYTHONUNBUFFERED") or (
            name.startswith("CHANNEL_") and name != "CHANNEL_SYNC_FIXTURES"
        ):
            monkeypatch.delenv(name)


@pytest.fixture
def fixtures_dir() -> Path:
    """The folder of outside witnesses: real feeds and samples, kept apart from the project."""
    folder = os.environ.get("CHANNEL_SYNC_FIXTURES")
    if not folder:
        pytest.skip("CHANNEL_SYNC_FIXTURES is not set")
    return Path(folder)


@pytest.fixture
def house(database: Database, tmp_path: Path) -> Iterator[House]:
    """The sample portfolio at NOW."""
    with Sandbox() as sandbox:
        yield build_house(sandbox, database, tmp_path)


@pytest.fixture
def quiet_house(database: Database, tmp_path: Path) -> Iterator[House]:
    """The sample portfolio at NOW in a world where nothing happens but what a test scripts."""
    with Sandbox(world=World.empty(listings=6), lively=False) as sandbox:
        yield build_house(sandbox, database, tmp_path)
