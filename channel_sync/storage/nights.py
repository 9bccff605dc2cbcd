"""The bulk path of nights: stream into a staging table, then one MERGE that touches only what differs.

A batch is copied in binary form into an unlogged table of its own, in the caller's transaction or not, and merged
later, perhaps by another process. The MERGE writes new nights and nights that differ, never deletes, and returns what
changed per listing; neither step's memory grows with the number of rows. Serialising two batches that hold the same
listing is the caller's business (``observations.lock_states``).
Nights of a listing that has none yet are inserted as they are: there is nothing to compare.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import islice
from typing import Literal, NamedTuple, Self, cast

import psycopg
from psycopg.rows import args_row, scalar_row
from psycopg.sql import SQL, Identifier
from psycopg.sql import Literal as Quoted

from channel_sync.storage.queries import query

Subject = Literal["availability", "pricing"]

_SCHEMA = "channel_sync_staging"
_LONGEST_NAME = 63  # bytes of an identifier; Postgres would cut a longer one without a word
_FINGERPRINT_VERSION = "2"
_ROWS_PER_PIECE = 4096


class AvailabilityRow(NamedTuple):
    """One row of channel_availability; see the comments on its columns."""

    listing_id: int
    night: date
    units_open: int
    closure: str | None
    reference: str | None
    held_since: datetime | None
    release_at_s: float | None
    hold_reason: str | None
    sync_log_id: int


class PriceRow(NamedTuple):
    """One row of channel_price; see the comments on its columns."""

    listing_id: int
    night: date
    amount: Decimal | None
    currency: str | None
    min_stay_arrival: int | None
    min_stay_through: int | None
    max_stay: int | None
    closed_to_arrival: bool | None
    closed_to_departure: bool | None
    stop_sell: bool | None
    sync_log_id: int


@dataclass(frozen=True, slots=True)
class Changes:
    """What a merge did to the nights of one listing.

    ``closed`` and ``opened`` count nights that were stored before and went from some units to none, or back; they are
    always 0 for prices. Rows that were the same already are not counted anywhere.
    """

    inserted: int = 0
    updated: int = 0
    closed: int = 0
    opened: int = 0


@dataclass(frozen=True, slots=True)
class _Target:
    """The table that a subject's nights are merged into. ``types`` are those of its columns, in order."""

    table: str
    types: tuple[str, ...]
    merge: str


_TARGETS: dict[Subject, _Target] = {
    "availability": _Target(
        "channel_availability",
        ("int8", "date", "int2", "text", "text", "timestamptz", "float8", "text", "int8"),
        "merge_availability",
    ),
    "pricing": _Target(
        "channel_price",
        ("int8", "date", "numeric", "text", "int2", "int2", "int2", "bool", "bool", "bool", "int8"),
        "merge_pricing",
    ),
}


@dataclass(frozen=True, slots=True)
class Staging:
    """The table in which one batch waits to be merged. Everything happens in the connection's transaction."""

    connection: psycopg.Connection
    subject: Subject
    name: str

    @classmethod
    def create(cls, connection: psycopg.Connection, subject: Subject, name: str) -> Self:
        """A new, empty table for the batch ``name``; what an earlier attempt of the same batch left is dropped."""
        staging = cls(connection, subject, name)
        staging.drop()
        table = Identifier(_TARGETS[subject].table)
        connection.execute(SQL(query("create_night_staging")).format(staging=staging._table, table=table))
        _mark(connection, staging._table)
        return staging

    @classmethod
    def attach(cls, connection: psycopg.Connection, subject: Subject, name: str) -> Self:
        """The table that was created for the batch ``name``, perhaps by another process.

        Raises LookupError where there is none: the batch was never staged, is merged already or was given up.
        """
        staging = cls(connection, subject, name)
        found = connection.execute(
            "SELECT to_regclass(%s)", [staging._table.as_string(connection)]
        ).fetchone()
        if found is None or found[0] is None:
            raise LookupError(f"batch {name!r} is not staged: pull it again")
        return staging

    def copy(self, rows: Iterable[AvailabilityRow] | Iterable[PriceRow]) -> int:
        """Append ``rows``, streaming, and return how many. If ``rows`` raises, the transaction is broken off."""
        count = 0
        statement = SQL("COPY {} FROM STDIN (FORMAT binary)").format(self._table)
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(_TARGETS[self.subject].types)
            write_row = copy.write_row
            for count, row in enumerate(rows, 1):  # noqa: B007 - the last number is the count
                write_row(row)
        return count

    def merge(self, listing_ids: Sequence[int] | None = None) -> dict[int, Changes]:
        """Write what is new or differs, of these listings or of all, and say what changed by listing.

        A listing without a change is not in the answer. Nothing is ever deleted. Errors of the caller's, after which
        the transaction has to be rolled back: two rows for one night raise psycopg.IntegrityError or CardinalityViolation
        once one of them has to be written, nights of a listing that does not exist ForeignKeyViolation.
        """
        if listing_ids is not None and not listing_ids:
            return {}
        # Without it the planner guesses the size and may look up a million nights one by one.
        self.connection.execute(SQL("ANALYZE {}").format(self._table))
        # What is merged is counted in memory, by night: a batch of 64 listings takes a few megabytes.
        self.connection.execute("SET LOCAL work_mem = '64MB'")
        names = {"staging": self._table, "table": Identifier(_TARGETS[self.subject].table)}
        wanted = {"listing_ids": None if listing_ids is None else list(listing_ids)}
        listings = self.connection.execute(SQL(query("staged_listings")).format(**names), wanted).fetchall()
        unknown = sorted(listing_id for listing_id, _, _, known in listings if not known)
        if unknown:
            # What a foreign key would say, once per listing and not once per night.
            raise psycopg.errors.ForeignKeyViolation(f"nights of listings that do not exist: {unknown}")
        # Where a listing has no night yet there is nothing to compare, which halves the time.
        first = {listing_id: nights for listing_id, nights, has_nights, _ in listings if not has_nights}
        others = [listing_id for listing_id, _, has_nights, _ in listings if has_nights]
        changes = {listing_id: Changes(inserted=nights) for listing_id, nights in first.items()}
        if first:
            insert = SQL(query("insert_first_nights")).format(**names)
            self.connection.execute(insert, {"listing_ids": list(first)})
        if others:
            merge = SQL(query(_TARGETS[self.subject].merge)).format(staging=self._table)
            for listing_id, *counts in self.connection.execute(merge, {"listing_ids": others}):
                changes[listing_id] = Changes(*counts)
        return changes

    def rows(self, listing_id: int) -> list[AvailabilityRow]:
        """What is staged of one listing's availability, in order of nights."""
        if self.subject != "availability":
            raise ValueError(f"batch {self.name!r} stages {self.subject}, not availability")
        statement = SQL("SELECT * FROM {} WHERE listing_id = %s ORDER BY night").format(self._table)
        with self.connection.cursor(row_factory=args_row(AvailabilityRow)) as cursor:
            return cursor.execute(statement, [listing_id]).fetchall()

    def drop(self) -> None:
        """Remove the table, if it is there."""
        self.connection.execute(SQL("DROP TABLE IF EXISTS {}").format(self._table))

    @property
    def _table(self) -> Identifier:
        name = self.name
        if len(name.encode()) > _LONGEST_NAME:
            name = f"{name[:20]}-{sha256(name.encode()).hexdigest()[:20]}"
        return Identifier(_SCHEMA, name)


def drop_abandoned(connection: psycopg.Connection, older_than: timedelta) -> list[str]:
    """Drop what killed runs left in the staging schema and return the names of the tables.

    A table says in its comment since when it exists. One that says nothing is given a comment now and dropped when
    that has become old. One that is in use is left for the next time.
    """
    now = _now(connection)
    dropped = []
    for name, comment in connection.execute(query("staging_tables")).fetchall():
        table = Identifier(_SCHEMA, name)
        since = _time(comment)
        try:
            with connection.transaction():
                connection.execute("SELECT set_config('lock_timeout', '100ms', true)")
                if since is None:
                    _mark(connection, table)
                elif now - since > older_than:
                    connection.execute(SQL("DROP TABLE {}").format(table))
                    dropped.append(name)
        except psycopg.errors.LockNotAvailable:
            continue
    return dropped


def fingerprint(rows: Iterable[AvailabilityRow] | Iterable[PriceRow]) -> str:
    """A hash of what ``rows`` say, in this order, leaving out which observation says it (the last column).

    Equal fingerprints mean equal rows; unequal ones may still mean equal rows (another order, 10 for 10.00, another
    version of this function), which costs a merge that writes nothing.
    """
    digest = sha256()
    source = iter(rows)
    # Column by column: ten times fewer calls than row by row.
    while piece := list(islice(source, _ROWS_PER_PIECE)):
        *columns, _ = zip(*piece, strict=True)
        for column in columns:
            first = column[0]
            if column.count(first) == len(column):  # as most columns of a calendar are
                digest.update(f"{len(column)} times {first!r};".encode())
            else:
                digest.update(_encode(_plain(column)).encode())
    return f"{_FINGERPRINT_VERSION}:{digest.hexdigest()}"


_encode = json.JSONEncoder(default=str, separators=(",", ":"), check_circular=False).encode


def _plain(column: Sequence[object]) -> Sequence[object]:
    """The column as values that JSON has. Whatever else is in it becomes its ``str``, only more slowly."""
    kinds = set(map(type, column))
    if kinds == {date}:
        return list(map(date.toordinal, cast("Sequence[date]", column)))
    return list(map(str, column)) if kinds == {Decimal} else column


def _mark(connection: psycopg.Connection, table: Identifier) -> None:
    now = _now(connection).isoformat()
    connection.execute(SQL("COMMENT ON TABLE {} IS {}").format(table, Quoted(now)))


def _now(connection: psycopg.Connection) -> datetime:
    """The database's own clock: the same for every process."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        return cast("datetime", cursor.execute("SELECT clock_timestamp()").fetchone())


def _time(comment: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(comment or "")
    except ValueError:
        return None
