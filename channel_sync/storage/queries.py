"""The SQL of the engine: statements by name, read once from ``sql/*.sql``.

A file holds any number of statements, each under a line ``-- name: its_name``; comments that follow it say what the
statement is for. Files without such a line (the schema) are not queries.
"""

import re
from functools import cache
from pathlib import Path
from typing import LiteralString, cast

_FOLDER = Path(__file__).parent / "sql"
_HEADING = re.compile(r"^-- name: *(\S+)[ \t]*$", re.MULTILINE)


def query(name: str) -> LiteralString:
    """The statement of this name, to hand to ``execute`` or ``SQL``. Raises KeyError where there is none."""
    try:
        return statements()[name]
    except KeyError:
        raise KeyError(f"no statement named {name!r} in {_FOLDER}/*.sql") from None


@cache
def statements() -> dict[str, LiteralString]:
    """Every named statement. Raises ValueError if two have the same name or one is empty."""
    found: dict[str, LiteralString] = {}
    for file in sorted(_FOLDER.glob("*.sql")):
        _, *parts = _HEADING.split(file.read_text(encoding="utf-8"))
        for name, body in zip(parts[::2], parts[1::2], strict=True):
            text = body.strip().removesuffix(";")
            if name in found or not text:
                raise ValueError(f"{file}: statement {name!r} is empty or there are two of it")
            # A file of ours is as literal as a string in the code.
            found[name] = cast("LiteralString", text)
    return found
