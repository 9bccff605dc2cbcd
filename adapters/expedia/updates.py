"""What the house tells Expedia: updates made into as few AR messages as its limits allow. Pure functions and tables.

Within a message each room and rate is named once for each night, as Expedia demands: of several words on one night
the last counts, which is what arriving in order comes to.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Generic, TypeVar

from adapters.accounts import Listing
from adapters.errors import UnexpectedResponse
from adapters.expedia.fields import child, children, text
from adapters.expedia.messages import under
from adapters.model import ONE_DAY, Restrictions, Stay, spans
from adapters.parts import RoomId
from adapters.updates import AvailabilityUpdate, PricingUpdate, Verdict
from adapters.xml_body import Element

MOST_UPDATES = 5_000  # in one message: one element of one night is one
BIGGEST = 90_000  # bytes of a message; Expedia takes 100 kB
HORIZON = timedelta(days=731)  # from today to the last night
LONGEST_STAY = 28  # nights, for both rules
_MOST_UNITS = 4_999
_FINEST = 3  # decimal digits of a rate
_MOST_DIGITS = 16

_CODE = re.compile("[0-9]{1,6}")

# Bytes that a group takes at most besides its nights and ids, and those of one range.
_GROUP_BYTES, _OCCUPANCY_BYTES, _RANGE_BYTES = 420, 70, 52

Update = TypeVar("Update", AvailabilityUpdate, PricingUpdate)
Product = tuple[str, str]  # room, rate; "" where it is about the room at all its rates


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of one night of a room or of one of its rates; None is not told."""

    units: int | None = None
    rate: Decimal | None = None
    currency: str = ""
    occupancies: int = 0  # how many numbers of guests the rate is told for; 0: it is told once, for all
    closed: bool | None = None
    min_stay: int | None = None
    max_stay: int | None = None
    closed_to_arrival: bool | None = None
    closed_to_departure: bool | None = None

    def over(self, earlier: "Told") -> "Told":
        """This after an earlier one: what it does not tell stays as that told it."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.rate is None:
            del told["currency"], told["occupancies"]  # they belong to the rate
        return replace(earlier, **{name: value for name, value in told.items() if value is not None})

    @property
    def elements(self) -> int:
        """How many updates it is, as Expedia counts them, for each night."""
        rules = (self.closed, self.min_stay, self.max_stay, self.closed_to_arrival, self.closed_to_departure)
        rates = 0 if self.rate is None else self.occupancies or 1
        return sum(rule is not None for rule in rules) + rates + (self.units is not None)


@dataclass(frozen=True, slots=True)
class Group:
    """Nights of one product of which the same is told."""

    product: Product
    told: Told
    nights: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Item(Generic[Update]):
    """One update with what it tells."""

    update: Update
    product: Product
    told: Told


def availability_refusal(update: AvailabilityUpdate, today: date) -> str | None:
    """Why AR cannot say this; None where it can."""
    if not 0 <= update.units_open <= _MOST_UNITS:
        return f"Expedia takes 0 to {_MOST_UNITS} units"
    return _out_of_reach(update.nights, today)


def pricing_refusal(update: PricingUpdate, today: date, *, through: bool) -> str | None:
    """Why AR cannot say this; None where it can. ``through``: the hotel's stays are checked on every night."""
    price, rules = update.price, update.restrictions
    if price is not None:
        if price.currency != update.listing.currency:
            return f"the price is in {price.currency}, the listing in {update.listing.currency}"
        if not _is_a_rate(price.amount):
            return f"a rate has at most {_MOST_DIGITS} digits, {_FINEST} of them decimal, and is not negative"
    least, other = _min_stays(rules, through=through)
    if other is not None and other > 1 and other != least:
        kind = "arrival" if through else "every night"
        return f"this hotel has no minimum stay that is checked on {kind} (setting length_of_stay)"
    if least is not None and least > LONGEST_STAY:
        return f"Expedia's minimum stay has at most {LONGEST_STAY} nights"
    if rules.max_stay is not None and rules.max_stay < max(1, least or 1):
        return "the longest stay is shorter than the shortest"
    return _out_of_reach(update.nights, today)


def availability_told(units: int) -> Told:
    """Closed is said twice: no unit is left, and the room is closed, or a cancellation would open it."""
    return Told(units=units, closed=units == 0)


def pricing_told(update: PricingUpdate, *, through: bool) -> Told:
    """What an update tells that can be told. A stay longer than Expedia sells is as long as it sells."""
    rules = update.restrictions
    least, _ = _min_stays(rules, through=through)
    return Told(
        rate=update.price.amount if update.price else None,
        currency=update.price.currency if update.price else "",
        occupancies=_occupancies(update.listing) if update.price else 0,
        closed=rules.stop_sell,
        min_stay=None if least is None else max(1, least),
        max_stay=None if rules.max_stay is None else min(LONGEST_STAY, rules.max_stay),
        closed_to_arrival=rules.closed_to_arrival,
        closed_to_departure=rules.closed_to_departure,
    )


def plan(items: Iterable[Item[Update]]) -> list[tuple[Group, ...]]:
    """The messages of one hotel, each as its groups."""
    nights: dict[Product, dict[date, Told]] = {}
    for item in items:
        known = nights.setdefault(item.product, {})
        for night in item.update.nights:
            known[night] = item.told.over(known[night]) if night in known else item.told
    return _packed(_groups(nights))


def _groups(nights: Mapping[Product, Mapping[date, Told]]) -> Iterator[Group]:
    for product, told in nights.items():
        alike: dict[Told, list[date]] = {}
        for night in sorted(told):
            alike.setdefault(told[night], []).append(night)
        for each, of_it in alike.items():
            yield Group(product, each, tuple(of_it))


def _packed(groups: Iterable[Group]) -> list[tuple[Group, ...]]:
    """The groups in order, cut where a message is full."""
    messages: list[tuple[Group, ...]] = []
    current: list[Group] = []
    elements = size = 0
    for group in groups:
        if not group.told.elements:
            continue
        left = list(group.nights)
        while left:
            size += _GROUP_BYTES + sum(map(len, group.product)) + group.told.occupancies * _OCCUPANCY_BYTES
            taken = 0
            while taken < len(left):
                starts = taken == 0 or left[taken] - left[taken - 1] != ONE_DAY
                if elements + group.told.elements > MOST_UPDATES or size + starts * _RANGE_BYTES > BIGGEST:
                    break
                elements += group.told.elements
                size += starts * _RANGE_BYTES
                taken += 1
            if taken:
                current.append(replace(group, nights=tuple(left[:taken])))
                left = left[taken:]
            if left:
                messages.append(tuple(current))
                current, elements, size = [], 0, 0
    return [*messages, tuple(current)] if current else messages


def count_updates(groups: Iterable[Group]) -> int:
    """How many updates a message is."""
    return sum(group.told.elements * len(group.nights) for group in groups)


def write(root: Element, groups: Sequence[Group]) -> None:
    """Put the groups into a message. Ranges on the wire end with their last night."""
    for group in groups:
        update = under(root, "AvailRateUpdate")
        for stay in spans(group.nights):
            last = stay.check_out - ONE_DAY
            under(update, "DateRange", {"from": stay.check_in.isoformat(), "to": last.isoformat()})
        room, rate = group.product
        of_room = under(update, "RoomType", {"id": room})
        holder = under(of_room, "RatePlan", {"id": rate}) if rate else of_room
        if group.told.closed is not None:
            holder.set("closed", _flag(group.told.closed))
        _write_told(holder, group.told)


def _write_told(holder: Element, told: Told) -> None:
    if told.units is not None:
        under(holder, "Inventory", {"totalInventoryAvailable": str(told.units)})
    if told.rate is not None:
        rate = under(holder, "Rate", {"currency": told.currency})
        written = f"{told.rate:f}"
        if not told.occupancies:
            under(rate, "PerDay", {"rate": written})
        for guests in range(1, told.occupancies + 1):
            under(rate, "PerOccupancy", {"rate": written, "occupancy": str(guests)})
    rules: dict[str, object] = {
        "minLOS": told.min_stay,
        "maxLOS": told.max_stay,
        "closedToArrival": None if told.closed_to_arrival is None else _flag(told.closed_to_arrival),
        "closedToDeparture": None if told.closed_to_departure is None else _flag(told.closed_to_departure),
    }
    written_rules = {name: str(value) for name, value in rules.items() if value is not None}
    if written_rules:
        under(holder, "Restrictions", written_rules)


def ending(root: Element, what: str) -> tuple[Verdict, str]:
    """How a message ended that was not refused. A warning is about a part that was left out; which one it says in prose."""
    success = child(root, "Success")
    if success is None:
        raise UnexpectedResponse(f"{what}: neither success nor an error")
    codes = [text(each, "code") or "" for each in children(success, "Warning")]
    if not codes:
        return Verdict.ACCEPTED, ""
    shown = ", ".join(dict.fromkeys(each if _CODE.fullmatch(each) else "unknown" for each in codes))
    return Verdict.WARNED, f"warning {shown}"


def product_of(room: RoomId, told: Told) -> Product:
    """What an update is about: units are the room's, at whatever rate it is sold."""
    return (room.room_id, "" if told.units is not None else room.rate_id)


def _flag(value: bool) -> str:  # noqa: FBT001 - it is what is written
    return "true" if value else "false"


def _min_stays(rules: Restrictions, *, through: bool) -> tuple[int | None, int | None]:
    """The minimum stay that the hotel has, and the one that it has not."""
    told = rules.min_stay_arrival, rules.min_stay_through
    return (told[1], told[0]) if through else told


def _out_of_reach(nights: Stay, today: date) -> str | None:
    """Expedia takes nights from yesterday to 731 days from now, of which day it is in UTC: inside for everyone."""
    last = nights.check_out - ONE_DAY
    if nights.check_in >= today - ONE_DAY and last <= today + HORIZON:
        return None
    return f"Expedia takes nights from {today - ONE_DAY} to {today + HORIZON}"


def _is_a_rate(amount: Decimal) -> bool:
    exact = amount.as_tuple()
    return (
        amount >= 0
        and isinstance(exact.exponent, int)
        and -exact.exponent <= _FINEST
        and len(exact.digits) <= _MOST_DIGITS
    )


def _occupancies(listing: Listing) -> int:
    told = listing.settings.get("occupancies", "0")
    return min(int(told), 20) if told.isascii() and told.isdecimal() else 0
