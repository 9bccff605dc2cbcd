"""Reservations of several rooms: every revision tells all parts, and what it no longer names is cancelled by it."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.model import Booking, BookingStatus
from channel_sync.storage import bookings, observations
from channel_sync.storage.bookings import Effect, Observation
from channel_sync.storage.database import Database
from channel_sync.storage.revisions import content_hash, from_json, to_json
from tests.house import NOW
from tests.sync.decided_scene import facts
from tests.sync.queue_channel import QUEUE, ROOMS, QueueHouse, queue_house, version

Parts = tuple[Booking, ...]
JUNE = ("2026-06-01", "2026-06-04")
ONE, OTHER_RATE, TWO = ROOMS


@pytest.fixture
def hotel(database: Database) -> Iterator[QueueHouse]:
    """The hotel on the made-up channel."""
    with queue_house(database) as house:
        yield house


def at(hour: float) -> str:
    """A moment of the channel's."""
    return (NOW + timedelta(hours=hour)).isoformat()


def apply(hotel: QueueHouse, *versions: Parts) -> list[list[Effect]]:
    """Store versions of reservations one after another, as they arrive, each in its own transaction."""
    effects = []
    with hotel.database.connect(autocommit=True) as connection:
        ((account_id,),) = connection.execute(
            "SELECT channel_account_id FROM channel_account WHERE code = %s", [QUEUE]
        ).fetchall()
        listing_ids = bookings.listing_ids(connection, account_id)
        for parts in versions:
            (number,) = observations.reserve(connection, 1)
            seen = Observation(account_id, number, NOW, counts_its_own=True)
            with connection.transaction():
                effects.append(bookings.apply_revision(connection, parts, listing_ids, seen))
    return effects


def stands(hotel: QueueHouse) -> dict[str, tuple[str, str]]:
    """Status and listing of each part."""
    rows = hotel.rows("SELECT external_id, status, listing_external_id FROM booking")
    return {row["external_id"]: (row["status"], row["listing_external_id"]) for row in rows}


def test_all_parts_of_a_revision_are_stored_and_take_their_units(hotel: QueueHouse) -> None:
    """Two rooms of one kind at two rates and one of another are three bookings of one whole."""
    rooms = [(ONE, *JUNE), (OTHER_RATE, *JUNE), (TWO, *JUNE)]

    assert [[Effect.NEW] * 3] == apply(hotel, version("R1", at(0), rooms))

    assert [{"n": 3}] == hotel.rows("SELECT count(*) AS n FROM booking WHERE whole = 'R1'")
    assert {(6, 1)} == {
        (row["n"], row["units_open"])
        for row in hotel.rows("SELECT count(*) OVER () AS n, units_open FROM house_availability")
    }


def test_a_part_that_a_newer_revision_no_longer_names_is_cancelled_by_it(hotel: QueueHouse) -> None:
    """It is cancelled as of that revision and gives its nights back; of what the channel showed nothing is rewritten."""
    apply(hotel, version("R1", at(0), [(ONE, *JUNE), (TWO, *JUNE)]))

    assert [[Effect.CHANGED, Effect.CHANGED]] == apply(hotel, version("R1", at(1), [(ONE, *JUNE)]))

    assert {"R1": ("confirmed", ONE), "R1/2": ("cancelled", TWO)} == stands(hotel)
    assert [{"check_in": date(2026, 6, 1), "revised_at": datetime.fromisoformat(at(1))}] == hotel.rows(
        "SELECT check_in, revised_at FROM booking WHERE external_id = 'R1/2'"
    )
    assert [{"n": 1}] == hotel.rows("SELECT count(*) AS n FROM allocation")
    assert [{"n": 3}] == hotel.rows("SELECT count(*) AS n FROM booking_revision")


def test_a_cancellation_that_names_no_rooms_cancels_all_parts(hotel: QueueHouse) -> None:
    """Whatever listing it stands under, the parts keep theirs, with their stay, and nothing becomes unmapped."""
    apply(
        hotel,
        version("R1", at(0), [(ONE, *JUNE), (TWO, *JUNE)]),
        version("R1", at(1), [], cancelled=True),
    )

    assert {"R1": ("cancelled", ONE), "R1/2": ("cancelled", TWO)} == stands(hotel)
    assert [] == hotel.rows("SELECT * FROM booking WHERE listing_id IS NULL OR check_in IS NULL")
    assert [] == hotel.rows("SELECT * FROM conflict")
    assert [] == hotel.rows("SELECT * FROM allocation")


def test_a_cancellation_of_the_same_moment_cancels_all_parts(hotel: QueueHouse) -> None:
    """Of two revisions of one second the cancellation goes last, also for parts that only the other one names."""
    booked = version("R1", at(0), [(ONE, *JUNE), (TWO, *JUNE)])
    cancelled = version("R1", at(0), [], cancelled=True)

    apply(hotel, booked, cancelled)
    apply(hotel, *(tuple(_renamed(part, "R2") for part in one) for one in (cancelled, booked)))

    assert {"cancelled"} == {status for status, _ in stands(hotel).values()}
    assert {ONE, TWO} == {listing for _, listing in stands(hotel).values()}


def _renamed(part: Booking, code: str) -> Booking:
    revision = to_json(part) | {"booking_id": part.booking_id.replace("R1", code), "whole": code}
    return from_json(revision)


def test_an_older_revision_that_arrives_later_revives_no_part(hotel: QueueHouse) -> None:
    """A part that is first heard of after its whole went on without it is stored as cancelled."""
    apply(
        hotel,
        version("R1", at(2), [(ONE, *JUNE)]),
        version("R1", at(1), [(ONE, *JUNE), (TWO, *JUNE)]),
    )

    assert {"R1": ("confirmed", ONE), "R1/2": ("cancelled", TWO)} == stands(hotel)
    assert [] == hotel.rows(
        "SELECT * FROM allocation JOIN booking USING (booking_id) WHERE external_id = 'R1/2'"
    )


def test_another_reservation_is_left_alone(hotel: QueueHouse) -> None:
    """A whole is an id of one account's; nothing else is looked at."""
    apply(hotel, version("R1", at(0), [(ONE, *JUNE)]), version("R12", at(0), [(ONE, *JUNE), (TWO, *JUNE)]))

    apply(hotel, version("R1", at(1), [], cancelled=True))

    assert {"R1": "cancelled", "R12": "confirmed", "R12/2": "confirmed"} == {
        code: status for code, (status, _) in stands(hotel).items()
    }


def test_a_cancellation_heard_first_takes_the_listing_that_is_heard_later(hotel: QueueHouse) -> None:
    """It is no conflict that its listing is unknown, and the booking ends as it would in order."""
    apply(hotel, version("R1", at(1), [], cancelled=True))
    assert {"R1": ("cancelled", "h/0/0")} == stands(hotel)
    assert [] == hotel.rows("SELECT * FROM conflict")

    apply(hotel, version("R1", at(0), [(TWO, *JUNE)]))

    assert {"R1": ("cancelled", TWO)} == stands(hotel)
    assert [{"n": 1}] == hotel.rows("SELECT count(*) AS n FROM booking WHERE listing_id IS NOT NULL")


def test_the_hash_of_a_revision_without_a_whole_is_that_of_before_there_were_wholes() -> None:
    """What was stored then is known again, and reads as no part of anything."""
    (booking,) = version("R1", at(0), [(ONE, *JUNE)])
    before = {name: value for name, value in to_json(booking).items() if name != "whole"}

    assert from_json(before).whole is None
    assert content_hash(to_json(from_json(before))) == content_hash(before)
    assert booking == from_json(to_json(booking))


NIGHTS = st.integers(1, 6).flatmap(lambda first: st.tuples(st.just(first), st.integers(first + 1, first + 3)))
ROOM = st.tuples(st.sampled_from([*ROOMS, "h/9/z"]), NIGHTS)
VERSION = st.tuples(st.integers(0, 3), st.lists(ROOM, max_size=3), st.booleans())


def _version(code: str, drawn: tuple[int, Sequence[Any], bool]) -> Parts:
    hour, rooms, cancelled = drawn
    told = [(listing, f"2026-06-{a:02}", f"2026-06-{b:02}") for listing, (a, b) in rooms]
    return version(code, at(hour), told, cancelled=cancelled or not told)


@settings(max_examples=30)
@given(
    drawn=st.lists(st.tuples(st.sampled_from(["R1", "R2"]), VERSION), min_size=1, max_size=6),
    data=st.data(),
)
def test_any_order_and_repetition_ends_in_the_same_tables(
    hotel: QueueHouse, drawn: list[tuple[str, Any]], data: st.DataObject
) -> None:
    """Revisions of two reservations with changing rooms, some of the same moment: arrival decides nothing."""
    versions = [_version(code, one) for code, one in drawn]
    ordered = sorted(versions, key=lambda parts: parts[0].revised_at)
    shuffled = data.draw(
        st.permutations([*versions, *data.draw(st.lists(st.sampled_from(versions), max_size=3))])
    )
    found = []
    for arrival in (ordered, shuffled):
        hotel.execute("TRUNCATE booking, house_availability, outbox, conflict CASCADE")
        apply(hotel, *arrival)
        found.append([*facts(hotel), hotel.rows("SELECT external_id, whole FROM booking ORDER BY 1")])  # type: ignore[arg-type]

    assert found[0] == found[1]
    for code in {code for code, _ in drawn}:
        mine = [parts for parts in ordered if parts[0].whole == code]
        if all(a[0].revised_at < b[0].revised_at for a, b in pairwise(mine)):
            assert _confirmed(mine[-1]) == {
                (row["external_id"], row["check_in"])
                for row in hotel.rows(
                    "SELECT external_id, check_in FROM booking WHERE whole = %s AND status = 'confirmed'",
                    code,
                )
            }


def _confirmed(parts: Parts) -> set[tuple[str, date]]:
    return {
        (part.booking_id, part.stay.check_in)
        for part in parts
        if part.stay is not None and part.status is BookingStatus.CONFIRMED
    }


def test_processes_beside_each_other_end_as_one(hotel: QueueHouse) -> None:
    """Four of them apply the same revisions in orders of their own: nobody waits for ever, nothing is half done."""
    chance = random.Random(5)
    versions = [
        version(
            f"R{chance.randrange(4)}",
            at(hour),
            [(chance.choice(ROOMS), *JUNE) for _ in range(chance.randrange(1, 4))],
            cancelled=chance.random() < 0.2,
        )
        for hour in range(24)
    ]
    orders = [chance.sample(versions, len(versions)) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        effects = [*threads.map(lambda order: apply(hotel, *order), orders)]

    found = facts(hotel)  # type: ignore[arg-type]
    kept = [
        effect
        for order, of_order in zip(orders, effects, strict=True)
        for parts, of_parts in zip(order, of_order, strict=True)
        for effect in of_parts[: len(parts)]
        if effect is not Effect.UNCHANGED
    ]
    assert sum(map(len, versions)) == len(kept)
    hotel.execute("TRUNCATE booking, house_availability, outbox, conflict CASCADE")
    apply(hotel, *versions)
    assert facts(hotel) == found  # type: ignore[arg-type]


def test_two_revisions_of_a_whole_without_a_common_part_wait_for_each_other(hotel: QueueHouse) -> None:
    """Neither would see the other's part before it is committed: the newer one comes second, and cancels it."""
    (older,) = version("R1", at(0), [(ONE, *JUNE)])
    (newer,) = version("R1", at(1), [(TWO, *JUNE)])
    newer = replace(newer, booking_id="R1/9")
    (account,) = hotel.rows("SELECT channel_account_id AS id FROM channel_account WHERE code = %s", QUEUE)
    seen = Observation(account["id"], 1, NOW)
    with ThreadPoolExecutor(1) as thread:
        with hotel.database.connect() as connection:
            ids = bookings.listing_ids(connection, account["id"])
            bookings.apply_revision(connection, [older], ids, seen)
            other = thread.submit(apply, hotel, (newer,))
            deadline = time.monotonic() + 30
            while not other.done() and time.monotonic() < deadline:
                if hotel.rows("SELECT FROM pg_locks WHERE NOT granted"):
                    break
        assert [[Effect.NEW, Effect.CHANGED]] == other.result(30)

    assert {"R1": ("cancelled", ONE), "R1/9": ("confirmed", TWO)} == stands(hotel)


# What an account is told whose channel counts its own bookings ---------------------------------------------------------


def told(hotel: QueueHouse) -> set[str]:
    """The listings in the outbox, which is emptied."""
    rows = hotel.rows("SELECT DISTINCT external_id FROM outbox JOIN listing USING (listing_id)")
    hotel.execute("TRUNCATE outbox")
    return {row["external_id"] for row in rows}


def test_a_channel_that_counts_its_own_is_not_told_of_its_own(hotel: QueueHouse) -> None:
    """Neither the listing that sold nor another rate of the same room; the website is, of booking and cancellation."""
    apply(hotel, version("R1", at(0), [(ONE, *JUNE)]))
    assert {"s/1"} == told(hotel)

    apply(hotel, version("R1", at(1), [(TWO, *JUNE)]))
    assert {"s/1", "s/2"} == told(hotel)

    apply(hotel, version("R1", at(2), [], cancelled=True))
    assert {"s/2"} == told(hotel)


def test_another_room_of_the_same_type_is_told(hotel: QueueHouse) -> None:
    """The channel counts a room's rates together, and knows nothing of what two rooms have to do with each other."""
    hotel.execute(
        "INSERT INTO listing (channel_account_id, external_id, unit_type_id, patience_hours)"
        " SELECT channel_account_id, 'h/9/a', unit_type_id, patience_hours FROM listing WHERE external_id = %s",
        ONE,
    )
    apply(hotel, version("R1", at(0), [(ONE, *JUNE)]))
    assert {"s/1", "h/9/a"} == told(hotel)

    apply(hotel, version("R1", at(1), [("h/9/a", *JUNE)]))
    assert {ONE, OTHER_RATE, "h/9/a"} == told(hotel)


def test_a_channel_that_counts_its_own_is_told_of_others(hotel: QueueHouse) -> None:
    """A booking of the website closes all of its listings of that type."""
    with hotel.database.connect() as connection:
        ((account_id,),) = connection.execute(
            "SELECT channel_account_id FROM channel_account WHERE code = 'site'"
        ).fetchall()
        ids = bookings.listing_ids(connection, account_id)
        (booking,) = version("W1", at(0), [("s/1", *JUNE)])
        bookings.apply_revision(connection, [booking], ids, Observation(account_id, 1, NOW))

    assert {ONE, OTHER_RATE} == told(hotel)


def test_a_channel_that_opens_what_another_party_waits_for_is_told(hotel: QueueHouse) -> None:
    """Its own count rises with the cancellation; where the house has sold that unit elsewhere, that has to be undone."""
    apply(hotel, *(version(f"R{number}", at(0), [(TWO, *JUNE)]) for number in range(3)))
    told(hotel)

    apply(hotel, version("R0", at(1), [], cancelled=True))

    assert {TWO} == told(hotel)
