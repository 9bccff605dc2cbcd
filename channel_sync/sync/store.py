"""Store pulled calendars: from the staging tables into the tables, only what differs.

One transaction per piece of a batch, with its lines of the sync log: what has a line is stored. What a channel states explicitly is merged as it is; what a feed leaves out passes the
release rule first. An observation older than the one that is stored writes nothing.
"""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg

from adapters.model import ClosureKind, Evidence, NightAvailability
from channel_sync.storage import observations
from channel_sync.storage.nights import AvailabilityRow, Changes, Staging
from channel_sync.storage.observations import ListingState, LogEntry
from channel_sync.sync import release
from channel_sync.sync.engine import Engine
from channel_sync.sync.pull import Batch, Piece, Pulled, PulledBatch, pull_batch, where

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullResult:
    """How the pull of one listing (or, with ``listing`` None, of one account's bookings) ended."""

    account: str
    listing: str | None
    entry: LogEntry

    @property
    def failed(self) -> bool:
        """Whether nothing, or not everything, could be read."""
        return self.entry.outcome == "failed"


@dataclass(slots=True)
class _Stored:
    """One listing on its way into the tables."""

    pulled: Pulled
    outcome: str
    changes: Changes = Changes()
    held: int = 0


def pull_and_store(engine: Engine, batch: Batch) -> PulledBatch:
    """Pull a batch, and store each piece of it while the next ones are pulled.

    What could not be stored is still staged: ``store_batch`` tries again and raises the error.
    """

    def store(piece: PulledBatch) -> None:
        try:
            put_away(engine, piece)
        except Exception as error:  # noqa: BLE001 - the pull goes on; store_batch meets the error again
            _log.warning("%s: a piece is left to the store step: %s", batch.account, where(error))

    with ThreadPoolExecutor(1, thread_name_prefix=f"store-{batch.account}") as thread:
        return pull_batch(engine, batch, lambda piece: thread.submit(store, piece))


def put_away(engine: Engine, pulled: PulledBatch) -> None:
    """Store what was read and is not stored yet. Of listings that failed nothing is said: they may be asked again.

    Each piece in one transaction: killed before its end it left nothing, and the staging table is still there. What has
    its lines in the log is stored: beside the pull, or by a step that died before it could say so.
    """
    with engine.database.connect(autocommit=True) as connection:
        written = observations.read_log(connection, [one.sync_log_id for one in pulled.listings]).keys()
        for piece in pulled.pieces:
            if written.isdisjoint(one.sync_log_id for one in piece.listings):
                with connection.transaction():
                    _store_piece(engine, connection, pulled, piece)


def store_batch(engine: Engine, pulled: PulledBatch) -> list[PullResult]:
    """Store what is not stored yet, and say for each listing of the batch how its pull ended.

    Among them are those that this run had stored in an earlier attempt. A second time it changes nothing.
    """
    put_away(engine, pulled)
    failed = [_Stored(one, "failed") for one in pulled.listings if one.error is not None]
    names = {one.sync_log_id: one.listing.external_id for one in pulled.listings}
    names.update(pulled.stored_before)
    with engine.database.connect() as connection:
        _write_log(connection, pulled, failed, engine.clock())
        entries = observations.read_log(connection, list(names))
    return [PullResult(pulled.batch.account, name, entries[number]) for number, name in names.items()]


def _store_piece(engine: Engine, connection: psycopg.Connection, pulled: PulledBatch, piece: Piece) -> None:
    subject = pulled.batch.subject
    proven = {one.listing.listing_id: one for one in piece.listings if one.error is None}
    if not proven:
        Staging(connection, subject, piece.name).drop()
        return
    states = observations.lock_states(connection, subject, list(proven))
    staging = Staging.attach(connection, subject, piece.name)
    stored = {
        listing_id: _Stored(one, _outcome(one, states.get(listing_id), engine.clock()))
        for listing_id, one in proven.items()
    }
    stated = [
        listing_id
        for listing_id, one in stored.items()
        if one.outcome == "stored" and one.pulled.evidence is Evidence.EXPLICIT
    ]
    for listing_id, changes in staging.merge(stated).items():
        stored[listing_id].changes = changes
    _store_feeds(connection, staging, stored, states)
    staging.drop()
    _write_log(connection, pulled, stored.values(), engine.clock())


def _outcome(pulled: Pulled, state: ListingState | None, now: datetime) -> str:
    """What becomes of a listing's answer. A feed's is never skipped: holds run on while it stays the same.

    An observation from the future is another machine's wrong clock, not a newer one: it supersedes nothing.
    "Nothing new" counts only against what it was said of: if another pull stored something else meanwhile, this one
    brought no rows to put in its place, and the next one will.
    """
    if state is None:
        return "stored"
    if pulled.started_at < state.observed_at <= now:
        return "superseded"
    if pulled.said_unchanged and state.validators != pulled.validators:
        return "superseded"
    same = pulled.evidence is Evidence.EXPLICIT and state.fingerprint == pulled.fingerprint
    if pulled.left_out and not same:
        return "superseded"
    return "unchanged" if same else "stored"


def _store_feeds(
    connection: psycopg.Connection,
    staging: Staging,
    stored: Mapping[int, _Stored],
    states: Mapping[int, ListingState],
) -> None:
    """Decide the feeds' nights, write what changed, and note every listing's newest observation."""
    rows: list[AvailabilityRow] = []
    for listing_id, one in stored.items():
        if one.outcome == "superseded":
            continue
        state = states.get(listing_id)
        observed_s = (
            release.advance(state.observed_s, state.observed_at, one.pulled.started_at) if state else 0.0
        )
        if one.pulled.evidence is Evidence.ABSENCE:
            decision = _decide(connection, staging, one.pulled, state, observed_s)
            rows.extend(_decided_row(one.pulled, night) for night in decision.changed)
            one.held = decision.held
            if not decision.changed:
                one.outcome = "unchanged"
        observations.write_state(connection, staging.subject, _new_state(one.pulled, state, observed_s))
    if rows:
        decided = Staging.create(connection, "availability", f"{staging.name}_decided")
        decided.copy(rows)
        for listing_id, changes in decided.merge().items():
            stored[listing_id].changes = changes
        decided.drop()


def _write_log(
    connection: psycopg.Connection, pulled: PulledBatch, stored: Iterable[_Stored], finished_at: datetime
) -> None:
    """The log lines of these listings, and the parts of their answers that could not be read."""
    ended = list(stored)
    for one in ended:
        observations.keep_unread(
            connection,
            pulled.channel_account_id,
            one.pulled.listing.external_id,
            pulled.batch.subject,
            one.pulled.problems,
            one.pulled.started_at,
        )
    observations.write_log(connection, [_entry(pulled, one, finished_at) for one in ended])


def _decide(
    connection: psycopg.Connection,
    staging: Staging,
    pulled: Pulled,
    state: ListingState | None,
    observed_s: float,
) -> release.Decision:
    """Ask the release rule about one listing's feed."""
    listing = pulled.listing
    today = pulled.started_at.astimezone(ZoneInfo(listing.time_zone)).date()
    known = [_night_state(row) for row in observations.stored_nights(connection, listing.listing_id, today)]
    if pulled.said_unchanged:
        listed = release.still_listed(known)
    else:
        listed = tuple(
            NightAvailability(row.night, 0, ClosureKind(row.closure or ClosureKind.UNKNOWN), row.reference)
            for row in staging.rows(listing.listing_id)
        )
    return release.decide(
        known,
        listed,
        window=pulled.window,
        today=today,
        now=pulled.started_at,
        observed_s=observed_s,
        patience=timedelta(hours=listing.patience_hours),
        unread=any(not problem.mended for problem in pulled.problems),
        approved=state is not None and state.release_approved,
    )


def _night_state(row: AvailabilityRow) -> release.NightState:
    hold = (
        None
        if row.held_since is None or row.release_at_s is None or row.hold_reason is None
        else release.Hold(row.held_since, row.release_at_s, release.HoldReason(row.hold_reason))
    )
    closure = ClosureKind(row.closure) if row.closure else None
    return release.NightState(row.night, row.units_open, closure, row.reference, hold)


def _decided_row(pulled: Pulled, state: release.NightState) -> AvailabilityRow:
    return AvailabilityRow(
        pulled.listing.listing_id,
        state.night,
        state.units_open,
        state.closure,
        state.reference,
        state.hold.since if state.hold else None,
        state.hold.release_at_s if state.hold else None,
        state.hold.reason if state.hold else None,
        pulled.sync_log_id,
    )


def _new_state(pulled: Pulled, state: ListingState | None, observed_s: float) -> ListingState:
    """The state that this observation leaves behind."""
    return ListingState(
        listing_id=pulled.listing.listing_id,
        observed_at=pulled.started_at,
        observed_s=observed_s,
        window_end=pulled.window.check_out,
        fingerprint=state.fingerprint if state and pulled.said_unchanged else pulled.fingerprint,
        etag=pulled.validators.etag,
        last_modified=pulled.validators.last_modified,
        release_approved=False,
    )


def _entry(pulled: PulledBatch, one: _Stored, finished_at: datetime) -> LogEntry:
    listing = one.pulled
    return LogEntry(
        sync_log_id=listing.sync_log_id,
        run_id=pulled.batch.run_id,
        subject=pulled.batch.subject,
        channel_account_id=pulled.channel_account_id,
        listing_id=listing.listing.listing_id,
        window_start=listing.window.check_in,
        window_end=listing.window.check_out,
        started_at=listing.started_at,
        finished_at=finished_at,
        outcome=one.outcome,
        rows_read=listing.rows,
        rows_changed=one.changes.inserted + one.changes.updated,
        nights_closed=one.changes.closed,
        nights_opened=one.changes.opened,
        nights_held=one.held,
        problems=len(listing.problems),
        requests=listing.requests,
        waited_s=listing.waited_s,
        error=listing.error,
        error_message=listing.error_message,
    )
