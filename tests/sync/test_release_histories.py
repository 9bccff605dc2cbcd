"""The release rule on what real channels did: recorded feeds, polled every hour for months."""

from collections.abc import Sequence
from datetime import timedelta
from functools import reduce
from itertools import pairwise
from operator import add
from pathlib import Path

import pytest

from tests.benchmarks.feed_history import replay_rule
from tests.benchmarks.feed_truth import State, history, openings, score

PATIENCE = timedelta(hours=2)


@pytest.fixture
def histories(fixtures_dir: Path) -> list[list[State]]:
    """Every recorded history there is."""
    found = [history(path) for path in sorted(fixtures_dir.glob("ical_*/timeseries_*"))]
    if not found:
        pytest.skip("no recorded histories among the fixtures")
    return found


@pytest.mark.timeout(600)
def test_recorded_feeds_open_late_and_never_by_a_mass_drop(histories: list[list[State]]) -> None:
    """At the ordinary patience no night opens by a mass drop or closes late, and no genuine opening is forgotten.

    Half of all openings come within 2 h and 95 % within 6 h, and the nights for sale that should not be are at most
    half of what "the feed is the truth" puts up.
    """
    total = reduce(add, (score(states, replay_rule(states, PATIENCE)) for states in histories)).report()
    delays = [total["release_delay_hours_p50"], total["release_delay_hours_p95"]]
    assert total["mass_drop_false_open_nights"] == 0
    assert total["closing_delay_hours_max"] == 0
    assert total["never_released"] == 0
    assert [delay is not None and delay <= most for delay, most in zip(delays, (2, 6), strict=True)] == [
        True
    ] * 2
    assert total["false_open_night_hours"] is not None
    assert total["naive_false_open_night_hours"] is not None
    assert total["false_open_night_hours"] <= total["naive_false_open_night_hours"] / 2


def faulty(states: Sequence[State], hours: int, *, keep: int) -> list[State]:
    """A history in which every twentieth state lost all events but every ``keep``th (0: all) for its first hours."""
    found: list[State] = []
    for number, (state, following) in enumerate(pairwise(states)):
        back = state.at + timedelta(hours=hours)
        if number % 20 == 10 and back < following.at:
            events = state.events[::keep] if keep else ()
            found += [State(state.at, events), State(back, state.events)]
        else:
            found.append(state)
    return [*found, states[-1]]


@pytest.mark.parametrize("hours", [1, 4, 23])
@pytest.mark.parametrize("keep", [0, 4])
def test_real_feeds_that_lose_their_events_for_hours_open_nothing(
    histories: list[list[State]], hours: int, keep: int
) -> None:
    """However long a day's fault is, a feed that goes empty or loses most events puts no sold night up for sale."""
    states = faulty(min(histories, key=len)[:100], hours, keep=keep)
    dropped = [opening for opening in openings(states) if opening.in_mass_drop]
    assert dropped
    shown = replay_rule(states, PATIENCE)
    for opening in dropped:
        assert opening.again_at is not None
        assert not shown.open_during(opening.night, opening.at, opening.again_at)
