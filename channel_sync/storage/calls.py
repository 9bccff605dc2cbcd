"""Counts of the calls to channels, by minute."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime

import psycopg

from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class CallCount:
    """Calls of one account to one endpoint that ended alike, ``age_s`` seconds ago. Times in seconds.

    ``waited_s`` and ``took_s`` are sums over the calls, the other two the longest of one.
    """

    account: str
    endpoint: str
    outcome: str
    age_s: float
    calls: int
    waited_s: float
    longest_wait_s: float
    took_s: float
    longest_s: float


def add_calls(connection: psycopg.Connection, counts: Sequence[CallCount]) -> None:
    """Add these to what is counted already, under the database's own minutes."""
    columns = zip(*map(astuple, counts), strict=True)
    names = (field.name for field in fields(CallCount))
    connection.execute(
        query("add_calls"), {name: list(column) for name, column in zip(names, columns, strict=True)}
    )


def forget_old_calls(connection: psycopg.Connection, before: datetime) -> int:
    """Remove the counts of minutes before ``before``; how many rows that were."""
    return connection.execute(query("forget_old_calls"), {"before": before}).rowcount
