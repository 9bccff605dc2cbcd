"""What was pulled and how it went: the sync log, the newest observation of each listing, what could not be read.

Bookkeeping only. Every function works in the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from hashlib import sha256

import psycopg
from psycopg.rows import args_row, class_row

from adapters.model import ChannelListing, Problem, Stay, Validators
from channel_sync.storage.nights import AvailabilityRow
from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class ListingState:
    """The newest stored observation of one listing and subject; see table listing_state."""

    listing_id: int
    observed_at: datetime
    observed_s: float
    window_end: date
    fingerprint: str
    etag: str | None
    last_modified: str | None
    release_approved: bool

    @property
    def validators(self) -> Validators:
        """What to ask "only if it changed" with."""
        return Validators(self.etag, self.last_modified)


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of the sync log; see table sync_log."""

    sync_log_id: int
    run_id: str
    subject: str
    channel_account_id: int
    listing_id: int | None
    window_start: date
    window_end: date
    started_at: datetime
    finished_at: datetime
    outcome: str
    rows_read: int = 0
    rows_changed: int = 0
    nights_closed: int = 0
    nights_opened: int = 0
    nights_held: int = 0
    problems: int = 0
    requests: int = 0
    waited_s: float = 0.0
    error: str | None = None
    error_message: str | None = None


def reserve(connection: psycopg.Connection, count: int) -> list[int]:
    """As many new numbers of observations, so that rows can point at a log line that is written last."""
    return [number for (number,) in connection.execute(query("reserve_observations"), {"count": count})]


def read_states(
    connection: psycopg.Connection, subject: str, listing_ids: Sequence[int]
) -> dict[int, ListingState]:
    """The newest stored observation of each listing that has one, without locking."""
    return _states(connection, "read_listing_states", subject, listing_ids)


def lock_states(
    connection: psycopg.Connection, subject: str, listing_ids: Sequence[int]
) -> dict[int, ListingState]:
    """The same under a lock that makes every other storing of these listings wait for this transaction."""
    connection.execute(query("lock_listings"), {"listing_ids": list(listing_ids)})
    return _states(connection, "lock_listing_states", subject, listing_ids)


def write_state(connection: psycopg.Connection, subject: str, state: ListingState) -> None:
    """This observation is from now on the newest. An approval to release is used up by it."""
    connection.execute(query("write_listing_state"), {**asdict(state), "subject": subject})


def write_log(connection: psycopg.Connection, entries: Iterable[LogEntry]) -> None:
    """Append to the sync log, under numbers reserved before. A number that is there already stays as it is."""
    with connection.cursor() as cursor:
        cursor.executemany(query("write_sync_log"), [asdict(entry) for entry in entries])


def read_log(connection: psycopg.Connection, numbers: Sequence[int]) -> dict[int, LogEntry]:
    """Those lines of the sync log that are written, by number."""
    with connection.cursor(row_factory=class_row(LogEntry)) as cursor:
        cursor.execute(query("read_sync_log"), {"numbers": list(numbers)})
        return {entry.sync_log_id: entry for entry in cursor}


def stored_by_run(
    connection: psycopg.Connection,
    run_id: str,
    subject: str,
    window: Stay,
    listing_ids: Sequence[int],
    since: datetime,
) -> dict[int, int]:
    """Which of these listings the run has pulled and stored for the window since then: listing -> number in the log."""
    rows = connection.execute(
        query("stored_by_run"),
        {
            "run_id": run_id,
            "subject": subject,
            "window_start": window.check_in,
            "window_end": window.check_out,
            "listing_ids": list(listing_ids),
            "since": since,
        },
    )
    return dict(rows.fetchall())


def keep_unread(
    connection: psycopg.Connection,
    channel_account_id: int,
    external_id: str | None,
    subject: str,
    problems: Iterable[Problem],
    seen_at: datetime,
) -> None:
    """Keep the parts that could not be read: each once, counted."""
    rows = [
        {
            "channel_account_id": channel_account_id,
            "external_id": external_id,
            "subject": subject,
            "part": problem.where,
            "reason": problem.reason,
            # Postgres text holds no NUL, and a channel may send one.
            "payload": problem.raw.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "payload_hash": sha256(problem.raw.encode()).hexdigest(),
            "seen_at": seen_at,
        }
        for problem in problems
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(query("keep_unread_payload"), rows)


def write_channel_listings(
    connection: psycopg.Connection,
    channel_account_id: int,
    listings: Iterable[ChannelListing],
    seen_at: datetime,
) -> None:
    """Remember which listings the channel itself shows under the account."""
    rows = [
        {
            "channel_account_id": channel_account_id,
            "external_id": listing.listing_id,
            "name": listing.name,
            "currency": listing.currency,
            "active": listing.active,
            "seen_at": seen_at,
        }
        for listing in listings
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(query("write_channel_listings"), rows)


def stored_nights(
    connection: psycopg.Connection, listing_id: int, first_night: date
) -> list[AvailabilityRow]:
    """A listing's stored nights from ``first_night`` on, in order."""
    with connection.cursor(row_factory=args_row(AvailabilityRow)) as cursor:
        cursor.execute(query("stored_nights"), {"listing_id": listing_id, "first_night": first_night})
        return cursor.fetchall()


def forget_uneventful_pulls(connection: psycopg.Connection, before: datetime) -> int:
    """Delete lines of the log that are older than ``before`` and say no more than "nothing changed"; return how many."""
    return connection.execute(query("forget_uneventful_pulls"), {"before": before}).rowcount


def last_success(connection: psycopg.Connection, channel_account_id: int, subject: str) -> datetime | None:
    """When a pull of this subject of the account last ended well; None before the first."""
    row = connection.execute(
        query("last_success"), {"channel_account_id": channel_account_id, "subject": subject}
    ).fetchone()
    return row[0] if row else None


def _states(
    connection: psycopg.Connection, name: str, subject: str, listing_ids: Sequence[int]
) -> dict[int, ListingState]:
    with connection.cursor(row_factory=class_row(ListingState)) as cursor:
        cursor.execute(query(name), {"subject": subject, "listing_ids": list(listing_ids)})
        return {state.listing_id: state for state in cursor}
