"""One account's deliveries on their way into the tables: what each says, done; the rest asked for; the log's line."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date

import psycopg

from adapters.base_adapter import Capability
from adapters.model import ONE_DAY, Booking, Stay
from adapters.webhook import Delivery, Event, EventKind, Webhook
from channel_sync.storage import acknowledgements, observations
from channel_sync.storage import bookings as table
from channel_sync.storage.acknowledgements import Received
from channel_sync.storage.bookings import Effect, Observation
from channel_sync.storage.observations import LogEntry
from channel_sync.storage.portfolio import AccountRow
from channel_sync.storage.webhooks import InboxEvent, KeptEvent, Settled
from channel_sync.sync.account_turn import account_turn
from channel_sync.sync.bookings import BookingBatch, pull_bookings, store_bookings
from channel_sync.sync.engine import Engine
from channel_sync.sync.pull import where

_FARTHEST_BACK = 30  # days for which a channel is asked at once
_NOTHING_TO_DO = "nothing to do"
_LEFT_TO_PULLS: Mapping[EventKind, str] = {
    EventKind.CALENDAR: "the next pull of the calendar reads it",
    EventKind.LISTING: "the next pull of the listings reads it",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of an event; ``state`` None where the channel has to be asked first."""

    state: Settled | None
    reason: str | None
    changed_on: date | None = None  # the day, where a booking changed
    changed: int = 0  # bookings


@dataclass(slots=True)
class Pass:
    """One account's events on their way through."""

    engine: Engine
    connection: psycopg.Connection
    account: AccountRow
    run_id: str
    seen: Observation
    listing_ids: Mapping[str, int]
    events: Counter[str] = field(default_factory=Counter)
    days: set[date] = field(default_factory=set)
    changed: int = 0  # by deliveries
    pulled: int = 0  # because the channel was asked: these have a line of their own in the log
    asked: int = 0
    receipts: int = 0  # that wait to be acknowledged because of a delivery

    def note(self, verdict: Verdict) -> None:
        """Count what is said of an event."""
        self.events[verdict.state or "received"] += 1
        if verdict.changed_on is not None:
            self.changed += verdict.changed
            self.days.add(verdict.changed_on)


def begin(engine: Engine, connection: psycopg.Connection, account: AccountRow, run_id: str) -> Pass:
    """Set out with a number of its own in the log, which the rows will carry."""
    (number,) = observations.reserve(connection, 1)
    declaration = engine.declarations.get(account.channel)
    counts_its_own = declaration is not None and declaration.counts_its_own
    seen = Observation(account.channel_account_id, number, engine.clock(), counts_its_own)
    listing_ids = table.listing_ids(connection, account.channel_account_id)
    return Pass(engine, connection, account, run_id, seen, listing_ids)


def decide(this: Pass, kept: KeptEvent) -> Verdict:
    """Do what a stored delivery says, in the caller's transaction."""
    event = _read(this.engine.webhooks(this.account.channel), kept)
    if event.booking is not None:
        verdict = _store(this, event.booking, event.problem)
        _keep_receipt(this, event, kept)
        return verdict
    if event.ask and _can_ask(this):
        return Verdict(None, event.problem)
    if event.ask or event.problem is not None:
        return Verdict("parked", event.problem or "the channel cannot be asked for it")
    return Verdict("applied", _LEFT_TO_PULLS.get(event.kind, _NOTHING_TO_DO))


def _store(this: Pass, booking: Booking, problem: str | None) -> Verdict:
    effects = table.apply_revision(this.connection, [booking], this.listing_ids, this.seen)
    match effects[0]:
        case Effect.STALE:
            return Verdict("superseded", "a newer revision is known")
        case Effect.UNCHANGED:
            return Verdict("applied", "already stored")
        case _:
            return Verdict("applied", problem, booking.revised_at.date(), len(effects))


def keep_receipt(this: Pass, kept: InboxEvent) -> None:
    """Let what a delivery wants acknowledged wait for that, in the caller's transaction: the channel was asked for it."""
    _keep_receipt(this, _read(this.engine.webhooks(this.account.channel), kept), kept)


def _keep_receipt(this: Pass, event: Event, kept: InboxEvent) -> None:
    receipt = event.receipt
    number = this.account.channel_account_id
    # The channel may have been asked in vain: then it is not told that we have it.
    if receipt is None or not acknowledgements.is_committed(
        this.connection, number, receipt.booking_id, event.revised_at
    ):
        return
    declaration = this.engine.declarations.get(this.account.channel)
    within = declaration.acknowledge_within if declaration is not None else None
    due_at = receipt.due_at or (kept.received_at + within if within is not None else None)
    received = Received(receipt.reference, receipt.booking_id, kept.received_at, due_at)
    acknowledgements.store(this.connection, number, [received])
    this.receipts += 1


def _read(webhook: Webhook, kept: InboxEvent) -> Event:
    """The event of a delivery that this row of the inbox is about."""
    events = webhook.events(
        Delivery(kept.method, "", kept.path, kept.query, {**kept.headers}, bytes(kept.body))
    )
    _, mark, number = kept.delivery_key.rpartition("#")
    index = int(number) - 1 if len(events) > 1 and mark and number.isdecimal() else 0
    if index >= len(events):
        return Event(EventKind.UNKNOWN, kept.name, problem="the delivery names no such event")
    return events[index]


def _can_ask(this: Pass) -> bool:
    declaration = this.engine.declarations.get(this.account.channel)
    return declaration is not None and Capability.PULL_BOOKINGS in declaration.capabilities


def ask(this: Pass, events: Sequence[InboxEvent]) -> tuple[str | None, float | None]:
    """Pull and store the bookings of these events' days: what went wrong, and for how long not to ask again."""
    this.asked += len(events)
    try:
        days = _days_to_ask(this, events)
        batch = BookingBatch(f"bookings_inbox_{this.seen.sync_log_id}", this.run_id, this.account.code, days)
        with account_turn(this.engine, this.account):
            pulled = pull_bookings(this.engine, batch)
            entry = store_bookings(this.engine, pulled).entry
    except Exception as defect:
        if this.connection.closed:
            raise
        return f"the channel could not be asked: {where(defect)}", None
    this.pulled += entry.rows_changed
    if entry.rows_changed:
        this.days.update(days)
    if pulled.error is not None:
        return f"the channel could not be asked: {pulled.error}", pulled.put_off_s
    return None, None


def _days_to_ask(this: Pass, events: Iterable[InboxEvent]) -> Stay:
    """From the oldest event's day up to today; from the last pull on if that is longer ago.

    This counts as a pull, and the next one will not look farther back: no day may be left out.
    """
    today = this.engine.clock().date()
    moments = [moment for event in events for moment in (event.received_at, event.revised_at) if moment]
    days = [today, *(moment.astimezone(UTC).date() for moment in moments)]
    last = observations.last_success(this.connection, this.account.channel_account_id, "bookings")
    farthest = today - _FARTHEST_BACK * ONE_DAY
    days.append(farthest if last is None else last.astimezone(UTC).date() - ONE_DAY)
    return Stay(max(min(days), farthest), max(days) + ONE_DAY)


def finish(this: Pass, read: int, *, quiet: bool = False) -> None:
    """Adopt what was mapped meanwhile, and write the line of the log that the rows point at; ``quiet``: if there are any."""
    with this.connection.transaction():
        this.changed += table.adopt_newly_mapped(this.connection, this.seen)
    if not this.changed and (quiet or not read):
        return
    today = this.engine.clock().date()
    entry = LogEntry(
        sync_log_id=this.seen.sync_log_id,
        run_id=this.run_id,
        subject="bookings",
        channel_account_id=this.account.channel_account_id,
        listing_id=None,
        window_start=min(this.days, default=today),
        window_end=max(this.days, default=today) + ONE_DAY,
        started_at=this.seen.seen_at,
        finished_at=this.engine.clock(),
        outcome="stored" if this.changed else "unchanged",
        rows_read=read,
        rows_changed=this.changed,
        problems=this.events["parked"] + this.events["postponed"],
    )
    with this.connection.transaction():
        observations.write_log(this.connection, [entry])
