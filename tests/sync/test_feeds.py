"""Feeds pulled over time: closings at once, openings when they are proven, through the real tables."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from adapters.model import Problem, Stay
from channel_sync.sandbox.faults import Fault
from channel_sync.sync import plan, pull, store
from tests.house import WINDOW, House, by_listing, hours

ACCOUNT = "feeds-demo"
VRBO = "harbour-studio-vrbo"  # shows listing 1001; offers ETag and Last-Modified
AIRBNB = "harbour-loft-airbnb"  # shows listing 1005; offers neither


def poll(house: House, listing: str = VRBO) -> object:
    """Pull the feeds once more, an hour later."""
    house.sandbox.clock.advance(hours(1))
    return by_listing(house.pull(ACCOUNT))[listing].entry


def settle(house: House) -> None:
    """Pull until every night that was never seen before is known to be open."""
    for _ in range(3):
        house.pull(ACCOUNT)
        house.sandbox.clock.advance(hours(1))


@pytest.fixture
def booked(quiet_house: House) -> House:
    """Every listing with five stays, and the nights around them known to be open."""
    world, now = quiet_house.sandbox.world, quiet_house.sandbox.clock.now()
    for listing in ("1001", "1002", "1004", "1005"):
        for week in range(5):
            start = date(2026, 4, 6) + timedelta(weeks=week)
            world.book(listing, start, start + timedelta(days=3), at=now)
    settle(quiet_house)
    return quiet_house


def nights(first: date, count: int) -> set[date]:
    """So many nights from one on."""
    return {first + timedelta(days=day) for day in range(count)}


def stays() -> set[date]:
    """The nights of the five stays."""
    return {night for week in range(5) for night in nights(date(2026, 4, 6) + timedelta(weeks=week), 3)}


def test_a_feed_of_a_new_listing_opens_only_what_was_seen_open(quiet_house: House) -> None:
    """Until a night was seen open for long enough it counts as closed."""
    quiet_house.sandbox.world.book(
        "1001", date(2026, 4, 6), date(2026, 4, 9), at=quiet_house.sandbox.clock.now()
    )
    quiet_house.pull(ACCOUNT)

    assert date(2026, 5, 1) in quiet_house.closed_nights(VRBO)
    settle(quiet_house)
    assert nights(date(2026, 4, 6), 3) == quiet_house.closed_nights(VRBO)


def test_a_booking_closes_its_nights_at_the_next_poll(booked: House) -> None:
    """Closing is safe and immediate."""
    booked.sandbox.world.book("1001", date(2026, 6, 1), date(2026, 6, 3), at=booked.sandbox.clock.now())

    poll(booked)

    assert stays() | nights(date(2026, 6, 1), 2) == booked.closed_nights(VRBO)


def test_a_cancellation_opens_after_it_is_confirmed(booked: House) -> None:
    """A stay that is gone opens when it was gone for the listing's patience, and not at the first poll."""
    world, clock = booked.sandbox.world, booked.sandbox.clock
    code = next(stay.code for stay in world.stays("1001", clock.now()) if stay.check_in == date(2026, 4, 6))
    world.cancel(code, at=clock.now())

    seen = []
    for _ in range(4):
        poll(booked)
        seen.append(date(2026, 4, 6) in booked.closed_nights(VRBO))

    assert [True, True, False, False] == seen


@pytest.mark.parametrize(("mended", "closed"), [(True, [True, True, False]), (False, [True, True, True])])
def test_only_what_stayed_unread_delays_a_release(booked: House, closed: list[bool], *, mended: bool) -> None:
    """A part that was read by a safe reading delays nothing; one that was not read holds every release for a day."""
    world, clock = booked.sandbox.world, booked.sandbox.clock
    code = next(stay.code for stay in world.stays("1001", clock.now()) if stay.check_in == date(2026, 4, 6))
    world.cancel(code, at=clock.now())

    seen = []
    for poll_number in range(3):
        clock.advance(hours(1))
        for batch in plan.batches(
            booked.engine, f"told-{poll_number}", "availability", ACCOUNT, [WINDOW], everything=False
        ):
            pulled = pull.pull_batch(booked.engine, batch)
            told = (Problem("a UID", "ends before it begins", "", mended=mended),)
            (piece,) = pulled.pieces
            piece = replace(piece, listings=tuple(replace(one, problems=told) for one in piece.listings))
            store.store_batch(booked.engine, replace(pulled, pieces=(piece,)))
        seen.append(date(2026, 4, 6) in booked.closed_nights(VRBO))

    assert seen == closed


@pytest.mark.parametrize("kind", ["empty_feed", "shrunken_feed"])
def test_an_empty_or_shrunken_feed_opens_nothing(booked: House, kind: str) -> None:
    """For hours the channel serves next to nothing with HTTP 200; no night opens, and none is lost after."""
    booked.sandbox.faults.add(Fault(kind, path="/ical/*"))  # type: ignore[arg-type]
    for _ in range(6):
        poll(booked)
        assert stays() == booked.closed_nights(VRBO)
        assert stays() == booked.closed_nights(AIRBNB)
    booked.sandbox.faults.clear()

    poll(booked)

    assert [] == booked.rows(
        "SELECT * FROM channel_availability WHERE held_since IS NOT NULL AND night < '2026-08-01'"
    )


@pytest.mark.parametrize("kind", ["cut_feed", "html", "empty_body", "drop", "status"])
def test_a_failing_or_half_read_feed_opens_nothing_ever(booked: House, kind: str) -> None:
    """An answer that is no whole calendar proves nothing, however long it goes on."""
    booked.sandbox.faults.add(Fault(kind, path="/ical/*"))  # type: ignore[arg-type]

    for _ in range(4):
        booked.sandbox.clock.advance(timedelta(days=3))
        results = booked.pull(ACCOUNT)
        assert {"failed"} == {result.entry.outcome for result in results}

    assert stays() == booked.closed_nights(VRBO)


def test_a_mass_release_waits_for_a_person(booked: House) -> None:
    """Much of a calendar gone at once is held, until somebody approves it."""
    world, clock = booked.sandbox.world, booked.sandbox.clock
    for stay in world.stays("1001", clock.now()):
        world.cancel(stay.code, at=clock.now())
    for _ in range(5):
        poll(booked)
    assert stays() == booked.closed_nights(VRBO)

    booked.execute(
        "UPDATE listing_state SET release_approved = true WHERE listing_id = "
        "(SELECT listing_id FROM listing WHERE external_id = %s)",
        VRBO,
    )
    poll(booked)

    assert set() == booked.closed_nights(VRBO)
    assert stays() == booked.closed_nights(AIRBNB)


def test_an_unchanged_feed_is_not_read_again(booked: House) -> None:
    """Where the channel offers validators it is asked "only if it changed"."""
    booked.sandbox.calls.clear()

    poll(booked)

    statuses = {call.path.split("/")[2]: call.status for call in booked.sandbox.calls}
    assert 304 == statuses["vrbo"]
    assert 200 == statuses["airbnb"]


def test_holds_run_on_while_the_channel_says_unchanged(booked: House) -> None:
    """A 304 confirms an absence as well as a body does."""
    world, clock = booked.sandbox.world, booked.sandbox.clock
    code = next(stay.code for stay in world.stays("1001", clock.now()) if stay.check_in == date(2026, 4, 6))
    world.cancel(code, at=clock.now())
    poll(booked)
    booked.sandbox.calls.clear()

    poll(booked)
    poll(booked)

    assert [304, 304] == [call.status for call in booked.sandbox.calls if "vrbo" in call.path]
    assert date(2026, 4, 6) not in booked.closed_nights(VRBO)


def test_a_picked_month_reads_the_whole_feed(quiet_house: House) -> None:
    """A feed is judged whole: picking its last month first leaves no night unread that a 304 would then confirm."""
    world, clock = quiet_house.sandbox.world, quiet_house.sandbox.clock
    world.book("1001", date(2026, 4, 6), date(2026, 4, 9), at=clock.now())
    last_month = Stay(date(2028, 3, 1), date(2028, 4, 1))
    for _ in range(5):
        clock.advance(hours(1))
        quiet_house.pull(ACCOUNT, window=last_month)

    assert nights(date(2026, 4, 6), 3) == quiet_house.closed_nights(VRBO)


def test_unchanged_does_not_vouch_for_what_another_pull_stored_meanwhile(booked: House) -> None:
    """A 304 speaks of the answer that was known when it was asked for, not of one stored while it was under way."""
    engine, clock, world = booked.engine, booked.sandbox.clock, booked.sandbox.world
    poll(booked)
    (earlier,) = plan.batches(engine, "earlier", "availability", ACCOUNT, [], everything=False)
    (later,) = plan.batches(engine, "later", "availability", ACCOUNT, [], everything=False)
    code = world.book("1001", date(2026, 6, 1), date(2026, 6, 3), at=clock.now())
    between = pull.pull_batch(engine, earlier)
    clock.advance(timedelta(minutes=1))
    world.cancel(code, at=clock.now())
    clock.advance(timedelta(minutes=1))
    unchanged = pull.pull_batch(engine, later)
    known_before = {one.listing.external_id: one.said_unchanged for one in unchanged.listings}[VRBO]

    store.store_batch(engine, between)
    outcome = by_listing(store.store_batch(engine, unchanged))[VRBO].entry.outcome

    assert (True, "superseded") == (known_before, outcome)
    assert stays() | nights(date(2026, 6, 1), 2) == booked.closed_nights(VRBO)


def test_reservations_are_told_from_blocks(booked: House) -> None:
    """Where the producer says so, the table says why a night is closed and under which code."""
    world, clock = booked.sandbox.world, booked.sandbox.clock
    world.block("1005", date(2026, 7, 1), date(2026, 7, 3), at=clock.now())
    codes = {stay.code for stay in world.stays("1005", clock.now())}

    poll(booked)

    rows = booked.rows(
        "SELECT closure, reference FROM channel_availability JOIN listing USING (listing_id) "
        "WHERE external_id = %s AND units_open = 0",
        AIRBNB,
    )
    assert codes == {row["reference"] for row in rows if row["closure"] == "booked"}
    assert 2 == sum(row["closure"] == "blocked" for row in rows)
