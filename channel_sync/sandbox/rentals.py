"""The simulated listings: where they are, in which currency they sell, and each night's price and rules.

Everything here is arithmetic on the listing's number and the date: no state and no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

_FIRST_ID = 1001


@dataclass(frozen=True, slots=True)
class Place:
    """A property: a building in one time zone that sells in one currency."""

    code: str
    name: str
    city: str
    country: str
    time_zone: str
    currency: str
    digits: int  # of the currency's minor unit
    base_price: int  # of a plain night, in minor units


PLACES = (
    Place("harbour-house", "Harbour House", "Lisboa", "PT", "Europe/Lisbon", "EUR", 2, 11_850),
    Place("lantern-court", "Lantern Court", "Kyoto", "JP", "Asia/Tokyo", "JPY", 0, 18_400),
    Place("gulf-tower", "Gulf Tower", "Kuwait City", "KW", "Asia/Kuwait", "KWD", 3, 42_250),
    Place("hudson-rooms", "Hudson Rooms", "New York", "US", "America/New_York", "USD", 2, 21_900),
)
_ROOMS = ("Studio", "Loft", "Suite", "Garden Flat", "Penthouse", "Annex")

# Per cent of the plain price, January to December, in the north; the south of nowhere is simulated.
_SEASON = (80, 82, 90, 105, 112, 130, 150, 155, 125, 105, 85, 120)
_WEEKEND = 118  # per cent, for the nights of Friday and Saturday


@dataclass(frozen=True, slots=True)
class Listing:
    """One listing of the simulated host, known under the same id on every simulated channel."""

    listing_id: str
    name: str
    place: Place

    @property
    def currency(self) -> str:
        """ISO 4217 code of the place."""
        return self.place.currency

    @property
    def time_zone(self) -> str:
        """IANA name of the place's zone."""
        return self.place.time_zone

    @property
    def number(self) -> int:
        """The id as the wire's integer."""
        return int(self.listing_id)


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms one night is sold: price in the listing's currency, stays counted in nights."""

    price: Decimal
    min_nights: int
    max_nights: int
    closed_to_arrival: bool
    closed_to_departure: bool


def listings_of(count: int) -> Mapping[str, Listing]:
    """The first ``count`` listings by id, "1001" onwards, dealt round the places one by one."""
    if count < 0:
        raise ValueError(f"a world has no fewer than 0 listings, not {count}")
    return {listing.listing_id: listing for listing in map(_listing, range(count))}


def _listing(index: int) -> Listing:
    place = PLACES[index % len(PLACES)]
    storey, room = divmod(index // len(PLACES), len(_ROOMS))
    name = f"{place.name} {_ROOMS[room]}" + (f" {storey + 1}" if storey else "")
    return Listing(str(_FIRST_ID + index), name, place)


def terms(listing: Listing, night: date) -> Terms:
    """The price and the rules of one night. Weekends and seasons differ, and so do single days."""
    weekday, ordinal = night.weekday(), night.toordinal()
    weekend = weekday in (4, 5)
    high = night.month in (7, 8)
    christmas = (night.month, night.day) == (12, 25)
    return Terms(
        price=money(listing, _minor(listing, night, weekend=weekend)),
        min_nights=3 if high else 2 if weekend else 1,
        max_nights=28 if high else 90,
        closed_to_arrival=christmas or (high and weekday == 6 and listing.number % 2 == 0),
        closed_to_departure=christmas or (ordinal + listing.number) % 97 == 0,
    )


def money(listing: Listing, minor: int) -> Decimal:
    """An amount of minor units as an exact decimal with the currency's digits: 11850 EUR is 118.50."""
    return Decimal(minor).scaleb(-listing.place.digits)


def _minor(listing: Listing, night: date, *, weekend: bool) -> int:
    plain = listing.place.base_price * (100 + listing.number % 7 * 6) // 100
    seasonal = plain * _SEASON[night.month - 1] // 100
    dear = seasonal * _WEEKEND // 100 if weekend else seasonal
    return dear + (night.toordinal() * 37 + listing.number * 11) % 90
