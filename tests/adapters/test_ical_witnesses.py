"""Real feeds and recorded feed histories, held against readers that share no code with ours."""

import gzip
import json
import random
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ical.calendar_stream import IcsCalendarStream
from ical.exceptions import CalendarParseError

from adapters.calendar_feed.feed import feed_from_wire
from adapters.model import ClosureKind
from tests.adapters.ical_rendering import Event, nights_of, observe, render, seen_by_line


def _feeds(folder: Path) -> list[Path]:
    found = sorted(folder.glob("ical_*/*.ics"))
    if not found:
        pytest.skip(f"no feeds in {folder}")
    return found


def _histories(folder: Path) -> list[Path]:
    found = sorted(folder.glob("ical_*/timeseries_*.jsonl*"))
    if not found:
        pytest.skip(f"no feed histories in {folder}")
    return found


def _states(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.splitlines()]


def _day(moment: date | None) -> date:
    assert moment is not None
    return moment.date() if isinstance(moment, datetime) else moment


def test_real_feeds_are_read_without_loss(fixtures_dir: Path) -> None:
    """Every real feed shows exactly the nights that a line-based reader counts, within the window and beyond it."""
    for path in _feeds(fixtures_dir):
        body = path.read_bytes()

        observed = observe(body)

        assert seen_by_line(body) == {each.night for each in observed.nights}, path.name
        assert len(observed.nights) == len({each.night for each in observed.nights}), path.name


def test_real_feeds_are_read_as_the_ical_library_reads_them(fixtures_dir: Path) -> None:
    """Where the ical library reads a real feed at all, it sees the same nights."""
    read = 0
    for path in _feeds(fixtures_dir):
        body = path.read_bytes()
        try:
            calendar = IcsCalendarStream.calendar_from_ics(body.decode())
        except CalendarParseError:
            continue
        read += 1
        nights = {
            _day(one.dtstart) + timedelta(days=day)
            for one in calendar.events
            for day in range(max(1, (_day(one.end) - _day(one.dtstart)).days))
        }

        assert nights == {each.night for each in observe(body).nights}, path.name

    assert read > 0


def test_every_event_of_a_real_feed_has_a_kind_and_a_reference(fixtures_dir: Path) -> None:
    """No real event is lost: each is a closure, a problem tells at most of an inverted one, and no guest's text stays."""
    for path in _feeds(fixtures_dir):
        body = path.read_bytes()
        observed = observe(body)
        inverted = re.compile("ends before it begins")

        assert body.count(b"BEGIN:VEVENT") == len(feed_from_wire(body, "feed").events), path.name
        assert all(inverted.search(problem.reason) for problem in observed.problems), path.name
        assert all(each.reference for each in observed.nights), path.name
        assert "http" not in repr(observed), path.name
        assert "Phone" not in repr(observed), path.name


def test_airbnbs_reservations_carry_their_code(fixtures_dir: Path) -> None:
    """Each reservation code that stands in a real Airbnb feed closes a night as booked, unless another covers it."""
    for path in _feeds(fixtures_dir):
        text = re.sub(rb"\r?\n[ \t]", b"", path.read_bytes())
        codes = {code.decode() for code in re.findall(rb"details/(HM[A-Z0-9]+)", text)}
        observed = observe(path.read_bytes()).nights
        booked = {each.reference for each in observed if each.closure is ClosureKind.BOOKED}

        assert {code for code in booked if code and code.startswith("HM")} <= codes, path.name
        if "merged" not in path.name:  # six homes on one calendar do overlap
            assert codes <= booked, path.name


def test_every_recorded_state_is_read_without_loss(fixtures_dir: Path) -> None:
    """Each state of a recorded history, rendered anew, shows the nights that its own record tells.

    Two states with one fingerprint hold the same events.
    """
    for path in _histories(fixtures_dir):
        meanings: dict[str, set[tuple[str, ...]]] = {}
        for number, state in enumerate(_states(path)):
            body = render(_events(state), random.Random(number))
            observed = observe(body)

            assert nights_of(_events(state)) == {each.night for each in observed.nights}, (path.name, number)
            assert observed.problems == ()
            meaning = {tuple(sorted(one.items())) for one in state["events"]}
            assert meaning == meanings.setdefault(observed.fingerprint, meaning), (path.name, number)


def _events(state: dict[str, Any]) -> list[Event]:
    return [
        Event(
            date.fromisoformat(one["dtstart"]),
            date.fromisoformat(one["dtend"]),
            one["uid"],
            one.get("summary", ""),
            one.get("description", ""),
        )
        for one in state["events"]
    ]
