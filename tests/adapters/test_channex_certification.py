"""Channex's certification of property systems: what is told here becomes exactly the calls that it asks for there.

The numbers are those of its table. Two room types, Twin and Double, are each sold at BAR and with breakfast.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import pytest

from adapters.accounts import Account, Listing
from adapters.base_adapter import QuotaScope
from adapters.channex.adapter import ChannexAdapter
from adapters.errors import RateLimited
from adapters.model import ONE_DAY, BookingStatus, Money, Restrictions, Secret, Stay
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate, Verdict
from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.server import Sandbox
from tests.adapters.token_stores import TokensInMemory

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
TODAY = NOW.date()
BREAKFAST = "Bed & Breakfast"
FULL = Stay(TODAY, TODAY + 500 * ONE_DAY)


@dataclass(frozen=True, slots=True)
class Hotel:
    """A property in US dollars, before a sandbox of its own in which nothing happens unasked."""

    sandbox: Sandbox
    adapter: ChannexAdapter
    twin: Listing
    twin_breakfast: Listing
    double: Listing
    double_breakfast: Listing

    @property
    def listings(self) -> tuple[Listing, ...]:
        """Both rooms at both rates."""
        return self.twin, self.twin_breakfast, self.double, self.double_breakfast

    def calls(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """What arrived: the path of each call and its values without the property, which is always the same."""
        found = []
        for call in self.sandbox.calls:
            assert (call.method, call.status) == ("POST", 200)
            values = json.loads(call.body)["values"]
            assert {value.pop("property_id") for value in values} == {self.twin.listing_id.split("/")[0]}
            found.append((call.path.removeprefix("/channex/api/v1/"), values))
        return found

    def room(self, listing: Listing) -> dict[str, str]:
        """How a value names the room."""
        return {"room_type_id": listing.listing_id.split("/")[1]}

    def rate(self, listing: Listing) -> dict[str, str]:
        """How a value names the rate plan."""
        return {"rate_plan_id": listing.listing_id.split("/")[2]}


@pytest.fixture
def hotel() -> Iterator[Hotel]:
    """The hotel of the certification, at noon of 1 October 2026."""
    with Sandbox(rooms=8, lively=False) as sandbox, httpx.Client(timeout=20) as client:
        sandbox.clock.set(NOW)
        channel = sandbox.channex
        channel.rooms.rates[BREAKFAST] = Extranet(channel.world, sandbox.clock.now)
        account = Account("channex", f"{sandbox.url}/channex", secrets={"api_key": Secret(channel.api_key)})
        adapter = ChannexAdapter(client, account, TokensInMemory(), sandbox.clock.now)
        rooms = [listing for listing in channel.world.listings.values() if listing.currency == "USD"]
        listings = (
            Listing(wire.listing_id(room, title), room.time_zone, room.currency)
            for room in rooms
            for title in (wire.STANDARD, BREAKFAST)
        )
        yield Hotel(sandbox, adapter, *listings)


def november(first: int, last: int | None = None) -> Stay:
    """Nights of November 2026, the last one included, as the table writes them."""
    return Stay(date(2026, 11, first), date(2026, 11, last or first) + ONE_DAY)


def on_wire(nights: Stay) -> dict[str, str]:
    """The nights as a value writes them, the last one included."""
    if len(nights) == 1:
        return {"date": nights.check_in.isoformat()}
    return {
        "date_from": nights.check_in.isoformat(),
        "date_to": (nights.check_out - ONE_DAY).isoformat(),
    }


def usd(amount: str) -> Money:
    """US dollars."""
    return Money(Decimal(amount), "USD")


def accepted(outcomes: Iterable[Outcome[Any]], updates: Sequence[object]) -> bool:
    """Whether each update was accepted, under a task."""
    told = list(outcomes)
    assert [outcome.item for outcome in told] == list(updates)
    return all(outcome.verdict is Verdict.ACCEPTED and outcome.words.startswith("task ") for outcome in told)


def pushed(hotel: Hotel, *updates: PricingUpdate) -> list[tuple[str, list[dict[str, Any]]]]:
    """The calls that the updates became."""
    assert accepted(hotel.adapter.push_pricing(updates), updates)
    return hotel.calls()


def test_a_full_sync_is_two_calls(hotel: Hotel) -> None:
    """CHX-1: 500 days of all rooms and all rates are one call each, and every cell arrives."""
    draw = Random(1)
    units = [
        AvailabilityUpdate(listing, Stay(night, night + ONE_DAY), number)
        for night in FULL
        for number in [draw.randint(0, 9)]
        for listing in hotel.listings
    ]
    rates = [
        PricingUpdate(
            listing,
            Stay(night, night + ONE_DAY),
            usd(f"{draw.randint(90, 460)}.{draw.randint(0, 99):02}"),
            Restrictions(min_stay_arrival=draw.randint(1, 5), stop_sell=draw.random() < 0.1),
        )
        for night in FULL
        for listing in hotel.listings
    ]

    assert accepted(hotel.adapter.push_availability(units), units)
    assert accepted(hotel.adapter.push_pricing(rates), rates)

    (path, left), (other, told) = hotel.calls()
    assert (path, other) == ("availability", "restrictions")
    assert cells(left) == {
        (update.listing.listing_id.split("/")[1], night): {"availability": update.units_open}
        for update in units
        for night in update.nights
    }
    assert cells(told) == {
        (update.listing.listing_id.split("/")[2], night): {
            "rate": str(update.price and update.price.amount),
            "min_stay_arrival": update.restrictions.min_stay_arrival,
            "stop_sell": update.restrictions.stop_sell,
        }
        for update in rates
        for night in update.nights
    }


def cells(values: Iterable[dict[str, Any]]) -> dict[tuple[str, date], dict[str, Any]]:
    """What a call says of each night of each room or rate plan; no night twice."""
    found: dict[tuple[str, date], dict[str, Any]] = {}
    for value in values:
        own = value.get("room_type_id") or value["rate_plan_id"]
        first, last = (value[name] if name in value else value["date"] for name in ("date_from", "date_to"))
        told = {name: each for name, each in value.items() if name not in DATES}
        for night in Stay(date.fromisoformat(first), date.fromisoformat(last) + ONE_DAY):
            assert (own, night) not in found
            found[own, night] = told
    return found


DATES = {"date", "date_from", "date_to", "room_type_id", "rate_plan_id"}


def test_one_price_is_one_cell(hotel: Hotel) -> None:
    """CHX-2: one call with that cell and nothing but its rate."""
    calls = pushed(hotel, PricingUpdate(hotel.twin, november(22), usd("333")))
    assert calls == [("restrictions", [{**hotel.rate(hotel.twin), "date": "2026-11-22", "rate": "333.00"}])]


def test_prices_of_several_rates_are_one_call(hotel: Hotel) -> None:
    """CHX-3: three cells of three rate plans, saved at once."""
    told = [
        (hotel.twin, november(21), "333.00"),
        (hotel.double, november(25), "444.00"),
        (hotel.double_breakfast, november(29), "456.23"),
    ]
    calls = pushed(hotel, *(PricingUpdate(listing, nights, usd(rate)) for listing, nights, rate in told))
    assert calls == [
        (
            "restrictions",
            [{**hotel.rate(listing), **on_wire(nights), "rate": rate} for listing, nights, rate in told],
        )
    ]


def test_prices_of_ranges_are_ranges(hotel: Hotel) -> None:
    """CHX-4: three ranges of dates, none of them told day by day."""
    told = [
        (hotel.twin, november(1, 10), "241.00"),
        (hotel.double, november(10, 16), "312.66"),
        (hotel.double_breakfast, november(1, 20), "111.00"),
    ]
    calls = pushed(
        hotel,
        *(
            PricingUpdate(listing, Stay(night, night + ONE_DAY), usd(rate))
            for listing, nights, rate in told
            for night in nights
        ),
    )
    assert calls == [
        (
            "restrictions",
            [{**hotel.rate(listing), **on_wire(nights), "rate": rate} for listing, nights, rate in told],
        )
    ]


def test_minimum_stays_are_one_call(hotel: Hotel) -> None:
    """CHX-5: three cells, and nothing but the minimum stay."""
    told = [
        (hotel.twin, november(23), 3),
        (hotel.double, november(25), 2),
        (hotel.double_breakfast, november(15), 5),
    ]
    calls = pushed(
        hotel,
        *(
            PricingUpdate(listing, nights, restrictions=Restrictions(min_stay_arrival=least))
            for listing, nights, least in told
        ),
    )
    assert calls == [
        (
            "restrictions",
            [
                {**hotel.rate(listing), **on_wire(nights), "min_stay_arrival": least}
                for listing, nights, least in told
            ],
        )
    ]


def test_stop_sells_are_one_call(hotel: Hotel) -> None:
    """CHX-6: three cells, and nothing but the stop sell."""
    told = [
        (hotel.twin, november(14)),
        (hotel.double, november(16)),
        (hotel.double_breakfast, november(20)),
    ]
    calls = pushed(
        hotel,
        *(
            PricingUpdate(listing, nights, restrictions=Restrictions(stop_sell=True))
            for listing, nights in told
        ),
    )
    assert calls == [
        (
            "restrictions",
            [{**hotel.rate(listing), **on_wire(nights), "stop_sell": True} for listing, nights in told],
        )
    ]


def test_restrictions_of_many_kinds_are_one_call(hotel: Hotel) -> None:
    """CHX-7: four ranges, each with the fields that were set and no other; false is told, absent is not."""
    calls = pushed(
        hotel,
        PricingUpdate(
            hotel.twin,
            november(1, 10),
            restrictions=Restrictions(
                min_stay_arrival=1, max_stay=4, closed_to_arrival=True, closed_to_departure=False
            ),
        ),
        PricingUpdate(
            hotel.twin_breakfast,
            november(12, 16),
            restrictions=Restrictions(min_stay_arrival=6, closed_to_arrival=False, closed_to_departure=True),
        ),
        PricingUpdate(
            hotel.double,
            november(10, 16),
            restrictions=Restrictions(min_stay_arrival=2, closed_to_arrival=True),
        ),
        PricingUpdate(
            hotel.double_breakfast, november(1, 20), restrictions=Restrictions(min_stay_arrival=10)
        ),
    )
    assert calls == [
        (
            "restrictions",
            [
                {
                    **hotel.rate(hotel.twin),
                    **on_wire(november(1, 10)),
                    "min_stay_arrival": 1,
                    "max_stay": 4,
                    "closed_to_arrival": True,
                    "closed_to_departure": False,
                },
                {
                    **hotel.rate(hotel.twin_breakfast),
                    **on_wire(november(12, 16)),
                    "min_stay_arrival": 6,
                    "closed_to_arrival": False,
                    "closed_to_departure": True,
                },
                {
                    **hotel.rate(hotel.double),
                    **on_wire(november(10, 16)),
                    "min_stay_arrival": 2,
                    "closed_to_arrival": True,
                },
                {**hotel.rate(hotel.double_breakfast), **on_wire(november(1, 20)), "min_stay_arrival": 10},
            ],
        )
    ]


def test_half_a_year_is_two_ranges(hotel: Hotel) -> None:
    """CHX-8: prices and rules of 1 December to 1 May for two rates."""
    half = Stay(date(2026, 12, 1), date(2027, 5, 2))
    calls = pushed(
        hotel,
        PricingUpdate(
            hotel.twin,
            half,
            usd("432"),
            Restrictions(min_stay_arrival=2, closed_to_arrival=False, closed_to_departure=False),
        ),
        PricingUpdate(hotel.double, half, usd("342"), Restrictions(min_stay_arrival=3)),
    )
    dates = {"date_from": "2026-12-01", "date_to": "2027-05-01"}
    assert calls == [
        (
            "restrictions",
            [
                {
                    **hotel.rate(hotel.twin),
                    **dates,
                    "rate": "432.00",
                    "min_stay_arrival": 2,
                    "closed_to_arrival": False,
                    "closed_to_departure": False,
                },
                {**hotel.rate(hotel.double), **dates, "rate": "342.00", "min_stay_arrival": 3},
            ],
        )
    ]


@pytest.mark.parametrize(
    "told",
    [((21, 21, 7), (25, 25, 0)), ((10, 16, 3), (17, 24, 4))],
    ids=["CHX-9: after a booking", "CHX-10: ranges"],
)
def test_units_left_are_one_call(
    hotel: Hotel, told: tuple[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    """CHX-9 and 10: what is left of both rooms, once for each room although it is sold at two rates."""
    rooms = ((hotel.twin, hotel.twin_breakfast), (hotel.double, hotel.double_breakfast))
    updates = [
        AvailabilityUpdate(listing, november(first, last), left)
        for room, (first, last, left) in zip(rooms, told, strict=True)
        for listing in room
    ]
    assert accepted(hotel.adapter.push_availability(updates), updates)
    assert hotel.calls() == [
        (
            "availability",
            [
                {**hotel.room(room[0]), **on_wire(november(first, last)), "availability": left}
                for room, (first, last, left) in zip(rooms, told, strict=True)
            ],
        )
    ]


def test_each_revision_is_read_and_acknowledged(hotel: Hotel) -> None:
    """CHX-11: new, modified and cancelled are read from the feed, each acknowledged under its own id, and none again."""
    sandbox, world = hotel.sandbox, hotel.sandbox.channex.world
    room = world.listings["1004"]
    stay = november(10, 12)
    code = world.book(room.listing_id, stay.check_in, stay.check_out, at=NOW - timedelta(minutes=9))
    world.move(code, stay.check_in, stay.check_out + ONE_DAY, at=NOW - timedelta(minutes=6))
    world.cancel(code, at=NOW - timedelta(minutes=3))

    pages = list(hotel.adapter.pull_bookings(hotel.listings, NOW, NOW))
    bookings = [booking for page in pages for booking in page.bookings]
    receipts = [receipt for page in pages for receipt in page.receipts]
    assert [booking.status for booking in bookings] == [
        BookingStatus.CONFIRMED,
        BookingStatus.CONFIRMED,
        BookingStatus.CANCELLED,
    ]
    assert [booking.stay for booking in bookings] == [
        stay,
        Stay(stay.check_in, stay.check_out + ONE_DAY),
        Stay(stay.check_in, stay.check_out + ONE_DAY),
    ]
    assert {booking.booking_id for booking in bookings} == {sandbox.channex.reservation_id(code)}

    outcomes = list(hotel.adapter.acknowledge_bookings(receipts))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.ACCEPTED] * 3
    paths = [call.path for call in sandbox.calls if call.method == "POST"]
    assert paths == [f"/channex/api/v1/booking_revisions/{receipt.reference}/ack" for receipt in receipts]
    assert len(set(paths)) == 3
    assert not sandbox.channex.acknowledged.waiting()
    assert not list(hotel.adapter.pull_bookings(hotel.listings, NOW, NOW))
    assert not [call for call in sandbox.calls if call.path.endswith("/bookings")]


def test_limits_are_declared_and_met(hotel: Hotel) -> None:
    """CHX-12: ten calls of a kind in a minute and property are declared; the eleventh is refused for a minute."""
    declaration = ChannexAdapter.declaration
    assert {(quota.limit, quota.window, quota.scope, quota.endpoints) for quota in declaration.quotas} == {
        (10, timedelta(minutes=1), QuotaScope.PROPERTY, frozenset({kind}))
        for kind in ("push_availability", "push_restrictions")
    }
    update = PricingUpdate(hotel.twin, november(1), usd("99"))
    for _ in range(10):
        assert accepted(hotel.adapter.push_pricing([update]), [update])
    with pytest.raises(RateLimited, match="http_too_many_requests") as refused:
        list(hotel.adapter.push_pricing([update]))
    assert (refused.value.retry_after, declaration.pause) == (None, timedelta(minutes=1))
    units = [AvailabilityUpdate(hotel.twin, november(1), 1)]  # counted for themselves
    assert accepted(hotel.adapter.push_availability(units), units)
