"""A feed's events as closed nights: pure functions and tables.

The safe reading wins wherever a feed is unclear: an event closes too much rather than too little. A guest's
name is never read: SUMMARY and DESCRIPTION are matched against the tables below and thrown away.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, tzinfo

from adapters.calendar_feed.feed import Component, Feed, Property
from adapters.calendar_feed.moments import (
    Moment,
    duration_from_wire,
    moment_from_wire,
    moments_from_wire,
    until_from_wire,
)
from adapters.calendar_feed.recurrence import occurrences, rule_from_wire
from adapters.calendar_feed.scrubbing import scrubbed, shown_uid
from adapters.model import ONE_DAY, ClosureKind, NightAvailability, Problem, Stay

MAX_RULES = 100  # recurring events expanded per feed: bounds the time that one feed can cost
MAX_PROBLEMS = 100  # told one by one; the rest are counted

_BOOKED, _BLOCKED, _UNKNOWN = ClosureKind.BOOKED, ClosureKind.BLOCKED, ClosureKind.UNKNOWN

# What an event says about itself; the first row that fits decides, and an event that fits none is UNKNOWN.
# Both patterns are searched for, without regard to case. Tools that merge feeds put a listing's id before
# SUMMARY and UID, and Airbnb translates SUMMARY for ?locale=: hence the rows by UID.
_KINDS: Sequence[tuple[str, re.Pattern[str], re.Pattern[str], ClosureKind]] = tuple(
    (who, re.compile(uid, re.IGNORECASE), re.compile(summary, re.IGNORECASE | re.DOTALL), kind)
    for who, uid, summary, kind in (
        ("Google Calendar: people write what they like", r"@google\.com$", r"", _UNKNOWN),
        ("Booking.com: never tells a guest from the owner", r"@booking\.com$", r"", _UNKNOWN),
        ("Airbnb until 2019: '<guest> (HM...)'", r"", r"\(HM[A-Z0-9]{6,10}\)$", _BOOKED),
        ("Airbnb", r"", r"\bAirbnb \(Not available\)$", _BLOCKED),
        ("Airbnb", r"@airbnb\.com$", r"\bReserved$", _BOOKED),
        ("Airbnb", r"@airbnb\.com$", r"\bNot available\)?$", _BLOCKED),
        ("Airbnb, any language", r"\b1418fb94e984-[0-9a-f]+@airbnb\.com$", r"", _BOOKED),
        ("Airbnb, any language", r"\b(7f662ec65913|6fec1092d3fa)-[0-9a-f]+@airbnb\.com$", r"", _BLOCKED),
        ("Vrbo: 'Reserved - <guest>'; others", r"", r"^([0-9]+ )?Reserved( - .*)?$", _BOOKED),
        ("Vrbo", r"", r"^([0-9]+ )?Blocked$", _BLOCKED),
        ("OwnerRez", r"", r"^([0-9]+ )?Booked$", _BOOKED),
    )
)
_PRECEDENCE = {_BOOKED: 0, _BLOCKED: 1, _UNKNOWN: 2}

# Airbnb's reservation code, in the URL of DESCRIPTION or at the end of an old SUMMARY.
_CODE_IN_URL = re.compile(r"/reservations/details/(HM[A-Z0-9]{6,10})(?![A-Z0-9])")
_CODE_IN_SUMMARY = re.compile(r"\((HM[A-Z0-9]{6,10})\)$")

_END_OF_DAY = time(23, 59)
_SERIES = frozenset({"RRULE", "RDATE", "EXDATE"})


@dataclass(frozen=True, slots=True)
class Closure:
    """Nights closed by one event, and what it says of itself."""

    stay: Stay
    kind: ClosureKind
    reference: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What one event comes to. ``meaning`` is None where it closes nothing; ``mended`` speaks of the problem."""

    closures: tuple[Closure, ...] = ()
    meaning: str | None = None
    problem: str | None = None
    mended: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What a feed comes to within a window: its closed nights in order, its fingerprint, what was unreadable."""

    nights: tuple[NightAvailability, ...]
    fingerprint: str
    problems: tuple[Problem, ...]


def observation_from_feed(feed: Feed, window: Stay, home: tzinfo) -> Observation:
    """The closed nights of ``window``; ``home`` is the property's time zone.

    The fingerprint speaks of the whole feed, whatever the window.
    """
    closures: list[Closure] = []
    meanings: set[str] = set()
    problems: list[Problem] = []
    rules = 0
    for position, event in enumerate(feed.events, 1):
        rules += len(event.all("RRULE"))
        reading = _read(event, window, home, expand=rules <= MAX_RULES)
        closures.extend(reading.closures)
        if reading.meaning is not None:
            meanings.add(reading.meaning)
        if reading.problem is not None:
            problems.append(
                _problem(event, f"event {position}", reading.problem, mended=reading.mended),
            )
    problems.extend(
        _problem(stranger, "a part that is no event", "only events are read") for stranger in feed.strangers
    )
    digest = hashlib.sha256("\n".join(sorted(meanings)).encode()).hexdigest()
    return Observation(tuple(closed_nights(closures, window)), digest, _bounded(problems))


def closed_nights(closures: Iterable[Closure], window: Stay) -> Iterator[NightAvailability]:
    """Each closed night of the window once, in order.

    Of several closures of one night BOOKED goes before BLOCKED before UNKNOWN, then the smallest reference.
    Each night is visited once however many closures cover it.
    """
    free = list(range(len(window) + 1))  # free[i]: a night at or after i that may still be unclosed
    chosen: dict[int, Closure] = {}
    for closure in sorted(closures, key=_precedence):
        part = closure.stay.clipped_to(window)
        if part is None:
            continue
        night = _next_free(free, (part.check_in - window.check_in).days)
        while night < (part.check_out - window.check_in).days:
            chosen[night] = closure
            free[night] = night + 1
            night = _next_free(free, night)
    for night in sorted(chosen):
        closure = chosen[night]
        yield NightAvailability(
            window.check_in + night * ONE_DAY, 0, closure=closure.kind, reference=closure.reference
        )


def _precedence(closure: Closure) -> tuple[int, bool, str]:
    return _PRECEDENCE[closure.kind], closure.reference is None, closure.reference or ""


def _next_free(free: list[int], night: int) -> int:
    while free[night] != night:
        free[night] = free[free[night]]  # halve the path for the next visitor
        night = free[night]
    return night


def kind_and_reference(event: Component) -> tuple[ClosureKind, str | None]:
    """Why the event closes its nights, by the table above; and Airbnb's reservation code, else the UID."""
    uid, summary = event.text("UID"), event.text("SUMMARY")
    code = _CODE_IN_URL.search(event.text("DESCRIPTION")) or _CODE_IN_SUMMARY.search(summary)
    kind = next((row[3] for row in _KINDS if row[1].search(uid) and row[2].search(summary)), _UNKNOWN)
    return kind, code[1] if code and kind is _BOOKED else _reference(event)


def _reference(event: Component) -> str | None:
    """The UID; a hash of one that is no plain token, which could be a name or hold anything."""
    uid = event.text("UID")
    if not uid or shown_uid(event):
        return uid or None
    return f"uid-{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


def _read(event: Component, window: Stay, home: tzinfo, *, expand: bool) -> Reading:
    # The one explicit statement in this format that an event closes nothing: all of it, and nothing near it.
    if {line.value.upper() for line in event.all("STATUS")} == {"CANCELLED"}:
        return Reading()
    try:
        starts = [moment_from_wire(line, home) for line in event.all("DTSTART")]
        if not starts:
            return Reading(problem="no DTSTART")
        start = min(starts, key=lambda moment: moment.local(home))
        start_local = start.local(home)
        ends, problem = _ends(event, start_local, home)
        stay, inverted = _coverage(start_local, max(ends, default=None), dated=start.zone is None)
    except (ValueError, OverflowError):
        return Reading(problem="DTSTART is not a date")
    if stay is None:
        return Reading(problem=problem)
    stays, series = [stay], [line for line in event.properties if line.name in _SERIES]
    if series and not expand:
        problem = f"more than {MAX_RULES} recurring events: only its first occurrence is closed"
    elif series:
        stays, unread = _repeated(series, start, stay, window, home)
        problem = problem or unread
    # An all-day event has told its first night, and its end tells no more: nothing is left to be read. Of a
    # date-time the end may be the part that is right.
    mended = inverted and start.zone is None and problem is None
    if inverted:
        problem = problem or "ends before it begins: only its first night is closed"
    kind, reference = kind_and_reference(event)
    repeats = sorted({f"{line.name};{sorted(line.parameters.items())}:{line.value}" for line in series})
    meaning = "|".join((str(stay), kind, reference or "", *repeats))
    return Reading(tuple(Closure(each, kind, reference) for each in stays), meaning, problem, mended)


def _ends(event: Component, start: datetime, home: tzinfo) -> tuple[list[datetime], str | None]:
    """Every end the event names, on the property's wall clock, and what of it was unreadable.

    An unreadable end leaves the first night, also of a date-time, which without any end would be an instant.
    """
    found: list[datetime] = []
    problem = None
    for line in event.properties:
        try:
            if line.name == "DTEND":
                found.append(moment_from_wire(line, home).local(home))
            elif line.name == "DURATION":
                found.append(start + duration_from_wire(line))
        except (ValueError, OverflowError):
            problem = f"{line.name} is unreadable: only what else is known of it is closed"
            found.append(start + ONE_DAY)
    return found, problem


def _coverage(start: datetime, end: datetime | None, *, dated: bool) -> tuple[Stay | None, bool]:
    """The nights from start to end, and whether the end stands before the start.

    A DATE closes at least its own night (RFC 5545, 3.6.1). A date-time without an end, or one that ends on the
    same local date, is an instant or a check-in marker and closes none. Raises OverflowError after the year 9999.
    """
    if end is not None and start.time() == time() and end.time() >= _END_OF_DAY:
        end = datetime.combine(end.date(), time()) + ONE_DAY  # whole days, written by a tool that shuns 24:00
    if end is not None and end.date() > start.date():
        return Stay(start.date(), end.date()), False
    inverted = end is not None and end < start
    if (not dated and not inverted) or start.date() == date.max:
        return None, inverted
    return Stay(start.date(), start.date() + ONE_DAY), inverted


def _repeated(
    series: Sequence[Property], start: Moment, stay: Stay, window: Stay, home: tzinfo
) -> tuple[list[Stay], str | None]:
    """The first occurrence and those that reach into the window, each as long as the first; what was unreadable."""
    # A day more on both sides: the event's zone may lie a day off the property's.
    reach = min(stay.check_out - stay.check_in + ONE_DAY, window.check_in - date.min)
    first, last = window.check_in - reach, min(window.check_out, date.max - ONE_DAY) + ONE_DAY
    walls, excluded = [start.wall], set[datetime]()
    problem = None
    for line in series:
        try:
            if line.name == "RRULE":
                rule = rule_from_wire(line.value)
                until = until_from_wire(rule.until, start, home)
                walls.extend(occurrences(rule, start.wall, until, first, last))
            else:
                listed = [moment.beside(start) for moment in moments_from_wire(line, home)]
                (excluded.update if line.name == "EXDATE" else walls.extend)(listed)
        except (ValueError, OverflowError) as error:
            problem = f"{line.name}: {error}: not every occurrence is closed"
    stays = [_moved(stay, replace(start, wall=wall), home) for wall in set(walls) - excluded]
    return [each for each in stays if each is not None], problem


def _moved(stay: Stay, start: Moment, home: tzinfo) -> Stay | None:
    """``stay`` from another start; None beyond the end of the calendar, which no window reaches."""
    try:
        check_in = start.local(home).date()
        return Stay(check_in, check_in + (stay.check_out - stay.check_in))
    except OverflowError:
        return None


def _problem(component: Component, otherwise: str, reason: str, *, mended: bool = False) -> Problem:
    return Problem(shown_uid(component) or otherwise, reason, scrubbed(component), mended)


def _bounded(problems: list[Problem]) -> tuple[Problem, ...]:
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    rest = problems[MAX_PROBLEMS:]
    mended = all(problem.mended for problem in rest)
    return (
        *problems[:MAX_PROBLEMS],
        Problem("the feed", f"{len(rest)} more parts could not be read", "", mended),
    )
