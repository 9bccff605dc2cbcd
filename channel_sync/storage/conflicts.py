"""Disagreements of bookings that a person has to look at: opened once while they stand, closed when they no longer do."""

from datetime import datetime
from typing import Literal

import psycopg

from channel_sync.storage.queries import query

Kind = Literal["overbooking", "unmapped"]


def open_or_keep(
    connection: psycopg.Connection,
    booking_id: int,
    kind: Kind,
    detail: str,
    seen_at: datetime,
    sync_log_id: int,
) -> None:
    """Say that the booking needs a decision. One that stands keeps its time, with the newest detail."""
    connection.execute(
        query("open_conflict"),
        {
            "kind": kind,
            "booking_id": booking_id,
            "detail": detail,
            "seen_at": seen_at,
            "sync_log_id": sync_log_id,
        },
    )


def close(connection: psycopg.Connection, booking_id: int, kind: Kind, seen_at: datetime) -> None:
    """It no longer holds; nothing if none stands."""
    connection.execute(query("close_conflict"), {"booking_id": booking_id, "kind": kind, "seen_at": seen_at})
