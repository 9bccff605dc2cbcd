"""What the release rule keeps to whatever a feed does, for any history of observations."""

import random
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import NightAvailability
from channel_sync.sync.release import HoldReason
from tests.sync.release_scene import BLOCKED, BOOKED, HOUR, TODAY, UNKNOWN, Life, closure

DAYS = 24
DAY = 24 * 3600.0

Feed = tuple[NightAvailability, ...]

events = st.builds(
    closure,
    st.integers(0, 18),
    st.integers(19, DAYS + 4),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from([BOOKED, BLOCKED, UNKNOWN]),
) | st.builds(
    lambda start, length, reference, kind: closure(start, start + length, reference, kind),
    st.integers(0, DAYS),
    st.integers(1, 4),
    st.sampled_from([f"stay-{number}" for number in range(8)]),
    st.sampled_from([BOOKED, BLOCKED, UNKNOWN]),
)


def as_feed(closures: list[Feed]) -> Feed:
    """Events as the one list of closed nights that an adapter makes of them."""
    nights: dict[date, NightAvailability] = {}
    for each in closures:
        for night in each:
            nights.setdefault(night.night, night)
    return tuple(nights.values())


feeds = st.lists(events, max_size=8).map(as_feed)
# Few different feeds, often repeated: as a real one is.
histories = st.lists(feeds, min_size=1, max_size=3).flatmap(
    lambda few: st.lists(
        st.tuples(
            st.sampled_from([*few, ()]),
            st.sampled_from([timedelta(minutes=15), HOUR, HOUR, timedelta(hours=30)]),
            st.sampled_from([False, False, False, True]),
        ),
        min_size=1,
        max_size=25,
    )
)
patiences = st.sampled_from([timedelta(), HOUR / 2, 2 * HOUR, 5 * HOUR, 12 * HOUR])


@given(histories, patiences)
def test_no_listed_night_is_open_and_no_absent_one_opens_early(
    history: list[tuple[Feed, timedelta, bool]], patience: timedelta
) -> None:
    """Every listed night is closed by the observation itself; one that opens was absent for the patience at least,
    by the listing's own clock and in every observation since."""
    life = Life(patience=patience, days=DAYS)
    absent_since: dict[date, float] = {}
    for feed, after, unread in history:
        was_open = {night for night, state in life.known.items() if state.units_open}
        life.observe(feed, after=after, unread=unread)
        listed = {night.night for night in feed}
        for night, state in life.known.items():
            if night < life.at.date():
                continue
            if night in listed:
                absent_since.pop(night, None)
                assert not state.units_open
            else:
                since = absent_since.setdefault(night, life.observed_s)
                if state.units_open and night not in was_open:
                    assert life.observed_s - since >= patience.total_seconds()


@given(histories, patiences)
def test_nothing_opens_within_a_day_of_an_empty_feed(
    history: list[tuple[Feed, timedelta, bool]], patience: timedelta
) -> None:
    """While a feed is empty no night opens before 24 h of the listing's own clock since it became so."""
    life = Life(patience=patience, days=DAYS)
    empty_since: float | None = None
    for feed, after, unread in history:
        decision = life.observe(feed, after=after, unread=unread)
        today = life.at.date()
        if any(today <= night.night < today + timedelta(days=DAYS) for night in feed):
            empty_since = None
            continue
        empty_since = life.observed_s if empty_since is None else empty_since
        if decision.opened:
            assert life.observed_s - empty_since >= DAY


@given(history=histories, patience=patiences, approved=st.booleans())
def test_deciding_again_changes_nothing(
    history: list[tuple[Feed, timedelta, bool]], patience: timedelta, *, approved: bool
) -> None:
    """The same observation at the same clock decides nothing new."""
    life = Life(patience=patience, days=DAYS)
    for feed, after, unread in history:
        life.observe(feed, after=after, unread=unread, approved=approved)
        again = life.weigh(feed, unread=unread)
        assert (again.changed, again.opened, again.closed) == ((), 0, 0)


@given(histories, patiences, st.randoms(use_true_random=False))
def test_the_order_of_nights_is_irrelevant(
    history: list[tuple[Feed, timedelta, bool]], patience: timedelta, chance: random.Random
) -> None:
    """Shuffled stored nights and shuffled listed nights give the same decision."""
    life = Life(patience=patience, days=DAYS)
    for feed, after, unread in history[:-1]:
        life.observe(feed, after=after, unread=unread)
    feed = history[-1][0]
    expected = life.weigh(feed)
    stored = list(life.known.items())
    chance.shuffle(stored)
    life.known = dict(stored)
    assert life.weigh(chance.sample(feed, len(feed))) == expected


@given(histories, patiences)
def test_a_hold_only_ever_lengthens(history: list[tuple[Feed, timedelta, bool]], patience: timedelta) -> None:
    """While a night stays absent neither the end of its hold moves nearer nor its beginning moves."""
    life = Life(patience=patience, days=DAYS)
    for feed, after, unread in history:
        before = {night: state.hold for night, state in life.known.items() if state.hold is not None}
        life.observe(feed, after=after, unread=unread)
        for night, old in before.items():
            new = life.known[night].hold
            if new is not None:
                assert (new.since, new.release_at_s) >= (old.since, old.release_at_s)
                assert new.since == old.since


@given(feed=feeds, patience=patiences, unread=st.booleans())
def test_a_feed_that_stays_the_same_leaves_nothing_held(
    feed: Feed, patience: timedelta, *, unread: bool
) -> None:
    """Whatever a feed lists, once it no longer changes every other night opens within two days or two patiences."""
    life = Life(patience=patience, days=DAYS)
    life.observe(closure(0, DAYS, "all"))
    for _ in range(int(2 * max(24 * HOUR, 3 * patience) / HOUR) + 2):
        life.observe(feed, unread=unread)
    held = [night for night, state in life.known.items() if state.hold and night >= life.at.date()]
    # Nights that entered the window since are held on their own account.
    assert [night for night in held if night < TODAY + timedelta(days=DAYS)] == []


@given(feeds, st.integers(1, 400), patiences)
def test_an_outage_of_any_length_adds_at_most_an_hour(feed: Feed, hours: int, patience: timedelta) -> None:
    """However long no observation succeeds, what opens after it is what would have opened an hour later."""
    before, outage, hour = (Life(patience=patience, days=DAYS) for _ in range(3))
    for life in (before, outage, hour):
        life.observe(closure(0, DAYS, "all"))
        life.observe(feed)
    outage.observe(feed, after=hours * HOUR)
    hour.observe(feed, after=HOUR)
    assert outage.observed_s <= before.observed_s + 3600
    for night, state in outage.known.items():
        if state.units_open and night in before.known and night >= outage.at.date():
            assert hour.known[night].units_open


@given(st.integers(6, 12), st.integers(0, 3), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_a_feed_that_loses_its_stays_one_by_one_opens_few(
    count: int, minutes: int, chance: random.Random
) -> None:
    """However a feed shrinks to nothing within two hours, no night of it is open before a day has passed."""
    stays = [closure(1 + 2 * number, 3 + 2 * number, f"stay-{number}") for number in range(count)]
    life = Life(days=2 * count + 4)
    life.settle(*stays)
    chance.shuffle(stays)
    while stays:
        stays.pop()
        life.observe(*stays, after=timedelta(minutes=2 + minutes))
    for _ in range(23):
        assert life.observe().opened == 0
    reasons = {state.hold.reason for state in life.known.values() if state.hold is not None}
    assert reasons == {HoldReason.EMPTY}
