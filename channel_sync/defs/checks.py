"""Asset checks: what must hold of the tables after every pull. Each names what it found."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from channel_sync.storage import reports
from channel_sync.sync.engine import Engine

_SHOWN = 25


def _check(
    asset: str,
    name: str,
    statement: str,
    description: str,
    severity: dg.AssetCheckSeverity,
    parameters: Callable[[Engine], dict[str, Any]],
) -> dg.AssetChecksDefinition:
    """A check that passes when its statement finds nothing."""

    @dg.asset_check(asset=asset, name=name, description=description)
    def check(engine: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
        with engine.database.connect() as connection:
            found = reports.findings(connection, statement, parameters(engine))
        rows = [{column: str(value) for column, value in row.items()} for row in found[:_SHOWN]]
        return dg.AssetCheckResult(
            passed=not found,
            severity=severity,
            metadata={"found": len(found), "findings": dg.MetadataValue.json(rows)},
        )

    return check


def _today(engine: Engine) -> dict[str, Any]:
    return {"today": engine.clock().date()}


CHECKS = [
    _check(
        "channel_bookings",
        "no_overlapping_allocation",
        "overlapping_allocations",
        "No two parties share a unit on a night, and every confirmed booking to come has the units it was sold.",
        dg.AssetCheckSeverity.ERROR,
        _today,
    ),
    _check(
        "channel_pricing",
        "no_price_without_currency",
        "prices_without_currency",
        "Every price of a night to come is in its property's currency.",
        dg.AssetCheckSeverity.ERROR,
        _today,
    ),
    _check(
        "channel_availability",
        "no_listing_without_mapping",
        "unmapped_listings",
        "Every listing that a channel shows as bookable is in the portfolio.",
        dg.AssetCheckSeverity.WARN,
        lambda _: {},
    ),
    _check(
        "channel_availability",
        "no_feed_held_longer_than_a_day",
        "long_holds",
        "No night is kept closed for more than a day against what its feed shows: then a person decides, with "
        "`channel-sync holds` and `channel-sync release`.",
        dg.AssetCheckSeverity.WARN,
        lambda engine: {"now": engine.clock()},
    ),
]
