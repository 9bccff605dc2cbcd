"""Reading one field of a Vrbo answer as what it should be.

Every reader returns None for a field that is absent or null and raises ValueError for one that is something
else. The errors name the field, never its value: the value may be a guest's.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from adapters.model import Money, Problem

_ID = re.compile("[A-Za-z0-9_.:-]{1,64}")
_WORD = re.compile("[A-Z_]{1,64}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_PLAIN = re.compile("[A-Za-z0-9:.+_-]{0,64}")
_CURSOR = re.compile("[!-~]{1,4096}")
_MOST = 10_000  # guests: beyond it a count is a mistake


def identity(raw: Mapping[str, Any], name: str) -> str | None:
    """An id; also one that is written as a number."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool) and _ID.fullmatch(str(value)):
        return str(value)
    raise ValueError(f"{name} is not an id")


def word(raw: Mapping[str, Any], name: str) -> str | None:
    """A word of an enumeration."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    raise ValueError(f"{name} is not a word")


def count(raw: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0 to 10,000."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
        return value
    raise ValueError(f"{name} is not a count")


def day(raw: Mapping[str, Any], name: str) -> date | None:
    """A local calendar date, ``YYYY-MM-DD``."""
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
    """A moment with its offset, in UTC. One without an offset is refused: it could be 14 hours off."""
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


def money(raw: Mapping[str, Any], name: str) -> Money | None:
    """An amount with its currency, exact: a JSON number or a decimal string."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, dict):
        amount, currency = value.get("amount"), value.get("currencyCode")
        if isinstance(amount, str) and _DECIMAL.fullmatch(amount):
            amount = Decimal(amount)
        if isinstance(amount, (int, Decimal)) and not isinstance(amount, bool) and isinstance(currency, str):
            return Money(Decimal(amount), currency)  # its own ValueError says what is wrong with the digits
    raise ValueError(f"{name} is not an amount with its currency")


def array(raw: Mapping[str, Any], name: str) -> list[object]:
    """An array of whatever it holds; this one must be there."""
    value = raw.get(name)
    if isinstance(value, list):
        return value
    raise ValueError(f"{name} is not an array")


def cursor(raw: Mapping[str, Any], name: str) -> str | None:
    """Where the next page begins; None where there is none."""
    value = raw.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and _CURSOR.fullmatch(value):
        return value
    raise ValueError(f"{name} is not a cursor")


def rows(raw: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """An array of objects; empty where it is absent or null."""
    value = raw.get(name)
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    raise ValueError(f"{name} is not an array of objects")


def part(raw: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside this one; empty where it is absent or null."""
    value = raw.get(name)
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} is not an object")


def unread(where: str, reason: str, raw: object, names: Iterable[str]) -> Problem:
    """A Problem that shows of ``raw`` only the fields named, and of them only plain words, numbers and dates."""
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
