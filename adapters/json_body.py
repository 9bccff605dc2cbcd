"""A JSON body somebody sent us, read in one way wherever it is read: numbers exact, nothing nested without end."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

DEEPEST = 64  # levels; no channel nests a tenth of it, and a walk of it never runs out of stack

_MESSAGE = "the body is not JSON that we read"  # json's own errors carry the whole body


class Literal(str):
    """A number as it was written."""

    __slots__ = ()


def json_value(body: bytes, *, literal_numbers: bool = False) -> object:
    """The value of ``body``, its numbers ``int`` and ``Decimal`` or, as they stand there, ``Literal``.

    Raises ValueError for what ``exact_value`` refuses, and for more than DEEPEST levels.
    """
    value = exact_value(body, _literal_int, _literal_decimal) if literal_numbers else exact_value(body)
    if not _is_shallow(value):
        raise ValueError(_MESSAGE)
    return value


def exact_value(
    body: bytes, whole: Callable[[str], Any] = int, decimal: Callable[[str], Any] = Decimal
) -> object:
    """The value of ``body``, however deep, its numbers made by ``whole`` and ``decimal``: never ``float``.

    Raises ValueError, without a word of the body, for anything that is not JSON, for NaN and for a number out of range.
    """
    try:
        value: object = json.loads(body, parse_int=whole, parse_float=decimal, parse_constant=_refused)
    except (ValueError, ArithmeticError, RecursionError):
        readable = False
    else:
        readable = True
    if not readable:  # raised here, not above: a context would carry json's own error
        raise ValueError(_MESSAGE)
    return value


def json_object(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object; None for anything else."""
    try:
        value = json_value(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _literal_int(text: str) -> Literal:
    int(text)  # refuses the same numbers in both ways of reading
    return Literal(text)


def _literal_decimal(text: str) -> Literal:
    Decimal(text)
    return Literal(text)


def _refused(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_shallow(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for parent in level
            if isinstance(parent, (dict, list))
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return True
    return False
