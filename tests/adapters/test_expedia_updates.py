"""What the house tells Expedia: nights and ranges, how many updates a message is, what is refused."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from lxml import etree

from adapters.accounts import Listing
from adapters.expedia import messages, updates
from adapters.expedia.updates import Group, Item, Told
from adapters.model import ONE_DAY, Money, Restrictions, Stay
from adapters.updates import AvailabilityUpdate, PricingUpdate
from adapters.xml_body import Element, written_xml
from channel_sync.sandbox.expedia.updates import Shop, read_updates
from tests.adapters.expedia_messages import ACCOUNT, LISTING, LISTINGS, NOW, violations

TODAY = NOW.date()
SHOP = Shop({"R1": frozenset({"P1", "P2"}), "R2": frozenset({"P1"})}, "EUR")
Shown = dict[tuple[str, str, date], dict[str, object]]

days = some.integers(0, 720).map(lambda number: TODAY + number * ONE_DAY)
stays = some.builds(lambda start, length: Stay(start, start + length * ONE_DAY), days, some.integers(1, 10))
products = some.sampled_from([("R1", "P1"), ("R1", "P2"), ("R2", "P1")])
told = some.builds(
    Told,
    rate=some.none() | some.decimals(0, 9_999, places=3, allow_nan=False, allow_infinity=False),
    currency=some.just("EUR"),
    closed=some.none() | some.booleans(),
    min_stay=some.none() | some.integers(1, 9),
    max_stay=some.none() | some.integers(10, 28),
    closed_to_arrival=some.none() | some.booleans(),
    closed_to_departure=some.none() | some.booleans(),
)
prices = some.builds(
    lambda stay, product, what: Item(PricingUpdate(LISTING, stay), product, what), stays, products, told
)
rooms = some.builds(
    lambda stay, room, units: Item(
        AvailabilityUpdate(LISTING, stay, units), (room, ""), updates.availability_told(units)
    ),
    stays,
    some.sampled_from(["R1", "R2"]),
    some.integers(0, 3),
)
_NAMES = {
    "units": "units",
    "rate": "price",
    "closed": "closed",
    "min_stay": "minLOS",
    "max_stay": "maxLOS",
    "closed_to_arrival": "closedToArrival",
    "closed_to_departure": "closedToDeparture",
}


def written(groups: tuple[Group, ...]) -> Element:
    """The message of these groups."""
    root = messages.message("AvailRateUpdateRQ", ACCOUNT, "1780001")
    updates.write(root, groups)
    return root


def said(what: Told) -> dict[str, object]:
    """What is told, in the words of the simulated channel."""
    return {name: getattr(what, field) for field, name in _NAMES.items() if getattr(what, field) is not None}


@given(some.lists(prices, max_size=8) | some.lists(rooms, max_size=8))
def test_messages_say_what_the_updates_say(items: list[Item[PricingUpdate]]) -> None:
    """An independent reading of the messages has each night told once, as the last update of it says."""
    expected: Shown = {}
    for item in items:
        for night in item.update.nights:
            expected.setdefault((*item.product, night), {}).update(said(item.told))
    found: Shown = {}
    for groups in updates.plan(items):
        read = read_updates(written(groups), SHOP, TODAY)
        assert not found.keys() & read.told.keys()
        assert updates.count_updates(groups) == read.count
        found.update(read.told)
    assert {cell: what for cell, what in expected.items() if what} == found


@given(some.lists(prices, min_size=1, max_size=6))
def test_equal_nights_are_told_as_ranges(items: list[Item[PricingUpdate]]) -> None:
    """Nights of one product with the same words stand in one element, neighbours in one range."""
    for groups in updates.plan(items):
        assert len({(group.product, group.told) for group in groups}) == len(groups)
        for element in written(groups).iterfind("{*}AvailRateUpdate"):
            ranges = [
                (date.fromisoformat(each.get("from", "")), date.fromisoformat(each.get("to", "")))
                for each in element.iterfind("{*}DateRange")
            ]
            assert all(first <= last for first, last in ranges)
            assert all(after[0] - before[1] > ONE_DAY for before, after in pairwise(ranges))


@given(
    some.integers(1, 12),
    some.integers(1, 731),
    some.sampled_from(
        [
            Told(units=3, closed=False),
            Told(rate=Decimal(90), currency="EUR"),
            Told(
                rate=Decimal(90), currency="EUR", closed=False, min_stay=2, max_stay=9, closed_to_arrival=True
            ),
            Told(rate=Decimal(90), currency="EUR", occupancies=7, closed_to_departure=True),
        ]
    ),
    some.booleans(),
)
def test_no_message_is_too_large(many: int, nights: int, what: Told, alike: bool) -> None:  # noqa: FBT001 - drawn
    """At most 5,000 updates and 100 kB, as few messages as that takes, and no night is lost."""
    stay = Stay(TODAY, TODAY + nights * ONE_DAY)
    items = [
        Item(PricingUpdate(LISTING, Stay(night, night + ONE_DAY)), (f"R{number}", "P"), what.over(of_night))
        for number in range(many)
        for night in stay
        for of_night in [Told() if alike else Told(max_stay=10 + night.toordinal() % 2)]
    ]
    parts = updates.plan(items)
    counts = [updates.count_updates(groups) for groups in parts]
    elements = sum(item.told.elements for item in items)
    assert max(counts) <= updates.MOST_UPDATES
    assert sum(counts) == elements
    assert max(len(written_xml(written(groups))) for groups in parts) <= 100_000
    if alike:
        assert len(parts) == -(-elements // (updates.MOST_UPDATES - updates.MOST_UPDATES % what.elements))


def test_the_official_examples_of_counting() -> None:
    """Rooms, a rate and a closed departure are 3 updates on one day and 1,098 on 366."""
    for nights, expected in ((1, 3), (366, 1_098)):
        stay = tuple(Stay(TODAY, TODAY + nights * ONE_DAY))
        groups = (
            Group(("R1", ""), Told(units=3), stay),
            Group(("R1", "P1"), Told(rate=Decimal(9), currency="EUR", closed_to_departure=True), stay),
        )
        assert expected == updates.count_updates(groups)
        assert expected == read_updates(written(groups), SHOP, TODAY).count


@given(some.lists(prices, min_size=1, max_size=5))
def test_every_update_message_validates(fixtures_dir: Path, items: list[Item[PricingUpdate]]) -> None:
    """What is told of rates validates against the official schema."""
    for groups in updates.plan(items):
        assert [] == violations(fixtures_dir, written_xml(written(groups)))


def test_closing_and_rates_by_guests_validate(fixtures_dir: Path) -> None:
    """So do a closed room, an open one and a rate for each number of guests."""
    stay = tuple(Stay(TODAY, TODAY + 3 * ONE_DAY))
    groups = (
        Group(("R1", ""), updates.availability_told(0), stay),
        Group(("R2", ""), updates.availability_told(4_999), stay),
        Group(("R1", "P1"), Told(rate=Decimal("9.125"), currency="KWD", occupancies=20), stay),
    )
    assert [] == violations(fixtures_dir, written_xml(written(groups)))


def test_closing_is_said_twice() -> None:
    """A room is closed by its flag and by having no unit left; opening takes the flag back."""
    root = written((Group(("R1", ""), updates.availability_told(0), (TODAY,)),))
    (room,) = root.iterfind("{*}AvailRateUpdate/{*}RoomType")
    assert b'closed="true"><Inventory totalInventoryAvailable="0"/>' in etree.tostring(room)
    assert updates.availability_told(2) == Told(units=2, closed=False)


@pytest.mark.parametrize(
    ("first", "last", "refused"),
    [(-1, 0, False), (-2, 0, True), (0, 731, False), (0, 732, True), (-9, -8, True), (731, 731, False)],
)
def test_how_far_the_calendar_reaches(first: int, last: int, refused: bool) -> None:  # noqa: FBT001 - a row
    """Nights from yesterday to 731 days from now can be told, no other."""
    stay = Stay(TODAY + first * ONE_DAY, TODAY + (last + 1) * ONE_DAY)
    assert refused is (updates.availability_refusal(AvailabilityUpdate(LISTING, stay, 1), TODAY) is not None)
    assert refused is (
        updates.pricing_refusal(PricingUpdate(LISTING, stay), TODAY, through=False) is not None
    )


TONIGHT = Stay(TODAY, TODAY + ONE_DAY)


@pytest.mark.parametrize(
    ("price", "rules", "through", "word"),
    [
        (Money(Decimal(10), "USD"), {}, False, "USD"),
        (Money(Decimal(-1), "EUR"), {}, False, "negative"),
        (Money(Decimal(10) ** 15, "EUR"), {}, False, "digits"),
        (None, {"min_stay_arrival": 29}, False, "28"),
        (None, {"min_stay_through": 3}, False, "length_of_stay"),
        (None, {"min_stay_arrival": 3}, True, "length_of_stay"),
        (None, {"min_stay_arrival": 2, "min_stay_through": 3}, False, "length_of_stay"),
        (None, {"min_stay_arrival": 5, "max_stay": 4}, False, "shorter"),
        (None, {"max_stay": 0}, False, "shorter"),
    ],
)
def test_what_cannot_be_said(
    price: Money | None,
    rules: Mapping[str, int],
    through: bool,  # noqa: FBT001 - a row
    word: str,
) -> None:
    """Another currency, an amount that is no rate, a rule that there is not: refused, with the reason."""
    update = PricingUpdate(LISTING, TONIGHT, price, Restrictions(**rules))  # type: ignore[arg-type]
    reason = updates.pricing_refusal(update, TODAY, through=through)
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize(
    ("rules", "through", "expected"),
    [
        ({"min_stay_arrival": 3}, False, Told(min_stay=3)),
        ({"min_stay_through": 3}, True, Told(min_stay=3)),
        ({"min_stay_arrival": 3, "min_stay_through": 3}, False, Told(min_stay=3)),
        ({"min_stay_arrival": 3, "min_stay_through": 1}, False, Told(min_stay=3)),
        ({"min_stay_arrival": 0}, False, Told(min_stay=1)),
        ({"max_stay": 90}, False, Told(max_stay=28)),
        ({"max_stay": 14}, False, Told(max_stay=14)),
        ({"stop_sell": True}, False, Told(closed=True)),
        ({"closed_to_arrival": False, "closed_to_departure": True}, False,
         Told(closed_to_arrival=False, closed_to_departure=True)),
        ({}, False, Told()),
    ],
)  # fmt: skip
def test_rules_in_expedias_words(rules: Mapping[str, int], through: bool, expected: Told) -> None:  # noqa: FBT001 - a row
    """Each rule is told as Expedia has it; a longest stay beyond what it sells is the longest it sells."""
    update = PricingUpdate(LISTING, TONIGHT, restrictions=Restrictions(**rules))  # type: ignore[arg-type]
    assert updates.pricing_refusal(update, TODAY, through=through) is None
    assert expected == updates.pricing_told(update, through=through)


@given(some.integers(0, 10**9), some.sampled_from(LISTINGS))
def test_money_is_told_to_the_last_digit(minor: int, listing: Listing) -> None:
    """An amount in any currency's smallest unit stands in the message with all its digits and no other."""
    price = Money.from_minor(minor, listing.currency)
    update = PricingUpdate(listing, TONIGHT, price)
    assert updates.pricing_refusal(update, TODAY, through=False) is None
    root = written((Group(("R1", "P1"), updates.pricing_told(update, through=False), (TODAY,)),))
    (rate,) = root.iter("{*}PerDay")
    assert f"{price.amount:f}" == rate.get("rate")


def test_a_rate_for_each_number_of_guests() -> None:
    """A listing of a hotel that prices by guests names how many there can be."""
    listing = Listing(LISTING.listing_id, "Europe/Lisbon", "EUR", {"occupancies": "4"})
    update = PricingUpdate(listing, TONIGHT, Money(Decimal(80), "EUR"))
    root = written((Group(("R1", "P1"), updates.pricing_told(update, through=False), (TODAY,)),))
    found = [(each.get("occupancy"), each.get("rate")) for each in root.iter("{*}PerOccupancy")]
    assert [(str(guests), "80.00") for guests in range(1, 5)] == found
    assert timedelta(days=731) == updates.HORIZON
