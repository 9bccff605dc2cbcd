"""Pull and store bookings of one account, by the days on which they last changed.

Pulling and storing are two steps: what a channel sent lies in staging tables before the first booking is
decided, so that a killed run repeats the second half without asking the channel again. Each revision of a reservation
is decided in one transaction of its own. Only when all of a batch are committed do their receipts wait to be
acknowledged, which is the third step: ``channel_sync.sync.acknowledge``.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta

import psycopg

from adapters.accounts import Listing
from adapters.errors import ChannelError, ConfigurationError
from adapters.model import BookingPage, Problem, Stay
from channel_sync.resilience.retry import Waits, put_off, repeat
from channel_sync.storage import acknowledgements, booking_staging, observations, portfolio
from channel_sync.storage import bookings as table
from channel_sync.storage.acknowledgements import Received
from channel_sync.storage.bookings import Effect, Observation
from channel_sync.storage.observations import LogEntry
from channel_sync.sync.engine import Engine, OpenChannel
from channel_sync.sync.pull import as_known_to_adapter, where
from channel_sync.sync.store import PullResult


@dataclass(frozen=True, slots=True)
class BookingBatch:
    """The bookings of one account that last changed on the days (UTC) of ``days``, half-open.

    None: only those that wait to be acknowledged, whenever they changed.
    """

    name: str
    run_id: str
    account: str
    days: Stay | None


@dataclass(frozen=True, slots=True)
class PulledBookings:
    """What became of the pull. ``error`` is None where everything that the channel has was staged.

    ``put_off_s``: it was given up because the channel is not to be asked for so many seconds, more than a pull waits.
    It can be repeated as it is: to stage a booking twice changes nothing. ``staged`` says whether there is anything to
    store.
    """

    batch: BookingBatch
    channel_account_id: int
    sync_log_id: int
    started_at: datetime
    staged: bool = False
    problems: tuple[Problem, ...] = ()
    requests: int = 0
    waited_s: float = 0.0
    error: str | None = None
    error_message: str | None = None
    put_off_s: float | None = None


def pull_bookings(engine: Engine, batch: BookingBatch) -> PulledBookings:
    """Ask the channel and stage its bookings; call it in the account's turn (``channel_sync.sync.account_turn``).

    Errors of the channel are in the result, not raised.

    Each page is staged as it arrives: what was read before a later page failed is proven, and is stored. Staging
    tables are made for the first page that holds something.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, batch.account)
        listings = portfolio.listings(connection, account.channel_account_id)
        (number,) = observations.reserve(connection, 1)
        declaration = engine.declaration_of(account)
        if declaration.acknowledges_newest:
            acknowledgements.set_out(connection, account.channel_account_id, number)
    pulled = PulledBookings(batch, account.channel_account_id, number, engine.clock())
    known = [as_known_to_adapter(listing, engine.secrets(listing.secrets)) for listing in listings]
    reading = _Reading(engine, pulled, declaration.acknowledge_within, known)
    with engine.open_channel(account) as channel:
        waits = Waits(channel.waited_of_this_thread)
        sent_before = channel.requests_of_this_thread()
        error: Exception | None = None
        try:
            repeat(lambda: reading.read(channel), engine.retry, waits)
        except (ChannelError, ConfigurationError) as refused:
            error = refused
        except Exception as defect:  # noqa: BLE001 - the pull's line in the log must be written all the same
            error = RuntimeError(f"a defect of ours: {where(defect)}")
        sent = channel.requests_of_this_thread() - sent_before
    return replace(
        pulled,
        staged=reading.staged,
        problems=tuple(reading.problems),
        requests=sent,
        waited_s=waits.seconds,
        error=type(error).__name__ if error else None,
        error_message=str(error) if error else None,
        put_off_s=put_off(error) if error else None,
    )


def _window(pulled: PulledBookings) -> tuple[datetime, datetime]:
    """The moments between which the channel is asked for changes: the same twice for what waits alone."""
    days = pulled.batch.days
    if days is None:
        return pulled.started_at, pulled.started_at
    return datetime.combine(days.check_in, time.min, UTC), datetime.combine(days.check_out, time.min, UTC)


@dataclass(slots=True)
class _Reading:
    """The answer to one pull, staged page by page. ``within``: how long the channel waits to be told of a booking."""

    engine: Engine
    pulled: PulledBookings
    within: timedelta | None
    listings: Sequence[Listing]
    problems: list[Problem] = field(default_factory=list)
    staged: bool = False

    def read(self, channel: OpenChannel) -> None:
        """Everything from the beginning: what is repeated is staged twice, which changes nothing."""
        self.problems.clear()
        asked_at = self.engine.clock()
        with self.engine.database.connect(autocommit=True) as connection:
            for page in channel.adapter.pull_bookings(self.listings, *_window(self.pulled)):
                self.problems.extend(page.problems)
                if page.bookings or page.receipts:
                    self._stage(connection, page, asked_at)

    def _stage(self, connection: psycopg.Connection, page: BookingPage, asked_at: datetime) -> None:
        name = self.pulled.batch.name
        if not self.staged:
            booking_staging.create(connection, name)
            self.staged = True
        # Deadlines run from before the channel was asked, where it does not tell them.
        due_at = asked_at + self.within if self.within is not None else None
        received = [
            Received(one.reference, one.booking_id, asked_at, one.due_at or due_at) for one in page.receipts
        ]
        booking_staging.stage(connection, name, page.bookings, received)


def store_bookings(engine: Engine, pulled: PulledBookings) -> PullResult:
    """Apply every staged revision that is new, each in its own transaction, and write the log line.

    Their receipts are there from then on, and not before: an error leaves nothing to acknowledge. To store a batch
    again that is stored changes nothing.
    """
    effects: Counter[Effect] = Counter()
    with engine.database.connect(autocommit=True) as connection:
        seen = _seen(engine, connection, pulled)
        listing_ids = table.listing_ids(connection, pulled.channel_account_id)
        booking_staging.create(connection, pulled.batch.name)
        booking_staging.expect_many(connection)
        for parts in booking_staging.new_revisions(connection, pulled.batch.name, seen.channel_account_id):
            with connection.transaction():
                effects.update(table.apply_revision(connection, parts, listing_ids, seen))
        with connection.transaction():
            adopted = table.adopt_newly_mapped(connection, seen)
        with connection.transaction():
            received = booking_staging.receipts(connection, pulled.batch.name)
            acknowledgements.store(connection, seen.channel_account_id, received)
            if pulled.error is None:
                acknowledgements.all_is_committed(connection, seen.channel_account_id, pulled.sync_log_id)
            read = booking_staging.drop(connection, pulled.batch.name)
            changed = effects[Effect.NEW] + effects[Effect.CHANGED] + adopted
            entry = _entry(pulled, engine.clock(), read, changed)
            if changed or pulled.batch.days is not None:  # a poll that changed nothing says nothing
                observations.write_log(connection, [entry])
            observations.keep_unread(
                connection, pulled.channel_account_id, None, "bookings", pulled.problems, pulled.started_at
            )
    return PullResult(pulled.batch.account, None, entry)


def _seen(engine: Engine, connection: psycopg.Connection, pulled: PulledBookings) -> Observation:
    account = portfolio.account(connection, pulled.batch.account)
    return Observation(
        pulled.channel_account_id,
        pulled.sync_log_id,
        pulled.started_at,
        engine.declaration_of(account).counts_its_own,
    )


def _entry(pulled: PulledBookings, finished_at: datetime, read: int, changed: int) -> LogEntry:
    """The line of the log. Without days its window is empty: it proves nothing of what changed."""
    days, today = pulled.batch.days, pulled.started_at.date()
    return LogEntry(
        sync_log_id=pulled.sync_log_id,
        run_id=pulled.batch.run_id,
        subject="bookings",
        channel_account_id=pulled.channel_account_id,
        listing_id=None,
        window_start=today if days is None else days.check_in,
        window_end=today if days is None else days.check_out,
        started_at=pulled.started_at,
        finished_at=finished_at,
        outcome="failed" if pulled.error else "stored" if changed else "unchanged",
        rows_read=read,
        rows_changed=changed,
        problems=len(pulled.problems),
        requests=pulled.requests,
        waited_s=pulled.waited_s,
        error=pulled.error,
        error_message=pulled.error_message,
    )
