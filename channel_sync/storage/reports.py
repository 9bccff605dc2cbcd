"""Questions that operators and asset checks ask the tables. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class Week:
    """Nights of the listings of some accounts in the week that begins on Monday ``week``."""

    week: date
    nights: int
    closed: int
    booked: int
    held: int


def occupancy_by_week(
    connection: psycopg.Connection, accounts: Sequence[str], first_night: date
) -> list[Week]:
    """The 90 nights from ``first_night`` on, week by week; the first and last week may be cut."""
    with connection.cursor(row_factory=class_row(Week)) as cursor:
        cursor.execute(query("occupancy_by_week"), {"accounts": list(accounts), "first_night": first_night})
        return cursor.fetchall()


def findings(connection: psycopg.Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows that a check found wrong, at most 100; ``name`` is a statement of the reports in ``sql``."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query(name), parameters)
        return cursor.fetchall()
