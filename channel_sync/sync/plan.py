"""What a run has to pull: the account's listings, cut into batches."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from adapters.base_adapter import Capability
from adapters.errors import ChannelError, ConfigurationError
from adapters.model import ONE_DAY, ChannelListing, Evidence, Stay
from channel_sync.resilience.retry import Waits, repeat
from channel_sync.storage import observations, portfolio
from channel_sync.storage.nights import Subject
from channel_sync.storage.observations import LogEntry
from channel_sync.sync.engine import Engine
from channel_sync.sync.pull import Batch

# What one step pulls and stores, piece by piece. Between two steps the channel waits for us, so they are few.
LISTINGS_PER_BATCH = 1024
DISCOVER_EVERY = timedelta(hours=20)


def batches(
    engine: Engine,
    run_id: str,
    subject: Subject,
    account_code: str,
    windows: Iterable[Stay],
    *,
    everything: bool,
) -> Iterator[Batch]:
    """The listings of one account in batches, for the nights of each window.

    A feed is one answer about all its nights, and the release rule judges it whole: whatever part of it was
    picked, it is read and stored from today to its horizon. ``everything`` asks the channel for whole answers
    even where it could say that nothing changed.
    Raises ConfigurationError for an account that the portfolio does not have.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, account_code)
        listings = portfolio.listings(connection, account.channel_account_id)
    planned_at = engine.clock()
    declaration = engine.declaration_of(account)
    if declaration.evidence is Evidence.ABSENCE:
        windows = [whole_horizon(planned_at.date(), declaration.horizon_days)]
    ids = [listing.listing_id for listing in listings]
    for window in windows:
        for start in range(0, len(ids), LISTINGS_PER_BATCH):
            yield Batch(
                name=f"{subject}_{run_id.replace('-', '')}_{account.channel_account_id}_{window.check_in:%y%m%d}_{start}",
                run_id=run_id,
                planned_at=planned_at,
                subject=subject,
                account=account_code,
                listing_ids=tuple(ids[start : start + LISTINGS_PER_BATCH]),
                window=window,
                conditional=not everything,
            )


def whole_horizon(today: date, horizon_days: int) -> Stay:
    """From yesterday (today may have begun later elsewhere) to the end of the month in which the horizon ends.

    Whole months, so that the window's end does not move every day.
    """
    last = today + timedelta(days=horizon_days)
    return Stay(today - ONE_DAY, (last.replace(day=1) + timedelta(days=31)).replace(day=1))


def discover(engine: Engine, run_id: str, account_code: str) -> int | None:
    """Ask the channel which listings it shows under the account, at most once in DISCOVER_EVERY.

    Returns how many, or None where it was not asked. A failure is a line in the sync log and no more: the
    pull of the mapped listings does not depend on it.
    """
    with engine.database.connect() as connection:
        account = portfolio.account(connection, account_code)
        last = observations.last_success(connection, account.channel_account_id, "listings")
    if Capability.LIST_LISTINGS not in engine.declaration_of(account).capabilities:
        return None
    started_at = engine.clock()
    if last is not None and started_at - last < DISCOVER_EVERY:
        return None
    found: list[ChannelListing] = []
    error: ChannelError | ConfigurationError | None = None
    with engine.open_channel(account) as channel:
        waits = Waits(channel.waited_of_this_thread)
        sent_before = channel.requests_of_this_thread()
        try:
            found = repeat(lambda: list(channel.adapter.list_listings()), engine.retry, waits)
        except (ChannelError, ConfigurationError) as refused:
            error = refused
        sent = channel.requests_of_this_thread() - sent_before
    with engine.database.connect() as connection:
        (number,) = observations.reserve(connection, 1)
        observations.write_channel_listings(connection, account.channel_account_id, found, started_at)
        entry = LogEntry(
            sync_log_id=number,
            run_id=run_id,
            subject="listings",
            channel_account_id=account.channel_account_id,
            listing_id=None,
            window_start=started_at.date(),
            window_end=started_at.date(),
            started_at=started_at,
            finished_at=engine.clock(),
            outcome="failed" if error else "stored",
            rows_read=len(found),
            requests=sent,
            waited_s=waits.seconds,
            error=type(error).__name__ if error else None,
            error_message=str(error) if error else None,
        )
        observations.write_log(connection, [entry])
    return None if error else len(found)
