"""Sensors: keep Dagster's partitions equal to the portfolio, and show what holds calls to channels back."""

import json

import dagster as dg

from channel_sync.defs.checks import GUARDED_ASSET, GUARDS, found_metadata
from channel_sync.defs.jobs import JOBS
from channel_sync.defs.partitions import ACCOUNTS, accounts_of
from channel_sync.defs.pools import give_pools, take_pools
from channel_sync.defs.requests import pull_request
from channel_sync.storage import portfolio, reports
from channel_sync.sync.engine import Engine


@dg.sensor(
    name="portfolio_accounts",
    jobs=[*JOBS.values()],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Give every account of the portfolio its partitions, its pool and its first pull, and take partitions and pool "
        "from accounts that left. Nothing of the tables is deleted by it."
    ),
)
def portfolio_accounts(
    context: dg.SensorEvaluationContext, engine: dg.ResourceParam[Engine]
) -> dg.SensorResult | dg.SkipReason:
    """Compare the accounts of each subject with its partitions and ask for the difference."""
    with engine.database.connect() as connection:
        # A disabled account keeps its partitions: a person may still pull it, and sees what was pulled.
        rows = {row.code: row for row in portfolio.accounts(connection, enabled_only=False)}
    channels = [(code, engine.declaration_of(row)) for code, row in rows.items()]
    changes: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    runs: list[dg.RunRequest] = []
    now = engine.clock()
    give_pools(context.instance, rows)
    for subject, definition in ACCOUNTS.items():
        wanted = set(accounts_of(subject, channels))
        known = set(context.instance.get_dynamic_partitions(str(definition.name)))
        if added := sorted(wanted - known):
            changes.append(definition.build_add_request(added))
            # The schedules would come to it within a quarter of an hour; whoever added it is looking now.
            runs += [
                pull_request(
                    engine,
                    subject,
                    rows[code],
                    now,
                    run_key=f"{subject}:{code}:first:{now.isoformat()}",
                    everything=False,
                )
                for code in added
                if rows[code].enabled
            ]
        if removed := sorted(known - wanted):
            changes.append(definition.build_delete_request(removed))
            take_pools(context.instance, set(removed) - set(rows))
    if not changes:
        return dg.SkipReason("the partitions are those of the portfolio")
    return dg.SensorResult(run_requests=runs, dynamic_partitions_requests=changes)


@dg.sensor(
    name="channel_guards",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Evaluate the checks no_open_circuit and no_exhausted_quota also while nothing runs, whenever what they find "
        "has changed or is no longer what is shown. Launches nothing."
    ),
)
def channel_guards(context: dg.SensorEvaluationContext, engine: dg.ResourceParam[Engine]) -> dg.SensorResult:
    """Look at circuits and quotas, and report a check whose findings are not those of the cursor, or are not shown.

    The cursor holds the keys that each check found, not how long they have to wait yet: that changes all the time.
    """
    with engine.database.connect() as connection:
        found = {name: reports.findings(connection, *question) for name, question in GUARDS.items()}
    keys = {name: sorted(row["key"] for row in rows) for name, rows in found.items()}
    before = json.loads(context.cursor) if context.cursor else {}
    return dg.SensorResult(
        cursor=json.dumps(keys),
        asset_events=[
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(GUARDED_ASSET),
                check_name=name,
                passed=not rows,
                severity=dg.AssetCheckSeverity.WARN,
                metadata=found_metadata(rows),
            )
            for name, rows in found.items()
            if keys[name] != before.get(name) or not _is_shown(context.instance, name, passed=not rows)
        ],
        skip_reason=f"open circuits: {_listed(keys['no_open_circuit'])}; "
        f"exhausted quotas: {_listed(keys['no_exhausted_quota'])}",
    )


def _is_shown(instance: dg.DagsterInstance, check: str, *, passed: bool) -> bool:
    """Whether that is the newest word on the check in the UI, or a run is about to say it.

    A pull that fails never comes to its checks, and leaves them as not made: just when they have something to say.
    """
    newest = instance.get_latest_asset_check_evaluation_record(
        dg.AssetCheckKey(dg.AssetKey(GUARDED_ASSET), check)
    )
    if newest is None:
        return False
    if newest.status.value != "PLANNED":
        return newest.status.value == ("SUCCEEDED" if passed else "FAILED")
    run = instance.get_run_by_id(newest.run_id)
    return run is not None and not run.is_finished


def _listed(keys: list[str]) -> str:
    return ", ".join(keys) or "none"


SENSORS = [portfolio_accounts, channel_guards]
