"""The three assets: what the channels show, pulled by ops and stored in tables.

Each is a graph of ops: list (what is to be pulled) -> pull, one step per batch of listings -> store -> collect.
The steps hand on names of staging tables and counts, never nights. No retry policies: repeating a channel call
is ``channel_sync.resilience.retry``'s business alone.
"""

from collections.abc import Iterator
from itertools import groupby

import dagster as dg

from adapters.model import Stay
from channel_sync.defs import report
from channel_sync.defs.partitions import PARTITIONS, slices
from channel_sync.storage.nights import Subject
from channel_sync.sync import bookings, plan, pull, store
from channel_sync.sync.engine import Engine
from channel_sync.sync.store import PullResult

POLICY = dg.BackfillPolicy.single_run()


class Thoroughness(dg.Config):
    """``everything`` asks for whole answers even where a channel could say that nothing changed."""

    everything: bool = False


def _mapping_key(*parts: object) -> str:
    return "_".join("".join(letter if letter.isalnum() else "_" for letter in str(part)) for part in parts)


def _calendar_asset(subject: Subject, description: str) -> dg.AssetsDefinition:
    """The asset of one subject of the calendar: availability or pricing."""

    @dg.op(
        name=f"list_{subject}",
        description="Choose the listings of the picked accounts and cut them into batches.",
        out=dg.DynamicOut(pull.Batch),
    )
    def list_batches(
        context: dg.OpExecutionContext, config: Thoroughness, engine: dg.ResourceParam[Engine]
    ) -> Iterator[dg.DynamicOutput[pull.Batch]]:
        for account, pieces in groupby(
            slices(subject, context.partition_keys), key=lambda piece: piece.account
        ):
            found = plan.discover(engine, context.run_id, account)
            if found is not None:
                context.log.info(f"{account}: the channel shows {found} listings")
            windows = [piece.window for piece in pieces]
            batches = plan.batches(
                engine, context.run_id, subject, account, windows, everything=config.everything
            )
            for number, batch in enumerate(batches):
                yield dg.DynamicOutput(
                    batch, mapping_key=_mapping_key(account, batch.window.check_in, number)
                )

    @dg.op(
        name=f"pull_{subject}",
        description="Ask the channel for a batch of listings and stage what was read to its end.",
        tags={"channel_sync/step": "pull"},
    )
    def pull_batch(batch: pull.Batch, engine: dg.ResourceParam[Engine]) -> pull.PulledBatch:
        return pull.pull_batch(engine, batch)

    @dg.op(
        name=f"store_{subject}",
        description="Write what differs from the tables, in one transaction per batch.",
        tags={"channel_sync/step": "store"},
    )
    def store_batch(
        context: dg.OpExecutionContext, pulled: pull.PulledBatch, engine: dg.ResourceParam[Engine]
    ) -> list[PullResult]:
        results = store.store_batch(engine, pulled)
        report.log_results(context.log, results)
        return results

    @dg.op(
        name=f"collect_{subject}",
        description="Say what the run did; fail if any listing could not be pulled.",
        out=dg.Out(dg.Nothing),
    )
    def collect(
        context: dg.AssetExecutionContext, results: list[list[PullResult]], engine: dg.ResourceParam[Engine]
    ) -> Iterator[dg.Output[None]]:
        flat = [result for batch in results for result in batch]
        pieces = slices(subject, context.partition_keys)
        yield from report.finish(context, engine, subject, flat, pieces)

    @dg.graph_asset(
        name=f"channel_{subject}",
        description=description,
        partitions_def=PARTITIONS[subject],
        backfill_policy=POLICY,
        group_name="channels",
        owners=["team:channel-operations"],
        kinds={"python", "postgres"},
        tags={"channel_sync/subject": subject},
        metadata=report.definition_metadata(subject),
    )
    def calendar() -> None:
        return collect(list_batches().map(pull_batch).map(store_batch).collect())  # type: ignore[no-any-return]

    return calendar


def _bookings_asset() -> dg.AssetsDefinition:
    @dg.op(
        name="list_bookings",
        description="One step for every picked account and unbroken stretch of days.",
        out=dg.DynamicOut(bookings.BookingBatch),
    )
    def list_accounts(context: dg.OpExecutionContext) -> Iterator[dg.DynamicOutput[bookings.BookingBatch]]:
        for number, piece in enumerate(slices("bookings", context.partition_keys)):
            yield dg.DynamicOutput(
                bookings.BookingBatch(
                    name=f"bookings_{context.run_id.replace('-', '')}_{number}",
                    run_id=context.run_id,
                    account=piece.account,
                    days=Stay(piece.window.check_in, piece.window.check_out),
                ),
                mapping_key=_mapping_key(piece.account, piece.window.check_in),
            )

    @dg.op(
        name="pull_bookings",
        description="Ask the channel for the bookings that changed on these days and stage them.",
        tags={"channel_sync/step": "pull"},
    )
    def pull_account(
        batch: bookings.BookingBatch, engine: dg.ResourceParam[Engine]
    ) -> bookings.PulledBookings:
        return bookings.pull_bookings(engine, batch)

    @dg.op(
        name="store_bookings",
        description="Apply every new revision in a transaction of its own and allocate units.",
        tags={"channel_sync/step": "store"},
    )
    def store_account(
        context: dg.OpExecutionContext, pulled: bookings.PulledBookings, engine: dg.ResourceParam[Engine]
    ) -> list[PullResult]:
        results = [bookings.store_bookings(engine, pulled)]
        report.log_results(context.log, results)
        return results

    @dg.op(
        name="collect_bookings",
        description="Say what the run did; fail if any account could not be pulled.",
        out=dg.Out(dg.Nothing),
    )
    def collect(
        context: dg.AssetExecutionContext, results: list[list[PullResult]], engine: dg.ResourceParam[Engine]
    ) -> Iterator[dg.Output[None]]:
        flat = [result for batch in results for result in batch]
        yield from report.finish(
            context, engine, "bookings", flat, slices("bookings", context.partition_keys)
        )

    @dg.graph_asset(
        name="channel_bookings",
        description=(
            "One row per booking in table channel_sync.booking: its newest revision as the channel told it, with every "
            "revision kept and its units allocated. Partitioned by account and by the day (UTC) of the last change."
        ),
        partitions_def=PARTITIONS["bookings"],
        backfill_policy=POLICY,
        group_name="channels",
        owners=["team:channel-operations"],
        kinds={"python", "postgres"},
        tags={"channel_sync/subject": "bookings"},
        metadata=report.definition_metadata("bookings"),
    )
    def channel_bookings() -> None:
        return collect(list_accounts().map(pull_account).map(store_account).collect())  # type: ignore[no-any-return]

    return channel_bookings


channel_availability = _calendar_asset(
    "availability",
    "One row per listing and night in table channel_sync.channel_availability: what the channel was last proven to "
    "show. A night that a feed no longer lists is held closed until that is proven. Partitioned by account and by "
    "month of nights.",
)
channel_pricing = _calendar_asset(
    "pricing",
    "One row per listing and night in table channel_sync.channel_price: the price and restrictions the channel was "
    "last seen to show. Partitioned by account and by month of nights.",
)
channel_bookings = _bookings_asset()

ASSETS = [channel_availability, channel_bookings, channel_pricing]
