"""Reading one field of a JSON object as what it should be: what the channels with JSON share.

Every reader returns None for a field that is absent or null and raises ValueError for one that is something
else. The errors name the field, never its value: the value may be a guest's.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from adapters.model import Problem

MOST = 10_000  # nights, units, guests: beyond it a count is a mistake

_CODE = re.compile("[A-Za-z0-9_.:-]{1,64}")
_CURRENCY = re.compile("[A-Z]{3}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_PLAIN = re.compile("[A-Za-z0-9:.+_-]{0,64}")

_FLAGS: Mapping[object, bool] = {True: True, False: False}  # 1 and 0 are equal to them


def code(raw: Mapping[str, Any], *names: str) -> str | None:
    """An id or code, written as text or as a number, from the first of ``names`` that is not null."""
    name, value = _first(raw, names)
    if value is None:
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool) and _CODE.fullmatch(str(value)):
        return str(value)
    raise ValueError(f"{name} is not an id")


def currency(raw: Mapping[str, Any], *names: str) -> str | None:
    """A currency code, from the first of ``names`` that is not null."""
    name, value = _first(raw, names)
    if value is None or (isinstance(value, str) and _CURRENCY.fullmatch(value)):
        return value
    raise ValueError(f"{name} is not an ISO 4217 code")


def count(raw: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0 to MOST."""
    value = raw.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST):
        return value
    raise ValueError(f"{name} is not a count")


def flag(raw: Mapping[str, Any], name: str) -> bool | None:
    """True or false; 1 and 0, which some channels write for them, are read as them."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, int) and value in _FLAGS:
        return _FLAGS[value]
    raise ValueError(f"{name} is neither true nor false")


def day(raw: Mapping[str, Any], *names: str) -> date | None:
    """A local calendar date, ``YYYY-MM-DD`` and no other of ISO 8601's forms, from the first that is not null."""
    name, value = _first(raw, names)
    if value is None:
        return None
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise ValueError(f"{name} is not a date")


def instant(raw: Mapping[str, Any], name: str, zone: tzinfo | None = None) -> datetime | None:
    """A moment in ISO 8601, in UTC. Without its offset it is of ``zone``, or refused: it could be 14 hours off."""
    value = raw.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None and zone is not None:
            moment = moment.replace(tzinfo=zone)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} is not a time with its offset")


def amount(raw: Mapping[str, Any], *names: str) -> Decimal | None:
    """An exact amount, from the first of ``names`` that is not null: a JSON number or a decimal string."""
    name, value = _first(raw, names)
    if value is None:
        return None
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise ValueError(f"{name} is not a decimal number")


def members(value: object, name: str) -> Mapping[str, Any]:
    """An object. Raises ValueError for anything else, null too."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")  # noqa: TRY004 - one kind of unreadable, one handler
    return value


def unread(where: str, reason: str, raw: object, names: Iterable[str]) -> Problem:
    """A Problem that shows of ``raw`` only the fields named, and of them only plain words, numbers and dates.

    Whatever else stands in such a field is shown as its kind and size, so that no guest's detail comes through.
    """
    if not isinstance(raw, Mapping):
        return Problem(where, reason, f"<{type(raw).__name__}>")
    return Problem(where, reason, json.dumps({name: _plain(raw[name]) for name in names if name in raw}))


def _first(raw: Mapping[str, Any], names: Iterable[str]) -> tuple[str, Any]:
    """The first of ``names`` whose value is not null, with it; the last of them and None where all are."""
    name = ""
    for name in names:
        value = raw.get(name)
        if value is not None:
            return name, value
    return name, None


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, Decimal, str)) and _PLAIN.fullmatch(written := str(value)):
        return written
    size = f" of {len(value)}" if isinstance(value, (str, list, dict)) else ""
    return f"<{type(value).__name__}{size}>"
