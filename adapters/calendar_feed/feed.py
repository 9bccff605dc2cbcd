"""The bytes of a feed as components and properties (RFC 5545, 3.1 and 3.4), or the proof that they are not whole.

``icalendar`` reads each line for itself, so that a line it refuses costs only itself. What a component *means* is
adapters.calendar_feed.mapping's business.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TypeAlias

from icalendar.parser import Contentline, unescape_backslash

from adapters.errors import UnexpectedResponse

# CRLF by the book; LF and CR are seen, and CR CR LF where a text-mode copy doubled the CR. Bounded, so that a
# body of nothing but CR stays linear.
_LINE_END = re.compile(rb"\r{0,2}\n|\r")
# No blank after the colon: "End: Monday" is a guest's note behind an unescaped line break, not a component's end.
_BRACKET = re.compile(r"(BEGIN|END):([A-Z0-9-]+)", re.IGNORECASE)
_AROUND_A_LINE = " \t\x00\ufeff"

_Head: TypeAlias = tuple[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Property:
    """One content line: ``name`` and the parameters' names in capitals, parameters without quotes, ``value`` unescaped.

    A line without a colon is a property with an empty value: a cut DTEND is then seen as unreadable, not absent.
    """

    name: str
    parameters: Mapping[str, str]
    value: str


@dataclass(frozen=True, slots=True)
class Component:
    """What stands between a BEGIN and its END, without the components inside it."""

    name: str
    properties: list[Property] = field(default_factory=list)

    def all(self, name: str) -> list[Property]:
        """Every property of that name, in the feed's order."""
        return [line for line in self.properties if line.name == name]

    def text(self, name: str) -> str:
        """The value of the first property of that name, stripped; empty where there is none."""
        return next((line.value.strip() for line in self.properties if line.name == name), "")


@dataclass(frozen=True, slots=True)
class Feed:
    """A whole feed: its events, and what else stands in it that may speak of nights."""

    events: list[Component] = field(default_factory=list)
    strangers: list[Component] = field(default_factory=list)


def feed_from_wire(body: bytes, what: str) -> Feed:
    """Read a body that is one whole calendar, or several one after another (RFC 5545, 3.4).

    Every BEGIN must have its own END and nothing may stand outside a VCALENDAR: a page of HTML, an empty body
    and a body cut anywhere before its last END raise UnexpectedResponse. ``what`` names the feed in that error.
    """
    feed = Feed()
    path: list[Component] = []
    calendars = 0
    heads = cache(
        _head_from_wire
    )  # a feed has few different ones; they may name guests, so it goes with the feed
    for line in _lines(body):
        bracket = _BRACKET.fullmatch(line)
        if bracket is None:
            if not path:
                raise UnexpectedResponse(f"{what}: {_described(body)}, not a calendar")
            path[-1].properties.append(_property(line, heads))
        elif bracket[1].upper() == "BEGIN":
            name = bracket[2].upper()
            if not path and name != "VCALENDAR":
                raise UnexpectedResponse(f"{what}: {_described(body)}, not a calendar")
            path.append(Component(name))
        else:
            _close(path, bracket[2].upper(), feed, what)
            calendars += not path
    if path:
        raise UnexpectedResponse(f"{what}: {_described(body)}, cut off before the end of the calendar")
    if not calendars:
        raise UnexpectedResponse(f"{what}: {_described(body)}, not a calendar")
    return feed


def _close(path: list[Component], name: str, feed: Feed, what: str) -> None:
    if not path or path[-1].name != name:
        raise UnexpectedResponse(f"{what}: a calendar whose parts do not begin and end in pairs")
    component = path.pop()
    if name == "VEVENT":
        feed.events.append(component)
    elif name not in ("VCALENDAR", "VTIMEZONE") and path and path[-1].name == "VCALENDAR":
        feed.strangers.append(component)


def _lines(body: bytes) -> list[str]:
    # Bytes are unfolded before they are decoded: a fold may split a character (RFC 5545, 3.1).
    unfolded = _LINE_END.sub(b"\n", body).replace(b"\n ", b"").replace(b"\n\t", b"")
    lines = (
        line.strip(_AROUND_A_LINE) for line in unfolded.decode("utf-8-sig", errors="replace").split("\n")
    )
    return [line for line in lines if line]


def _property(line: str, heads: Callable[[str], _Head]) -> Property:
    """The line as icalendar reads it; else without its quotes, one of which never ends; else without parameters."""
    for attempt in (line, line.replace('"', "")):
        with suppress(Exception):  # whatever the library makes of a damaged line, its neighbours count
            value = Contentline(attempt).value_separator_index() + 1  # type: ignore[no-untyped-call] # icalendar's gap
            return Property(*heads(attempt[:value]), unescape_backslash(attempt[value:]))
    head, _, rest = line.partition(":")
    return Property(head.partition(";")[0].strip().upper(), {}, rest)


def _head_from_wire(head: str) -> _Head:
    """What stands before the value, the colon included; raises what the library raises."""
    name, found, _ = Contentline(head).parts()  # type: ignore[no-untyped-call] # icalendar's gap
    parameters = {key: each if isinstance(each, str) else ",".join(each) for key, each in found.items()}
    return name.upper(), parameters


def _described(body: bytes) -> str:
    return f"a body of {len(body)} bytes" if body.strip() else "an empty body"
