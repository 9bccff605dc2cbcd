"""Pull and store bookings of one account, by the days on which they last changed.

Pulling and storing are two steps: what a channel sent lies in a staging table before the first booking is
decided, so that a killed run repeats the second half without asking the channel again. Each booking is decided
in one transaction of its own.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time

from adapters.errors import ChannelError, ConfigurationError
from adapters.model import Problem, Stay
from channel_sync.resilience.retry import Waits, put_off, repeat
from channel_sync.storage import bookings as table
from channel_sync.storage import observations, portfolio
from channel_sync.storage.bookings import Effect, Observation
from channel_sync.storage.observations import LogEntry
from channel_sync.sync.engine import Engine, OpenChannel
from channel_sync.sync.pull import as_known_to_adapter, where
from channel_sync.sync.store import PullResult


@dataclass(frozen=True, slots=True)
class BookingBatch:
    """The bookings of one account that last changed on the days (UTC) of ``days``, half-open."""

    name: str
    run_id: str
    account: str
    days: Stay


@dataclass(frozen=True, slots=True)
class PulledBookings:
    """What became of the pull. ``error`` is None where everything that the channel has was staged.

    ``put_off_s``: it was given up because the channel is not to be asked for so many seconds, more than a pull waits.
    It can be repeated as it is: to stage a booking twice changes nothing.
    """

    batch: BookingBatch
    channel_account_id: int
    sync_log_id: int
    started_at: datetime
    problems: tuple[Problem, ...] = ()
    requests: int = 0
    waited_s: float = 0.0
    error: str | None = None
    error_message: str | None = None
    put_off_s: float | None = None


def pull_bookings(engine: Engine, batch: BookingBatch) -> PulledBookings:
    """Ask the channel and stage its bookings. Errors of the channel are in the result, not raised.

    Each page is staged as it arrives: what was read before a later page failed is proven, and is stored.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, batch.account)
        listings = portfolio.listings(connection, account.channel_account_id)
        (number,) = observations.reserve(connection, 1)
        table.create_staging(connection, batch.name)
    pulled = PulledBookings(batch, account.channel_account_id, number, engine.clock())
    known = [as_known_to_adapter(listing, engine.secrets(listing.secrets)) for listing in listings]
    changed_from = datetime.combine(batch.days.check_in, time.min, UTC)
    changed_until = datetime.combine(batch.days.check_out, time.min, UTC)
    problems: list[Problem] = []

    def ask(channel: OpenChannel) -> None:
        problems.clear()  # a repeated attempt reads everything again, and staging twice changes nothing
        with engine.database.connect(autocommit=True) as connection:
            for page in channel.adapter.pull_bookings(known, changed_from, changed_until):
                problems.extend(page.problems)
                table.stage(connection, batch.name, page.bookings)

    with engine.open_channel(account) as channel:
        waits = Waits(channel.waited_of_this_thread)
        sent_before = channel.requests_of_this_thread()
        error: Exception | None = None
        try:
            repeat(lambda: ask(channel), engine.retry, waits)
        except (ChannelError, ConfigurationError) as refused:
            error = refused
        except Exception as defect:  # noqa: BLE001 - the pull's line in the log must be written all the same
            error = RuntimeError(f"a defect of ours: {where(defect)}")
        sent = channel.requests_of_this_thread() - sent_before
    return replace(
        pulled,
        problems=tuple(problems),
        requests=sent,
        waited_s=waits.seconds,
        error=type(error).__name__ if error else None,
        error_message=str(error) if error else None,
        put_off_s=put_off(error) if error else None,
    )


def store_bookings(engine: Engine, pulled: PulledBookings) -> PullResult:
    """Apply every staged revision that is new, each in its own transaction, and write the log line."""
    seen = Observation(pulled.channel_account_id, pulled.sync_log_id, pulled.started_at)
    effects: Counter[Effect] = Counter()
    with engine.database.connect(autocommit=True) as connection:
        listing_ids = table.listing_ids(connection, pulled.channel_account_id)
        table.expect_many(connection)
        for booking in table.new_revisions(connection, pulled.batch.name, pulled.channel_account_id):
            with connection.transaction():
                effects[table.apply(connection, booking, listing_ids.get(booking.listing_id), seen)] += 1
        with connection.transaction():
            adopted = table.adopt_newly_mapped(connection, seen)
        with connection.transaction():
            read = table.drop_staging(connection, pulled.batch.name)
            changed = effects[Effect.NEW] + effects[Effect.CHANGED] + adopted
            entry = LogEntry(
                sync_log_id=pulled.sync_log_id,
                run_id=pulled.batch.run_id,
                subject="bookings",
                channel_account_id=pulled.channel_account_id,
                listing_id=None,
                window_start=pulled.batch.days.check_in,
                window_end=pulled.batch.days.check_out,
                started_at=pulled.started_at,
                finished_at=engine.clock(),
                outcome="failed" if pulled.error else "stored" if changed else "unchanged",
                rows_read=read,
                rows_changed=changed,
                problems=len(pulled.problems),
                requests=pulled.requests,
                waited_s=pulled.waited_s,
                error=pulled.error,
                error_message=pulled.error_message,
            )
            observations.write_log(connection, [entry])
            observations.keep_unread(
                connection, pulled.channel_account_id, None, "bookings", pulled.problems, pulled.started_at
            )
    return PullResult(pulled.batch.account, None, entry)
