"""What operators see of a pull: log lines, metadata of the materialisation, and a failure that names its cause."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from channel_sync.defs.checks import acknowledgement_evaluation
from channel_sync.defs.partitions import Slice
from channel_sync.storage import reports, schema
from channel_sync.sync.acknowledge import Acknowledged
from channel_sync.sync.engine import Engine
from channel_sync.sync.store import PullResult

TABLES = {
    "availability": "channel_availability",
    "pricing": "channel_price",
    "bookings": "booking",
}
_SHOWN = 25  # rows of a table in metadata: it is kept in the event log for ever


def definition_metadata(subject: str) -> dict[str, Any]:
    """Metadata of the asset's definition: the table, its columns and what they mean."""
    table = TABLES[subject]
    columns = [
        dg.TableColumn(column.name, column.type, description=column.comment)
        for column in schema.columns(table)
    ]
    return {
        "dagster/table_name": f"channel_sync.{table}",
        "dagster/column_schema": dg.TableSchema(columns=columns),
    }


def log_results(log: dg.DagsterLogManager, results: Sequence[PullResult]) -> None:
    """One line for everything that went as it should, one for each listing that did not."""
    failed = [result for result in results if result.failed]
    totals = _totals(results)
    log.info(
        f"{len(results) - len(failed)} of {len(results)} stored: {totals['rows_read']} rows read, "
        f"{totals['rows_changed']} changed, {totals['nights_closed']} nights closed, "
        f"{totals['nights_opened']} opened, {totals['nights_held']} held"
    )
    for result in failed:
        log.error(f"{_name(result)}: {result.entry.error}: {result.entry.error_message}")


def log_acknowledged(log: dg.DagsterLogManager, account: str, told: Acknowledged) -> None:
    """What the account's channel was told, and why it was not told the rest."""
    log.info(f"{account}: acknowledged: {_told([told])}")
    if told.error is not None:
        log.error(f"{account}: not all acknowledged: {told.error}: {told.error_message}")


def finish(
    context: dg.AssetExecutionContext,
    engine: Engine,
    subject: str,
    results: Sequence[PullResult],
    pieces: Sequence[Slice],
    told: Sequence[Acknowledged] = (),
) -> Iterator[dg.Output[None]]:
    """Materialise with what the run did.

    Raises dg.Failure, after everything proven is stored, if a pull failed or a channel could not be told of bookings.

    A run with a failure materialises nothing: its partitions show as failed, and the same metadata, on the
    failure and as an observation of the asset, says what was stored all the same.
    """
    counts, details = _counts(subject, results, pieces), _details(engine, subject, results, pieces)
    if any(one.counts or one.error for one in told):
        counts["acknowledged"] = dg.MetadataValue.text(_told(told))
    failed = [result for result in results if result.failed]
    untold = [one for one in told if one.error is not None]
    if failed or untold:
        whole = {**counts, **details}
        if subject == "bookings":  # the run does not come to its checks
            context.instance.report_runless_asset_event(acknowledgement_evaluation(engine))
        context.log_event(
            dg.AssetObservation(f"channel_{subject}", metadata=whole, description="stored before a failure")
        )
        raise dg.Failure(
            description=f"{len(failed)} of {len(results)} pulls failed; what was proven is stored"
            + (f"; {len(untold)} channels not told" if untold else ""),
            metadata=whole,
            allow_retries=False,
        )
    # A run materialises up to two years of months, and each keeps its metadata: the tables stand on the first alone.
    first = min(context.partition_keys)
    context.add_asset_metadata({**counts, "details": f"with partition {first}"})
    context.add_asset_metadata(details, partition_key=first)
    yield dg.Output(None)


def _told(told: Sequence[Acknowledged]) -> str:
    counts: Counter[str] = Counter()
    for one in told:
        counts.update(one.counts)
    return ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "none"


def _counts(
    subject: str, results: Sequence[PullResult], pieces: Sequence[Slice]
) -> dict[str, dg.MetadataValue]:
    totals = _totals(results)
    outcomes = Counter(result.entry.outcome for result in results)
    found: dict[str, dg.MetadataValue] = {
        "window": dg.MetadataValue.text("; ".join(f"{piece.account} {piece.window}" for piece in pieces)),
        "pulled": dg.MetadataValue.int(len(results)),
        "outcomes": dg.MetadataValue.text(", ".join(f"{count} {word}" for word, count in outcomes.items())),
        "rows read": dg.MetadataValue.int(totals["rows_read"]),
        "rows changed": dg.MetadataValue.int(totals["rows_changed"]),
        "parts not readable": dg.MetadataValue.int(totals["problems"]),
        "requests": dg.MetadataValue.int(totals["requests"]),
        "seconds waited": dg.MetadataValue.float(round(sum(result.entry.waited_s for result in results), 1)),
    }
    if subject == "availability":
        for name in ("nights_closed", "nights_opened", "nights_held"):
            found[name.replace("_", " ")] = dg.MetadataValue.int(totals[name])
    return found


def _details(
    engine: Engine, subject: str, results: Sequence[PullResult], pieces: Sequence[Slice]
) -> dict[str, dg.MetadataValue]:
    found = {"listings": _listings(results)}
    if subject == "availability":
        found["occupancy of the next 90 days"] = _occupancy(
            engine, sorted({piece.account for piece in pieces})
        )
    return found


def _listings(results: Sequence[PullResult]) -> dg.MetadataValue:
    """The listings that an operator wants to see first: failed, then those with most changes."""
    ordered = sorted(
        results, key=lambda result: (not result.failed, -result.entry.rows_changed, _name(result))
    )
    records = [
        dg.TableRecord(
            {
                "listing": _name(result),
                "outcome": result.entry.outcome,
                "read": result.entry.rows_read,
                "changed": result.entry.rows_changed,
                "closed": result.entry.nights_closed,
                "opened": result.entry.nights_opened,
                "held": result.entry.nights_held,
                "error": result.entry.error or "",
            }
        )
        for result in ordered[:_SHOWN]
    ]
    return dg.MetadataValue.table(records=records, schema=_schema(_LISTING_COLUMNS))


def _occupancy(engine: Engine, accounts: Sequence[str]) -> dg.MetadataValue:
    """A small chart: one bar a week."""
    with engine.database.connect() as connection:
        weeks = reports.occupancy_by_week(connection, accounts, engine.clock().date())
    records = [
        dg.TableRecord(
            {
                "week of": week.week.isoformat(),
                "nights": week.nights,
                "closed": week.closed,
                "booked": week.booked,
                "held": week.held,
                "closed share": f"{'█' * round(10 * week.closed / week.nights):░<10} {week.closed / week.nights:.0%}",
            }
        )
        for week in weeks
    ]
    return dg.MetadataValue.table(records=records, schema=_schema(_OCCUPANCY_COLUMNS))


_LISTING_COLUMNS = {
    "listing": "string",
    "outcome": "string",
    "read": "int",
    "changed": "int",
    "closed": "int",
    "opened": "int",
    "held": "int",
    "error": "string",
}
_OCCUPANCY_COLUMNS = {
    "week of": "string",
    "nights": "int",
    "closed": "int",
    "booked": "int",
    "held": "int",
    "closed share": "string",
}


def _schema(columns: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])


def _totals(results: Sequence[PullResult]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for result in results:
        for name in (
            "rows_read",
            "rows_changed",
            "nights_closed",
            "nights_opened",
            "nights_held",
            "problems",
            "requests",
        ):
            totals[name] += getattr(result.entry, name)
    return totals


def _name(result: PullResult) -> str:
    return f"{result.account}/{result.listing}" if result.listing else result.account
