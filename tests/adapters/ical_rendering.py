"""Feeds for the tests, written the way real hosts write them, and a second reader that shares no code with ours."""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from adapters.calendar_feed.feed import feed_from_wire
from adapters.calendar_feed.mapping import Observation, observation_from_feed
from adapters.model import Stay

WIDE = Stay(date(2015, 1, 1), date(2035, 1, 1))


@dataclass(frozen=True)
class Event:
    """One event of a rendered feed."""

    check_in: date
    check_out: date
    uid: str
    summary: str = "Reserved"
    description: str = ""

    def lines(self, stamp: str) -> list[str]:
        """Its content lines, unfolded."""
        found = [
            f"DTSTAMP:{stamp}",
            f"DTSTART;VALUE=DATE:{self.check_in:%Y%m%d}",
            f"DTEND;VALUE=DATE:{self.check_out:%Y%m%d}",
            f"SUMMARY:{self.summary}",
            f"UID:{self.uid}",
        ]
        return [*found, f"DESCRIPTION:{self.description}"] if self.description else found


def calendar(*lines: str, end: str = "\r\n") -> bytes:
    """A VCALENDAR around these lines."""
    return end.join(
        ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//EN", *lines, "END:VCALENDAR", ""]
    ).encode()


def event(*lines: str) -> bytes:
    """A feed with one event of these lines."""
    return calendar("BEGIN:VEVENT", *lines, "END:VEVENT")


def render(events: Iterable[Event], chance: random.Random) -> bytes:
    """The events as a feed, with everything that carries no meaning left to chance."""
    shuffled = list(events)
    chance.shuffle(shuffled)
    stamp = f"2026{chance.randint(1, 12):02}01T000000Z"
    lines = [b"BEGIN:VCALENDAR", b"VERSION:2.0", f"PRODID:-//{chance.random()}//EN".encode()]
    for each in shuffled:
        properties = each.lines(stamp)
        chance.shuffle(properties)
        lines += [b"BEGIN:VEVENT", *(_folded(line.encode(), chance) for line in properties), b"END:VEVENT"]
        lines += [b""] * chance.choice((0, 0, 0, 1))
    lines += [b"END:VCALENDAR", b""]
    bom = b"\xef\xbb\xbf" if chance.random() < 0.1 else b""
    ends = chance.choice(([b"\r\n"], [b"\n"], [b"\r\n", b"\n", b"\r"]))
    return bom + b"".join(
        re.sub(rb"\r\n", chance.choice(ends), line) + chance.choice(ends) for line in lines[:-1]
    )


def _folded(line: bytes, chance: random.Random) -> bytes:
    """Folded anywhere, also inside a character: RFC 5545 counts octets."""
    cuts = sorted(chance.sample(range(1, len(line)), min(chance.choice((0, 0, 1, 3)), len(line) - 1)))
    parts = [line[start:end] for start, end in pairwise([0, *cuts, len(line)])]
    return b"".join([parts[0], *(b"\r\n" + chance.choice((b" ", b"\t")) + part for part in parts[1:])])


def observe(body: bytes, window: Stay = WIDE, zone: str = "Europe/Rome") -> Observation:
    """What we read from a body."""
    return observation_from_feed(feed_from_wire(body, "feed"), window, ZoneInfo(zone))


def closed(body: bytes, window: Stay = WIDE, zone: str = "Europe/Rome") -> list[str]:
    """The closed nights we read, as ISO dates."""
    return [str(night.night) for night in observe(body, window, zone).nights]


def nights_of(events: Iterable[Event]) -> set[date]:
    """The nights the events cover, counted one by one."""
    return {
        each.check_in + timedelta(days=day)
        for each in events
        for day in range((each.check_out - each.check_in).days)
    }


def seen_by_line(body: bytes) -> set[date]:
    """The nights an independent, line-based reader sees. Dates only: a date-time counts by its local date.

    An event that ends at or before its start counts its first night.
    """
    text = body.decode().replace("\r\n", "\n").replace("\n ", "")
    nights: set[date] = set()
    for block in re.findall(r"^BEGIN:VEVENT$(.*?)^END:VEVENT$", text, re.DOTALL | re.MULTILINE):
        found: Mapping[str, str] = dict(re.findall(r"^(DTSTART|DTEND)[^:\n]*:(\d{8})", block, re.MULTILINE))
        start = date.fromisoformat(found["DTSTART"])
        end = date.fromisoformat(found["DTEND"]) if "DTEND" in found else start
        nights |= {start + timedelta(days=day) for day in range(max(1, (end - start).days))}
    return nights


def moved(one: Event, days: int) -> Event:
    """The same event, that many days later."""
    by = timedelta(days=days)
    return replace(one, check_in=one.check_in + by, check_out=one.check_out + by)
