"""What holds calls to channels back, as tables that people read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg

from channel_sync.storage import resilience_reports as reports
from channel_sync.storage.resilience_reports import Circuit, HourOfCalls, QuotaState


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; ``nothing`` says what it means that there are none."""

    heading: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    nothing: str


def tables(connection: psycopg.Connection) -> Iterator[Table]:
    """Circuits, quotas, penalties, and the calls of the last hour."""
    quotas = reports.quotas(connection)
    yield _circuits(reports.circuits(connection))
    yield _quotas([one for one in quotas if one.limits])
    yield _penalties([one for one in quotas if one.penalties])
    yield _calls(reports.calls_of_last_hour(connection))


def unblock(connection: psycopg.Connection, key: str) -> Iterator[str]:
    """Close the circuit of this key, lift its penalty, and say so. Raises what ``resilience_reports.unblock`` raises."""
    was = reports.unblock(connection, key)
    if was.circuit == "closed":
        yield f"circuit {key}: was closed already"
    elif was.circuit is not None:
        yield f"circuit {key}: was {_words(was.circuit)}, is closed: calls are let through"
    if was.blocked_s:
        yield f"quota {key}: the {_seconds(was.blocked_s)} left of its penalty are lifted"
    elif was.blocked_s is not None:
        yield f"quota {key}: was not blocked"


def _circuits(circuits: Sequence[Circuit]) -> Table:
    rows = [
        (
            one.key,
            _words(one.state),
            "-" if one.standing_s is None else _seconds(one.standing_s),
            "-" if one.state == "closed" else _due(one.retry_in_s),
            str(one.trips),
            one.last_error or "-",
        )
        for one in circuits
    ]
    heading = ("CIRCUIT", "STATE", "FOR", "TRIES AGAIN", "TRIPS", "LAST ERROR")
    return Table(heading, rows, "no circuit has been used yet")


def _quotas(quotas: Sequence[QuotaState]) -> Table:
    rows = [
        (
            one.key,
            ", ".join(
                f"{limit:,} in {_window(window)}"
                for limit, window in zip(one.limits, one.windows_s, strict=True)
            ),
            _due(one.next_permit_s),
            f"{one.granted:,}",
        )
        for one in quotas
    ]
    return Table(("QUOTA", "WINDOWS", "NEXT PERMIT", "GRANTED"), rows, "no quota has been used yet")


def _penalties(quotas: Sequence[QuotaState]) -> Table:
    rows = [
        (
            one.key,
            _seconds(one.blocked_s) if one.blocked_s else "-",
            f"{one.penalties:,}",
            "-" if one.penalized_s_ago is None else f"{_seconds(one.penalized_s_ago)} ago",
        )
        for one in quotas
    ]
    return Table(("PENALTY", "BLOCKED FOR", "SO FAR", "LAST"), rows, "no channel has asked to wait yet")


def _calls(calls: Sequence[HourOfCalls]) -> Table:
    rows = [
        (
            one.account,
            one.endpoint,
            f"{one.sent:,}",
            f"{one.failed:,}",
            f"{one.too_many:,}",
            f"{one.refused:,}",
            _seconds(one.waited_s),
            _seconds(one.longest_wait_s),
        )
        for one in calls
    ]
    heading = (
        "CALLS OF THE LAST HOUR",
        "ENDPOINT",
        "SENT",
        "FAILED",
        "429",
        "NOT SENT",
        "WAITED",
        "LONGEST WAIT",
    )
    return Table(heading, rows, "no call in the last hour")


def _words(state: str) -> str:
    return state.replace("_", " ")


def _due(seconds: float) -> str:
    return f"in {_seconds(max(1.0, seconds))}" if seconds else "now"


def _seconds(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def _window(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
