"""What a simulated channel shows is the world's truth until the house says otherwise."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.world import World

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
START, END = date(2026, 4, 1), date(2026, 4, 11)
NIGHTS = [START + timedelta(days=number) for number in range(10)]


def scripted() -> tuple[World, Extranet]:
    """A room with one booking, of the second and third night, and a block of the fifth."""
    world = World.empty(1)
    world.book("1001", NIGHTS[1], NIGHTS[3], at=NOW)
    world.block("1001", NIGHTS[4], NIGHTS[5], at=NOW)
    return world, Extranet(world, lambda: NOW)


def units(extranet: Extranet) -> list[int]:
    """The units of each night."""
    return [night.units for night in extranet.shown("1001", START, END)]


def test_untold_it_shows_the_world() -> None:
    """Each night has the world's price and rules, and one unit unless it is booked or blocked."""
    world, extranet = scripted()

    assert units(extranet) == [1, 0, 0, 1, 0, 1, 1, 1, 1, 1]
    for night, true in zip(
        extranet.shown("1001", START, END), world.calendar("1001", START, END, NOW), strict=True
    ):
        assert (night.price, night.min_stay_arrival, night.min_stay_through, night.max_stay) == (
            true.terms.price,
            true.terms.min_nights,
            None,
            true.terms.max_nights,
        )
        assert (night.stop_sell, night.booking) == (False, true.booking)


def test_told_units_hold_but_for_booked_nights() -> None:
    """The house closes, opens and sells more; what a guest booked stays sold."""
    _, extranet = scripted()
    extranet.sell("1001", NIGHTS[:6], 2)
    extranet.sell("1001", NIGHTS[7:8], 0)

    assert units(extranet) == [2, 0, 0, 2, 2, 2, 1, 0, 1, 1]


def test_told_terms_hold_where_they_were_told() -> None:
    """Fields that were told change on those nights; a later word about one leaves the others."""
    _, extranet = scripted()
    before = extranet.shown("1001", START, END)
    extranet.offer("1001", NIGHTS[:2], price=Decimal("99.50"), closed_to_arrival=True)
    extranet.offer("1001", NIGHTS[1:2], price=Decimal("98.00"))
    after = extranet.shown("1001", START, END)

    assert [(night.price, night.closed_to_arrival) for night in after[:2]] == [
        (Decimal("99.50"), True),
        (Decimal("98.00"), True),
    ]
    assert after[2:] == before[2:]


def test_a_channel_may_check_the_minimum_on_every_night() -> None:
    """Such a channel shows the world's minimum stay as one of the whole stay."""
    world, _ = scripted()
    (night,) = Extranet(world, lambda: NOW, through=True).shown("1001", START, NIGHTS[1])

    assert (night.min_stay_arrival, night.min_stay_through) == (None, 1)
