"""Recorded histories of calendar feeds, and with hindsight: which of their openings were false.

A history is a file with one JSON object per line, ``{"committed_at", "events": [{"uid", "dtstart", "dtend",
"summary", "description"?}]}``: one line per changed state of one feed that was polled every hour. Between two
lines the feed did not change.

A night after today is *opened* by a state that no longer covers it. The opening is false when the night is
covered again within 24 h under the same event (the same UID, or the same dates), or when it was part of a mass
drop: one state opens at least 5 nights and half of the future ones, and 80 % of them are covered again within
24 h. Every other opening is genuine. Dates are UTC, as in the recordings.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Any

from adapters.model import ONE_DAY

A_DAY = timedelta(hours=24)
LONG_ENOUGH = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a recorded state, half-open ``[start, end)``."""

    uid: str
    start: date
    end: date
    summary: str
    description: str | None


@dataclass(frozen=True, slots=True)
class State:
    """What a feed showed from ``at`` (UTC) on."""

    at: datetime
    events: tuple[Event, ...]

    def cover(self) -> dict[date, Event]:
        """Every closed night, with the first event that closes it."""
        nights: dict[date, Event] = {}
        for event in self.events:
            night = event.start
            while night < event.end:
                nights.setdefault(night, event)
                night += ONE_DAY
        return nights


@dataclass(slots=True)
class Opening:
    """A future night that a state opened, and what became of it. ``mass``: half of the calendar went with it."""

    at: datetime
    night: date
    was: Event
    mass: bool
    again_at: datetime | None = None
    again: Event | None = None
    false: bool = False
    in_mass_drop: bool = False

    @property
    def back_within_a_day(self) -> bool:
        return self.again_at is not None and self.again_at - self.at <= A_DAY

    @property
    def back_under_the_same_event(self) -> bool:
        return self.again is not None and (
            self.again.uid == self.was.uid
            or (self.again.start, self.again.end) == (self.was.start, self.was.end)
        )


def history(path: Path) -> list[State]:
    """The recorded states, in order."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [_state(json.loads(line)) for line in lines if line.strip()]


def _state(line: Mapping[str, Any]) -> State:
    return State(
        datetime.fromisoformat(line["committed_at"]), tuple(_event(event) for event in line["events"])
    )


def _event(event: Mapping[str, str]) -> Event:
    start = datetime.strptime(event["dtstart"][:8], "%Y%m%d").date()  # noqa: DTZ007 - a date, no time
    end = datetime.strptime(event["dtend"][:8], "%Y%m%d").date() if event.get("dtend") else start + ONE_DAY  # noqa: DTZ007 - a date, no time
    return Event(event["uid"], start, end, event.get("summary", ""), event.get("description"))


def openings(states: Sequence[State]) -> list[Opening]:
    """Every opening of a history, judged."""
    found: list[Opening] = []
    waiting: dict[date, Opening] = {}
    before: dict[date, Event] | None = None
    for state in states:
        cover = state.cover()
        if before is not None:
            future = [night for night in before if night > state.at.date()]
            gone = [night for night in future if night not in cover]
            mass = len(gone) >= 5 and len(gone) >= 0.5 * len(future)
            for night in gone:
                waiting[night] = Opening(state.at, night, before[night], mass)
                found.append(waiting[night])
            for night in waiting.keys() & cover.keys():
                opening = waiting.pop(night)
                opening.again_at, opening.again = state.at, cover[night]
        before = cover
    _judge(found)
    return found


def _judge(found: Sequence[Opening]) -> None:
    by_poll: dict[datetime, list[Opening]] = defaultdict(list)
    for opening in found:
        by_poll[opening.at].append(opening)
    for together in by_poll.values():
        back = sum(opening.back_within_a_day for opening in together)
        dropped = together[0].mass and back >= 0.8 * len(together)
        for opening in together:
            opening.in_mass_drop = dropped and opening.back_within_a_day
            opening.false = opening.back_within_a_day and (dropped or opening.back_under_the_same_event)


def polls(states: Sequence[State], every: timedelta = timedelta(hours=1)) -> Iterator[tuple[datetime, State]]:
    """When the feed is polled, and what it shows: at every change, and every hour between two of them."""
    for state, following in zip(states, [*states[1:], None], strict=True):
        at = state.at
        yield at, state
        while following is not None and (at := at + every) < following.at:
            yield at, state


@dataclass(slots=True)
class Shown:
    """What a system under test showed over a history: for each night the times at which it opened and closed.

    ``late`` are nights that it still showed open after a poll that listed them, with the time of that poll;
    ``polls`` counts the polls that were made.
    """

    turned: dict[date, list[tuple[datetime, bool]]] = field(default_factory=lambda: defaultdict(list))
    late: dict[date, datetime] = field(default_factory=dict)
    closing_delay: timedelta = timedelta()
    polls: int = 0

    def turn(self, night: date, at: datetime, *, is_open: bool) -> None:
        """From ``at`` on the night is open, or closed."""
        if not self.turned[night] or self.turned[night][-1][1] is not is_open:
            self.turned[night].append((at, is_open))

    def is_open(self, night: date) -> bool:
        """As it is shown now; a night never shown is not open."""
        turns = self.turned.get(night, [])
        return bool(turns) and turns[-1][1]

    def check_closings(self, at: datetime, listed: Iterator[date]) -> None:
        """Note which of the nights that a poll at ``at`` listed are shown open after it, and for how long."""
        self.polls += 1
        late = {night for night in listed if self.is_open(night)}
        for night in late:
            self.late.setdefault(night, at)
            # Not closed at the poll that listed it: late by an hour at least, whatever follows.
            self.closing_delay = max(self.closing_delay, at - self.late[night] + timedelta(hours=1))
        self.late = {night: since for night, since in self.late.items() if night in late}

    def open_during(self, night: date, start: datetime, end: datetime) -> timedelta:
        """For how long of ``[start, end)`` the night was shown open."""
        total = timedelta()
        turns = self.turned.get(night, [])
        for (at, is_open), (until, _) in zip(turns, [*turns[1:], (end, False)], strict=True):
            if is_open:
                total += max(timedelta(), min(until, end) - max(at, start))
        return total

    def first_open(self, night: date, start: datetime) -> datetime | None:
        """The first moment from ``start`` on at which the night was shown open."""
        turns = self.turned.get(night, [])
        ends = [*(at for at, _ in turns[1:]), None]
        for (at, is_open), until in zip(turns, ends, strict=True):
            if is_open and (until is None or until > start):
                return max(at, start)
        return None


@dataclass(slots=True)
class Score:
    """How a system did over some histories; the sum of two scores is the score over both."""

    false: int = 0
    mass_drop_false_open: int = 0
    false_open_hours: float = 0.0
    naive_hours: float = 0.0
    naive_hours_outside_mass: float = 0.0
    false_open_hours_outside_mass: float = 0.0
    genuine: int = 0
    delays: list[float] = field(default_factory=list)
    mass_delays: list[float] = field(default_factory=list)
    closed_again: int = 0
    passed: int = 0
    unfinished: int = 0
    never: int = 0
    closing_delay_hours: float = 0.0

    def __add__(self, other: "Score") -> "Score":
        total = Score(*(getattr(self, name) + getattr(other, name) for name in Score.__slots__[:-1]))
        total.closing_delay_hours = max(self.closing_delay_hours, other.closing_delay_hours)
        return total

    def report(self) -> dict[str, float | int | None]:
        """The figures. Delays are in hours, over all genuine openings that were released, mass ones among them."""
        ordinary = list(self.delays)
        for delay in self.mass_delays:
            ordinary.remove(delay)
        return {
            "mass_drop_false_open_nights": self.mass_drop_false_open,
            "false_open_night_hours": round(self.false_open_hours, 1),
            "naive_false_open_night_hours": round(self.naive_hours, 1),
            "false_open_night_hours_outside_mass": round(self.false_open_hours_outside_mass, 1),
            "naive_false_open_night_hours_outside_mass": round(self.naive_hours_outside_mass, 1),
            "false_nights": self.false,
            "genuine_openings": self.genuine,
            "released": len(self.delays),
            "release_delay_hours_p50": _quantile(self.delays, 50),
            "release_delay_hours_p95": _quantile(self.delays, 95),
            "release_delay_hours_max": _quantile(self.delays, 100),
            "ordinary_release_delay_hours_p50": _quantile(ordinary, 50),
            "ordinary_release_delay_hours_p95": _quantile(ordinary, 95),
            "mass_released": len(self.mass_delays),
            "mass_release_delay_hours_p50": _quantile(self.mass_delays, 50),
            "mass_release_delay_hours_max": _quantile(self.mass_delays, 100),
            "closed_again_before_release": self.closed_again,
            "night_passed_before_release": self.passed,
            "history_ended_before_release": self.unfinished,
            "never_released": self.never,
            "closing_delay_hours_max": round(self.closing_delay_hours, 2),
        }


def score(states: Sequence[State], shown: Shown) -> Score:
    """Hold what was shown against the truth."""
    end = states[-1].at
    total = Score(closing_delay_hours=shown.closing_delay.total_seconds() / 3600)
    for opening in openings(states):
        if opening.false and opening.again_at is not None:
            _score_false(total, opening, opening.again_at, shown)
        else:
            _score_genuine(total, opening, end, shown)
    return total


def _score_false(total: Score, opening: Opening, again_at: datetime, shown: Shown) -> None:
    hours = shown.open_during(opening.night, opening.at, again_at).total_seconds() / 3600
    naive = (again_at - opening.at).total_seconds() / 3600
    total.false += 1
    total.false_open_hours += hours
    total.naive_hours += naive
    if opening.in_mass_drop:
        total.mass_drop_false_open += hours > 0
    else:
        total.false_open_hours_outside_mass += hours
        total.naive_hours_outside_mass += naive


def _score_genuine(total: Score, opening: Opening, end: datetime, shown: Shown) -> None:
    passes = datetime.combine(opening.night + ONE_DAY, datetime.min.time(), opening.at.tzinfo)
    stays_open_until = min(moment for moment in (opening.again_at, passes, end) if moment is not None)
    total.genuine += 1
    released = shown.first_open(opening.night, opening.at)
    if released is not None and (released < stays_open_until or released == stays_open_until == end):
        delay = (released - opening.at).total_seconds() / 3600
        total.delays.append(delay)
        if opening.mass:
            total.mass_delays.append(delay)
    elif stays_open_until - opening.at > LONG_ENOUGH:
        total.never += 1
    elif stays_open_until == opening.again_at:
        total.closed_again += 1
    elif stays_open_until == passes:
        total.passed += 1
    else:
        total.unfinished += 1


def _quantile(values: Sequence[float], percent: int) -> float | None:
    if not values:
        return None
    if percent == 100 or len(values) == 1:
        return round(max(values), 2)
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 2)
