"""The tables' columns and what they mean, read from the schema file: one source for database and Dagster."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "sql" / "schema.sql"
_TABLE = re.compile(r"^CREATE TABLE (\w+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
_COLUMN = re.compile(
    r"^    ([a-z_]+) +(.+?)(?: NOT NULL| CHECK| REFERENCES| GENERATED| DEFAULT| UNIQUE| PRIMARY|,?$)"
)
_COMMENT = re.compile(r"^COMMENT ON COLUMN (\w+)\.(\w+) IS '((?:[^']|'')*)';", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the schema file declares it."""

    name: str
    type: str
    comment: str


def columns(table: str) -> tuple[Column, ...]:
    """The columns of a table in order. Raises KeyError for a table that the schema does not have."""
    return _tables()[table]


@cache
def _tables() -> dict[str, tuple[Column, ...]]:
    text = _FILE.read_text(encoding="utf-8")
    comments = {(table, column): words.replace("''", "'") for table, column, words in _COMMENT.findall(text)}
    found = {}
    for table, body in _TABLE.findall(text):
        matches = [_COLUMN.match(line) for line in body.splitlines()]
        found[table] = tuple(
            Column(match[1], match[2], comments[table, match[1]])
            for match in matches
            if match and (table, match[1]) in comments
        )
    return found
