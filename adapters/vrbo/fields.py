"""Fields of a Vrbo answer that other channels do not have: its words, amounts, cursors and lists.

The other fields are read by ``adapters.json_fields``, and these as there: an error names the field, never its value.
"""

import re
from collections.abc import Mapping
from typing import Any

from adapters import json_fields
from adapters.model import Money

_WORD = re.compile("[A-Z_]{1,64}")
_CURSOR = re.compile("[!-~]{1,4096}")


def word(raw: Mapping[str, Any], name: str) -> str | None:
    """A word of an enumeration."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    raise ValueError(f"{name} is not a word")


def money(raw: Mapping[str, Any], name: str) -> Money | None:
    """An amount with its currency, exact: a JSON number or a decimal string."""
    value = raw.get(name)
    if value is None:
        return None
    if isinstance(value, dict):
        amount, currency = json_fields.amount(value, "amount"), json_fields.currency(value, "currencyCode")
        if amount is not None and currency is not None:
            return Money(amount, currency)  # its own ValueError says what is wrong with the digits
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
