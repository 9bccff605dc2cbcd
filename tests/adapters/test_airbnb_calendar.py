"""Airbnb's calendars: what closes a night, what a night costs, and what proves nothing."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.airbnb import mapping
from adapters.errors import (
    UnexpectedResponse,
)
from adapters.model import (
    AvailabilityPage,
    ClosureKind,
    NightAvailability,
    Restrictions,
    Stay,
)

WINDOW = Stay(date(2026, 5, 1), date(2026, 5, 4))

hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def day(night: int, **fields: Any) -> dict[str, Any]:
    return {"date": f"2026-05-{night:02}", "availability": "available", "daily_price": 100} | fields


def calendar(*days: Any, **fields: Any) -> dict[str, Any]:
    return {"calendar": {"listing_id": 42, "listing_currency": "EUR", "days": list(days)} | fields}


def read(body: dict[str, Any], window: Stay = WINDOW) -> mapping.Calendar:
    return mapping.calendar_from_wire(body, "42", window, "USD", "airbnb calendar")


def one_night(**fields: Any) -> AvailabilityPage:
    window = Stay(date(2026, 5, 1), date(2026, 5, 2))
    return mapping.availability_from_wire(read(calendar(day(1, **fields)), window))


# Availability.


@pytest.mark.parametrize(
    ("fields", "night"),
    [
        ({}, (1, None, None)),
        ({"available_count": 3}, (3, None, None)),
        ({"available_count": None}, (1, None, None)),
        ({"available_count": 0}, (0, ClosureKind.UNKNOWN, None)),
        ({"availability": "unavailable"}, (0, ClosureKind.UNKNOWN, None)),
        ({"availability": "unavailable", "available_count": 5}, (0, ClosureKind.UNKNOWN, None)),
        ({"availability": "unavailable", "busy_subtype": "BLOCKED_BY_HOST"}, (0, ClosureKind.BLOCKED, None)),
        (
            {"availability": "unavailable", "busy_subtype": "OUTSIDE_RESERVATION"},
            (0, ClosureKind.BOOKED, None),
        ),
        ({"availability": "unavailable", "busy_subtype": "NEW_WORD"}, (0, ClosureKind.UNKNOWN, None)),
        ({"availability": "unavailable", "confirmation_code": "HMX"}, (0, ClosureKind.BOOKED, "HMX")),
        (
            {"availability": "unavailable", "reservation": {"confirmation_code": "HMX"}, "busy_subtype": "x"},
            (0, ClosureKind.BOOKED, "HMX"),
        ),
        ({"availability": "unavailable", "reservation": {"guest": "Ann"}}, (0, ClosureKind.BOOKED, None)),
        (
            {"availability": "unavailable", "reservation": {"confirmation_code": "Ann Smith"}},
            (0, ClosureKind.BOOKED, None),
        ),
    ],
)
def test_what_closes_a_night(
    fields: dict[str, Any], night: tuple[int, ClosureKind | None, str | None]
) -> None:
    """Each way a day is open or closed has one meaning."""
    assert one_night(**fields).nights == (NightAvailability(date(2026, 5, 1), *night),)


@pytest.mark.parametrize(
    "fields",
    [
        {"available_count": "many"},
        {"busy_subtype": ["x"]},
        {"busy_subtype": {}},
        {"reservation": {"confirmation_code": "Ann Smith +351"}},
        {"reservation": "?"},
        {"confirmation_code": {}},
        {"daily_price": "?", "min_nights": []},
    ],
)
def test_nothing_odd_keeps_a_closed_night_from_closing(fields: dict[str, Any]) -> None:
    """A day that says unavailable is closed whatever else in it cannot be read."""
    page = one_night(availability="unavailable", **fields)
    assert [night.units_open for night in page.nights] == [0]
    assert page.problems == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"availability": "maybe"},
        {"availability": None},
        {"availability": True},
        {"availability": ["available"]},
        {"available_count": -1},
        {"available_count": True},
        {"available_count": "2"},
        {"available_count": 10**9},
    ],
)
def test_an_unreadable_night_is_not_stated(fields: dict[str, Any]) -> None:
    """A night that is there but makes no sense is neither open nor closed: it is left out, and kept as a Problem."""
    page = one_night(**fields)
    assert page.nights == ()
    assert [problem.where for problem in page.problems] == ["2026-05-01"]


def test_nights_come_in_order() -> None:
    """Days in any order make nights in order, and the same fingerprint."""
    straight = mapping.availability_from_wire(read(calendar(day(1), day(2), day(3))))
    mixed = mapping.availability_from_wire(read(calendar(day(3), day(1), day(2))))
    assert [night.night for night in mixed.nights] == list(WINDOW)
    assert straight == mixed


def test_a_fingerprint_is_of_the_meaning() -> None:
    """Notes and prices do not change it; a closed night and the window do."""
    plain = mapping.availability_from_wire(read(calendar(day(1), day(2), day(3)))).fingerprint
    noted = calendar(day(1, notes="sea view"), day(2, daily_price=5), day(3))
    closed = calendar(day(1, availability="unavailable"), day(2), day(3))
    shorter = Stay(date(2026, 5, 1), date(2026, 5, 3))
    assert mapping.availability_from_wire(read(noted)).fingerprint == plain
    assert mapping.availability_from_wire(read(closed)).fingerprint != plain
    assert mapping.availability_from_wire(read(noted, shorter)).fingerprint != plain


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (calendar(day(1), day(3)), "1 of 3 nights are missing, the first is 2026-05-02"),
        (calendar(), "3 of 3 nights are missing"),
        (calendar(day(1), day(2), day(2), day(3)), "2026-05-02 is stated twice"),
        (calendar(day(1), day(2), day(3, date="2026-02-30")), "1 of 3 nights are missing"),
        (calendar(day(1), day(2), day(3), listing_id=43), "another listing"),
        (calendar(day(1), day(2), day(3), listing_id_str="43"), "another listing"),
        (calendar(day(1), day(2), day(3), listing_id="4 2"), "not an id"),
        (calendar(day(1), day(2), day(3), listing_currency="euro"), "ISO 4217"),
        (calendar(days=None), "no array 'days'"),
        ({"calendar": []}, "no calendar"),
        ({"calendar_days": []}, "no calendar"),
        ({}, "no calendar"),
    ],
)
def test_a_half_read_calendar_proves_nothing(body: dict[str, Any], said: str) -> None:
    """A missing or doubled night, another listing's calendar or another shape refuses the whole page."""
    with pytest.raises(UnexpectedResponse, match=said):
        read(body)


def test_more_than_was_asked_for_is_left_out() -> None:
    """Days outside the window and days without a date cost nothing; the latter are kept as Problems."""
    page = mapping.availability_from_wire(
        read(calendar(day(1), day(2), day(3), day(4), {"date": "soon"}, "day", None))
    )
    assert [night.night for night in page.nights] == list(WINDOW)
    assert [problem.where for problem in page.problems] == ["day 5", "day 6", "day 7"]


# Prices.


@pytest.mark.parametrize(
    ("price", "currency", "money"),
    [
        ("202", "EUR", "202.00 EUR"),
        ("202.1", "EUR", "202.10 EUR"),
        ("18400", "JPY", "18400 JPY"),
        ("42.255", "KWD", "42.255 KWD"),
        ('"99.99"', "USD", "99.99 USD"),
        ("0.1", "USD", "0.10 USD"),
    ],
)
def test_a_price_is_the_text_on_the_wire(price: str, currency: str, money: str) -> None:
    """A JSON number becomes exactly what was written, in the currency's digits: no float comes between."""
    wire_price = json.loads(price, parse_float=Decimal)
    body = calendar(*(day(night, daily_price=wire_price) for night in (1, 2, 3)), listing_currency=currency)
    assert {str(night.price) for night in mapping.pricing_from_wire(read(body)).nights} == {money}


def test_the_nearest_currency_counts() -> None:
    """A day's own currency comes before the calendar's, the calendar's before the listing's."""
    body = calendar(day(1, currency="GBP"), day(2), day(3, listing_currency="SEK"))
    prices = [night.price for night in mapping.pricing_from_wire(read(body)).nights]
    assert [price.currency for price in prices if price] == ["GBP", "EUR", "SEK"]
    body["calendar"].pop("listing_currency")
    prices = [night.price for night in mapping.pricing_from_wire(read(body)).nights]
    assert [price.currency for price in prices if price] == ["GBP", "USD", "SEK"]


def test_restrictions() -> None:
    """Airbnb's shortest stay is a rule of the day of arrival; what it does not say stays unsaid."""
    rules = {"min_nights": 2, "max_nights": 28, "closed_to_arrival": True, "closed_to_departure": 0}
    page = mapping.pricing_from_wire(read(calendar(day(1, **rules), day(2), day(3, daily_price=None))))
    assert page.nights[0].restrictions == Restrictions(
        2, None, 28, closed_to_arrival=True, closed_to_departure=False
    )
    assert page.nights[1].restrictions == Restrictions()
    assert page.nights[2].price is None


@pytest.mark.parametrize(
    "fields",
    [
        {"daily_price": Decimal("202.005")},
        {"daily_price": -1},
        {"daily_price": True},
        {"daily_price": "1,5"},
        {"daily_price": Decimal("1e40")},
        {"listing_currency": "eur"},
        {"min_nights": "2"},
        {"max_nights": -1},
        {"closed_to_arrival": "no"},
        {"closed_to_departure": 2},
    ],
)
def test_an_unreadable_price_is_not_stated(fields: dict[str, Any]) -> None:
    """A night whose price or rules cannot be read keeps what was known: it is left out and kept as a Problem."""
    page = mapping.pricing_from_wire(read(calendar(day(1), day(2, **fields), day(3))))
    assert [night.night.day for night in page.nights] == [1, 3]
    assert [problem.where for problem in page.problems] == ["2026-05-02"]


@given(st.dictionaries(st.sampled_from([*day(1), "min_nights", "reservation", "busy_subtype"]), hostile))
def test_no_day_opens_by_accident(fields: dict[str, Any]) -> None:
    """Whatever stands in a closed day, no page says that it is open."""
    for name in ("date", "availability"):
        fields.pop(name, None)
    page = one_night(**fields | {"availability": "unavailable"})
    assert all(night.units_open == 0 for night in page.nights)
