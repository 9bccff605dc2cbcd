"""What the house tells as Channex's values: the fewest ranges, last one wins; and whose each of its answers is."""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.accounts import Listing
from adapters.channex import outcomes, pushes
from adapters.model import ONE_DAY, Money, Restrictions, Stay
from adapters.updates import AvailabilityUpdate, PricingUpdate, Verdict

TODAY = date(2026, 3, 10)
BAR = Listing("place/twin/bar", "Europe/Lisbon", "EUR")
BREAKFAST = Listing("place/twin/breakfast", "Europe/Lisbon", "EUR")
YEN = Listing("place/twin/yen", "Asia/Tokyo", "JPY")
DINAR = Listing("place/twin/dinar", "Asia/Kuwait", "KWD")


def nights(first: int, last: int | None = None) -> Stay:
    """Nights by their distance from today, the last one included."""
    return Stay(TODAY + first * ONE_DAY, TODAY + ((first if last is None else last) + 1) * ONE_DAY)


def planned(*updates: PricingUpdate) -> pushes.Plan[PricingUpdate]:
    """The plan of these updates, told on TODAY."""
    return pushes.pricing_plan(updates, lambda _: TODAY)


def wire(plan: pushes.Plan[Any]) -> list[dict[str, Any]]:
    """The values without property and rate plan."""
    return [
        {name: told for name, told in value.wire.items() if name not in ("property_id", "rate_plan_id")}
        for value in plan.values
    ]


def price(listing: Listing, stay: Stay, minor: int) -> PricingUpdate:
    """A price in minor units."""
    return PricingUpdate(listing, stay, Money.from_minor(minor, listing.currency))


@pytest.mark.parametrize(
    ("listing", "minor", "written"),
    [(BAR, 20_000, "200.00"), (BAR, 5, "0.05"), (YEN, 20_000, "20000"), (DINAR, 42_250, "42.250")],
)
def test_a_rate_is_a_decimal_string(listing: Listing, minor: int, written: str) -> None:
    """Never a number: that would be minor units, and a hundred times too much or too little."""
    (value,) = planned(price(listing, nights(0), minor)).values
    assert json.loads(json.dumps(value.wire))["rate"] == written


def test_only_what_is_told_is_sent() -> None:
    """A field that is None is absent, never null; false and zero are told."""
    told = Restrictions(max_stay=0, closed_to_arrival=False)
    assert wire(planned(PricingUpdate(BAR, nights(2), restrictions=told))) == [
        {"date": "2026-03-12", "max_stay": 0, "closed_to_arrival": False}
    ]


def test_fields_of_one_night_are_put_together() -> None:
    """A later update of the same nights adds its fields and replaces its own, as Channex would one by one."""
    plan = planned(
        PricingUpdate(BAR, nights(0, 4), Money.from_minor(9_900, "EUR"), Restrictions(min_stay_arrival=2)),
        PricingUpdate(BAR, nights(2), Money.from_minor(8_800, "EUR")),
        PricingUpdate(BAR, nights(4), restrictions=Restrictions(stop_sell=True)),
    )
    assert wire(plan) == [
        {"date_from": "2026-03-10", "date_to": "2026-03-11", "rate": "99.00", "min_stay_arrival": 2},
        {"date": "2026-03-12", "rate": "88.00", "min_stay_arrival": 2},
        {"date": "2026-03-13", "rate": "99.00", "min_stay_arrival": 2},
        {"date": "2026-03-14", "rate": "99.00", "min_stay_arrival": 2, "stop_sell": True},
    ]


@pytest.mark.parametrize(
    ("update", "words"),
    [
        (price(BAR, Stay(TODAY - 3 * ONE_DAY, TODAY), 9_900), "the nights are past"),
        (PricingUpdate(BAR, nights(1), Money(Decimal(250), "JPY")), "the rate plan is in EUR, not in JPY"),
        (price(BAR, nights(1), 0), "a rate is greater than 0"),
        (price(BAR, nights(1), -100), "a rate is greater than 0"),
        (
            PricingUpdate(BAR, nights(1), restrictions=Restrictions(min_stay_arrival=0)),
            "a minimum stay is a night or more",
        ),
        (
            PricingUpdate(BAR, nights(1), restrictions=Restrictions(min_stay_through=0)),
            "a minimum stay is a night or more",
        ),
        (
            PricingUpdate(BAR, nights(1), restrictions=Restrictions(max_stay=-1)),
            "a maximum stay is not negative",
        ),
    ],
)
def test_what_cannot_be_told_is_not_sent(update: PricingUpdate, words: str) -> None:
    """It is refused with the reason, and its neighbours are told all the same."""
    plan = planned(update, price(BAR, nights(5), 9_900))
    assert plan.refused == {0: words}
    assert wire(plan) == [{"date": "2026-03-15", "rate": "99.00"}]


def test_past_nights_are_left_out_of_a_range() -> None:
    """What begins yesterday is told from today on, and says so: it was not done as asked."""
    update = price(BAR, Stay(TODAY - 2 * ONE_DAY, TODAY + 2 * ONE_DAY), 9_900)
    plan = planned(update)
    assert wire(plan) == [{"date_from": "2026-03-10", "date_to": "2026-03-11", "rate": "99.00"}]
    report = outcomes.Report(plan)
    report.answered(plan.values, {"message": "Success"}, "task")
    (outcome,) = report.ended()
    assert (outcome.verdict, outcome.words) == (Verdict.WARNED, outcomes.LEFT_OUT)


def test_nothing_told_is_nothing_sent() -> None:
    """An update without a field needs no call, and is done."""
    plan = planned(PricingUpdate(BAR, nights(1)))
    assert plan.values == ()
    assert [outcome.verdict for outcome in outcomes.Report(plan).ended()] == [Verdict.ACCEPTED]


updates = st.lists(
    st.tuples(
        st.sampled_from([BAR, BREAKFAST]),
        st.integers(-3, 20),
        st.integers(1, 8),
        st.one_of(st.none(), st.sampled_from([9_900, 8_800])),
        st.one_of(st.none(), st.integers(1, 3)),
        st.one_of(st.none(), st.booleans()),
    ),
    max_size=12,
).map(
    lambda drawn: [
        PricingUpdate(
            listing,
            Stay(TODAY + first * ONE_DAY, TODAY + (first + count) * ONE_DAY),
            None if minor is None else Money.from_minor(minor, "EUR"),
            Restrictions(min_stay_arrival=least, stop_sell=stop),
        )
        for listing, first, count, minor, least, stop in drawn
    ]
)


@given(updates)
def test_ranges_say_what_the_updates_say(told: Sequence[PricingUpdate]) -> None:
    """Night by night the values are the updates one after the other; no night twice, no two runs that could be one."""
    plan = planned(*told)
    expected: dict[tuple[str, date], dict[str, Any]] = {}
    for update in told:
        fields = {
            "rate": update.price and f"{update.price.amount}",
            "min_stay_arrival": update.restrictions.min_stay_arrival,
            "stop_sell": update.restrictions.stop_sell,
        }
        known = {name: value for name, value in fields.items() if value is not None}
        for night in update.nights:
            if night >= TODAY and known:
                expected.setdefault((update.listing.listing_id.split("/")[2], night), {}).update(known)
    found: dict[tuple[str, date], dict[str, Any]] = {}
    runs: list[tuple[str, date, dict[str, Any]]] = []
    for value in plan.values:
        rate = value.wire["rate_plan_id"]
        first = date.fromisoformat(value.wire.get("date_from") or value.wire["date"])
        last = date.fromisoformat(value.wire.get("date_to") or value.wire["date"])
        fields = {
            name: each
            for name, each in value.wire.items()
            if name in ("rate", "min_stay_arrival", "stop_sell")
        }
        assert (rate, first - ONE_DAY, fields) not in runs
        runs.append((rate, last, fields))
        for night in Stay(first, last + ONE_DAY):
            assert (rate, night) not in found
            found[rate, night] = fields
    assert found == expected


@given(updates, st.integers(150, 900))
def test_every_update_ends_once(told: Sequence[PricingUpdate], most_bytes: int) -> None:
    """However the values are cut into calls, each update has one outcome, and only after the last call about it."""
    plan = planned(*told)
    report = outcomes.Report(plan)
    known = list(report.ended())
    sent: list[pushes.Value] = []
    for values, body in pushes.bodies(plan.values, most_bytes):
        assert len(values) == 1 or len(body) <= most_bytes
        assert json.loads(body) == {"values": [value.wire for value in values]}
        report.answered(values, {"message": "Success"}, "task")
        sent += values
        ended = list(report.ended())
        rest = [value for value in plan.values if value not in sent]
        assert not [
            outcome
            for outcome in ended
            for value in rest
            if any(told[owner] is outcome.item for owner in value.owners)
        ]
        known += ended
    assert tuple(sent) == plan.values
    assert sorted(map(repr, told)) == sorted(repr(outcome.item) for outcome in known)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=8))
def test_a_room_has_one_number_at_all_rates(drawn: list[tuple[int, int, int]]) -> None:
    """Units of a room are told once, whichever rate they are told at; the last number wins."""
    told = [
        AvailabilityUpdate((BAR, BREAKFAST)[units % 2], nights(first, first + count), units)
        for first, count, units in drawn
    ]
    expected = {night: update.units_open for update in told for night in update.nights}
    plan = pushes.availability_plan(told, lambda _: TODAY)
    found = {
        night: value.wire["availability"]
        for value in plan.values
        for night in Stay(
            date.fromisoformat(value.wire.get("date_from") or value.wire["date"]),
            date.fromisoformat(value.wire.get("date_to") or value.wire["date"]) + ONE_DAY,
        )
    }
    assert found == expected
    assert {value.wire["room_type_id"] for value in plan.values} == {"twin"}


def test_a_warning_belongs_to_its_value() -> None:
    """Same rate plan and an overlap in dates: that update is warned, with the field and Channex's words for it."""
    plan = planned(
        price(BAR, nights(0, 1), 9_900), price(BAR, nights(5), 8_800), price(BREAKFAST, nights(5), 7_700)
    )
    warning = {
        **plan.values[1].wire,
        "room_type_id": "twin",
        "max_sell": None,
        "warning": {"rate": ["must be greater than 0"], "stop_sell": ["is invalid"], "???": ["x"]},
    }
    words = outcomes.warnings_of({"warnings": [warning]}, plan.values)
    assert words == {1: "rate: must be greater than 0, stop_sell: is invalid"}


@pytest.mark.parametrize(
    "warning",
    [
        {"warning": {"rate": ["must be greater than 0"]}},
        {"rate_plan_id": "strange", "date": "2026-03-15", "warning": {"rate": ["must be greater than 0"]}},
        {"rate_plan_id": "bar", "date": 7, "warning": {"rate": ["must be greater than 0"]}},
    ],
)
def test_a_warning_about_nothing_is_about_all(warning: dict[str, Any]) -> None:
    """Where it does not say what it is about, no update counts as plainly done."""
    plan = planned(price(BAR, nights(0), 9_900), price(BREAKFAST, nights(5), 8_800))
    words = outcomes.warnings_of({"warnings": [warning]}, plan.values)
    assert words == dict.fromkeys((0, 1), "rate: must be greater than 0")


@pytest.mark.parametrize(
    "warning", [None, "no", {"warning": "no"}, {"warning": {"rate": ["<b>\n" * 90]}}, {"warning": {}}]
)
def test_a_warning_in_other_words(warning: object) -> None:
    """What a warning says is shown in plain words or not at all."""
    plan = planned(price(BAR, nights(0), 9_900))
    (words,) = outcomes.warnings_of({"warnings": [warning]}, plan.values).values()
    assert words in ("a warning without words", "rate: not as it should be")


@pytest.mark.parametrize(
    "details",
    [
        {"values": [{}, {"rate": ["is invalid"]}, {}]},
        {"values": {"1": {"rate": ["is invalid"]}}},
        {"values[1].rate": ["is invalid"]},
        {"values.1.rate": ["is invalid"]},
        ["values[1].rate is invalid"],
        {"/values/1/rate": ["is invalid"]},
    ],
)
def test_a_refusal_names_values_by_path(details: object) -> None:
    """Whichever way the path is written, it is the second value."""
    body = json.dumps({"errors": {"code": "validation_error", "details": details}}).encode()
    assert outcomes.refused_values(body, 3) == frozenset({1})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"errors": []}',
        b'{"errors": {"details": {"values": ["can\'t be blank"]}}}',
        b'{"errors": {"details": {"values": {"9": ["is invalid"]}}}}',
        b'{"errors": {"details": {"property_id": ["can\'t be blank"]}}}',
    ],
)
def test_a_refusal_that_names_no_value(body: bytes) -> None:
    """A path to nothing of ours names none of them, nor does a text about the whole list."""
    assert outcomes.refused_values(body, 3) == frozenset()


def test_more_warnings_than_values() -> None:
    """An answer that warns of more than was sent warns of all that was, and is not read any further."""
    plan = planned(price(BAR, nights(0), 9_900), price(BREAKFAST, nights(5), 8_800))
    words = outcomes.warnings_of({"warnings": [{}] * 3}, plan.values)
    assert words == dict.fromkeys((0, 1), "more warnings than values")


def test_a_long_horizon_is_planned_at_once() -> None:
    """Five hundred nights of twenty rates, each night another price, fit into one call, as do warnings of all."""
    listings = [Listing(f"place/twin/{number}", "Europe/Lisbon", "EUR") for number in range(20)]
    told = [
        price(listing, Stay(night, night + ONE_DAY), 9_900 + number % 7)
        for listing in listings
        for number in range(500)
        for night in [TODAY + timedelta(days=number)]
    ]
    ((values, body),) = pushes.bodies(planned(*told).values, 9_500_000)
    assert len(values) == 10_000
    assert len(body) < 2_000_000
    warnings = [{**value.wire, "warning": {"rate": ["is invalid"]}} for value in values]
    found = outcomes.warnings_of({"warnings": warnings}, values)
    assert found == dict.fromkeys(range(10_000), "rate: is invalid")
