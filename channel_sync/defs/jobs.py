"""Jobs: one for each asset's pull with its checks, and the housekeeping of runs."""

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg

from channel_sync.defs.assets import channel_availability, channel_bookings, channel_pricing
from channel_sync.storage import calls, nights, observations
from channel_sync.sync.engine import Engine

KEEP_RUNS = timedelta(days=30)
_RUNS_AT_A_TIME = 200

JOBS = {
    subject: dg.define_asset_job(
        f"sync_{subject}",
        selection=dg.AssetSelection.assets(asset),
        description=f"Pull {subject} of the picked accounts and windows.",
        tags={"channel_sync/subject": subject},
    )
    for subject, asset in {
        "availability": channel_availability,
        "pricing": channel_pricing,
        "bookings": channel_bookings,
    }.items()
}


@dg.op(description="Delete finished runs older than 30 days, with their events: Dagster keeps them for ever.")
def delete_old_runs(context: dg.OpExecutionContext, engine: dg.ResourceParam[Engine]) -> None:
    """Runs are deleted oldest first, with what they printed and handed from step to step; the sync log stays."""
    instance = context.instance
    finished = dg.RunsFilter(
        updated_before=engine.clock() - KEEP_RUNS,
        statuses=[dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED],
    )
    deleted = 0
    while records := instance.get_run_records(finished, limit=_RUNS_AT_A_TIME, ascending=True):
        for record in records:
            run_id = record.dagster_run.run_id
            instance.compute_log_manager.delete_logs(prefix=[run_id])
            shutil.rmtree(Path(instance.storage_directory()) / run_id, ignore_errors=True)
            instance.delete_run(run_id)
        deleted += len(records)
    context.log.info(f"{deleted} old runs deleted")


@dg.op(description="Drop staging tables that killed runs left behind.")
def drop_abandoned_staging(context: dg.OpExecutionContext, engine: dg.ResourceParam[Engine]) -> None:
    """A staging table lives for the length of one run: after a day it is nobody's."""
    with engine.database.connect() as connection:
        dropped = nights.drop_abandoned(connection, timedelta(days=1))
    context.log.info(f"{len(dropped)} abandoned staging tables dropped")


@dg.op(
    description="Delete lines of the sync log older than 30 days that say no more than that nothing changed."
)
def forget_uneventful_pulls(context: dg.OpExecutionContext, engine: dg.ResourceParam[Engine]) -> None:
    """Every listing is a line each quarter of an hour. Lines that changed something stay: rows point at them."""
    with engine.database.connect() as connection:
        forgotten = observations.forget_uneventful_pulls(connection, engine.clock() - KEEP_RUNS)
    context.log.info(f"{forgotten} lines of the sync log deleted")


@dg.op(description="Delete counts of calls to channels older than 30 days.")
def forget_old_calls(context: dg.OpExecutionContext, engine: dg.ResourceParam[Engine]) -> None:
    """Every kind of call is a row a minute."""
    with engine.database.connect() as connection:
        forgotten = calls.forget_old_calls(connection, engine.clock() - KEEP_RUNS)
    context.log.info(f"{forgotten} counts of calls deleted")


@dg.job(
    description="Keep Dagster's storage, the staging schema, the sync log and the counts of calls from growing without end."
)
def housekeeping() -> None:
    """The steps are independent."""
    delete_old_runs()
    drop_abandoned_staging()
    forget_uneventful_pulls()
    forget_old_calls()
