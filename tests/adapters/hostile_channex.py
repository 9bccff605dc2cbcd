"""Good bodies of every kind that Channex sends, each with what reads it: for whoever spoils them.

What reads a body returns or raises a ChannelError, whatever the body is.
"""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from adapters.accounts import Listing
from adapters.channex import bookings, fields, mapping, outcomes, pushes
from adapters.channex.webhook import ChannexWebhook
from adapters.model import ONE_DAY, Money, Restrictions, Stay
from adapters.parts import MappedRooms, room_id
from adapters.updates import PricingUpdate
from adapters.webhook import Delivery
from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.channex.channel import Channex
from channel_sync.sandbox.exchange import Request
from channel_sync.sandbox.world import World

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
WINDOW = Stay(date(2026, 4, 1), date(2026, 4, 8))
WHAT = "channex"


def cases() -> Iterable[tuple[str, bytes, Callable[[bytes], object]]]:
    """(name, a good body, the reader of such bodies)."""
    channel = _channel()
    listing = _listing(channel)
    yield "properties", _answer(channel, "properties"), _properties
    yield "room_types", _answer(channel, "room_types"), _room_types
    yield "rate_plans", _answer(channel, "rate_plans"), _rate_plans
    place = f"filter[property_id]={listing.listing_id.split('/')[0]}"
    dates = f"{place}&filter[date][gte]=2026-04-01&filter[date][lte]=2026-04-07"
    yield "availability", _answer(channel, "availability", dates), _availability(listing)
    names = f"{dates}&filter[restrictions]={','.join(mapping.RESTRICTIONS)}"
    yield "restrictions", _answer(channel, "restrictions", names), _pricing(listing)
    oldest = "order[inserted_at]=asc&pagination[limit]=4"
    yield "feed", _answer(channel, "booking_revisions/feed", oldest), _bookings(listing)
    yield "bookings", _answer(channel, "bookings", oldest), _bookings(listing)
    plan = _plan(listing)
    yield "push", _push(channel, plan), _pushed(plan)
    details = {"values": {"0": {"rate": ["is invalid"]}}, "values[1].rate": ["must be greater than 0"]}
    yield "refusal", wire.error(422, details).body, _refused(plan)
    (notice, *_) = channel.notices()
    yield "webhook", notice, lambda body: ChannexWebhook().events(Delivery("POST", "h", "/", body=body))


def _channel() -> Channex:
    world = World.empty(listings=3, start=NOW - timedelta(days=30))
    for number in range(3):
        first = WINDOW.check_in + 3 * number * ONE_DAY
        code = world.book("1001", first, first + 2 * ONE_DAY, at=NOW - timedelta(days=2, hours=number))
        if number == 1:
            world.cancel(code, at=NOW - timedelta(days=1))
    return Channex(world, lambda: NOW)


def _listing(channel: Channex) -> Listing:
    return Listing(next(iter(channel.world_ids)), "Europe/Lisbon", "EUR")


def _answer(channel: Channex, path: str, query: str = "") -> bytes:
    request = Request("GET", f"/api/v1/{path}", query, {"user-api-key": channel.api_key})
    answer = channel.answer(request)
    assert answer.status == 200
    return answer.body


def _properties(body: bytes) -> object:
    read = fields.body_of(body, WHAT)
    return [mapping.property_from_wire(raw, WHAT) for raw in mapping.rows(read, WHAT)], mapping.total(
        read, WHAT
    )


def _room_types(body: bytes) -> object:
    return [mapping.room_from_wire(raw, WHAT) for raw in mapping.rows(fields.body_of(body, WHAT), WHAT)]


def _rate_plans(body: bytes) -> object:
    rows = mapping.rows(fields.body_of(body, WHAT), WHAT)
    return [mapping.listing_from_wire(raw, {}, {}, WHAT) for raw in rows]


def _availability(listing: Listing) -> Callable[[bytes], object]:
    room = room_id(listing.listing_id)
    return lambda body: mapping.availability_from_wire(
        fields.body_of(body, WHAT), listing.listing_id, room, WINDOW, WHAT
    )


def _pricing(listing: Listing) -> Callable[[bytes], object]:
    room = room_id(listing.listing_id)
    return lambda body: mapping.pricing_from_wire(
        fields.body_of(body, WHAT),
        listing.listing_id,
        room,
        WINDOW,
        listing.currency,
        mapping.MinStay.BOTH,
        WHAT,
    )


def _bookings(listing: Listing) -> Callable[[bytes], object]:
    rooms = MappedRooms([listing])
    return lambda body: bookings.bookings_from_wire(
        mapping.rows(fields.body_of(body, WHAT), WHAT), rooms, set(), WHAT
    )


def _plan(listing: Listing) -> pushes.Plan[PricingUpdate]:
    updates = [
        PricingUpdate(listing, WINDOW, Money.from_minor(9_900, "EUR")),
        PricingUpdate(listing, Stay(WINDOW.check_in, WINDOW.check_in + ONE_DAY), None, Restrictions(2)),
    ]
    return pushes.pricing_plan(updates, lambda _: NOW.date())


def _push(channel: Channex, plan: pushes.Plan[PricingUpdate]) -> bytes:
    """What the simulated channel answers to a push whose last value is wrong."""
    values = [dict(value.wire) for value in plan.values]
    values[-1] |= {"rate": "0", "max_stay": None}
    request = Request(
        "POST",
        "/api/v1/restrictions",
        headers={"user-api-key": channel.api_key},
        body=json.dumps({"values": values}).encode(),
    )
    return channel.answer(request).body


def _pushed(plan: pushes.Plan[PricingUpdate]) -> Callable[[bytes], object]:
    def read(body: bytes) -> object:
        told: dict[str, Any] = fields.body_of(body, WHAT)
        report = outcomes.Report(plan)
        report.answered(plan.values, mapping.success(told, WHAT), outcomes.task_of(told))
        return list(report.ended())

    return read


def _refused(plan: pushes.Plan[PricingUpdate]) -> Callable[[bytes], object]:
    return lambda body: (outcomes.refused_values(body, len(plan.values)), mapping.error_code(body))
