"""Turns: what only one of all processes on a database does at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from channel_sync.storage.database import Database
from channel_sync.storage.queries import query


@contextmanager
def turn(database: Database, name: str) -> Iterator[None]:
    """Wait until nobody else has the turn of this name, and have it while the block runs.

    On a connection of its own: a process that dies in its turn loses it with the connection. For blocks of
    milliseconds. Raises psycopg.OperationalError when the database cannot be reached.
    """
    with database.connect() as connection:
        connection.execute(query("take_turn"), {"name": name})
        yield
