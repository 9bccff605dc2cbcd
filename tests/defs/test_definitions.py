"""The definition graph: a renamed asset or a changed cron does not slip through."""

import subprocess
import sys

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion


def test_the_graph_is_the_one_that_was_reviewed(
    definitions: dg.Definitions, snapshot: SnapshotAssertion
) -> None:
    """Assets, checks, jobs, schedules and sensors are those of the snapshot."""
    assets = {
        spec.key.to_user_string(): {
            "group": spec.group_name,
            "owners": list(spec.owners),
            "kinds": sorted(spec.kinds),
            "tags": dict(sorted((key, value) for key, value in spec.tags.items() if "kind" not in key)),
            "partitions": str(spec.partitions_def),
            "freshness": str(spec.freshness_policy),
            "table": spec.metadata["dagster/table_name"],
            "columns": [column.name for column in spec.metadata["dagster/column_schema"].columns],
            "description": spec.description,
        }
        for spec in definitions.resolve_all_asset_specs()
    }
    repository = definitions.get_repository_def()
    assert snapshot == {
        "assets": assets,
        "checks": sorted(str(key) for key in repository.asset_graph.asset_check_keys),
        "jobs": {
            job.name: sorted(node.name for node in job.graph.nodes)
            for job in repository.get_all_jobs()
            if not job.name.startswith("__")
        },
        "schedules": {
            schedule.name: (schedule.cron_schedule, schedule.job_name, str(schedule.default_status))
            for schedule in repository.schedule_defs
        },
        "sensors": {
            sensor.name: (sensor.minimum_interval_seconds, str(sensor.default_status))
            for sensor in repository.sensor_defs
        },
    }


def test_definitions_are_loadable(definitions: dg.Definitions) -> None:
    """Dagster's own validation finds nothing."""
    dg.Definitions.validate_loadable(definitions)


def test_every_column_of_every_asset_is_described(definitions: dg.Definitions) -> None:
    """Column schemas carry a description for each column."""
    for spec in definitions.resolve_all_asset_specs():
        columns = spec.metadata["dagster/column_schema"].columns
        assert columns
        assert all(column.description for column in columns)


@pytest.mark.parametrize("switch", [None, "false"])
def test_switched_off_nothing_of_the_adapters_is_imported(switch: str | None) -> None:
    """Off, the code location is empty, says so, and no adapter module is loaded."""
    script = (
        "import sys, logging; logging.basicConfig(level=logging.INFO)\n"
        "import dagster as dg\n"
        "from channel_sync.definitions import defs\n"
        "found = defs() if callable(defs) else defs\n"
        "repository = found.get_repository_def()\n"
        "assert not list(repository.schedule_defs) and not list(repository.sensor_defs)\n"
        "assert not repository.asset_graph.get_all_asset_keys()\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'adapters'])\n"
    )
    environment = {"CHANNEL_MANAGER_ENABLED": switch} if switch else {}

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", **environment},
    )

    assert "[]" == done.stdout.strip()
    assert "Channel Manager module disabled" in done.stderr


def test_switched_on_it_says_so() -> None:
    """On, the log holds the sentence that operators look for."""
    script = (
        "import logging; logging.basicConfig(level=logging.INFO)\n"
        "from channel_sync.definitions import defs\n"
        "found = defs() if callable(defs) else defs\n"
        "print(len(found.get_repository_def().asset_graph.get_all_asset_keys()))\n"
    )
    environment = {
        "PATH": "",
        "CHANNEL_MANAGER_ENABLED": "true",
        "CHANNEL_SYNC_DATABASE_URL": "postgresql://nobody@localhost/nothing",
    }

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )

    assert "3" == done.stdout.strip()
    assert "Channel Manager module enabled via CHANNEL_MANAGER_ENABLED=true" in done.stderr
