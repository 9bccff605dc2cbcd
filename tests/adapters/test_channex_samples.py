"""Every sample of Channex's documentation that is there: read without loss, written alike, or named with a reason."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.accounts import Listing
from adapters.channex import bookings, fields, mapping, outcomes, pushes
from adapters.channex.webhook import ChannexWebhook
from adapters.errors import UnexpectedResponse
from adapters.model import ONE_DAY, BookingStatus, Money, Restrictions, Stay
from adapters.parts import MappedRooms, RoomId
from adapters.updates import AvailabilityUpdate, PricingUpdate
from adapters.webhook import Delivery, EventKind
from channel_sync.sandbox.acknowledged import Acknowledged
from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.world import World

WHAT = "sample"
CURRENCY = "GBP"  # of the documentation's hotel
DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
DATES = frozenset({"date", "date_from", "date_to", "days"})

# What is neither read nor written, and why. By what a sample is, never by its name.
REASONS: Mapping[str, str] = {
    "illustration": "not JSON: placeholders, comments or a missing comma; our reader refuses it",
    "card": "card data, which is dropped with the parsing",
    "changes": "the list of changed nights: a pull reads the nights themselves",
    "rates by occupancy": "one price a night is what a listing has here; others are set up as derived at Channex",
    "message": "messages between guest and host: they are the guest's",
    "webhook set up": "a webhook is set up once, by hand, at Channex",
    "a channel's side": "what a sales channel sends to Channex: we are a property system",
}


def samples(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every sample, in order."""
    found = sorted((folder / "channex").glob("**/*.json"))
    if not found:
        pytest.skip(f"no samples in {folder / 'channex'}")
    for path in found:
        yield path, path.read_bytes()


def kind_of(body: Any) -> str:
    """What a sample is, told from itself."""
    if "errors" in body:
        return "error"
    for key, kind in (
        ("event", "delivery"),
        ("webhook", "webhook set up"),
        ("status_code", "webhook set up"),
        ("booking", "a channel's side"),
        ("card_number", "card"),
        ("sender", "message"),
        ("message_count", "message"),
    ):
        if key in body:
            return kind
    if "values" in body:
        return "rates by occupancy" if any("rates" in value for value in body["values"]) else "push"
    return kind_of_data(body.get("data"), body)


def kind_of_data(data: Any, body: Any) -> str:
    """What an answer is, told from its data."""
    if not data:
        return "done" if "message" in body.get("meta", {}) else "list"
    first = data[0] if isinstance(data, list) else data
    told: str = first.get("type", "")
    named = {
        "task": "done",
        "webhook": "webhook set up",
        "subscription": "webhook set up",
        "message": "message",
        "message_thread": "message",
        "mapping_details": "a channel's side",
        "changes_notification": "a channel's side",
        "booking_revision": "booking",
        "properties": "property",
    }
    if told:
        return named.get(told, told)
    if "date" in first:
        return "changes"
    nights = next(iter(data.values()))
    return "restrictions" if isinstance(next(iter(nights.values())), dict) else "availability"


def test_every_sample_is_read_or_has_a_reason(fixtures_dir: Path) -> None:
    """Whatever is there is one of the kinds that are checked, or one that has a reason."""
    checked = 0
    for path, content in samples(fixtures_dir):
        try:
            body = json.loads(content)
        except ValueError:
            assert REASONS["illustration"]
            with pytest.raises(UnexpectedResponse):
                fields.body_of(content, WHAT)
            continue
        if isinstance(body, list):
            with pytest.raises(UnexpectedResponse):
                fields.body_of(content, WHAT)
            continue
        kind = kind_of(body)
        assert (kind in CHECKS) is not (kind in REASONS), f"{path}: {kind}"
        if kind in CHECKS:
            CHECKS[kind](content, body)
            checked += 1
    assert checked > 40


def errors(content: bytes, body: Any) -> None:
    """Channex's word is read, and what the sandbox says of the same is the same."""
    told = body["errors"]
    assert mapping.error_code(content) == told["code"]
    ours = {
        json.loads(wire.error(status).body)["errors"]["code"]: json.loads(wire.error(status).body)["errors"]
        for status in (400, 401, 404, 405, 422, 429)
    }
    if told["code"] in ours:  # the webhooks' "resource_not_found" is no error of what we ask
        assert ours[told["code"]] == {name: told[name] for name in ("code", "title")}


def pushed(_content: bytes, body: Any) -> None:
    """The same told by our updates is the same values, night by night: minor units there, decimal strings here."""
    theirs = nights_of(body["values"])
    if "availability" in body["values"][0]:
        units = [
            AvailabilityUpdate(listing_of(value), Stay(night, night + ONE_DAY), value["availability"])
            for value in body["values"]
            for night in nights_in(value)
        ]
        ours = pushes.availability_plan(units, lambda _: date.min).values
    else:
        prices = [
            PricingUpdate(
                listing_of(value),
                Stay(night, night + ONE_DAY),
                money_of(value),
                Restrictions(**{name: value[name] for name in value if name in Restrictions.__slots__}),
            )
            for value in body["values"]
            for night in nights_in(value)
        ]
        ours = pushes.pricing_plan(prices, lambda _: date.min).values
    ((_, written),) = pushes.bodies(ours, 9_500_000)
    assert nights_of(json.loads(written)["values"]) == theirs
    assert len(ours) <= len(body["values"]) or any("days" in value for value in body["values"])


def nights_of(values: list[dict[str, Any]]) -> dict[tuple[str, str, date], dict[str, Any]]:
    """What values say, night by night: the last one wins, and a rate is its amount."""
    found: dict[tuple[str, str, date], dict[str, Any]] = {}
    for value in values:
        own = value.get("room_type_id") or value["rate_plan_id"]
        told = {name: each for name, each in value.items() if name not in DATES and not name.endswith("_id")}
        price = money_of(value)
        if price:
            told["rate"] = price
        for night in nights_in(value):
            found.setdefault((value["property_id"], own, night), {}).update(told)
    return found


def nights_in(value: Mapping[str, Any]) -> Iterator[date]:
    """The nights that a value is about: the last one is included, and some may be of other days of the week."""
    first, last = (value.get(name) or value["date"] for name in ("date_from", "date_to"))
    for night in Stay(date.fromisoformat(first), date.fromisoformat(last) + ONE_DAY):
        if DAYS[night.weekday()] in value.get("days", DAYS):
            yield night


def money_of(value: Mapping[str, Any]) -> Money | None:
    """A rate in either way of writing it."""
    rate = value.get("rate")
    if rate is None:
        return None
    return Money.from_minor(rate, CURRENCY) if isinstance(rate, int) else Money(Decimal(rate), CURRENCY)


def listing_of(value: Mapping[str, Any]) -> Listing:
    """The listing that a value is about."""
    room, rate = value.get("room_type_id", "room"), value.get("rate_plan_id", "rate")
    return Listing(f"{value['property_id']}/{room}/{rate}", "Europe/London", CURRENCY)


def done(content: bytes, body: Any) -> None:
    """The task is kept; each warning reaches the update that it is about."""
    read = fields.body_of(content, WHAT)
    meta = mapping.success(read, WHAT)
    assert outcomes.task_of(read) == (body["data"][0]["id"] if body.get("data") else "")
    for warning in meta.get("warnings", ()):
        sent = {name: told for name, told in warning.items() if told is not None and name != "warning"}
        other = {**sent, "rate_plan_id": "another", "room_type_id": "another"}
        values = [pushes.Value(other, frozenset({0})), pushes.Value(sent, frozenset({1}))]
        (words,) = outcomes.warnings_of({"warnings": [warning]}, values).items()
        assert words[0] == 1
        assert next(iter(warning["warning"])) in words[1]


def availability(content: bytes, body: Any) -> None:
    """Every night of every room type."""
    for own, nights in body["data"].items():
        window = window_of(nights)
        page = mapping.availability_from_wire(
            fields.body_of(content, WHAT), "listing", RoomId("place", own, "rate"), window, WHAT
        )
        assert {night.night.isoformat(): night.units_open for night in page.nights} == nights
        assert page.problems == ()


def restrictions(content: bytes, body: Any) -> None:
    """Every field of every night of every rate plan."""
    for own, nights in body["data"].items():
        window = window_of(nights)
        page = mapping.pricing_from_wire(
            fields.body_of(content, WHAT),
            "listing",
            RoomId("place", "room", own),
            window,
            CURRENCY,
            mapping.MinStay.BOTH,
            WHAT,
        )
        assert page.problems == ()
        for night in page.nights:
            told = nights[night.night.isoformat()]
            assert night.price == money_of(told)
            for name in Restrictions.__slots__:
                no_rule = name == "max_stay" and told.get(name) == 0
                assert getattr(night.restrictions, name) == (None if no_rule else told.get(name))


def window_of(nights: Mapping[str, Any]) -> Stay:
    """From the first night to the last."""
    told = sorted(map(date.fromisoformat, nights))
    return Stay(told[0], told[-1] + ONE_DAY)


def rows_of(body: Any) -> list[Any]:
    """One of a kind or a list of them."""
    return body["data"] if isinstance(body["data"], list) else [body["data"]]


def properties(content: bytes, body: Any) -> None:
    """Id, title, currency, whether it is sold."""
    for raw, told in zip(rows_of(fields.body_of(content, WHAT)), rows_of(body), strict=True):
        read, true = mapping.property_from_wire(raw, WHAT), told["attributes"]
        assert (read.property_id, read.title, read.currency) == (told["id"], true["title"], true["currency"])
        assert read.active is true.get("is_active", True)


def room_types(content: bytes, body: Any) -> None:
    """Id and title."""
    for raw, told in zip(rows_of(fields.body_of(content, WHAT)), rows_of(body), strict=True):
        assert mapping.room_from_wire(raw, WHAT) == (told["id"], told["attributes"]["title"])


def rate_plans(content: bytes, body: Any) -> None:
    """Property, room type and rate plan are the listing's id, wherever the plan names them."""
    for raw, told in zip(rows_of(fields.body_of(content, WHAT)), rows_of(body), strict=True):
        listing, true = mapping.listing_from_wire(raw, {}, {}, WHAT), told["attributes"]
        related = told.get("relationships", {})
        place, room = (
            true.get(f"{name}_id") or related[name]["data"]["id"] for name in ("property", "room_type")
        )
        assert listing.listing_id == f"{place}/{room}/{told['id']}"
        assert (listing.name, listing.currency) == (true["title"], true.get("currency"))


def sold(content: bytes, body: Any) -> None:
    """Status, nights, rooms, prices, money, guests, time; a receipt for each; and nothing of card and customer."""
    for raw, told in zip(rows_of(fields.body_of(content, WHAT)), rows_of(body), strict=True):
        page = bookings.bookings_from_wire([raw], MappedRooms([]), set(), WHAT)
        true = told["attributes"]
        assert page.problems == ()
        (receipt,) = page.receipts
        assert receipt.reference == true.get("revision_id", told["id"])
        assert receipt.booking_id == true.get("booking_id", told["id"])
        assert {booking.whole for booking in page.bookings} == {receipt.booking_id}
        assert sum(booking.units for booking in page.bookings) == max(1, len(true["rooms"]))
        for booking in page.bookings:
            assert (booking.status is BookingStatus.CANCELLED) is (true["status"] == "cancelled")
            assert booking.revised_at == datetime.fromisoformat(true["inserted_at"]).replace(tzinfo=UTC)
            assert booking.listing_id.split("/")[0] == true.get("property_id", "-")
        if len(page.bookings) == 1:
            (booking,) = page.bookings
            assert booking.stay == Stay(
                *(date.fromisoformat(true[f"{end}_date"]) for end in ("arrival", "departure"))
            )
            assert booking.total == Money(Decimal(true["amount"]), true["currency"])
            assert booking.guests == true["occupancy"]["adults"] + true["occupancy"]["children"]
        if len(true["rooms"]) == 1:
            days = {night.isoformat(): f"{price.amount}" for night, price in page.bookings[0].nightly}
            assert days == true["rooms"][0]["days"]
            named = [true["rooms"][0][f"{name}_id"] or "-" for name in ("room_type", "rate_plan")]
            assert page.bookings[0].listing_id.split("/")[1:] == named
        shown = repr(page)
        for hidden in words_of([true.get("guarantee"), true.get("customer"), true.get("notes")]):
            assert hidden not in shown


def words_of(value: Any) -> Iterator[str]:
    """Every text that is long enough to be somebody's."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from words_of(each)
    elif isinstance(value, str) and len(value) > 3:
        yield value


def delivered(content: bytes, body: Any) -> None:
    """A webhook is known by its event and property, and a booking is asked for."""
    (event,) = ChannexWebhook().events(Delivery("POST", "h", "/", body=content))
    places = (body["property_id"],) if body.get("property_id") else ()
    assert (event.name, event.listing_ids) == (body["event"], places)
    assert event.kind is not EventKind.UNKNOWN
    assert event.ask is (event.kind is EventKind.BOOKING)


def nothing(content: bytes, _body: Any) -> None:
    """A list of nothing is one."""
    read = fields.body_of(content, WHAT)
    assert (mapping.rows(read, WHAT), mapping.total(read, WHAT)) == ([], 0)


CHECKS: Mapping[str, Callable[[bytes, Any], None]] = {
    "error": errors,
    "push": pushed,
    "done": done,
    "list": nothing,
    "availability": availability,
    "restrictions": restrictions,
    "property": properties,
    "room_type": room_types,
    "rate_plan": rate_plans,
    "booking": sold,
    "delivery": delivered,
}


def test_the_sandbox_writes_what_the_documentation_shows(fixtures_dir: Path) -> None:
    """A revision, its rooms and its guest have at Channex no field that the simulated one leaves out."""
    now = datetime(2026, 3, 10, tzinfo=UTC)
    world = World.empty()
    world.book("1001", date(2026, 4, 1), date(2026, 4, 3), at=now - timedelta(days=1))
    (version,) = Acknowledged(world, lambda: now).versions()
    ours = wire.revision_to_wire(version, world.listings["1001"], "pending")["attributes"]
    seen = 0
    for path, content in samples(fixtures_dir):
        if b'"booking_revision"' not in content:
            continue
        for told in rows_of(json.loads(content)):
            theirs = told["attributes"]
            assert theirs.keys() <= ours.keys(), path
            assert theirs["rooms"][0].keys() <= ours["rooms"][0].keys(), path
            assert theirs["guarantee"].keys() <= ours["guarantee"].keys(), path
            assert {type(each) for each in theirs["rooms"][0]["days"].values()} == {str}, path
            seen += 1
    assert seen > 0
