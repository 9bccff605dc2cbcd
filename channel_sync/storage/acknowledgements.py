"""Acknowledgements in the tables: what channels wait to be told, and what became of it.

A receipt is written when what it acknowledges is committed, never before. It waits until the channel has said
something final.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Literal

import psycopg
from psycopg.rows import class_row

from channel_sync.storage.queries import query

Final = Literal["accepted", "warned", "rejected"]


@dataclass(frozen=True, slots=True)
class Received:
    """A receipt as a channel gave it: see table booking_receipt. Times in UTC."""

    reference: str = field(repr=False)
    booking_external_id: str
    received_at: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A receipt that waits to be acknowledged."""

    booking_receipt_id: int
    booking_external_id: str
    reference: str = field(repr=False)
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one account. ``due_at``: until when the most urgent of it; ``attempts``: the most for any of it."""

    account: str
    pending: int
    due_at: datetime | None
    attempts: int


def store(connection: psycopg.Connection, channel_account_id: int, received: Iterable[Received]) -> None:
    """Let receipts wait, in this order where they are equally urgent.

    One that was told before it was read again waits once more; otherwise nothing changes.
    """
    rows = [{"channel_account_id": channel_account_id, **asdict(one)} for one in received]
    if rows:
        # Two processes that store the same ones in different order would each wait for the other.
        connection.execute(query("take_turn"), {"name": f"receipts {channel_account_id}"})
        with connection.cursor() as cursor:
            cursor.executemany(query("store_receipt"), rows)


def is_committed(
    connection: psycopg.Connection, channel_account_id: int, booking: str, revised_at: datetime | None
) -> bool:
    """Whether the booking (the channel's id of it or of its whole) is stored as of that moment or a later one."""
    ((stored,),) = connection.execute(
        query("is_booking_committed"),
        {
            "channel_account_id": channel_account_id,
            "booking_external_id": booking,
            "revised_at": revised_at,
        },
    ).fetchall()
    return bool(stored)


def take_turn(connection: psycopg.Connection, channel_account_id: int) -> None:
    """Wait until no other process asks for this account's bookings or acknowledges them. It ends with the connection.

    Raises psycopg.errors.LockNotAvailable where the connection's lock_timeout is over first.
    """
    connection.execute(query("take_acknowledging"), {"channel_account_id": channel_account_id})


def set_out(connection: psycopg.Connection, channel_account_id: int, sync_log_id: int) -> None:
    """A pull sets out, in the account's turn: what the channel gives it may be newer than what waits here."""
    connection.execute(
        query("set_out_to_ask"), {"channel_account_id": channel_account_id, "sync_log_id": sync_log_id}
    )


def all_is_committed(connection: psycopg.Connection, channel_account_id: int, sync_log_id: int) -> None:
    """What the pull of this number was given is committed in this transaction."""
    connection.execute(
        query("all_is_committed"), {"channel_account_id": channel_account_id, "sync_log_id": sync_log_id}
    )


def is_all_committed(connection: psycopg.Connection, channel_account_id: int) -> bool:
    """Whether nothing that the channel gave is still on its way into the tables, or was lost on it."""
    ((committed,),) = connection.execute(
        query("is_all_committed"), {"channel_account_id": channel_account_id}
    ).fetchall()
    return bool(committed)


def pending(
    connection: psycopg.Connection, channel_account_id: int, limit: int, tried: Sequence[int] = ()
) -> list[Pending]:
    """Up to ``limit`` receipts that wait, the most urgent first, without those of these keys."""
    with connection.cursor(row_factory=class_row(Pending)) as cursor:
        return cursor.execute(
            query("pending_receipts"),
            {"channel_account_id": channel_account_id, "limit": limit, "tried": list(tried)},
        ).fetchall()


def note(
    connection: psycopg.Connection,
    booking_receipt_id: int,
    verdict: Final | None,
    words: str,
    at: datetime,
    run_id: str,
) -> None:
    """Say how an attempt ended; without a verdict the receipt goes on waiting."""
    connection.execute(
        query("note_acknowledgement"),
        {
            "booking_receipt_id": booking_receipt_id,
            "verdict": verdict,
            # Postgres text holds no NUL, and a channel may send one.
            "words": words.replace("\x00", "\N{REPLACEMENT CHARACTER}") or None,
            "at": at,
            "run_id": run_id,
        },
    )


def waiting(connection: psycopg.Connection) -> list[Waiting]:
    """What waits, by account, the most urgent first."""
    with connection.cursor(row_factory=class_row(Waiting)) as cursor:
        return cursor.execute(query("acknowledgements_by_account")).fetchall()
