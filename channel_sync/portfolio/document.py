"""The portfolio file as YAML: its values with the line of each, and how a flaw in it is said.

Nothing of a value is repeated in a message unless it is short and plain: what stands in the wrong place of the
file may be a secret.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

from adapters.errors import ConfigurationError

Where = tuple[int | str, ...]  # the way from the top of the file to a value: ("properties", 0, "code")

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,39}(/[A-Za-z0-9_.-]{1,40})*")
_SETTING = re.compile(r"[a-z][a-z_]{0,39}")  # no digits: so no token either
_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "map", "merge", "null", "seq", "str")
)
_DEEPEST = 20


class PortfolioError(ConfigurationError):
    """The portfolio file cannot be used. ``errors`` has one line per flaw, each with the file, line and mend."""

    def __init__(self, errors: Iterable[str]) -> None:
        """Join the flaws, one a line."""
        self.errors = tuple(errors)
        super().__init__("\n".join(self.errors))


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with the value at ``where``, and how to mend it."""

    where: Where
    sentence: str


@dataclass(frozen=True, slots=True)
class Document:
    """The values of the file, and the line (from 1) on which each begins."""

    path: Path
    values: object
    lines: Mapping[Where, int]

    def refusal(self, flaws: Iterable[Flaw]) -> PortfolioError:
        """All flaws as one error, in the order of the file."""
        placed = sorted({(self._line(flaw.where), _way(flaw.where), flaw.sentence) for flaw in flaws})
        return PortfolioError(
            f"{self.path}:{line}: {way}: {sentence}" if way else f"{self.path}:{line}: {sentence}"
            for line, way, sentence in placed
        )

    def _line(self, where: Where) -> int:
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


def read(path: Path) -> Document:
    """The file's values and lines. Raises PortfolioError: no file, not UTF-8, not YAML, empty, a key twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PortfolioError([f"{path}: cannot be read ({error.strerror}): mend the path"]) from None
    except UnicodeDecodeError:
        raise PortfolioError([f"{path}: is not text in UTF-8: save it as UTF-8"]) from None
    try:
        node, values = _composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        # An alias or a tag may be a secret that happens to begin with * or !: its name is not repeated.
        problem = re.sub(r"\b(alias|anchor|tag)\b.*", r"\1", error.problem or "")
        raise PortfolioError([f"{path}:{line}: is not YAML: {problem}: mend the line"]) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise PortfolioError(
            [f"{path}:1: is not YAML: it holds something that cannot be read: mend or quote it"]
        ) from None
    if node is None or values is None:
        raise PortfolioError([f"{path}:1: is empty: it needs 'properties' and 'channel_accounts'"])
    lines: dict[Where, int] = {}
    flaws: list[Flaw] = []
    _walk(node, (), lines, flaws)
    document = Document(path, values, MappingProxyType(lines))
    if flaws:
        raise document.refusal(flaws)
    return document


def named(value: object) -> str:
    """The value in quotes where it is short and plain enough to be shown, else "this value"."""
    return repr(value) if isinstance(value, str) and _PLAIN.fullmatch(value) else "this value"


def close_match(value: object, known: Iterable[str]) -> str:
    """A hint at the known name that was probably meant, or at the first few names there are."""
    names = sorted(known)
    few = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return did_you_mean(value, names) or (f"there is {few}" if few else "there is none yet")


def did_you_mean(value: object, known: Iterable[str]) -> str:
    """A hint at the one known name that is much like the value, or nothing."""
    close = difflib.get_close_matches(value, sorted(known), n=1, cutoff=0.7) if isinstance(value, str) else []
    return f"did you mean {close[0]!r}?" if close else ""


class _Loader(yaml.SafeLoader):
    """YAML without dates: 2026-01-01 is text here, and so cannot be a date that does not exist."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own way to configure a loader
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def _composed(text: str) -> tuple[yaml.Node | None, object]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, None
        _refuse_odd_nodes(node, 0)
        return node, loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_odd_nodes(node: yaml.Node, depth: int) -> None:
    """Refuse, before values are made of them, tags of other languages and an anchor inside itself."""
    if node.tag not in _TAGS:
        raise yaml.MarkedYAMLError(problem="found an odd tag", problem_mark=node.start_mark)
    if depth > _DEEPEST:
        raise yaml.MarkedYAMLError(problem="nested without end", problem_mark=node.start_mark)
    match node:
        case yaml.MappingNode():
            for key, value in node.value:
                _refuse_odd_nodes(key, depth + 1)
                _refuse_odd_nodes(value, depth + 1)
        case yaml.SequenceNode():
            for entry in node.value:
                _refuse_odd_nodes(entry, depth + 1)


def _walk(node: yaml.Node, where: Where, lines: dict[Where, int], flaws: list[Flaw]) -> None:
    lines.setdefault(where, node.start_mark.line + 1)
    match node:
        case yaml.MappingNode():
            seen: dict[str, int] = {}
            for key, value in node.value:
                line = key.start_mark.line + 1
                inner = (*where, key.value) if isinstance(key, yaml.ScalarNode) else where
                if inner != where and key.value in seen:
                    first = seen[key.value]
                    flaws.append(Flaw(inner, f"stands here twice (line {first} and {line}): remove one"))
                seen.setdefault(str(key.value), line)
                lines.setdefault(inner, line)
                _walk(value, inner, lines, flaws)
        case yaml.SequenceNode():
            for place, entry in enumerate(node.value):
                _walk(entry, (*where, place), lines, flaws)


def _way(where: Where) -> str:
    """``channel_accounts[0].listings[2].unit_type``; a key that may be a secret in the wrong place is left out."""
    way = ""
    for above, step in zip(("", *where), where, strict=False):
        if isinstance(step, int):
            way += f"[{step}]"
        elif step == "[key]":  # pydantic's mark for a flaw of the key itself
            continue
        else:
            shown = _SETTING if above in {"secrets", "settings"} else _PLAIN
            way += f".{step if shown.fullmatch(step) else '(a key not shown)'}"
    return way.removeprefix(".")
