"""The synced tables as pandas frames, for notebooks and scripts.

    from datetime import date
    from channel_sync import analytics

    calendar = analytics.calendar(url, properties=["harbour-house"], start=date(2027, 7, 1), end=date(2027, 8, 1))

Each function reads one view of the schema ``analytics`` with one statement; what a column means is the comment of
the view's column in the database. The role ``channel_sync_analyst`` is enough to call them.

- Windows are half-open: ``start`` is the first night wanted, ``end`` the first one no longer wanted.
- ``properties`` and ``channels`` are codes; None means all, an empty list means none.
- Nights are ``datetime64[s]`` at midnight without zone: they are calendar dates of the property, not moments.
  Moments are ``datetime64[us, UTC]``, spans of time ``timedelta64[us]``; columns that end in ``_s`` are seconds in ``float64``.
- Integers are ``Int64`` and flags ``boolean``, so that "not stated" stays apart from 0 and False.
- Money is exact: a ``Decimal`` (or None) in a column of dtype object, beside a column with its currency. Sum it
  per currency; turn it into float only to draw it.
- Codes and words of few values are ``category``; codes of bookings are ``str``.
- A frame without rows has the same columns and dtypes as one with rows.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, LiteralString

import pandas as pd
from psycopg import sql

from channel_sync.storage.database import Database

_WORD = "category"
_TEXT = "str"
_NIGHT = "datetime64[s]"
_MOMENT = "datetime64[us, UTC]"
_SPAN = "timedelta64[us]"
_INTEGER = "Int64"
_FLAG = "boolean"
_MONEY = "object"
_SECONDS = "float64"

_LISTING = {
    "property": _WORD,
    "unit_type": _WORD,
    "rate_plan": _WORD,
    "channel": _WORD,
    "channel_account": _WORD,
    "listing": _WORD,
}
_PRICE = {
    "amount": _MONEY,
    "currency": _WORD,
    "min_stay_arrival": _INTEGER,
    "min_stay_through": _INTEGER,
    "max_stay": _INTEGER,
    "closed_to_arrival": _FLAG,
    "closed_to_departure": _FLAG,
    "stop_sell": _FLAG,
    "is_live": _FLAG,
    "observed_at": _MOMENT,
}

CALENDAR: Mapping[str, str] = MappingProxyType(
    {
        **_LISTING,
        "night": _NIGHT,
        "units": _INTEGER,
        "units_open": _INTEGER,
        "is_closed": _FLAG,
        "closure": _WORD,
        "is_held": _FLAG,
        "held_since": _MOMENT,
        **_PRICE,
    }
)
PRICES: Mapping[str, str] = MappingProxyType({**_LISTING, "night": _NIGHT, **_PRICE})
BOOKINGS: Mapping[str, str] = MappingProxyType(
    {
        **_LISTING,
        "booking": _TEXT,
        "status": _WORD,
        "check_in": _NIGHT,
        "check_out": _NIGHT,
        "nights": _INTEGER,
        "lead_days": _INTEGER,
        "units": _INTEGER,
        "party_size": _INTEGER,
        "total_amount": _MONEY,
        "total_currency": _WORD,
        "payout_amount": _MONEY,
        "payout_currency": _WORD,
        "booked_at": _MOMENT,
        "revised_at": _MOMENT,
        "is_overbooked": _FLAG,
    }
)
OCCUPANCY: Mapping[str, str] = MappingProxyType(
    {
        "property": _WORD,
        "unit_type": _WORD,
        "night": _NIGHT,
        "units": _INTEGER,
        "units_sold": _INTEGER,
        "units_occupied": _INTEGER,
        "listings": _INTEGER,
        "listings_closed": _INTEGER,
        "listings_booked": _INTEGER,
        "listings_held": _INTEGER,
    }
)
SYNC_HEALTH: Mapping[str, str] = MappingProxyType(
    {
        "property": _WORD,
        "unit_type": _WORD,
        "channel": _WORD,
        "channel_account": _WORD,
        "listing": _WORD,
        "subject": _WORD,
        "is_enabled": _FLAG,
        "last_success_at": _MOMENT,
        "staleness": _SPAN,
        "last_attempt_at": _MOMENT,
        "last_outcome": _WORD,
        "last_error": _WORD,
        "last_problems": _INTEGER,
        "nights_held": _INTEGER,
        "oldest_held_since": _MOMENT,
    }
)

CHANNEL_CALLS: Mapping[str, str] = MappingProxyType(
    {
        "channel": _WORD,
        "channel_account": _WORD,
        "endpoint": _WORD,
        "outcome": _WORD,
        "minute": _MOMENT,
        "calls": _INTEGER,
        "was_sent": _FLAG,
        "has_succeeded": _FLAG,
        "waited_s": _SECONDS,
        "longest_wait_s": _SECONDS,
        "took_s": _SECONDS,
        "longest_s": _SECONDS,
    }
)

Codes = Collection[str] | None
_Conditions = Mapping[
    LiteralString, object
]  # a condition and what it is bound to; None: the condition is left out


def calendar(
    database: Database | str,
    *,
    properties: Codes = None,
    channels: Codes = None,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """One row per listing and night: open, closed or held, and the price shown. View ``calendar_night``."""
    conditions = {**_portfolio(properties, channels), **_nights(start, end)}
    return _frame(database, "calendar_night", CALENDAR, conditions, ("channel_account", "listing", "night"))


def prices(
    database: Database | str,
    *,
    properties: Codes = None,
    channels: Codes = None,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """One row per listing and night whose price or restrictions are known. View ``price_night``."""
    conditions = {**_portfolio(properties, channels), **_nights(start, end)}
    return _frame(database, "price_night", PRICES, conditions, ("channel_account", "listing", "night"))


def bookings(
    database: Database | str,
    *,
    properties: Codes = None,
    channels: Codes = None,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """One row per booking, cancelled ones included, with at least one night in the window. View ``booking``.

    A cancelled booking that came without dates is in no window: leave out ``start`` and ``end`` to see it.
    """
    first, last = _window(start, end)
    conditions = {**_portfolio(properties, channels), "check_out > %s": first, "check_in < %s": last}
    return _frame(database, "booking", BOOKINGS, conditions, ("channel_account", "check_in", "booking"))


def occupancy(
    database: Database | str,
    *,
    properties: Codes = None,
    start: date | None = None,
    end: date | None = None,
) -> pd.DataFrame:
    """One row per unit type and night: units there are, and units taken. View ``occupancy_night``."""
    conditions = {**_portfolio(properties, None), **_nights(start, end)}
    return _frame(database, "occupancy_night", OCCUPANCY, conditions, ("property", "unit_type", "night"))


def sync_health(
    database: Database | str, *, properties: Codes = None, channels: Codes = None
) -> pd.DataFrame:
    """One row per listing (or account) and subject pulled: how old it is and what is held. View ``sync_health``.

    Rows of whole accounts have no property: they are left out when ``properties`` is given.
    """
    conditions = _portfolio(properties, channels)
    return _frame(database, "sync_health", SYNC_HEALTH, conditions, ("channel_account", "listing", "subject"))


def channel_calls(
    database: Database | str,
    *,
    channels: Codes = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> pd.DataFrame:
    """One row per account, kind of call, outcome and minute of the last 30 days. View ``channel_call``.

    ``start`` and ``end`` are moments with a time zone: minutes from ``start`` on and before ``end``.
    """
    conditions: _Conditions = {
        **_portfolio(None, channels),
        "minute >= %s": _moment(start),
        "minute < %s": _moment(end),
    }
    order = ("minute", "channel_account", "endpoint", "outcome")
    return _frame(database, "channel_call", CHANNEL_CALLS, conditions, order)


def _moment(moment: datetime | None) -> datetime | None:
    """The moment as it is. Raises ValueError for one without a time zone: nobody knows when that was."""
    if moment is not None and moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone: write datetime(..., tzinfo=UTC)")
    return moment


def _portfolio(properties: Codes, channels: Codes) -> _Conditions:
    return {
        "property = ANY(%s)": None if properties is None else _listed(properties),
        "channel = ANY(%s)": None if channels is None else _listed(channels),
    }


def _listed(codes: Collection[str]) -> list[str]:
    return [codes] if isinstance(codes, str) else list(codes)


def _nights(start: date | None, end: date | None) -> _Conditions:
    first, last = _window(start, end)
    return {"night >= %s": first, "night < %s": last}


def _window(start: date | None, end: date | None) -> tuple[date | None, date | None]:
    """Both as plain dates. Raises ValueError for a window that ends before it begins."""
    first, last = (day.date() if isinstance(day, datetime) else day for day in (start, end))
    if first is not None and last is not None and last < first:
        raise ValueError(f"the window ends before it begins: {first} .. {last}: swap start and end")
    return first, last


def _frame(
    database: Database | str,
    view: LiteralString,
    columns: Mapping[str, str],
    conditions: _Conditions,
    order: tuple[str, ...],
) -> pd.DataFrame:
    given = {condition: value for condition, value in conditions.items() if value is not None}
    statement = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.Identifier("analytics", view),
        sql.SQL(" AND ").join([sql.SQL("true"), *map(sql.SQL, given)]),
        sql.SQL(", ").join(map(sql.Identifier, order)),
    )
    source = Database(database) if isinstance(database, str) else database
    with source.connect() as connection:
        rows = connection.execute(statement, list(given.values())).fetchall()
    values = zip(*rows, strict=True) if rows else ((),) * len(columns)
    return pd.DataFrame(
        {name: _series(found, columns[name]) for name, found in zip(columns, values, strict=True)}
    )


def _series(values: Sequence[Any], dtype: Any) -> "pd.Series[Any]":
    # By way of text, so that a column of words without a single one has categories of text too.
    given = pd.Series(values, dtype=_TEXT) if dtype == _WORD else values
    series: pd.Series[Any] = pd.Series(given, dtype=dtype)
    return series
