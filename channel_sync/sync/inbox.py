"""Apply what channels delivered: each event in one transaction with what is said of it.

A killed process leaves an event either as it was received or applied and settled. What a delivery does not tell is
asked for, once for all events of an account that need it. Events of one booking are applied oldest revision first;
nothing depends on it, because the channel's own time of a revision decides.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from channel_sync.storage import portfolio, webhooks
from channel_sync.storage.webhooks import InboxEvent, KeptEvent
from channel_sync.sync.acknowledge import acknowledge
from channel_sync.sync.deliveries import Pass, Verdict, ask, begin, decide, finish, keep_receipt
from channel_sync.sync.engine import Engine
from channel_sync.sync.pull import where

MOST_ATTEMPTS = 10
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(minutes=15)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the events that were due.

    ``events`` counts them by what is said of them now: applied, superseded, parked, or postponed. ``changed`` bookings
    are stored differently than before; ``days`` are those (UTC) on which these last changed, as the channel says.
    ``asked`` is for how many events the channel was asked.
    """

    events: Mapping[str, int] = field(default_factory=dict)
    changed: int = 0
    days: frozenset[date] = frozenset()
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events were read again, and how many of them (or of what they led to) changed a booking.

    ``settled`` were received or parked and are so no longer; ``failed`` could not be applied this time either.
    """

    events: int = 0
    changed: int = 0
    settled: int = 0
    failed: int = 0


def apply_due(engine: Engine, account_code: str, run_id: str, limit: int = 500) -> Applied:
    """Apply up to ``limit`` events of an account that are due; those that another process is at are left to it.

    A defect of ours costs the event that met it some delay, and no other event anything. Raises ConfigurationError
    for an account that is not in the portfolio.
    """
    with engine.database.connect(autocommit=True) as connection:
        this = begin(engine, connection, portfolio.account(connection, account_code), run_id)
        with connection.transaction():
            due = webhooks.due_events(connection, this.account.channel_account_id, limit)
        asking = [event for event in sorted(due, key=_by_revision) if _apply_one(this, event)]
        if asking:
            _ask_for(this, asking)
        finish(this, len(due))
        if asking or this.receipts:
            acknowledge(engine, account_code, run_id)  # what it cannot tell goes on waiting
        return Applied(dict(this.events), this.changed + this.pulled, frozenset(this.days), this.asked)


def replay(engine: Engine, account_code: str | None, since: datetime, until: datetime) -> Replayed:
    """Apply the events again that first arrived in [since, until), whatever became of them, of one account or all.

    What was applied changes nothing. Raises ConfigurationError for an account that is not in the portfolio.
    """
    read, changed = 0, 0
    counts: Counter[str] = Counter()
    with engine.database.connect(autocommit=True) as connection:
        accounts = (
            portfolio.accounts(connection, enabled_only=False)
            if account_code is None
            else [portfolio.account(connection, account_code)]
        )
        for account in accounts:
            numbers = webhooks.events_between(connection, account.channel_account_id, since, until)
            if not numbers:
                continue
            this = begin(engine, connection, account, "replay")
            _replay_account(this, numbers, counts)
            read += len(numbers)
            changed += this.changed + this.pulled
    return Replayed(read, changed, counts["settled"], counts["failed"])


def _apply_one(this: Pass, event: InboxEvent) -> bool:
    """Apply one event and settle it; True where the channel has to be asked first."""
    try:
        with this.connection.transaction():
            kept = webhooks.lock_event(this.connection, event.webhook_event_id)
            if kept is None or kept.state != "received" or kept.attempts != event.attempts:
                return False  # another process was quicker
            verdict = decide(this, kept)
            if verdict.state is not None:
                webhooks.settle(
                    this.connection, event.webhook_event_id, verdict.state, verdict.reason, this.run_id
                )
    except Exception as defect:
        if this.connection.closed:
            raise
        _put_off(this, event, f"a defect of ours: {where(defect)}")
        return False
    if verdict.state is not None:
        this.note(verdict)
    return verdict.state is None


def _ask_for(this: Pass, events: Sequence[InboxEvent]) -> None:
    """Ask the channel for the days of these events, and settle or postpone them all."""
    error, put_off_s = ask(this, events)
    for event in events:
        if error is None:
            with this.connection.transaction():
                settled = webhooks.settle(
                    this.connection, event.webhook_event_id, "applied", "the channel was asked", this.run_id
                )
                if settled:
                    keep_receipt(this, event)
            this.events["applied"] += settled
        else:
            _put_off(this, event, error, timedelta(seconds=put_off_s or 0.0))


def _put_off(this: Pass, event: InboxEvent, reason: str, at_least: timedelta = timedelta(0)) -> None:
    """Try an event again later, or never: it has been tried too often."""
    number = event.webhook_event_id
    delay = max(min(_FIRST_WAIT * 2**event.attempts, _LONGEST_WAIT), at_least)
    with this.connection.transaction():
        if event.attempts + 1 >= MOST_ATTEMPTS:
            done = webhooks.park(this.connection, number, reason, this.run_id)
        else:
            then = webhooks.present(this.connection) + delay
            done = webhooks.postpone(this.connection, number, reason, then)
    if done:
        this.events["parked" if event.attempts + 1 >= MOST_ATTEMPTS else "postponed"] += 1


def _replay_account(this: Pass, numbers: Sequence[int], counts: Counter[str]) -> None:
    asking: list[KeptEvent] = []
    for number in numbers:
        try:
            with this.connection.transaction():
                kept = webhooks.lock_event(this.connection, number)
                if kept is None:
                    continue
                verdict = decide(this, kept)
                counts["settled"] += _settle_again(this, kept, verdict)
        except Exception:
            if this.connection.closed:
                raise
            counts["failed"] += 1
            continue
        this.note(verdict)
        # What was asked for once is not in the delivery: the pulls have it.
        if verdict.state is None and kept.state in {"received", "parked"}:
            asking.append(kept)
    if asking:
        error, _ = ask(this, asking)
        verdict = Verdict("applied", "the channel was asked")
        with this.connection.transaction():
            for kept in asking if error is None else ():
                counts["settled"] += _settle_again(this, kept, verdict)
        counts["failed"] += len(asking) if error else 0
    finish(this, len(numbers), quiet=True)


def _settle_again(this: Pass, kept: KeptEvent, verdict: Verdict) -> bool:
    """Say what became of an event that was not applied yet; what is said of the others stays."""
    if verdict.state is None or kept.state not in {"received", "parked"} or kept.state == verdict.state:
        return False
    return webhooks.settle(
        this.connection, kept.webhook_event_id, verdict.state, verdict.reason, this.run_id, was=kept.state
    )


def _by_revision(event: InboxEvent) -> tuple[datetime, int]:
    return event.revised_at or _LAST, event.webhook_event_id
