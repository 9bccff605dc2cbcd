"""The named statements and their use."""

import ast
from pathlib import Path

import pytest

import channel_sync
from channel_sync.storage.queries import query, statements


def _literals() -> set[str]:
    found = set()
    for file in Path(channel_sync.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def test_every_statement_is_used() -> None:
    """No statement lies in the SQL files that no code names."""
    assert set(statements()) - _literals() == set()


def test_every_named_statement_exists() -> None:
    """Every name that code asks for by a literal is in the SQL files."""
    asked = set()
    for file in Path(channel_sync.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Name(id="query"), args=[ast.Constant(value=str(name))]):
                    asked.add(name)
    assert asked - set(statements()) == set()
    assert asked


def test_a_name_that_is_not_there_is_said() -> None:
    """The error names the statement that is missing."""
    with pytest.raises(KeyError, match="no statement named 'nothing_like_it'"):
        query("nothing_like_it")


def test_statements_are_bare() -> None:
    """A statement has neither its heading nor a closing semicolon, so that it can be part of another."""
    assert not [name for name, text in statements().items() if "-- name:" in text or text.endswith(";")]
