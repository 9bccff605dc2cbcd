"""Who has to do something about the inbox: what is due, which accounts fell silent, and whether the worker lives."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class DueInbox:
    """The events of one account that may be applied. ``attempts`` counts those of all of them together.

    ``waiting_s``: for how many seconds the first of them could have been applied.
    """

    account: str
    channel: str
    events: int
    newest_event_id: int
    attempts: int
    waiting_s: float


@dataclass(frozen=True, slots=True)
class SilentInbox:
    """An account that last sent something at ``heard_at``, longer ago than it ever pauses."""

    account: str
    heard_at: datetime
    silent_s: float


def due_inboxes(connection: psycopg.Connection, *, longer_than_s: float = 0.0) -> list[DueInbox]:
    """Enabled accounts with events that have been due for so many seconds, those that wait longest first."""
    with connection.cursor(row_factory=class_row(DueInbox)) as cursor:
        return cursor.execute(query("due_inboxes"), {"longer_than_s": longer_than_s}).fetchall()


def silent_inboxes(connection: psycopg.Connection) -> list[SilentInbox]:
    """Enabled accounts that used to send and fell silent: for three times their longest gap, an hour, at most a day."""
    with connection.cursor(row_factory=class_row(SilentInbox)) as cursor:
        return cursor.execute(query("silent_inboxes")).fetchall()


def become_worker(connection: psycopg.Connection) -> bool:
    """Whether this connection is now the worker's, for as long as it is open. False while another one is."""
    ((got,),) = connection.execute(query("become_worker")).fetchall()
    return bool(got)


def worker_lives(connection: psycopg.Connection) -> bool:
    """Whether some connection is the worker's."""
    ((lives,),) = connection.execute(query("worker_lives")).fetchall()
    return bool(lives)
