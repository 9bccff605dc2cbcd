"""When a night that a feed no longer lists may be sold again: the rule, case by case."""

from datetime import timedelta

import pytest

from adapters.model import NightAvailability, Stay
from channel_sync.sync.release import HoldReason, NightState, advance, decide, still_listed
from tests.sync.release_scene import BLOCKED, BOOKED, HOUR, NOON, TODAY, UNKNOWN, Life, closure, nights

STAYS = [closure(3 + 5 * n, 6 + 5 * n, f"stay-{n}") for n in range(10)]


def settled(*events: tuple[NightAvailability, ...], patience: timedelta = 2 * HOUR) -> Life:
    """A listing whose feed lists these events, with nothing held."""
    life = Life(patience=patience)
    life.settle(*events)
    return life


def test_a_night_that_is_listed_closes_at_once() -> None:
    """An open night that the feed lists is closed by that very observation."""
    life = settled(*STAYS)
    decision = life.observe(*STAYS, closure(1, 3, "new"))
    assert (decision.closed, life.open(nights(1, 3))) == (2, 0)


def test_a_cancelled_stay_opens_after_the_patience() -> None:
    """A stay that leaves without a trace is sold again two observed hours later, and not before."""
    life = settled(*STAYS)
    decision = life.observe(*STAYS[1:])
    assert (decision.opened, decision.held) == (0, 3)
    assert life.hold(3) is not None
    assert life.hold(3).reason is HoldReason.ABSENT  # type: ignore[union-attr]
    assert life.hours_until_open(nights(3, 6), *STAYS[1:]) == 2


def test_a_stay_that_is_listed_again_is_no_longer_held() -> None:
    """A stay that comes back within the patience never opened, and its next absence waits anew."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:])
    assert life.observe(*STAYS).held == 0
    life.observe(*STAYS[1:])
    assert life.hours_until_open(nights(3, 6), *STAYS[1:]) == 2


def test_an_outage_proves_nothing() -> None:
    """Three days without an answer add one hour to a hold, not three days."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:])
    assert life.observe(*STAYS[1:], after=timedelta(days=3)).opened == 0
    assert life.observe(*STAYS[1:]).opened == 3


def test_the_listings_own_clock_never_runs_backwards() -> None:
    """An observation older than the last adds nothing, the first starts the clock, one after a week adds an hour."""
    assert advance(5.0, NOON, NOON - HOUR) == 5.0
    assert advance(0.0, None, NOON) == 0.0
    assert advance(5.0, NOON, NOON + timedelta(days=7)) == 3605.0
    assert advance(5.0, NOON, NOON + timedelta(minutes=15)) == 905.0


def test_an_empty_feed_opens_nothing_for_a_day() -> None:
    """A feed without any closure is doubted for 24 observed hours."""
    life = settled(*STAYS)
    life.observe()
    assert {state.hold.reason for state in life.known.values() if state.hold} == {HoldReason.EMPTY}
    assert life.hours_until_open(nights(3, 6)) == 24


def test_a_night_already_held_waits_for_the_empty_feed_too() -> None:
    """A stay cancelled an hour before the feed went empty does not open while it is empty."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:])
    life.observe()
    assert life.hours_until_open(nights(3, 6)) == 24


def test_each_empty_feed_counts_from_its_own_beginning() -> None:
    """A feed that is empty, back without one stay, and empty again doubts that stay for a day from then."""
    life = settled(*STAYS)
    for _ in range(20):
        life.observe()
    life.observe(*STAYS[1:])
    assert life.hold(8) is None
    life.observe()
    assert life.hours_until_open(nights(3, 6)) == 24


def test_a_feed_that_is_back_from_empty_is_as_before() -> None:
    """After an empty hour nothing is held and nothing was ever open."""
    life = settled(*STAYS)
    life.observe()
    decision = life.observe(*STAYS)
    assert (decision.opened, decision.held, life.open(night.night for stay in STAYS for night in stay)) == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize("left", [1, 3, 5])
def test_most_of_a_calendar_gone_is_doubted_for_a_day(left: int) -> None:
    """When half of the stays or more go at once, none of their nights opens for 24 observed hours."""
    life = settled(*STAYS)
    life.observe(*STAYS[:left])
    gone = [night.night for stay in STAYS[left:] for night in stay]
    assert life.hours_until_open(gone, *STAYS[:left]) == 24


def test_short_stays_gone_together_are_a_mass_too() -> None:
    """Three of four stays of one night each are few nights, and still no three cancellations."""
    short = [closure(5 * n, 5 * n + 1, f"short-{n}") for n in range(1, 5)]
    life = settled(*short)
    life.observe(short[3])
    assert life.hours_until_open(nights(5, 6), short[3]) == 24


def test_one_long_block_gone_is_doubted_for_a_day() -> None:
    """A single closure that is most of the closed nights is a mass by itself."""
    long = closure(20, 50, "season", UNKNOWN)
    life = settled(*STAYS[:3], long)
    life.observe(*STAYS[:3])
    assert life.hours_until_open(nights(20, 50), *STAYS[:3]) == 24


def test_a_feed_that_shrinks_step_by_step_is_recognised() -> None:
    """One stay less every half hour: absences add up, and what is held then waits for a day."""
    life = settled(*STAYS)
    for gone in (1, 2, 3):
        life.observe(*STAYS[gone:], after=HOUR / 2)
    assert {life.hold(day).reason for day in (3, 8, 13)} == {HoldReason.MASS_ABSENT}  # type: ignore[union-attr]
    assert life.hours_until_open(nights(3, 6), *STAYS[3:]) == 24


def test_while_a_mass_is_doubted_nothing_else_opens() -> None:
    """A further absence during the doubt is doubted as well."""
    life = settled(*STAYS)
    life.observe(*STAYS[5:])
    life.observe(*STAYS[6:])
    assert life.hold(28) is not None
    assert life.hold(28).reason is HoldReason.MASS_ABSENT  # type: ignore[union-attr]


def test_two_cancellations_at_once_are_no_mass() -> None:
    """Two of ten stays that leave together open after the ordinary patience."""
    life = settled(*STAYS)
    life.observe(*STAYS[2:])
    assert life.hours_until_open(nights(3, 6), *STAYS[2:]) == 2


def test_a_block_cut_short_was_edited() -> None:
    """Under a new UID or its own: most of a block opens after the patience when the rest of it is still listed."""
    for rest in ("block", "block-anew"):
        life = settled(closure(5, 55, "block", UNKNOWN))
        life.observe(closure(45, 55, rest, UNKNOWN))
        assert life.hold(5) is not None
        assert life.hold(5).reason is HoldReason.EDITED  # type: ignore[union-attr]
        assert life.hours_until_open(nights(5, 45), closure(45, 55, rest, UNKNOWN)) == 2


def test_an_edited_block_counts_for_no_mass_later() -> None:
    """A stay that leaves an hour after a large edit is an ordinary absence, not a mass with the edit's nights."""
    life = settled(closure(5, 40, "block", UNKNOWN), *STAYS[8:])
    life.observe(closure(35, 40, "anew", UNKNOWN), *STAYS[8:])
    life.observe(closure(35, 40, "anew", UNKNOWN), STAYS[9])
    assert life.hold(43) is not None
    assert life.hold(43).reason is HoldReason.ABSENT  # type: ignore[union-attr]


def test_a_neighbour_is_no_trace() -> None:
    """Back-to-back stays: what is left of the chain does not vouch for the ones that left."""
    chain = [closure(5 + n, 6 + n, f"guest-{n}") for n in range(20)]
    life = settled(*chain)
    life.observe(*chain[::4])
    assert life.hold(6) is not None
    assert life.hold(6).reason is HoldReason.MASS_ABSENT  # type: ignore[union-attr]


def test_a_neighbour_grown_over_the_rest_is_no_trace() -> None:
    """A closure whose last night is now listed by an event that was there before has vanished, not shrunk."""
    life = settled(closure(5, 15, "left", UNKNOWN), closure(15, 20, "right", UNKNOWN))
    life.observe(closure(14, 20, "right", UNKNOWN))
    assert life.hold(5) is not None
    assert life.hold(5).reason is HoldReason.MASS_ABSENT  # type: ignore[union-attr]


def test_a_moved_stay_closes_its_new_nights_at_once() -> None:
    """Same reservation, other dates: the new nights close now, the old ones open after the patience."""
    life = settled(*STAYS)
    moved = closure(55, 58, "stay-0")
    decision = life.observe(moved, *STAYS[1:])
    assert decision.closed + decision.extended == 3
    assert life.open(nights(55, 58)) == 0
    assert life.hours_until_open(nights(3, 6), moved, *STAYS[1:]) == 2


def test_new_uids_for_the_same_nights_change_nothing() -> None:
    """Rotated references, merged or split blocks and other kinds neither open nor close a night."""
    life = settled(closure(5, 10, "a", UNKNOWN), closure(10, 20, "b", UNKNOWN))
    for events in (
        [closure(5, 20, "c", UNKNOWN)],
        [closure(5, 8, "d", BLOCKED), closure(8, 20, "e", BOOKED)],
        [closure(5, 10, "a", UNKNOWN), closure(10, 20, "b", UNKNOWN)],
    ):
        decision = life.observe(*events)
        assert (decision.closed, decision.opened, decision.held) == (0, 0, 0)


BLOCKS = [closure(6 + 5 * n, 8 + 5 * n, f"block-{n}", BLOCKED) for n in range(10)]


def test_an_owner_who_unblocks_waits_longer_but_not_a_day() -> None:
    """All blocks gone while every reservation stands: five hours at the ordinary patience."""
    life = settled(*STAYS, *BLOCKS)
    life.observe(*STAYS)
    assert life.hold(6) is not None
    assert life.hold(6).reason is HoldReason.UNBLOCKED  # type: ignore[union-attr]
    assert life.hours_until_open(nights(6, 8), *STAYS) == 5


def test_a_fault_that_takes_one_reservation_along_is_no_unblocking() -> None:
    """With one reservation among the vanished blocks the whole is doubted for a day."""
    life = settled(*STAYS, *BLOCKS)
    life.observe(*STAYS[1:])
    assert life.hours_until_open(nights(6, 8), *STAYS[1:]) == 24


def test_a_cancellation_before_the_unblocking_does_not_spoil_it() -> None:
    """A reservation held since an hour ago is not part of what went with the blocks."""
    life = settled(*STAYS, *BLOCKS)
    life.observe(*STAYS[1:], *BLOCKS)
    life.observe(*STAYS[1:])
    assert life.hold(6) is not None
    assert life.hold(6).reason is HoldReason.UNBLOCKED  # type: ignore[union-attr]


def test_a_cut_off_end_is_no_unblocking() -> None:
    """Blocks that all lie beyond the last reservation may have been cut off with the end of the feed."""
    far = [closure(30 + 3 * n, 32 + 3 * n, f"far-{n}", BLOCKED) for n in range(8)]
    life = settled(*STAYS[:4], *far)
    life.observe(*STAYS[:4])
    assert life.hours_until_open(nights(30, 32), *STAYS[:4]) == 24


def test_the_first_observation_opens_nothing() -> None:
    """Nights never observed before are not known to be open: closed, and open after the patience."""
    life = Life()
    decision = life.observe(*STAYS)
    assert (decision.opened, decision.closed, decision.held, decision.extended) == (0, 0, 30, 60)
    assert life.hours_until_open(nights(1, 3), *STAYS) == 2


def test_a_first_observation_that_is_empty_waits_a_day() -> None:
    """A new listing with an empty feed is not for sale before 24 observed hours."""
    life = Life()
    life.observe()
    assert life.hours_until_open(nights(2, 60)) == 24


def test_a_new_listing_whose_empty_feed_fills_is_not_taken_for_a_mass() -> None:
    """Nights that were never listed do not count as vanished."""
    life = Life()
    life.observe()
    life.observe(*STAYS)
    assert {state.hold.reason for state in life.known.values() if state.hold} == {HoldReason.FIRST_SEEN}


def test_unreadable_parts_make_absences_doubtful() -> None:
    """A stay that leaves, and one that is held, may be the part that could not be read: both wait a day."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:])
    life.observe(*STAYS[2:], unread=True)
    assert {life.hold(day).reason for day in (3, 8)} == {HoldReason.UNREAD}  # type: ignore[union-attr]
    assert life.hours_until_open(nights(3, 11), *STAYS[2:]) == 24


def test_a_part_that_stays_unreadable_does_not_block_for_ever() -> None:
    """With the same unreadable part in every observation a cancelled stay opens after a day."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:], unread=True)
    for hour in range(24):
        assert life.open(nights(3, 6)) == 0, hour
        life.observe(*STAYS[1:], unread=True)
    assert life.open(nights(3, 6)) == 3


def test_a_person_releases_what_is_held() -> None:
    """An approval opens the held nights at the next observation that still does not list them."""
    life = settled(*STAYS)
    life.observe(*STAYS[5:])
    decision = life.observe(STAYS[0], *STAYS[5:], approved=True)
    assert (decision.opened, decision.held) == (12, 0)
    assert life.open(nights(3, 6)) == 0


def test_an_approval_is_for_what_was_held_when_it_was_given() -> None:
    """Nights that vanish in the very observation that uses an approval are held like any other."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:])
    decision = life.observe(approved=True)
    assert decision.opened == 3
    assert life.open(night.night for stay in STAYS[1:] for night in stay) == 0


def test_no_patience_opens_an_ordinary_absence_at_once() -> None:
    """With patience 0 a cancelled stay opens in the observation that misses it."""
    life = settled(*STAYS, patience=timedelta())
    assert life.observe(*STAYS[1:]).opened == 3


@pytest.mark.parametrize("left", [0, 2])
def test_no_patience_still_doubts_a_mass(left: int) -> None:
    """With patience 0 an empty feed and a mass wait for a day all the same."""
    life = settled(*STAYS, patience=timedelta())
    life.observe(*STAYS[:left])
    gone = [night.night for stay in STAYS[left:] for night in stay]
    assert life.hours_until_open(gone, *STAYS[:left]) == 24


def test_a_cautious_patience_lengthens_the_day() -> None:
    """With a patience of 12 h a mass waits for 36 observed hours."""
    life = settled(*STAYS, patience=timedelta(hours=12))
    life.observe()
    assert life.hours_until_open(nights(3, 6)) == 36


def test_a_block_that_rolls_on_is_no_change() -> None:
    """A last block whose end moves on by a night a day extends the calendar and closes nothing."""
    block = closure(40, 60, "horizon", UNKNOWN)
    life = settled(*STAYS[:5], block)
    life.at = NOON + timedelta(days=1)
    decision = life.observe(*STAYS[:5], closure(40, 61, "horizon", UNKNOWN), after=timedelta())
    assert (decision.closed, decision.opened, decision.held, decision.extended) == (0, 0, 0, 1)


def test_a_block_that_rolls_on_inside_the_window_is_no_change() -> None:
    """The same where the window reaches further than the channel's horizon."""
    life = settled(*STAYS[:5], closure(40, 50, "horizon", UNKNOWN))
    decision = life.observe(*STAYS[:5], closure(40, 51, "horizon", UNKNOWN))
    assert (decision.closed, decision.opened, decision.extended) == (0, 0, 1)


def test_nights_that_are_past_or_outside_the_window_are_left_alone() -> None:
    """Neither yesterday's night nor one beyond the window is decided upon."""
    past, beyond = (
        NightState(night, 0, BOOKED, "stay") for night in (TODAY - timedelta(1), TODAY + timedelta(9))
    )
    decision = decide(
        [past, beyond],
        [],
        window=Stay(TODAY - timedelta(days=5), TODAY + timedelta(days=3)),
        today=TODAY,
        now=NOON,
        observed_s=1e9,
    )
    assert [state.night for state in decision.changed] == nights(0, 3)


def test_a_window_that_has_passed_decides_nothing() -> None:
    """A backfill of last month has no future night."""
    window = Stay(TODAY - timedelta(days=30), TODAY)
    decision = decide([], [], window=window, today=TODAY, now=NOON, observed_s=0.0)
    assert (decision.changed, decision.held) == ((), 0)


def test_an_open_night_in_a_list_of_closures_is_refused() -> None:
    """A listed night with units open contradicts itself, and the error names the night."""
    with pytest.raises(ValueError, match=r"2026-03-02 .* list closed nights only"):
        Life().observe([NightAvailability(TODAY + timedelta(days=1), 1)])


def test_an_unchanged_feed_lists_what_it_listed() -> None:
    """From "not modified" follow the closed nights that are not held, and holds run on."""
    life = settled(*STAYS)
    life.observe(*STAYS[1:])
    listed = still_listed(life.known.values())
    assert sorted(listed, key=lambda night: night.night) == [night for stay in STAYS[1:] for night in stay]
    life.observe(listed)
    assert life.observe(still_listed(life.known.values())).opened == 3
