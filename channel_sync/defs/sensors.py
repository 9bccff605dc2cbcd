"""Sensors: keep Dagster's partitions equal to the portfolio."""

import dagster as dg

from channel_sync.defs.partitions import ACCOUNTS, accounts_of
from channel_sync.storage import portfolio
from channel_sync.sync.engine import Engine


@dg.sensor(
    name="portfolio_accounts",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Give every account of the portfolio its partitions, and take them from accounts that left. Nothing of the "
        "tables is deleted by it."
    ),
)
def portfolio_accounts(
    context: dg.SensorEvaluationContext, engine: dg.ResourceParam[Engine]
) -> dg.SensorResult | dg.SkipReason:
    """Compare the accounts of each subject with its partitions and ask for the difference."""
    with engine.database.connect() as connection:
        rows = portfolio.accounts(connection)
    channels = [(row.code, engine.declaration_of(row)) for row in rows]
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    for subject, definition in ACCOUNTS.items():
        wanted = set(accounts_of(subject, channels))
        known = set(context.instance.get_dynamic_partitions(str(definition.name)))
        if added := sorted(wanted - known):
            requests.append(definition.build_add_request(added))
        if removed := sorted(known - wanted):
            requests.append(definition.build_delete_request(removed))
    if not requests:
        return dg.SkipReason("the partitions are those of the portfolio")
    return dg.SensorResult(dynamic_partitions_requests=requests)
