"""The portfolio in the tables: as the engine reads it, and how it is made to agree with what is wanted.

Only ``channel_sync.portfolio`` writes it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from adapters.base_adapter import Quota, QuotaScope
from adapters.errors import ConfigurationError
from channel_sync.storage.queries import query


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One login on a channel that has not left the portfolio.

    ``secrets`` maps a secret's name to the name of the environment variable that holds it, never to a value.
    ``enabled`` says whether schedules pull it. ``quotas`` hold in place of those that the channel declares; empty
    where the account has no contract of its own.
    """

    channel_account_id: int
    code: str
    channel: str
    environment: str
    settings: Mapping[str, str]
    secrets: Mapping[str, str]
    enabled: bool
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True)
class ListingRow:
    """One listing of an account, with what is needed to read and judge it.

    ``external_id`` is the channel's own id. ``units`` is how many units of the type have not left the
    portfolio. ``patience_hours`` is 0 (quick) .. 168 (cautious). ``secrets`` are names, as in AccountRow.
    """

    listing_id: int
    external_id: str
    property_code: str
    unit_type_id: int
    unit_type_code: str
    rate_plan_code: str | None
    time_zone: str
    currency: str
    units: int
    patience_hours: float
    settings: Mapping[str, str]
    secrets: Mapping[str, str]


def accounts(connection: psycopg.Connection, *, enabled_only: bool = True) -> list[AccountRow]:
    """Every account in the portfolio, in order of code; by default those that schedules pull."""
    return _accounts(connection, code=None, enabled_only=enabled_only)


def account(connection: psycopg.Connection, code: str) -> AccountRow:
    """One account, enabled or not. Raises ConfigurationError when the portfolio has none of that code."""
    found = _accounts(connection, code=code, enabled_only=False)
    if not found:
        raise ConfigurationError(
            f"no channel account {code!r}: add it to the portfolio file and apply that, or mend the name"
        )
    return found[0]


def listings(connection: psycopg.Connection, channel_account_id: int) -> list[ListingRow]:
    """Every listing of the account that is pulled, in order of its channel's id: enabled and not retired."""
    with connection.cursor(row_factory=class_row(ListingRow)) as cursor:
        return cursor.execute(query("portfolio_listings"), [channel_account_id]).fetchall()


def _accounts(connection: psycopg.Connection, *, code: str | None, enabled_only: bool) -> list[AccountRow]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("portfolio_accounts"), {"code": code, "enabled_only": enabled_only})
        return [AccountRow(**{**row, "quotas": tuple(map(_quota, row["quotas"]))}) for row in rows]


def _quota(stored: Mapping[str, Any]) -> Quota:
    return Quota(
        stored["limit"],
        timedelta(seconds=stored["window_s"]),
        QuotaScope(stored["per"]),
        stored["burst"],
        frozenset(stored["endpoints"]),
    )


@dataclass(frozen=True, slots=True)
class Change:
    """One row of the portfolio that was made, altered, retired or restored. ``detail`` names no setting's value."""

    kind: Literal["added", "changed", "retired", "restored"]
    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the portfolio.

    ``key`` is the columns by which the file names a row, the owner's key before the row's own name. ``fixed``
    are columns that say where the row's facts came from: once there are facts, they never change.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As people say it."""
        return self.name.replace("_", " ")

    @property
    def id(self) -> str:
        """The column of our own key, of the same name wherever it is pointed from."""
        return f"{self.name}_id"


PROPERTY = Table("property", ("code",), ("name", "time_zone", "currency"))
UNIT_TYPE = Table("unit_type", ("property_id", "code"), ("name",))
UNIT = Table("unit", ("unit_type_id", "code"))
RATE_PLAN = Table("rate_plan", ("unit_type_id", "code"), ("name",))
CHANNEL_ACCOUNT = Table(
    "channel_account",
    ("code",),
    ("channel", "environment", "settings", "secrets", "enabled", "quotas"),
    fixed=("channel", "environment"),
)
LISTING = Table(
    "listing",
    ("channel_account_id", "external_id"),
    ("unit_type_id", "rate_plan_id", "patience_hours", "settings", "secrets", "enabled"),
)

Key = tuple[Any, ...]
Values = Mapping[str, Any]


class Agreement:
    """Brings the tables to agree with what is wanted, one table after the other, owners before what they own.

    Holds the portfolio's lock until the connection's transaction ends. ``changes`` grows with each table.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        """Wait for whoever else is changing the portfolio."""
        self.changes: list[Change] = []
        self._connection = connection
        self._labels: dict[tuple[str, int], str] = {}  # (key column, key) -> as the file names it
        connection.execute(query("portfolio_lock"))

    def check_time_zones(self, time_zones: Iterable[str]) -> None:
        """Raise ConfigurationError unless the database server can reckon nights in all of these."""
        try:
            self._connection.execute(query("portfolio_time_zones"), [sorted(time_zones)])
        except psycopg.errors.InvalidParameterValue as error:
            raise ConfigurationError(
                f"the database server cannot reckon nights: {error.diag.message_primary}: update its time zones"
            ) from None

    def make(self, table: Table, wanted: Mapping[Key, Values]) -> dict[Key, int]:
        """Add, change, restore and retire rows until exactly ``wanted`` are live. Returns their keys.

        Raises ConfigurationError if a fixed column of a row with facts would change.
        """
        found = self._read(table)
        ids = {
            key: self._settle(table, found[key], values) if key in found else self._add(table, key, values)
            for key, values in wanted.items()
        }
        self._retire(
            table,
            [row[table.id] for key, row in found.items() if key not in wanted and not row["is_retired"]],
        )
        return ids

    def _read(self, table: Table) -> dict[Key, dict[str, Any]]:
        statement = sql.SQL("SELECT {}, retired_at IS NOT NULL AS is_retired FROM {} ORDER BY {}").format(
            _names(table.id, *table.key, *table.columns), _place(table), _names(*table.key)
        )
        with self._connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(statement).fetchall()
        found = {tuple(row[column] for column in table.key): row for row in rows}
        for key, row in found.items():
            self._label(table, key, row[table.id])
        return found

    def _add(self, table: Table, key: Key, values: Values) -> int:
        columns = (*table.key, *table.columns)
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            _place(table),
            _names(*columns),
            sql.SQL(", ").join([sql.Placeholder()] * len(columns)),
            _names(table.id),
        )
        given = [*key, *(_given(values[column]) for column in table.columns)]
        (row_id,) = self._connection.execute(statement, given).fetchall()[0]
        label = self._label(table, key, row_id)
        self.changes.append(Change("added", f"{table.title} {label}"))
        return int(row_id)

    def _settle(self, table: Table, row: Mapping[str, Any], values: Values) -> int:
        row_id: int = row[table.id]
        differing = [column for column in table.columns if row[column] != values[column]]
        if not differing and not row["is_retired"]:
            return row_id
        label = self._labels[table.id, row_id]
        for column in table.fixed:
            if column in differing and self._has_facts(row_id):
                raise ConfigurationError(
                    f"{table.title} {label} has nights or bookings from {column} {row[column]} and cannot become"
                    f" one of {values[column]}: give the new one a code of its own"
                )
        self._alter(table, row_id, values)
        details = [self._difference(column, row[column], values[column]) for column in differing]
        if "unit_type_id" in differing:
            details += self._stays(table, [row_id]).values()
        self.changes.append(
            Change(
                "restored" if row["is_retired"] else "changed", f"{table.title} {label}", "; ".join(details)
            )
        )
        return row_id

    def _alter(self, table: Table, row_id: int, values: Values) -> None:
        assigned = [sql.SQL("{} = %s").format(sql.Identifier(column)) for column in table.columns]
        statement = sql.SQL("UPDATE {} SET {} WHERE {} = %s").format(
            _place(table), sql.SQL(", ").join([*assigned, sql.SQL("retired_at = NULL")]), _names(table.id)
        )
        self._connection.execute(statement, [*(_given(values[column]) for column in table.columns), row_id])

    def _retire(self, table: Table, row_ids: list[int]) -> None:
        if not row_ids:
            return
        statement = sql.SQL("UPDATE {} SET retired_at = now() WHERE {} = ANY(%s)")
        self._connection.execute(statement.format(_place(table), _names(table.id)), [row_ids])
        stays = self._stays(table, row_ids)
        self.changes += [
            Change("retired", f"{table.title} {self._labels[table.id, row_id]}", stays.get(row_id, ""))
            for row_id in row_ids
        ]

    def _has_facts(self, channel_account_id: int) -> bool:
        return bool(
            self._connection.execute(query("portfolio_facts"), {"account": channel_account_id}).fetchall()
        )

    def _stays(self, table: Table, row_ids: list[int]) -> dict[int, str]:
        """A warning for each of these rows that stays not yet over hang on."""
        match table.name:
            case "unit":
                statement, words = query("portfolio_stays_in_units"), "allocated to it"
            case "listing":
                statement, words = query("portfolio_stays_on_listings"), "sold on it"
            case _:
                return {}
        return {
            row_id: f"warning: {count} stay{'s' if count > 1 else ''} not yet over {words}"
            for row_id, count in self._connection.execute(statement, [row_ids])
        }

    def _label(self, table: Table, key: Key, row_id: int) -> str:
        *owner, code = key
        labels = [
            *(self._labels[column, value] for column, value in zip(table.key, owner, strict=False)),
            code,
        ]
        self._labels[table.id, row_id] = "/".join(labels)
        return self._labels[table.id, row_id]

    def _difference(self, column: str, before: object, after: object) -> str:
        if isinstance(before, dict):
            return f"{column} differ"
        shown = [
            self._labels.get((column, value), value) if isinstance(value, int) else value
            for value in (before, after)
        ]
        return f"{column.removesuffix('_id')}: {_shown(shown[0])} -> {_shown(shown[1])}"


def _names(*columns: str) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column) for column in columns)


def _place(table: Table) -> sql.Identifier:
    return sql.Identifier("channel_sync", table.name)


def _given(value: object) -> object:
    return Jsonb(value) if isinstance(value, dict | list) else value


def _shown(value: object) -> str:
    match value:
        case None | []:
            return "none"
        case bool():
            return str(value).lower()
        case list():
            return ", ".join(_in_words(quota) for quota in value)
        case _:
            return str(value)


def _in_words(quota: Mapping[str, Any]) -> str:
    """``50 in 1 s per account (burst 5, only calendars)``."""
    details = [f"burst {quota['burst']}"] if quota["burst"] > 1 else []
    details += [f"only {'+'.join(quota['endpoints'])}"] if quota["endpoints"] else []
    more = f" ({', '.join(details)})" if details else ""
    return f"{quota['limit']} in {quota['window_s']:g} s per {quota['per']}{more}"
