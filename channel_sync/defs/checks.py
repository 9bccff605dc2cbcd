"""Asset checks: what must hold of the tables after every pull. Each names what it found."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import dagster as dg

from channel_sync.storage import reports
from channel_sync.sync.engine import Engine

SOON = timedelta(minutes=10)  # before a channel stops waiting for an acknowledgement

_SHOWN = 25
_MOST = 100

# The checks that hold of the channels and not of the tables: also looked at while nothing runs.
GUARDED_ASSET = "channel_availability"
GUARDS: dict[str, tuple[str, dict[str, Any]]] = {
    "no_open_circuit": ("circuits", {"only_open": True, "most": _MOST}),
    "no_exhausted_quota": ("quotas", {"beyond_s": 60.0, "most": _MOST}),
}


def found_metadata(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many findings there are, and the first of them."""
    rows = [{column: str(value) for column, value in row.items()} for row in found[:_SHOWN]]
    return {"found": len(found), "findings": dg.MetadataValue.json(rows)}


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
        return dg.AssetCheckResult(passed=not found, severity=severity, metadata=found_metadata(found))

    return check


def overlap_evaluation(engine: Engine) -> dg.AssetCheckEvaluation:
    """What no_overlapping_allocation finds now, for bookings that no pull brought."""
    with engine.database.connect() as connection:
        found = reports.findings(connection, "overlapping_allocations", _today(engine))
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("channel_bookings"),
        check_name="no_overlapping_allocation",
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata=found_metadata(found),
    )


@dataclass(frozen=True, slots=True)
class _Late:
    """What channels will not wait for much longer. Wrong where they no longer do: then they tell people instead."""

    passed: bool
    severity: dg.AssetCheckSeverity
    metadata: dict[str, Any]


def _late_acknowledgements(engine: Engine) -> _Late:
    with engine.database.connect() as connection:
        parameters = {"now": engine.clock(), "ahead": SOON}
        found = reports.findings(connection, "late_acknowledgements", parameters)
    overdue = any(row["is_overdue"] for row in found)
    severity = dg.AssetCheckSeverity.ERROR if overdue else dg.AssetCheckSeverity.WARN
    return _Late(not found, severity, found_metadata(found))


def acknowledgement_evaluation(engine: Engine) -> dg.AssetCheckEvaluation:
    """What no_overdue_acknowledgement finds now, for a run that does not come to its checks."""
    late = _late_acknowledgements(engine)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("channel_bookings"),
        check_name="no_overdue_acknowledgement",
        passed=late.passed,
        severity=late.severity,
        metadata=late.metadata,
    )


@dg.asset_check(
    asset="channel_bookings",
    name="no_overdue_acknowledgement",
    description=(
        "Every version of a booking is acknowledged while its channel waits for that: a warning 10 minutes before it "
        "no longer does, an error afterwards. `channel-sync status` shows what waits."
    ),
)
def no_overdue_acknowledgement(engine: dg.ResourceParam[Engine]) -> dg.AssetCheckResult:
    """Look at what waits, whichever run should have told it."""
    late = _late_acknowledgements(engine)
    return dg.AssetCheckResult(passed=late.passed, severity=late.severity, metadata=late.metadata)


def _guard(name: str, description: str) -> dg.AssetChecksDefinition:
    statement, parameters = GUARDS[name]
    return _check(
        GUARDED_ASSET, name, statement, description, dg.AssetCheckSeverity.WARN, lambda _: parameters
    )


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
    no_overdue_acknowledgement,
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
    _guard(
        "no_open_circuit",
        "No channel is failing so that calls to it are held back. `channel-sync status` shows since when and why, "
        "`channel-sync unblock` lets calls through at once.",
    ),
    _guard(
        "no_exhausted_quota",
        "No channel has asked to wait, and no quota is used up for more than a minute. `channel-sync status` shows "
        "for how long, `channel-sync unblock` lifts a channel's wait.",
    ),
]
