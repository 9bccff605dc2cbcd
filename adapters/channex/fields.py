"""A Channex body without what must not be kept, and its times and amounts, which are Channex's own.

The other fields are read by ``adapters.json_fields``, and these as there.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from adapters import json_fields
from adapters.errors import UnexpectedResponse
from adapters.json_body import json_object
from adapters.model import Money

_DECIMAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")

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


def instant(raw: Mapping[str, Any], name: str) -> datetime | None:
    """A moment in ISO 8601. Channex writes UTC without saying so; an offset counts where there is one."""
    return json_fields.instant(raw, name, UTC)


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
