"""Sensors: keep Dagster's partitions equal to the portfolio, and pull what is new in it."""

import dagster as dg

from channel_sync.defs.jobs import JOBS
from channel_sync.defs.partitions import ACCOUNTS, accounts_of
from channel_sync.defs.requests import pull_request
from channel_sync.storage import portfolio
from channel_sync.sync.engine import Engine


@dg.sensor(
    name="portfolio_accounts",
    jobs=[*JOBS.values()],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Give every account of the portfolio its partitions and its first pull, and take the partitions from accounts "
        "that left. Nothing of the tables is deleted by it."
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
    if not changes:
        return dg.SkipReason("the partitions are those of the portfolio")
    return dg.SensorResult(run_requests=runs, dynamic_partitions_requests=changes)
