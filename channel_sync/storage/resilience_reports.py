"""What holds calls to channels back: circuits, quotas, penalties, and what became of the last hour's calls."""

from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from adapters.errors import ConfigurationError
from channel_sync.storage.queries import query

MOST = 50  # there may be a counter for every listing


@dataclass(frozen=True, slots=True)
class Circuit:
    """A circuit: how long it has stood so (None: since ever), and when it is worth asking again (0: now)."""

    key: str
    state: str
    standing_s: float | None
    retry_in_s: float
    trips: int
    last_error: str | None


@dataclass(frozen=True, slots=True)
class QuotaState:
    """A counter with its windows (none: only penalties count). ``blocked_s`` is what is left of a penalty."""

    key: str
    limits: list[int]
    windows_s: list[float]
    next_permit_s: float
    blocked_s: float
    penalties: int
    penalized_s_ago: float | None
    granted: int


@dataclass(frozen=True, slots=True)
class HourOfCalls:
    """Calls of one kind in the last hour. ``failed`` were answered by an error or not at all; ``refused`` never sent."""

    account: str
    endpoint: str
    sent: int
    failed: int
    too_many: int
    refused: int
    waited_s: float
    longest_wait_s: float


@dataclass(frozen=True, slots=True)
class Unblocked:
    """What stood under a key: the state of its circuit and what was left of its penalty, None where it had none."""

    circuit: str | None
    blocked_s: float | None


def circuits(connection: psycopg.Connection) -> list[Circuit]:
    """The circuits, at most MOST, those that are not closed first."""
    with connection.cursor(row_factory=class_row(Circuit)) as cursor:
        return cursor.execute(query("circuits"), {"only_open": False, "most": MOST}).fetchall()


def quotas(connection: psycopg.Connection) -> list[QuotaState]:
    """The counters of quotas, at most MOST, those farthest from their next permit first."""
    with connection.cursor(row_factory=class_row(QuotaState)) as cursor:
        return cursor.execute(query("quotas"), {"beyond_s": None, "most": MOST}).fetchall()


def calls_of_last_hour(connection: psycopg.Connection) -> list[HourOfCalls]:
    """What became of the last hour's calls, by account and endpoint."""
    with connection.cursor(row_factory=class_row(HourOfCalls)) as cursor:
        return cursor.execute(query("calls_of_last_hour")).fetchall()


def unblock(connection: psycopg.Connection, key: str) -> Unblocked:
    """Close the circuit of this key and lift its penalty, as far as there are any; what stood there before.

    Raises ConfigurationError for a key that is neither a circuit's nor a quota's.
    """
    circuit = connection.execute(query("lock_circuit"), {"key": key}).fetchone()
    if circuit is not None and circuit[0] != "closed":
        connection.execute(query("reset_circuit"), {"key": key, "at": None})
    penalty = connection.execute(query("lift_penalty"), {"key": key}).fetchone()
    if circuit is None and penalty is None:
        held = [name for (name,) in connection.execute(query("held_keys"))]
        raise ConfigurationError(
            f"no circuit and no quota has the key {key!r}: "
            + (f"calls are held back under {', '.join(held)}" if held else "no calls are held back at all")
        )
    return Unblocked(circuit[0] if circuit else None, penalty[0] if penalty else None)
