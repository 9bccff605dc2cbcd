"""The inbox in the tables: what channels delivered, and what became of it.

Storing is committed before a channel is answered. Applying is somebody else's: it takes what is due, and settles or
postpones each event in the transaction that changed the tables accordingly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from channel_sync.storage.queries import query

NOTIFIED = "channel_sync_webhook"  # LISTEN to it; the payload is the code of the account

Settled = Literal["applied", "superseded", "parked"]
State = Literal["received"] | Settled


@dataclass(frozen=True, slots=True)
class Arrival:
    """One event on its way into the inbox. Nothing in it identifies a guest; ``body`` is scrubbed.

    ``delivery_key`` tells a repetition. Texts hold neither NUL nor lone surrogates.
    """

    channel_account_id: int
    account: str
    delivery_key: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    kind: str
    name: str
    booking_external_id: str | None = None
    listing_external_ids: tuple[str, ...] = ()
    revised_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class InboxEvent:
    """An event that is due. ``attempts`` is how often it was tried before."""

    webhook_event_id: int
    delivery_key: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received_at: datetime
    times_received: int
    kind: str
    name: str
    booking_external_id: str | None
    listing_external_ids: list[str]
    revised_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class KeptEvent(InboxEvent):
    """An event of the inbox, whatever became of it."""

    state: State


def store(connection: psycopg.Connection, arrivals: Sequence[Arrival]) -> int:
    """Put events into the inbox in one statement; how many of them are new. Repetitions are counted in their row."""
    times: dict[tuple[int, str], int] = {}
    distinct: dict[tuple[int, str], Arrival] = {}
    for arrival in arrivals:
        key = arrival.channel_account_id, arrival.delivery_key
        distinct.setdefault(key, arrival)
        times[key] = times.get(key, 0) + 1
    rows = distinct.values()
    parameters = {
        "channel_account_id": [row.channel_account_id for row in rows],
        "account": [row.account for row in rows],
        "delivery_key": [row.delivery_key for row in rows],
        "method": [row.method for row in rows],
        "path": [row.path for row in rows],
        "query": [row.query for row in rows],
        "headers": [Jsonb(dict(row.headers)) for row in rows],
        "body": [row.body for row in rows],
        "kind": [row.kind for row in rows],
        "name": [row.name for row in rows],
        "booking_external_id": [row.booking_external_id for row in rows],
        # Arrays of arrays would have to be of one length.
        "listing_external_ids": [Jsonb(row.listing_external_ids) for row in rows],
        "revised_at": [row.revised_at for row in rows],
        "reason": [row.reason for row in rows],
        "times_received": list(times.values()),
    }
    ((new_events, _),) = connection.execute(query("store_deliveries"), parameters, binary=True).fetchall()
    return int(new_events)


def due_events(connection: psycopg.Connection, channel_account_id: int, limit: int) -> list[InboxEvent]:
    """Up to ``limit`` events of an account that may be applied now, in order of arrival.

    They are locked until the transaction ends, and nobody else is given them meanwhile.
    """
    with connection.cursor(row_factory=class_row(InboxEvent)) as cursor:
        return cursor.execute(
            query("due_events"), {"channel_account_id": channel_account_id, "limit": limit}
        ).fetchall()


def events_between(
    connection: psycopg.Connection, channel_account_id: int, since: datetime, until: datetime
) -> list[int]:
    """Keys of an account's events that first arrived in [since, until), the oldest revision first."""
    rows = connection.execute(
        query("events_between"), {"channel_account_id": channel_account_id, "since": since, "until": until}
    )
    return [event_id for (event_id,) in rows]


def lock_event(connection: psycopg.Connection, event_id: int) -> KeptEvent | None:
    """The event as it is now, locked until the transaction ends; None where another process is at it."""
    with connection.cursor(row_factory=class_row(KeptEvent)) as cursor:
        return cursor.execute(query("lock_event"), {"webhook_event_id": event_id}).fetchone()


def present(connection: psycopg.Connection) -> datetime:
    """The database's time, by which events are due."""
    ((now,),) = connection.execute(query("present")).fetchall()
    moment: datetime = now
    return moment


def settle(
    connection: psycopg.Connection,
    event_id: int,
    state: Settled,
    reason: str | None,
    run_id: str | None,
    *,
    was: State = "received",
) -> bool:
    """Say what became of an event, for good; ``was`` parked where it could be applied after all.

    False if it is in another state by now: then nothing changes.
    """
    return bool(
        connection.execute(
            query("settle_event"),
            {"webhook_event_id": event_id, "state": state, "reason": reason, "run_id": run_id, "was": was},
        ).fetchall()
    )


def postpone(connection: psycopg.Connection, event_id: int, reason: str, next_attempt_at: datetime) -> bool:
    """Leave an event for later because of ``reason``. False if it was settled before: then nothing changes."""
    return bool(
        connection.execute(
            query("postpone_event"),
            {"webhook_event_id": event_id, "reason": reason, "next_attempt_at": next_attempt_at},
        ).fetchall()
    )


def park(connection: psycopg.Connection, event_id: int, reason: str, run_id: str | None) -> bool:
    """Give up an event that cannot be applied: a person has to look at it. Otherwise like ``settle``."""
    return settle(connection, event_id, "parked", reason, run_id)


def inbox_age(connection: psycopg.Connection) -> float | None:
    """Seconds since the oldest event arrived that is not settled; None where there is none."""
    ((age,),) = connection.execute(query("inbox_age")).fetchall()
    return None if age is None else float(age)


def stay_is_free(
    connection: psycopg.Connection,
    channel_account_id: int,
    listing: str,
    check_in: date,
    check_out: date,
    booking: str | None,
) -> bool | None:
    """Whether a unit of the listing's type is free for the whole stay; None where the listing is not sold.

    ``listing`` and ``booking`` are the channel's own ids; the nights of ``booking`` itself do not count as taken.
    """
    rows = connection.execute(
        query("stay_is_free"),
        {
            "channel_account_id": channel_account_id,
            "listing_external_id": listing,
            "check_in": check_in,
            "check_out": check_out,
            "booking_external_id": booking,
        },
    ).fetchall()
    return bool(rows[0][0]) if rows else None
