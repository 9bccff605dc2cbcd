"""Held nights: kept closed, although their channel no longer lists them as closed, until that is proven."""

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row

from adapters.errors import ConfigurationError
from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class Hold:
    """The nights of one listing that are held for one reason, from the property's own today on.

    ``since`` is the start of the longest hold, in UTC. ``seconds_left`` runs only while the listing's feed is being
    seen, and until the last of the nights may open. ``approved``: somebody released them, the next pull opens them.
    """

    account: str
    listing: str
    unit_type: str
    reason: str
    since: datetime
    seconds_left: float
    approved: bool
    nights: list[date]


def holds(
    connection: psycopg.Connection, account: str | None = None, listing: str | None = None
) -> list[Hold]:
    """What is held, ordered by account, listing and reason; of one account or listing where asked."""
    with connection.cursor(row_factory=class_row(Hold)) as cursor:
        return cursor.execute(query("holds"), {"account": account, "listing": listing}).fetchall()


def approve_release(connection: psycopg.Connection, account: str, listing: str) -> list[Hold]:
    """Let the next pull open the nights held now, as far as the channel still does not list them; which ones.

    Raises ConfigurationError where nothing is held.
    """
    connection.execute(query("approve_release"), {"account": account, "listing": listing})
    released = holds(connection, account, listing)
    if not released:
        raise ConfigurationError(
            f"no night of {account}/{listing} is held: `channel-sync holds` lists what is"
        )
    return released
