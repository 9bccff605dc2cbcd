"""Pull calendars: ask the channel for a batch of listings and stage what it answered.

Half of a pull; ``channel_sync.sync.store`` is the other. Between the two the nights lie in staging tables, one for
each piece of the batch, so that memory does not grow with them, a killed run leaves nothing half-written, and the first
pieces can be stored while the others are pulled. One listing's failure never costs another's answer, and an answer
that was not read to its end is not staged at all.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import psycopg

from adapters.accounts import Listing
from adapters.errors import ChannelError, ConfigurationError
from adapters.model import (
    AvailabilityPage,
    Evidence,
    PricingPage,
    Problem,
    Secret,
    Stay,
    Validators,
)
from channel_sync.resilience.retry import Waits, put_off, repeat
from channel_sync.storage import observations, portfolio
from channel_sync.storage.nights import Staging, Subject, fingerprint
from channel_sync.storage.observations import ListingState
from channel_sync.storage.portfolio import ListingRow
from channel_sync.sync.engine import Engine, OpenChannel
from channel_sync.sync.rows import Row, Rows, availability_row, price_row, refuse_unstorable

LISTINGS_PER_PIECE = 64  # staged in one table and stored in one transaction
Answer = tuple["Pulled", Rows]
Question = TypeVar("Question")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Batch:
    """Some listings of one account to pull together, for the nights of ``window``.

    ``name`` is unique over all runs: the batch's staging tables are named after it. ``planned_at`` is when its run
    set out. ``conditional`` lets the channel answer that nothing changed.
    """

    name: str
    run_id: str
    planned_at: datetime
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
    staged, because these rows were the ones last committed when the pull began. ``put_off_s``: it was given up because
    the channel is not to be asked for so many seconds, more than a pull waits.
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
    put_off_s: float | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Some listings of a batch; the nights of those that did not fail are staged under ``name``."""

    name: str
    listings: tuple[Pulled, ...]


@dataclass(frozen=True, slots=True)
class PulledBatch:
    """A batch, or a part of it, whose answers are staged.

    ``stored_before`` are listings that this run had stored when the pull began, and did not ask for again: number
    in the sync log -> the channel's id.
    """

    batch: Batch
    channel_account_id: int
    pieces: tuple[Piece, ...]
    stored_before: Mapping[int, str] = field(default_factory=dict)

    @property
    def listings(self) -> tuple[Pulled, ...]:
        """What was asked for now."""
        return tuple(listing for piece in self.pieces for listing in piece.listings)

    @property
    def put_off_s(self) -> float | None:
        """In how many seconds all listings that were put off can be asked for; None where none was."""
        return max(
            (listing.put_off_s for listing in self.listings if listing.put_off_s is not None), default=None
        )


def _leave_staged(_piece: PulledBatch) -> None:
    """Nothing happens to a piece until the whole batch is stored."""


def pull_batch(
    engine: Engine, batch: Batch, when_staged: Callable[[PulledBatch], object] = _leave_staged
) -> PulledBatch:
    """Pull every listing of the batch that this run has not stored yet, and stage the nights that were read.

    Each piece is handed to ``when_staged`` once it is committed, while the next one is pulled.
    Raises ConfigurationError where the account itself cannot be opened. Errors of single listings are in the
    result, not raised.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, batch.account)
        stored = observations.stored_by_run(
            connection, batch.run_id, batch.subject, batch.window, batch.listing_ids, batch.planned_at
        )
        wanted = frozenset(batch.listing_ids)
        listings = [
            listing
            for listing in portfolio.listings(connection, account.channel_account_id)
            if listing.listing_id in wanted
        ]
        left = [listing for listing in listings if listing.listing_id not in stored]
        states = observations.read_states(connection, batch.subject, batch.listing_ids)
        numbered = list(zip(left, observations.reserve(connection, len(left)), strict=True))
    pulled = PulledBatch(
        batch,
        account.channel_account_id,
        (),
        {stored[one.listing_id]: one.external_id for one in listings if one.listing_id in stored},
    )
    with (
        engine.open_channel(account) as channel,
        engine.database.connect(autocommit=True) as connection,
        ThreadPoolExecutor(engine.threads, thread_name_prefix=f"pull-{batch.account}") as threads,
    ):
        answers = _as_answered(
            threads,
            lambda one: _pull_listing(engine, channel, batch, *one, states.get(one[0].listing_id)),
            numbered,
        )
        while len(pulled.listings) < len(left):
            name = f"{batch.name}_{len(pulled.pieces)}"
            piece = _stage(connection, batch.subject, name, islice(answers, LISTINGS_PER_PIECE))
            when_staged(replace(pulled, pieces=(piece,)))
            pulled = replace(pulled, pieces=(*pulled.pieces, piece))
    return pulled


def _as_answered(
    threads: ThreadPoolExecutor, ask: Callable[[Question], Result], questions: Iterable[Question]
) -> Iterator[Result]:
    """The answers in the order in which they come; no more than a piece of them is waiting to be taken."""
    unasked = iter(questions)
    running: set[Future[Result]] = set()
    while True:
        running |= {threads.submit(ask, one) for one in islice(unasked, LISTINGS_PER_PIECE - len(running))}
        if not running:
            return
        answered, running = wait(running, return_when=FIRST_COMPLETED)
        while answered:
            yield answered.pop().result()


def _stage(connection: psycopg.Connection, subject: Subject, name: str, answers: Iterator[Answer]) -> Piece:
    results: list[Pulled] = []

    def rows() -> Iterator[Row]:
        for pulled, nights in answers:
            results.append(pulled)
            yield from nights

    with connection.transaction():
        staging = Staging.create(connection, subject, name)
        staging.copy(rows())  # type: ignore[arg-type]  # every row of a batch is of its one subject
    return Piece(name, tuple(results))


def _pull_listing(
    engine: Engine,
    channel: OpenChannel,
    batch: Batch,
    listing: ListingRow,
    sync_log_id: int,
    state: ListingState | None,
) -> Answer:
    """Pull one listing with retries. Never raises: what went wrong is in the result."""
    waits = Waits(channel.waited_of_this_thread)
    sent_before = channel.requests_of_this_thread()
    pulled = Pulled(listing, sync_log_id, batch.window, engine.clock())
    rows: Rows = ()
    try:
        known = as_known_to_adapter(listing, engine.secrets(listing.secrets))
        pulled, rows = repeat(lambda: _ask(channel, batch, known, pulled, state), engine.retry, waits)
    except (ChannelError, ConfigurationError) as error:
        pulled = replace(
            pulled, error=type(error).__name__, error_message=str(error), put_off_s=put_off(error)
        )
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
    rows = [
        availability_row(night, pulled.listing.listing_id, pulled.sync_log_id)
        for page in pages
        for night in page.nights
    ]
    refuse_unstorable(listing, rows)
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
    rows = [
        price_row(night, pulled.listing.listing_id, pulled.sync_log_id)
        for page in pages
        for night in page.nights
    ]
    refuse_unstorable(listing, rows)
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


def as_known_to_adapter(listing: ListingRow, secrets: Mapping[str, Secret]) -> Listing:
    """The listing in the words of the contract."""
    return Listing(
        listing_id=listing.external_id,
        time_zone=listing.time_zone,
        currency=listing.currency,
        settings=listing.settings,
        secrets=secrets,
    )


def where(error: BaseException) -> str:
    """Class and place of an error that nobody foresaw, without its message: that may hold anything."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown place"
    return f"{type(error).__name__} at {place}"
