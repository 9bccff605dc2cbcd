"""Everything that Dagster is given, as one list, with the policies that hold for all of it."""

from datetime import timedelta

import dagster as dg

from channel_sync.defs.assets import ASSETS
from channel_sync.defs.checks import CHECKS
from channel_sync.defs.inbox import apply_webhooks
from channel_sync.defs.jobs import JOBS, housekeeping
from channel_sync.defs.schedules import SCHEDULES
from channel_sync.defs.sensors import SENSORS
from channel_sync.defs.webhook_sensors import webhook_sensors
from channel_sync.sync.engine import Engine

# Pulled every 15 minutes: after three missed pulls somebody should look, after two hours somebody must.
FRESHNESS = dg.FreshnessPolicy.time_window(warn_window=timedelta(minutes=50), fail_window=timedelta(hours=2))


def definitions(engine: Engine) -> dg.Definitions:
    """All definitions, on this engine.

    Jobs run in one process: their steps are short, and a process per step would cost more than the step.
    """
    return dg.Definitions(
        assets=dg.map_asset_specs(lambda spec: dg.apply_freshness_policy(spec, FRESHNESS), ASSETS),
        asset_checks=CHECKS,
        jobs=[*JOBS.values(), apply_webhooks, housekeeping],
        schedules=SCHEDULES,
        sensors=[*SENSORS, *webhook_sensors(engine.declarations)],
        resources={"engine": engine},
        executor=dg.in_process_executor,
    )
