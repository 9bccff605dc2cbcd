"""The three assets: what the channels show, pulled by ops and stored in tables.

Each is a graph of ops: list (what is to be pulled) -> pull, one step per batch of listings -> store -> collect. Between
store and collect bookings are acknowledged to channels that wait for that.
The steps hand on names of staging tables and counts, never nights. No retry policies: repeating a channel call
is ``channel_sync.resilience.retry``'s business alone. Only where a channel asks for a longer wait than a step should
sleep for does the pull step begin again, once that wait is over.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import dagster as dg

from adapters.model import Stay
from channel_sync.defs import process, report
from channel_sync.defs.partitions import PARTITIONS, slices
from channel_sync.defs.pools import account_pool
from channel_sync.storage.nights import Subject
from channel_sync.sync import acknowledge, bookings, plan, pull, store
from channel_sync.sync.account_turn import turn_at
from channel_sync.sync.acknowledge import Acknowledged
from channel_sync.sync.engine import Engine
from channel_sync.sync.store import PullResult

POLICY = dg.BackfillPolicy.single_run()
MOST_RETRIES = 3
LONGEST_PUT_OFF_S = 15 * 60.0  # the schedule comes by as soon


class Thoroughness(dg.Config):
    """``everything`` asks for whole answers even where a channel could say that nothing changed."""

    everything: bool = False


def _put_off(
    context: dg.OpExecutionContext, account: str, put_off_s: float | None
) -> dg.RetryRequested | None:
    """The request to begin the step again once the channel may be asked. None: go on, and report the rest as failed.

    The run sleeps until then. Its slot of the account's pool is free meanwhile, its place among the runs is not: that
    all places fill with such runs is what the limit per channel in dagster.yaml prevents.
    """
    if put_off_s is None or put_off_s > LONGEST_PUT_OFF_S or context.retry_number >= MOST_RETRIES:
        return None
    context.log.info(
        f"{account}: the channel is not to be asked yet, the rest is pulled in {put_off_s:.0f} s"
    )
    return dg.RetryRequested(max_retries=MOST_RETRIES, seconds_to_wait=put_off_s)


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
        process.set_up(context.instance)
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
        description="Ask the channel for a batch of listings; what was read to its end is staged, and stored beside it.",
        tags={"channel_sync/step": "pull"},
    )
    def pull_batch(
        context: dg.OpExecutionContext, batch: pull.Batch, engine: dg.ResourceParam[Engine]
    ) -> pull.PulledBatch:
        with account_pool(context, engine.database, batch.account):
            # A step that is executed again in another run works, and asks, for that run.
            pulled = store.pull_and_store(engine, replace(batch, run_id=context.run_id))
        if again := _put_off(context, batch.account, pulled.put_off_s):
            store.put_away(engine, pulled)
            raise again
        return pulled

    @dg.op(
        name=f"store_{subject}",
        description="Write what differs and is not written yet, and say how each listing ended.",
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


@dataclass(frozen=True, slots=True)
class StoredBookings:
    """One account's bookings, stored, and what its channel was told of them."""

    results: list[PullResult]
    acknowledged: Acknowledged


@dg.op(
    name="list_bookings",
    description="One step for every picked account and unbroken stretch of days.",
    out=dg.DynamicOut(bookings.BookingBatch),
)
def list_accounts(context: dg.OpExecutionContext) -> Iterator[dg.DynamicOutput[bookings.BookingBatch]]:
    """Neither database nor channel is asked."""
    process.set_up(context.instance)
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
    context: dg.OpExecutionContext, batch: bookings.BookingBatch, engine: dg.ResourceParam[Engine]
) -> bookings.PulledBookings:
    """Where the channel asks for a wait, what was read before it is stored first: its deadline runs on."""
    with account_pool(context, engine.database, batch.account), turn_at(engine, batch.account):
        pulled = bookings.pull_bookings(engine, batch)
    if again := _put_off(context, batch.account, pulled.put_off_s):
        if pulled.staged:
            bookings.store_bookings(engine, pulled)
        raise again
    return pulled


@dg.op(
    name="store_bookings",
    description="Apply every new revision in a transaction of its own and allocate units.",
    tags={"channel_sync/step": "store"},
)
def store_account(
    context: dg.OpExecutionContext, pulled: bookings.PulledBookings, engine: dg.ResourceParam[Engine]
) -> list[PullResult]:
    """Killed half-way it goes on where it was; what is committed then waits to be acknowledged."""
    results = [bookings.store_bookings(engine, pulled)]
    report.log_results(context.log, results)
    return results


@dg.op(
    name="acknowledge_bookings",
    description="Tell the channel, where it waits for that, which versions are committed: these, and any before them.",
    tags={"channel_sync/step": "acknowledge"},
)
def acknowledge_account(
    context: dg.OpExecutionContext, results: list[PullResult], engine: dg.ResourceParam[Engine]
) -> StoredBookings:
    """Nothing is done, and no slot waited for, where the channel waits for nothing. Killed half-way it tells some twice."""
    (account,) = {result.account for result in results}
    if not acknowledge.is_anything_waiting(engine, account):
        return StoredBookings(results, Acknowledged())
    with account_pool(context, engine.database, account):
        told = acknowledge.acknowledge(engine, account, context.run_id)
    report.log_acknowledged(context.log, account, told)
    if again := _put_off(context, account, told.put_off_s):
        raise again
    return StoredBookings(results, told)


@dg.op(
    name="collect_bookings",
    description="Say what the run did; fail if any account could not be pulled, or its channel not be told.",
    out=dg.Out(dg.Nothing),
)
def collect(
    context: dg.AssetExecutionContext, stored: list[StoredBookings], engine: dg.ResourceParam[Engine]
) -> Iterator[dg.Output[None]]:
    """Everything is stored by then."""
    flat = [result for one in stored for result in one.results]
    told = [one.acknowledged for one in stored]
    pieces = slices("bookings", context.partition_keys)
    yield from report.finish(context, engine, "bookings", flat, pieces, told)


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
    """Each account goes its own way up to the report."""
    stored = list_accounts().map(pull_account).map(store_account)
    return collect(stored.map(acknowledge_account).collect())  # type: ignore[no-any-return]


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

ASSETS = [channel_availability, channel_bookings, channel_pricing]
