"""Reading one field of a Channex answer as what it should be, and a body without what must not be kept.

Every reader returns None for a field that is absent or null and raises ValueError for one that is something
else. The errors name the field, never its value: the value may be a guest's.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from adapters.errors import UnexpectedResponse
from adapters.json_body import json_object
from adapters.model import Money, Problem

_CODE = re.compile("[A-Za-z0-9_-]{1,64}")  # a UUID, in practice
_CURRENCY = re.compile("[A-Z]{3}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
_PLAIN = re.compile("[A-Za-z0-9:.+_-]{0,64}")
_MOST = 10_000  # units, nights, guests: beyond it a count is a mistake

# Cards, and who stays: dropped wherever they stand, before anybody reads the rest.
_DROPPED = frozenset({"guarantee", "customer", "guests", "notes", "raw_message"})


def body_of(content: bytes, what: str) -> dict[str, Any]:
    """The object of an answer, its numbers exact, without cards and guests.

    Raises UnexpectedResponse for anything that is not a JSON object, or is nested without end.
    """
    body = json_object(content)
    if body is None:
        raise UnexpectedResponse(f"{what}: {len(content)} bytes that are not a JSON object")
    _drop(body)
    return body


def _drop(value: object) -> None:
    """In place: a large body is not held twice."""
    if isinstance(value, dict):
        for name in _DROPPED & value.keys():
            del value[name]
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(each, (dict, list)):
            _drop(each)


def members(value: object, name: str) -> Mapping[str, Any]:
    """An object. Raises ValueError for anything else, null too."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")  # noqa: TRY004 - one kind of unreadable, one handler
    return value


def code(raw: Mapping[str, Any], *names: str) -> str | None:
    """An id, from the first of ``names`` that is not null."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(value, str) and _CODE.fullmatch(value):
            return value
        raise ValueError(f"{name} is not an id")
    return None


def currency(raw: Mapping[str, Any], name: str) -> str | None:
    """A currency code."""
    value = raw.get(name)
    if value is None or (isinstance(value, str) and _CURRENCY.fullmatch(value)):
        return value
    raise ValueError(f"{name} is not an ISO 4217 code")


def count(raw: Mapping[str, Any], name: str) -> int | None:
    """A whole number from 0 to 10,000."""
    value = raw.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST):
        return value
    raise ValueError(f"{name} is not a count")


def flag(raw: Mapping[str, Any], name: str) -> bool | None:
    """True or false; Channex takes 1 and 0 for them, so they are read as them."""
    value = raw.get(name)
    if value is None or (isinstance(value, int) and value in (0, 1)):
        return None if value is None else bool(value)
    raise ValueError(f"{name} is neither true nor false")


def day(raw: Mapping[str, Any], *names: str) -> date | None:
    """A local calendar date, ``YYYY-MM-DD``, from the first of ``names`` that is not null."""
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if isinstance(value, str) and _DATE.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        raise ValueError(f"{name} is not a date")
    return None


def instant(raw: Mapping[str, Any], name: str) -> datetime | None:
    """A moment in ISO 8601. Channex writes UTC without saying so; an offset counts where there is one."""
    value = raw.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name} is not a time")


def money(raw: Mapping[str, Any], name: str, currency_code: str | None) -> Money | None:
    """An exact amount from a decimal string.

    A number is refused: on this wire an integer means minor units, and a guess would be wrong by a hundred.
    """
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError(f"{name} is not a decimal number in a string")
    if currency_code is None:
        raise ValueError(f"{name} has no currency")
    return Money(Decimal(value), currency_code)


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
