"""Dates, date-times and durations of events (RFC 5545, 3.3.4 to 3.3.6), in the event's zone and at the property."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from icalendar.prop import vDDDTypes, vDuration
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from adapters.calendar_feed.feed import Property

_WRITTEN = re.compile(r"[0-9TZ:.+ -]+")  # no weeks ("2026W311"), no other digits
# 60 is a leap second (RFC 5545, 3.3.12), which datetime does not know.
_LEAP_SECOND = re.compile(r"(?<=T\d{4})60|(?<=T\d\d:\d\d:)60", re.ASCII)


@dataclass(frozen=True, slots=True)
class Moment:
    """A DATE (``zone`` None, ``wall`` at midnight) or a date-time on the wall clock of its own zone."""

    wall: datetime
    zone: tzinfo | None

    def local(self, home: tzinfo) -> datetime:
        """The wall clock at the property, where nights begin. A DATE is the same date everywhere.

        Raises OverflowError at the edges of the calendar.
        """
        if self.zone is None or self.zone is home:
            return self.wall
        return self.wall.replace(tzinfo=self.zone).astimezone(home).replace(tzinfo=None)

    def beside(self, other: "Moment") -> datetime:
        """The wall clock in the zone of ``other``, for comparing within one series."""
        if other.zone is None:
            return datetime.combine(self.wall.date(), time())
        if self.zone is None:
            return datetime.combine(self.wall.date(), other.wall.time())
        return self.local(other.zone)


def moment_from_wire(line: Property, home: tzinfo) -> Moment:
    """One DATE or date-time. Raises ValueError or OverflowError for anything else.

    A date-time without zone, or in one nobody knows, is on the property's own wall clock (``home``).
    """
    return _moment(line.value, line, home)


def moments_from_wire(line: Property, home: tzinfo) -> Iterator[Moment]:
    """The moments of a list; of a period only its beginning. Raises like ``moment_from_wire``."""
    for value in line.value.split(","):
        yield _moment(value.partition("/")[0], line, home)


def until_from_wire(text: str, start: Moment, home: tzinfo) -> datetime | None:
    """UNTIL of a rule, inclusive, on the wall clock of the event's own zone; None where there is none."""
    if not text:
        return None
    until = _moment(text, Property("UNTIL", {}, text), start.zone or home)
    if until.zone is None:
        return datetime.combine(until.wall.date(), time.max)
    return until.beside(start)


def duration_from_wire(line: Property) -> timedelta:
    """A DURATION. Raises ValueError."""
    duration: timedelta = vDuration.from_ical(line.value.strip().upper())  # type: ignore[no-untyped-call] # icalendar's gap
    return duration


def _moment(value: str, line: Property, home: tzinfo) -> Moment:
    text = value.strip().upper()
    if not _WRITTEN.fullmatch(text):
        raise ValueError("neither a date nor a date-time")
    if line.parameters.get("VALUE", "").upper() == "DATE":
        text = re.split("[T ]", text)[0]  # tools write a time behind it, also 24:00
    found = _date_or_datetime(_LEAP_SECOND.sub("59", text))
    if not isinstance(found, datetime):
        return Moment(datetime.combine(found, time()), None)
    zone = found.tzinfo or _zone(line.parameters.get("TZID", "")) or home
    return Moment(found.replace(microsecond=0, tzinfo=None), zone)


def _date_or_datetime(text: str) -> date:
    """As icalendar reads it, else as ISO 8601, which tools write too: dashes, offsets, no seconds."""
    found: object = None
    with suppress(Exception):  # whatever the library makes of it
        found = vDDDTypes.from_ical(text)  # type: ignore[no-untyped-call] # icalendar's gap
    with suppress(ValueError):  # Python's message quotes the value, ours does not
        found = found or (date if len(text) == 10 else datetime).fromisoformat(text)
    if isinstance(found, date):
        return found
    raise ValueError("neither a date nor a date-time")


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    """The zone of a TZID: an IANA name, one with a vendor's path before it, or one of Windows; else None."""
    parts = name.strip("/").split("/")
    for candidate in ("/".join(parts[-3:]), "/".join(parts[-2:]), WINDOWS_TO_OLSON.get(name, "")):
        try:
            return ZoneInfo(candidate)
        except (KeyError, ValueError, OSError):  # OSError: a name that is a folder, or too long for a file
            continue
    return None
