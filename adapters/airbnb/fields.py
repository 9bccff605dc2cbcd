"""Reading one field of an Airbnb answer as what it should be.

Every reader returns None for a field that is absent or null and raises ValueError for one that is something
else. The errors name the field, never its value: the value may be a guest's.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from adapters.model import Problem

_CODE = re.compile("[A-Za-z0-9_-]{1,64}")
_CURRENCY = re.compile("[A-Z]{3}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_PLAIN = re.compile("[A-Za-z0-9:.+_-]{0,64}")
_MOST = 10_000  # nights, units, guests: beyond it a count is a mistake

_FLAGS: Mapping[object, bool] = {True: True, False: False}  # 1 and 0 are equal to them


def code(raw: Mapping[str, Any], *names: str) -> str | None:
    """An id or code, from the first of ``names`` that is not null. Airbnb gives ids as number and as ``_str``."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(value, (str, int)) and not isinstance(value, bool) and _CODE.fullmatch(str(value)):
            return str(value)
        raise ValueError(f"{name} is not an id")
    return None


def currency(raw: Mapping[str, Any], *names: str) -> str | None:
    """A currency code, from the first of ``names`` that is not null."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(value, str) and _CURRENCY.fullmatch(value):
            return value
        raise ValueError(f"{name} is not an ISO 4217 code")
    return None


def count(raw: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0 to 10,000."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return value
    raise ValueError(f"{name} is not a count")


def flag(raw: Mapping[str, Any], name: str) -> bool | None:
    """True or false; 1 and 0 are read as them, which Airbnb writes in its availability rules."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, int) and value in _FLAGS:
        return _FLAGS[value]
    raise ValueError(f"{name} is neither true nor false")


def day(raw: Mapping[str, Any], name: str) -> date | None:
    """A local calendar date, ``YYYY-MM-DD`` and no other of ISO 8601's forms."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"{name} is not a date")


def instant(raw: Mapping[str, Any], name: str) -> datetime | None:
    """A moment in ISO 8601 with its offset, in UTC. One without an offset is refused: it could be 14 hours off."""
    value = raw.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} is not a time with its offset")


def amount(raw: Mapping[str, Any], *names: str) -> Decimal | None:
    """An exact amount, from the first of ``names`` that is not null: a JSON number or a decimal string."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return Decimal(value)
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            return Decimal(value)
        raise ValueError(f"{name} is not a decimal number")
    return None


def unread(where: str, reason: str, raw: object, names: Iterable[str]) -> Problem:
    """A Problem that shows of ``raw`` only the fields named, and of them only plain words, numbers and dates.

    Whatever else stands in such a field is shown as its kind and size, so that no guest's detail comes through.
    """
    if not isinstance(raw, Mapping):
        return Problem(where, reason, f"<{type(raw).__name__}>")
    return Problem(where, reason, json.dumps({name: _plain(raw[name]) for name in names if name in raw}))


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, Decimal, str)) and _PLAIN.fullmatch(written := str(value)):
        return written
    size = f" of {len(value)}" if isinstance(value, (str, list, dict)) else ""
    return f"<{type(value).__name__}{size}>"
