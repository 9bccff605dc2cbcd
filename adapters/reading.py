"""Reading parts of an answer where some may be unreadable: what has to be there, and what the rest does without."""

from collections.abc import Callable
from typing import TypeVar

Read = TypeVar("Read")


def softly(read: Callable[[], Read | None], soft: list[str]) -> Read | None:
    """What ``read`` gives; None where it raises ValueError, the reason of which goes to ``soft``, once."""
    try:
        return read()
    except ValueError as error:
        if str(error) not in soft:
            soft.append(str(error))
        return None


def required(value: Read | None, name: str) -> Read:
    """The value. Raises ValueError, with its name, where there is none."""
    if value is None:
        raise ValueError(f"it has no {name}")
    return value
