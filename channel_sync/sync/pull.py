"""Pull calendars: ask the channel for a batch of listings and stage what it answered.

Half of a pull; ``channel_sync.sync.store`` is the other. Between the two the nights lie in a staging table, so
that memory does not grow with them and a killed run leaves nothing half-written. One listing's failure never
costs another's answer, and an answer that was not read to its end is not staged at all.
"""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from adapters.base_adapter import Listing
from adapters.errors import ChannelError, ConfigurationError, UnexpectedResponse
from adapters.model import (
    AvailabilityPage,
    Evidence,
    NightAvailability,
    NightPrice,
    PricingPage,
    Problem,
    Secret,
    Stay,
    Validators,
)
from channel_sync.resilience.retry import Waits, repeat
from channel_sync.storage import observations, portfolio
from channel_sync.storage.nights import AvailabilityRow, PriceRow, Staging, Subject, fingerprint
from channel_sync.storage.observations import ListingState
from channel_sync.storage.portfolio import ListingRow
from channel_sync.sync.engine import Engine, OpenChannel

_MOST_UNITS_OR_NIGHTS = 32_767  # smallint
_LARGEST_AMOUNT = Decimal(10) ** 14  # numeric(18, 4)

Row = AvailabilityRow | PriceRow
Rows = Sequence[AvailabilityRow] | Sequence[PriceRow]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some listings of one account to pull together, for the nights of ``window``.

    ``name`` is unique over all runs: the batch's staging table is named after it. ``conditional`` lets the
    channel answer that nothing changed.
    """

    name: str
    run_id: str
    subject: Subject
    account: str
    listing_ids: tuple[int, ...]
    window: Stay
    conditional: bool = True


@dataclass(frozen=True, slots=True)
class Pulled:
    """What became of one listing's pull. ``error`` is None where its answer is staged or unchanged.

    ``started_at`` is just before the first request: what was observed is at least as new. ``said_unchanged``
    is the channel's own word (HTTP 304), in answer to the validators of an earlier answer. ``left_out``: nothing is
    staged, because these rows were the ones last committed when the pull began.
    """

    listing: ListingRow
    sync_log_id: int
    window: Stay
    started_at: datetime
    evidence: Evidence = Evidence.EXPLICIT
    rows: int = 0
    fingerprint: str = ""
    validators: Validators = Validators()
    said_unchanged: bool = False
    left_out: bool = False
    problems: tuple[Problem, ...] = ()
    requests: int = 0
    waited_s: float = 0.0
    error: str | None = None
    error_message: str | None = None


@dataclass(frozen=True, slots=True)
class PulledBatch:
    """A batch whose answers are staged."""

    batch: Batch
    channel_account_id: int
    listings: tuple[Pulled, ...]


def pull_batch(engine: Engine, batch: Batch) -> PulledBatch:
    """Pull every listing of the batch and stage the nights that were read.

    Raises ConfigurationError where the account itself cannot be opened. Errors of single listings are in the
    result, not raised.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, batch.account)
        wanted = frozenset(batch.listing_ids)
        listings = [
            listing
            for listing in portfolio.listings(connection, account.channel_account_id)
            if listing.listing_id in wanted
        ]
        states = observations.read_states(connection, batch.subject, batch.listing_ids)
        numbers = observations.reserve(connection, len(listings))
    results: list[Pulled] = []
    with (
        engine.open_channel(account) as channel,
        engine.database.connect() as connection,
        ThreadPoolExecutor(engine.threads, thread_name_prefix=f"pull-{batch.account}") as threads,
    ):
        staging = Staging.create(connection, batch.subject, batch.name)
        answers = threads.map(
            lambda listing, number: _pull_listing(
                engine, channel, batch, listing, number, states.get(listing.listing_id)
            ),
            listings,
            numbers,
        )

        def rows() -> Iterator[Row]:
            for pulled, nights in answers:
                results.append(pulled)
                yield from nights

        staging.copy(rows())  # type: ignore[arg-type]  # every row of a batch is of its one subject
    return PulledBatch(batch, account.channel_account_id, tuple(results))


def _pull_listing(
    engine: Engine,
    channel: OpenChannel,
    batch: Batch,
    listing: ListingRow,
    sync_log_id: int,
    state: ListingState | None,
) -> tuple[Pulled, Rows]:
    """Pull one listing with retries. Never raises: what went wrong is in the result."""
    waits = Waits()
    sent_before = channel.requests_of_this_thread()
    pulled = Pulled(listing, sync_log_id, batch.window, engine.clock())
    rows: Rows = ()
    try:
        known = as_known_to_adapter(listing, engine.secrets(listing.secrets))
        pulled, rows = repeat(lambda: _ask(channel, batch, known, pulled, state), engine.retry, waits)
    except (ChannelError, ConfigurationError) as error:
        pulled = replace(pulled, error=type(error).__name__, error_message=str(error))
    except Exception as error:  # noqa: BLE001 - one listing's defect must not cost the others their answers
        pulled = replace(
            pulled, error=type(error).__name__, error_message=f"a defect of ours: {where(error)}"
        )
    sent = channel.requests_of_this_thread() - sent_before
    return replace(pulled, requests=sent, waited_s=waits.seconds), rows


def _ask(
    channel: OpenChannel, batch: Batch, listing: Listing, pulled: Pulled, state: ListingState | None
) -> tuple[Pulled, Rows]:
    """One attempt: every page of the listing's answer, or the error of the page that failed."""
    if batch.subject == "pricing":
        return _ask_pricing(channel, batch, listing, pulled, state)
    # Ask "only if it changed" only where the last answer reached as far as this one has to.
    reaches = batch.conditional and state is not None and state.window_end >= batch.window.check_out
    validators = state.validators if state is not None and reaches else Validators()
    pages = list(channel.adapter.pull_availability(listing, batch.window, validators))
    rows = [availability_row(pulled, night) for page in pages for night in page.nights]
    _refuse_unstorable(listing, rows)
    evidence = channel.adapter.declaration.evidence
    if evidence is Evidence.ABSENCE:
        return _of_feed(pulled, pages), rows
    return _of_calendar(replace(pulled, evidence=evidence), pages, rows, state)


def _of_feed(pulled: Pulled, pages: Sequence[AvailabilityPage]) -> Pulled:
    """A feed is one page: all of it was read, or nothing."""
    (page,) = pages
    return replace(
        pulled,
        evidence=Evidence.ABSENCE,
        rows=len(page.nights),
        fingerprint=page.fingerprint,
        validators=page.validators,
        said_unchanged=page.unchanged,
        problems=page.problems,
    )


def _ask_pricing(
    channel: OpenChannel, batch: Batch, listing: Listing, pulled: Pulled, state: ListingState | None
) -> tuple[Pulled, Rows]:
    pages = list(channel.adapter.pull_pricing(listing, batch.window))
    rows = [price_row(pulled, night) for page in pages for night in page.nights]
    _refuse_unstorable(listing, rows)
    return _of_calendar(pulled, pages, rows, state)


def _of_calendar(
    pulled: Pulled,
    pages: Sequence[AvailabilityPage] | Sequence[PricingPage],
    rows: Rows,
    state: ListingState | None,
) -> tuple[Pulled, Rows]:
    """What was stated, and nothing to stage where exactly that is what was last committed."""
    shown = fingerprint(rows)
    left_out = state is not None and state.fingerprint == shown
    pulled = replace(
        pulled,
        rows=len(rows),
        fingerprint=shown,
        left_out=left_out,
        problems=tuple(problem for page in pages for problem in page.problems),
    )
    return pulled, () if left_out else rows


def _refuse_unstorable(listing: Listing, rows: Rows) -> None:
    """Refuse here, for one listing, what the tables would refuse later for the whole batch.

    Raises UnexpectedResponse for a night that is stated twice, a number that is beyond all sense, or a text that
    Postgres cannot hold.
    """
    if len({row.night for row in rows}) != len(rows):
        raise UnexpectedResponse(f"listing {listing.listing_id!r}: a night is stated twice")
    for column in list(zip(*rows, strict=True))[2:-1]:
        for value in set(column):  # few differ: to look at each of them takes three times as long
            absurd = (
                (type(value) is int and not 0 <= value <= _MOST_UNITS_OR_NIGHTS)
                or (isinstance(value, Decimal) and abs(value) >= _LARGEST_AMOUNT)
                or (isinstance(value, str) and "\x00" in value)
            )
            if absurd:
                night = rows[column.index(value)].night
                raise UnexpectedResponse(
                    f"listing {listing.listing_id!r}: night {night} holds an absurd value"
                )


def as_known_to_adapter(listing: ListingRow, secrets: Mapping[str, Secret]) -> Listing:
    """The listing in the words of the contract."""
    return Listing(
        listing_id=listing.external_id,
        time_zone=listing.time_zone,
        currency=listing.currency,
        settings=listing.settings,
        secrets=secrets,
    )


def availability_row(pulled: Pulled, night: NightAvailability) -> AvailabilityRow:
    """What a channel states about a night, as a row: stated nights are never held."""
    return AvailabilityRow(
        pulled.listing.listing_id,
        night.night,
        night.units_open,
        night.closure,
        night.reference,
        None,
        None,
        None,
        pulled.sync_log_id,
    )


def price_row(pulled: Pulled, night: NightPrice) -> PriceRow:
    """What a channel states about a night's price, as a row."""
    rules = night.restrictions
    return PriceRow(
        pulled.listing.listing_id,
        night.night,
        night.price.amount if night.price else None,
        night.price.currency if night.price else None,
        rules.min_stay_arrival,
        rules.min_stay_through,
        rules.max_stay,
        rules.closed_to_arrival,
        rules.closed_to_departure,
        rules.stop_sell,
        pulled.sync_log_id,
    )


def where(error: BaseException) -> str:
    """Class and place of an error that nobody foresaw, without its message: that may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return f"{type(error).__name__} at {place}"
