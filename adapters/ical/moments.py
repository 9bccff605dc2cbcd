"""Dates, date-times and durations of events (RFC 5545, 3.3.4 to 3.3.6), in the event's zone and at the property."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from icalendar.prop import vDuration
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from adapters.ical.feed import Property

_MOMENT = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d))?(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


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
    until = _moment(text, Property("UNTIL", "", text), start.zone or home)
    if until.zone is None:
        return datetime.combine(until.wall.date(), time.max)
    return until.beside(start)


def duration_from_wire(line: Property) -> timedelta:
    """A DURATION. Raises ValueError."""
    duration: timedelta = vDuration.from_ical(line.value.strip().upper())  # type: ignore[no-untyped-call] # icalendar's gap
    return duration


def _moment(value: str, line: Property, home: tzinfo) -> Moment:
    found = _MOMENT.fullmatch(value.strip())
    if found is None:
        raise ValueError("neither a date nor a date-time")
    year, month, day, hour, minute, second, offset = found.groups()
    midnight = datetime(int(year), int(month), int(day))  # noqa: DTZ001 - a wall clock; its zone stands beside it
    if hour is None or line.parameter("VALUE").upper() == "DATE":
        return Moment(midnight, None)
    # 60 is a leap second (RFC 5545, 3.3.12), which datetime does not know.
    wall = midnight.replace(hour=int(hour), minute=int(minute), second=min(int(second or 0), 59))
    if offset is None:
        return Moment(wall, _zone(line.parameter("TZID")) or home)
    if offset.upper() == "Z":
        return Moment(wall, UTC)
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    return Moment(wall, timezone(timedelta(minutes=-minutes if offset[0] == "-" else minutes)))


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
