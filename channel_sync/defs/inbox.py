"""What channels delivered, applied: one job for the sensor and for the worker, so that both show the same runs."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import dagster as dg

from channel_sync.defs.checks import overlap_evaluation
from channel_sync.defs.partitions import booking_partitions
from channel_sync.sync import inbox
from channel_sync.sync.engine import Engine

ASSET = "channel_bookings"
# One run of an account's inbox at a time, by the limit in dagster.yaml. Not the tags of pulls: no event waits behind one.
INBOX = "channel_sync/inbox"
# What the worker executes itself: no launcher knows of these runs.
WORKER = "channel_sync/worker"
_DAYS_SHOWN = 10


class Inbox(dg.Config):
    """Whose events are applied."""

    account: str


@dg.op(
    name="apply_events",
    description="Apply what the account's channel delivered, each event in a transaction of its own, until nothing is due.",
)
def apply_events(context: dg.OpExecutionContext, config: Inbox, engine: dg.ResourceParam[Engine]) -> None:
    """Killed half-way, what was not applied stays due."""
    counts: Counter[str] = Counter()
    days: set[date] = set()
    changed = asked = 0
    while (applied := inbox.apply_due(engine, config.account, context.run_id)).events:
        counts.update(applied.events)
        changed += applied.changed
        asked += applied.asked
        days |= applied.days
    told = ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "none due"
    context.log.info(
        f"{config.account}: events: {told}; {changed} bookings changed, asked the channel for {asked}"
    )
    if not days:
        return
    metadata: dict[str, Any] = {**counts, "bookings changed": changed, "events that asked": asked}
    for partition in booking_partitions(context.instance, config.account, days):
        context.log_event(
            dg.AssetMaterialization(ASSET, description="by webhooks", partition=partition, metadata=metadata)
        )
    context.instance.report_runless_asset_event(overlap_evaluation(engine))


@dg.job(
    description="Apply what one account's channel delivered. Launched by the sensor, or executed by the worker."
)
def apply_webhooks() -> None:
    """One step: nothing of it could be repeated alone."""
    apply_events()


def run_config(account: str) -> dict[str, Any]:
    """The config of a run for this account."""
    return {"ops": {"apply_events": {"config": {"account": account}}}}


def run_tags(account: str) -> dict[str, str]:
    """The tags of a run for this account.

    It goes before pulls, and is not launched again by itself: what it leaves stays due, and the sensor sees to that.
    """
    return {INBOX: account, "dagster/priority": "10", "dagster/max_retries": "0"}


def end_lost_runs(instance: dg.DagsterInstance, accounts: Sequence[str] | None = None) -> list[str]:
    """End the unfinished runs of a worker that is gone, of all accounts or of these; their ids.

    Only to be called while no worker lives. Nothing else would say so of a run that was not launched, and it would hold
    back the account's next one.
    """
    unfinished = dg.RunsFilter(
        job_name=apply_webhooks.name,
        tags={} if accounts is None else {INBOX: [*accounts]},
        statuses=[
            dg.DagsterRunStatus.NOT_STARTED,
            dg.DagsterRunStatus.STARTING,
            dg.DagsterRunStatus.STARTED,
            dg.DagsterRunStatus.CANCELING,
        ],
    )
    lost = [run for run in instance.get_runs(unfinished) if WORKER in run.tags]
    for run in lost:
        instance.report_run_failed(run, "The worker that executed this run is gone. What it left stays due.")
    return [run.run_id for run in lost]
