"""What operators see of the worker's polls: no run, but what changed, and whether an acknowledgement is late."""

from typing import Any

import dagster as dg

from channel_sync.defs.checks import acknowledgement_evaluation, overlap_evaluation
from channel_sync.defs.partitions import booking_partitions
from channel_sync.sync.engine import Engine
from channel_sync.sync.poll import Polled

ASSET = "channel_bookings"


def report_poll(instance: dg.DagsterInstance, engine: Engine, account: str, polled: Polled) -> None:
    """Materialise today's partition of the account where bookings changed; say so where acknowledgements are late."""
    entry = polled.stored.entry if polled.stored is not None else None
    changed = entry is not None and entry.rows_changed > 0
    if entry is not None and changed:
        metadata: dict[str, Any] = {
            **{f"acknowledged: {verdict}": count for verdict, count in polled.acknowledged.counts.items()},
            "bookings read": entry.rows_read,
            "bookings changed": entry.rows_changed,
        }
        for partition in booking_partitions(instance, account, [engine.clock().date()]):
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    ASSET, description="by a poll", partition=partition, metadata=metadata
                )
            )
        instance.report_runless_asset_event(overlap_evaluation(engine))
    if polled.acknowledged.counts or polled.error is not None:
        instance.report_runless_asset_event(acknowledgement_evaluation(engine))
