"""What the tables have to say after all that happened, and where they contradict it."""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

import psycopg

from channel_sync.sandbox.bookings import nights
from channel_sync.sandbox.courier import Delivery
from channel_sync.sandbox.server import Sandbox
from channel_sync.storage.database import Database

Rows = list[tuple[Any, ...]]
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass(slots=True)
class Outcome:
    """What it came to. Each list of contradictions is empty where all is well."""

    report: Mapping[str, Any]
    killed: Mapping[str, int]
    seconds: float = 0.0
    events: int = 0
    bookings: int = 0
    healed_by_pull: int = 0
    settled_by: dict[str, int] = field(default_factory=dict)
    runs_beside_the_worker: int = 0
    dagster_runs: Mapping[str, int] = field(default_factory=dict)
    runs_ended_as_by_up: int = 0
    runs_without_end: list[object] = field(default_factory=list)
    unlike_the_truth: list[object] = field(default_factory=list)
    acknowledged_but_absent: list[object] = field(default_factory=list)
    revisions_stored_twice: list[object] = field(default_factory=list)
    revisions_not_applied_once: list[object] = field(default_factory=list)
    neither_allocated_nor_in_conflict: list[object] = field(default_factory=list)
    conflicts_left_open: list[object] = field(default_factory=list)
    nights_unlike_the_truth: list[object] = field(default_factory=list)
    unsettled: list[object] = field(default_factory=list)

    def contradictions(self) -> dict[str, list[object]]:
        """What must not be."""
        return {name: value for name, value in asdict(self).items() if isinstance(value, list) and value}


def compare(outcome: Outcome, database: Database, sandbox: Sandbox) -> None:
    """Bookings, their revisions and units, and the inbox."""
    truth = {
        (
            booking.code,
            booking.listing_id,
            "confirmed" if booking.confirmed else "cancelled",
            booking.check_in,
            booking.check_out,
            booking.updated_at,
            booking.payout,  # equal in numbers, however many digits it is kept with
            booking.currency,
        )
        for booking in sandbox.world.bookings(sandbox.clock.now())
    }
    stored = rows(
        database,
        "SELECT external_id, listing_external_id, status, check_in, check_out, revised_at, "
        "payout_amount, payout_currency FROM booking",
    )
    outcome.bookings = len(stored)
    outcome.unlike_the_truth = sorted(set(stored) ^ truth, key=str)
    deliveries: Sequence[Delivery] = tuple(sandbox.webhooks.deliveries)
    keys = {key for (key,) in rows(database, "SELECT delivery_key FROM webhook_event")}
    outcome.events = len(keys)
    outcome.acknowledged_but_absent = [
        each.number for each in deliveries if _acknowledged(each) and _key(each) not in keys
    ]
    outcome.revisions_stored_twice = list(
        rows(
            database,
            "SELECT booking_id, revised_at FROM booking_revision GROUP BY 1, 2 HAVING count(*) > 1",
        )
    )
    outcome.neither_allocated_nor_in_conflict = list(
        rows(
            database,
            "SELECT external_id, status, array_agg(stay) FROM booking LEFT JOIN allocation USING (booking_id) "
            "WHERE NOT EXISTS (SELECT FROM conflict WHERE conflict.booking_id = booking.booking_id "
            "                  AND kind = 'overbooking' AND closed_at IS NULL) "
            "GROUP BY booking_id HAVING NOT CASE status "
            "WHEN 'confirmed' THEN count(stay) = 1 AND bool_and(stay = daterange(check_in, check_out)) "
            "ELSE count(stay) = 0 END",
        )
    )


def compare_revisions(outcome: Outcome, database: Database) -> None:
    """Before any pull each revision is that of one event, which says of itself that it was applied; and no other does."""
    stored = Counter(
        rows(
            database,
            "SELECT external_id, booking_revision.revised_at FROM booking_revision JOIN booking USING (booking_id)",
        )
    )
    applied = Counter(
        rows(
            database,
            "SELECT booking_external_id, webhook_event.revised_at FROM webhook_event "
            "WHERE state IN ('applied', 'superseded') AND reason IS DISTINCT FROM 'already stored'",
        )
    )
    outcome.revisions_not_applied_once = sorted(
        [*(stored - applied).elements(), *(applied - stored).elements()], key=str
    )


def compare_runs(outcome: Outcome, database: Database, runs: Mapping[str, str]) -> None:
    """Whose runs settled the events, and what became of these. ``runs`` are who executed each and its status, by id."""
    outcome.dagster_runs = dict(sorted(Counter(runs.values()).items()))
    outcome.runs_without_end = [
        f"{run_id}: {said}" for run_id, said in runs.items() if said.split()[-1] not in _ENDED
    ]
    moments: defaultdict[tuple[str, str], list[datetime]] = defaultdict(list)
    for run_id, settled_at in rows(
        database, "SELECT run_id, settled_at FROM webhook_event WHERE state <> 'received'"
    ):
        moments[runs[run_id].split()[0], run_id].append(settled_at)
    by_worker = [moment for (whose, _), settled in moments.items() if whose == "worker" for moment in settled]
    for (whose, _), settled in moments.items():
        outcome.settled_by[whose] = outcome.settled_by.get(whose, 0) + len(settled)
        if whose == "launched":
            outcome.runs_beside_the_worker += any(
                min(settled) < moment < max(settled) for moment in by_worker
            )


def compare_nights(outcome: Outcome, database: Database, sandbox: Sandbox) -> None:
    """The world sells no night twice, and each room has one listing on Airbnb: a night is closed if it is sold there."""
    outcome.conflicts_left_open = list(
        rows(database, "SELECT kind, booking_id, detail FROM conflict WHERE closed_at IS NULL")
    )
    sold = {
        (booking.listing_id, night)
        for booking in sandbox.world.bookings(sandbox.clock.now())
        if booking.confirmed
        for night in nights(booking.check_in, booking.check_out)
    }
    closed = rows(
        database,
        "SELECT external_id, night FROM house_availability JOIN listing USING (unit_type_id) "
        "JOIN channel_account USING (channel_account_id) WHERE channel = 'airbnb' AND units_open = 0",
    )
    outcome.nights_unlike_the_truth = sorted(set(closed) ^ sold, key=str)


def _acknowledged(delivery: Delivery) -> bool:
    answers = (*delivery.statuses, *delivery.copies)
    return any(status is not None and 200 <= status < 300 for status in answers)


def _key(delivery: Delivery) -> str:
    return f"sha256:{sha256(delivery.notice.body).hexdigest()}"


def rows(database: Database, statement: str) -> Rows:
    """What a query finds; after a restart of the server at the second try."""
    for last in (False, False, True):
        try:
            with database.connect() as connection:
                return connection.execute(statement.encode()).fetchall()
        except psycopg.OperationalError:
            if last:
                raise
            time.sleep(0.5)
    raise AssertionError
