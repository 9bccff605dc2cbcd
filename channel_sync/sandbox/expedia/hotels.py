"""The hotels of the simulated account: each sells one room at one rate."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hotel:
    """One hotel with its room and its rate, and the world's listing behind them."""

    hotel_id: str
    room_id: str
    rate_id: str
    world_id: str

    @property
    def listing_id(self) -> str:
        """What is sold, as a channel manager names it."""
        return f"{self.hotel_id}/{self.room_id}/{self.rate_id}"


HOTELS: Mapping[str, Hotel] = {
    hotel.hotel_id: hotel
    for hotel in (
        Hotel("1780001", "200001001", "300001001", "1001"),
        Hotel("1780002", "200001002", "300001002", "1002"),
        Hotel("1780003", "200001003", "300001003", "1003"),
    )
}


def hotel_of(world_id: str) -> Hotel | None:
    """The hotel that sells a listing of the world, None for one that nobody sells here."""
    return next((hotel for hotel in HOTELS.values() if hotel.world_id == world_id), None)
