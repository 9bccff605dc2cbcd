"""Housekeeping: what Dagster would keep for ever is deleted in time, and nothing else."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg

from channel_sync.defs import assemble
from channel_sync.defs.jobs import KEEP_RUNS
from channel_sync.defs.partitions import range_tags
from tests.house import House


def pull(definitions: dg.Definitions, instance: dg.DagsterInstance) -> str:
    """One run; its id."""
    result = definitions.resolve_job_def("sync_pricing").execute_in_process(
        instance=instance, tags=range_tags("pricing", "airbnb-demo", date(2026, 4, 1), date(2026, 4, 1))
    )
    return result.run_id


def tidy(house: House, instance: dg.DagsterInstance, now: datetime) -> None:
    """Run the housekeeping at a moment."""
    definitions = assemble.definitions(replace(house.engine, clock=lambda: now))
    assert definitions.resolve_job_def("housekeeping").execute_in_process(instance=instance).success


def test_old_runs_go_with_their_files_and_young_ones_stay(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A finished run is deleted after its time, with what it handed from step to step; the sync log stays."""
    run_id = pull(definitions, instance)
    files = Path(instance.storage_directory()) / run_id
    assert files.is_dir()

    tidy(house, instance, datetime.now(UTC) + KEEP_RUNS - timedelta(days=1))
    assert instance.get_run_by_id(run_id) is not None

    tidy(house, instance, datetime.now(UTC) + KEEP_RUNS + timedelta(days=1))
    assert instance.get_run_by_id(run_id) is None
    assert not files.exists()
    assert house.rows("SELECT * FROM sync_log WHERE run_id = %s", run_id)


def test_pulls_that_changed_nothing_are_forgotten_in_time(house: House, instance: dg.DagsterInstance) -> None:
    """Old lines that say "nothing changed" go if a later success is on record; all others stay."""
    house.pull("airbnb-demo")
    for _ in range(3):
        house.sandbox.clock.advance(timedelta(minutes=15))
        house.pull("airbnb-demo")
    assert [{"count": 24}] == house.rows("SELECT count(*) FROM sync_log")

    tidy(house, instance, house.sandbox.clock.now() + KEEP_RUNS + timedelta(days=1))

    assert [{"outcome": "stored", "count": 6}, {"outcome": "unchanged", "count": 6}] == house.rows(
        "SELECT outcome, count(*) FROM sync_log GROUP BY outcome ORDER BY outcome"
    )


def test_counts_of_calls_are_forgotten_in_time(house: House, instance: dg.DagsterInstance) -> None:
    """Counts older than 30 days go, younger ones stay."""
    now = house.sandbox.clock.now()
    for account, age in (
        ("old", KEEP_RUNS + timedelta(minutes=2)),
        ("young", KEEP_RUNS - timedelta(minutes=2)),
    ):
        house.execute(
            "INSERT INTO api_call VALUES (%s, %s, 'feed', '200', 1, 0, 0, 0, 0)", now - age, account
        )

    tidy(house, instance, now)

    assert [{"account": "young"}] == house.rows("SELECT account FROM api_call")
