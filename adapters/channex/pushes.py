"""What the house tells, as Channex's values: pure functions.

A value is a run of neighbouring nights of one room or rate plan that are told the same. The last update of a night
wins, field by field, as it would at Channex.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, TypeVar

from adapters.accounts import Listing
from adapters.model import ONE_DAY, Stay
from adapters.parts import room_id
from adapters.updates import AvailabilityUpdate, PricingUpdate

Update = TypeVar("Update", AvailabilityUpdate, PricingUpdate)


@dataclass(frozen=True, slots=True)
class Value:
    """One element of a call's ``values`` as it is sent, and the updates it comes from, by their position."""

    wire: Mapping[str, Any]
    owners: frozenset[int]


@dataclass(frozen=True, slots=True)
class Plan(Generic[Update]):
    """The values of one property's updates, in order, and what is said of updates without asking Channex."""

    updates: Sequence[Update]
    values: tuple[Value, ...]
    refused: Mapping[int, str]  # by position: why it cannot be told
    shortened: frozenset[int]  # some of its nights are past


@dataclass(slots=True)
class _Told:
    """What is told of one night."""

    fields: dict[str, Any] = field(default_factory=dict)
    owners: frozenset[int] = frozenset()


def availability_plan(
    updates: Sequence[AvailabilityUpdate], today: Callable[[Listing], date]
) -> Plan[AvailabilityUpdate]:
    """Units left of each room. All rates of a room have the same: its last update wins."""
    return _plan(updates, today, "room_type_id", _availability)


def pricing_plan(updates: Sequence[PricingUpdate], today: Callable[[Listing], date]) -> Plan[PricingUpdate]:
    """Rates and restrictions of each rate plan, and no field that an update leaves None."""
    return _plan(updates, today, "rate_plan_id", _pricing)


def _availability(update: AvailabilityUpdate) -> dict[str, Any]:
    if update.units_open < 0:
        raise ValueError("availability is not negative")
    return {"availability": update.units_open}


def _pricing(update: PricingUpdate) -> dict[str, Any]:
    """The fields that are told. Rates are decimal strings: an integer would be read as minor units."""
    price, rules = update.price, update.restrictions
    if price is not None and price.currency != update.listing.currency:
        raise ValueError(f"the rate plan is in {update.listing.currency}, not in {price.currency}")
    if price is not None and price.amount <= 0:
        raise ValueError("a rate is greater than 0")
    if any(nights is not None and nights < 1 for nights in (rules.min_stay_arrival, rules.min_stay_through)):
        raise ValueError("a minimum stay is a night or more")
    if rules.max_stay is not None and rules.max_stay < 0:
        raise ValueError("a maximum stay is not negative")
    told = {
        "rate": None if price is None else f"{price.amount:f}",
        "min_stay_arrival": rules.min_stay_arrival,
        "min_stay_through": rules.min_stay_through,
        "max_stay": rules.max_stay,
        "closed_to_arrival": rules.closed_to_arrival,
        "closed_to_departure": rules.closed_to_departure,
        "stop_sell": rules.stop_sell,
    }
    return {name: value for name, value in told.items() if value is not None}


def _plan(
    updates: Sequence[Update],
    today: Callable[[Listing], date],
    key: str,
    told_by: Callable[[Update], dict[str, Any]],
) -> Plan[Update]:
    nights: dict[tuple[str, str], dict[date, _Told]] = {}
    refused: dict[int, str] = {}
    shortened: set[int] = set()
    for position, update in enumerate(updates):
        first = today(update.listing)
        if update.nights.check_out <= first:
            refused[position] = "the nights are past"
            continue
        try:
            told = told_by(update)
        except ValueError as error:
            refused[position] = str(error)
            continue
        if update.nights.check_in < first:
            shortened.add(position)
        listing = room_id(update.listing.listing_id)
        sold = listing.room_id if key == "room_type_id" else listing.rate_id
        row = nights.setdefault((listing.property_id, sold), {})
        for night in Stay(max(first, update.nights.check_in), update.nights.check_out) if told else ():
            known = row.setdefault(night, _Told())
            known.fields.update(told)
            known.owners |= {position}
    values = (
        Value({"property_id": place, key: sold, **dates, **told}, owners)
        for (place, sold), row in nights.items()
        for dates, told, owners in _runs(row)
    )
    return Plan(updates, tuple(values), refused, frozenset(shortened))


def _runs(row: Mapping[date, _Told]) -> Iterator[tuple[dict[str, str], dict[str, Any], frozenset[int]]]:
    """Neighbouring nights that are told the same. Both ends are included on the wire."""
    run: list[date] = []
    for night in sorted(row):
        if run and (night - run[-1] != ONE_DAY or row[night].fields != row[run[0]].fields):
            yield _run(run, row)
            run = []
        run.append(night)
    if run:
        yield _run(run, row)


def _run(
    run: Sequence[date], row: Mapping[date, _Told]
) -> tuple[dict[str, str], dict[str, Any], frozenset[int]]:
    first, last = run[0].isoformat(), run[-1].isoformat()
    dates = {"date": first} if first == last else {"date_from": first, "date_to": last}
    return dates, row[run[0]].fields, frozenset().union(*(row[night].owners for night in run))


# Calls.

_OPENING, _CLOSING = b'{"values":[', b"]}"


def bodies(values: Iterable[Value], most_bytes: int) -> Iterator[tuple[tuple[Value, ...], bytes]]:
    """The fewest bodies of at most ``most_bytes`` that hold all values in order, each with its values."""
    held: list[Value] = []
    written: list[bytes] = []
    size = len(_OPENING) + len(_CLOSING)
    for value in values:
        element = json.dumps(value.wire, separators=(",", ":")).encode()
        if held and size + len(element) + 1 > most_bytes:
            yield tuple(held), _OPENING + b",".join(written) + _CLOSING
            held, written, size = [], [], len(_OPENING) + len(_CLOSING)
        held.append(value)
        written.append(element)
        size += len(element) + 1
    if held:
        yield tuple(held), _OPENING + b",".join(written) + _CLOSING
