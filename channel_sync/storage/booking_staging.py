"""Bookings and receipts of one batch on their way from the channel to the tables.

They lie in two unlogged tables named after the batch, so that a killed run stores them without asking the channel
again, and nothing of them (a receipt may hold a token) is handed from step to step.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from adapters.model import Booking
from channel_sync.storage.acknowledgements import Received
from channel_sync.storage.queries import query
from channel_sync.storage.revisions import content_hash, from_json, to_json


def create(connection: psycopg.Connection, name: str) -> None:
    """Make the batch's tables; nothing if they are there."""
    with connection.transaction():
        connection.execute(SQL(query("create_booking_staging")).format(name=Identifier(name)))
        connection.execute(SQL(query("create_receipt_staging")).format(name=Identifier(_receipts(name))))


def stage(
    connection: psycopg.Connection, name: str, bookings: Iterable[Booking], received: Iterable[Received] = ()
) -> None:
    """Stream a page into the batch's tables, in one transaction: no receipt is there without its booking."""
    into = SQL("COPY {} (external_id, revised_at, content_hash, revision) FROM STDIN").format(_table(name))
    receipts_into = SQL("COPY {} (reference, booking_external_id, received_at, due_at) FROM STDIN").format(
        _table(_receipts(name))
    )
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(into) as copy:
            for booking in bookings:
                revision = to_json(booking)
                hashed = content_hash(revision)
                copy.write_row((booking.booking_id, booking.revised_at, hashed, Jsonb(revision)))
        with cursor.copy(receipts_into) as copy:
            for one in received:
                copy.write_row((one.reference, one.booking_external_id, one.received_at, one.due_at))


def expect_many(connection: psycopg.Connection) -> None:
    """Make the connection quicker at applying bookings one after another."""
    connection.execute(query("plan_once"))


def new_revisions(
    connection: psycopg.Connection, name: str, channel_account_id: int
) -> Iterator[list[Booking]]:
    """Staged revisions that are not stored yet, oldest first, each with all parts that it names; streamed."""
    with connection.cursor(name="new_revisions", withhold=True) as cursor:
        cursor.execute(
            SQL(query("new_revisions")).format(name=Identifier(name)),
            {"channel_account_id": channel_account_id},
        )
        bookings = (from_json(revision) for (revision,) in cursor)
        for (_, whole), alike in groupby(bookings, key=lambda one: (one.revised_at, one.whole)):
            if whole is None:
                yield from ([one] for one in alike)
            else:
                yield [*alike]


def receipts(connection: psycopg.Connection, name: str) -> list[Received]:
    """The staged receipts, each once."""
    with connection.cursor(row_factory=class_row(Received)) as cursor:
        statement = SQL(query("staged_receipts")).format(name=Identifier(_receipts(name)))
        return cursor.execute(statement).fetchall()


def drop(connection: psycopg.Connection, name: str) -> int:
    """The batch is stored: drop its tables and return how many bookings were in it."""
    (count,) = connection.execute(
        SQL("SELECT count(DISTINCT external_id) FROM {}").format(_table(name))
    ).fetchone() or (0,)
    connection.execute(SQL("DROP TABLE {}, {}").format(_table(name), _table(_receipts(name))))
    return int(count)


def _receipts(name: str) -> str:
    return f"{name}_receipts"


def _table(name: str) -> Identifier:
    return Identifier("channel_sync_staging", name)
