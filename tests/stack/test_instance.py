"""The project's dagster.yaml is valid, works on Postgres, and a run that lost its process is ended."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import dagster as dg
import pytest
import yaml

from channel_sync import config
from channel_sync.stack.dagster_storage import end_orphaned_runs
from channel_sync.storage.database import Database, create_database
from channel_sync.storage.embedded import EmbeddedServer

_ADDRESS = "127.0.0.1:4000"


@dg.op
def look() -> int:
    """An op, so that a run has something to do."""
    return 1


@dg.job
def looking() -> None:
    """A job of one op."""
    look()


@pytest.fixture(scope="module")
def instance(
    postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dg.DagsterInstance]:
    """A Dagster instance as `up` makes one: the checkout's file in a folder of its own, a fresh database."""
    name = "runs_of_test_instance"
    create_database(postgres.url, name)
    url = urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
    settings = config.load({"CHANNEL_SYNC_DAGSTER_DATABASE_URL": url})
    assert settings.dagster_database_url is not None
    folder = tmp_path_factory.mktemp("instance")
    (folder / "dagster.yaml").symlink_to(config.project_root() / "dagster.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHANNEL_SYNC_DAGSTER_DATABASE_URL", settings.dagster_database_url)
        with dg.DagsterInstance.from_config(str(folder)) as made:
            yield made
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus, address: str | None) -> str:
    """A run in the given state that was launched by the code server at this address."""
    host, _, port = (address or "").partition(":")
    tags = {".dagster/grpc_info": json.dumps({"host": host, "port": int(port)})} if address else {}
    return instance.create_run_for_job(looking, status=status, tags=tags).run_id


def _status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_is_stored_and_read(instance: dg.DagsterInstance) -> None:
    """Postgres keeps runs and their events under this file, over the driver it is given."""
    result = looking.execute_in_process(instance=instance)

    run = instance.get_run_by_id(result.run_id)

    assert run is not None
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert len(instance.all_logs(result.run_id)) > 5
    assert type(instance.run_storage).__name__ == "PostgresRunStorage"


def test_the_limits_are_in_force(instance: dg.DagsterInstance) -> None:
    """One pull per channel account at a time, half of all for one channel, one run per inbox; crashed runs free slots."""
    limits = {
        limit["key"]: limit
        for limit in instance.get_settings("concurrency")["runs"]["tag_concurrency_limits"]
    }

    assert limits["channel_sync/account"] == {
        "key": "channel_sync/account",
        "value": {"applyLimitPerUniqueValue": True},
        "limit": 1,
    }
    assert limits["channel_sync/channel"] == {
        "key": "channel_sync/channel",
        "value": {"applyLimitPerUniqueValue": True},
        "limit": 2,
    }
    assert limits["channel_sync/inbox"] == {
        "key": "channel_sync/inbox",
        "value": {"applyLimitPerUniqueValue": True},
        "limit": 1,
    }
    assert instance.get_settings("concurrency")["runs"]["max_concurrent_runs"] == 4
    assert instance.run_monitoring_enabled
    assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] > 0
    assert not instance.telemetry_enabled


def test_nothing_lands_in_the_checkout(instance: dg.DagsterInstance) -> None:
    """What runs write is in the instance's own folder."""
    result = looking.execute_in_process(instance=instance)

    written = Path(instance.storage_directory()) / result.run_id
    assert written.is_dir()
    assert not written.is_relative_to(config.project_root())


@pytest.mark.parametrize(
    ("status", "ended_as"),
    [
        (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
    ],
)
def test_a_run_without_a_process_is_ended(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, ended_as: dg.DagsterRunStatus
) -> None:
    """An unfinished run of a code server that is gone is ended, once."""
    run_id = _run(instance, status, _ADDRESS)

    assert end_orphaned_runs(instance, _ADDRESS) == [run_id]
    assert _status(instance, run_id) is ended_as
    assert end_orphaned_runs(instance, _ADDRESS) == []


@pytest.mark.parametrize(
    ("status", "address"),
    [
        (dg.DagsterRunStatus.STARTED, "127.0.0.1:4001"),
        (dg.DagsterRunStatus.STARTED, None),
        (dg.DagsterRunStatus.NOT_STARTED, _ADDRESS),
        (dg.DagsterRunStatus.SUCCESS, _ADDRESS),
    ],
)
def test_other_runs_are_left_alone(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, address: str | None
) -> None:
    """Runs of another code server, of none, waiting ones and finished ones stay what they are."""
    run_id = _run(instance, status, address)

    assert end_orphaned_runs(instance, _ADDRESS) == []
    assert _status(instance, run_id) is status


def test_the_workspace_by_hand_names_the_same_location() -> None:
    """`dagster dev` in the checkout and `channel-sync up` show one code location under one name."""
    workspace = yaml.safe_load((config.project_root() / "workspace.yaml").read_text())

    assert workspace["load_from"] == [
        {"python_module": {"module_name": "channel_sync.definitions", "location_name": "channel_sync"}}
    ]
