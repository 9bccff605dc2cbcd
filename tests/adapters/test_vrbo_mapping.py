"""Vrbo's reservations, properties, notifications and errors, row by row."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from adapters.errors import (
    Rejected,
    UnexpectedResponse,
)
from adapters.model import MINOR_DIGITS, BookingStatus, Money, Stay
from adapters.vrbo import mapping
from adapters.vrbo.graphql import Answer, Fault

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
PLACE = "321.1.17"


def money(amount: object, currency: str = "EUR") -> dict[str, Any]:
    return {"amount": amount, "currencyCode": currency}


def payment(amount: object, ours: object, **fields: Any) -> dict[str, Any]:
    told = {
        "type": "PAYMENT",
        "paymentStatus": "PAID",
        "amount": money(amount),
        "distributions": [
            {"type": "SUPPLIER_INCOME", "amount": money(ours)},
            {"type": "COMMISSION", "amount": money(1)},
        ],
    }
    return told | fields


def raw(**fields: Any) -> dict[str, Any]:
    """A reservation that is booked, with these fields instead."""
    told = {
        "id": "HA-ABCDEFGH",
        "status": "BOOKED",
        "checkInDate": "2026-05-01",
        "checkOutDate": "2026-05-04",
        "creationDateTime": "2026-02-01T10:00:00Z",
        "lastUpdatedDateTime": "2026-02-01T10:00:00Z",
        "totalGuestCount": 3,
        "vrboAmounts": {"transactions": [payment("311.30", "290.10")]},
        "amounts": None,
    }
    return told | fields


def read(**fields: Any) -> tuple[mapping.Reservation, list[str]]:
    return mapping.reservation_from_wire(raw(**fields), PLACE)


def page(*nodes: object, faults: tuple[Fault, ...] = (), **connection: Any) -> mapping.ReservationPage:
    told = {"edges": [node and {"node": node} for node in nodes], "pageInfo": {"hasNextPage": False}}
    place = {"id": "901", "ids": [{"id": PLACE, "idSource": "VRBO"}], "reservations": told | connection}
    return mapping.reservations_from_wire(Answer({"property": place}, faults), None, "vrbo")


def test_a_reservation_is_a_booking() -> None:
    """Every field that the model has a name for is read, the money to its last digit."""
    reservation, soft = read()
    booking = reservation.booking
    assert booking is not None
    assert (booking.booking_id, booking.listing_id, booking.status) == (
        "HA-ABCDEFGH",
        PLACE,
        BookingStatus.CONFIRMED,
    )
    assert booking.stay == Stay(date(2026, 5, 1), date(2026, 5, 4))
    assert booking.booked_at == booking.revised_at == datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert (booking.guests, booking.units) == (3, 1)
    assert booking.total == Money(Decimal("311.30"), "EUR")
    assert booking.payout == Money(Decimal("290.10"), "EUR")
    assert (reservation.action, soft) == ("BOOKED", [])


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *((word, BookingStatus.CONFIRMED) for word in (
            "BOOKED", "CONFIRMED", "RESERVED", "CREATED", "IN_PROGRESS", "STAY_IN_PROGRESS", "COMPLETE",
            "RAVELER_CANCEL_PENDING_BOOKING",
        )),
        *((word, BookingStatus.CANCELLED) for word in (
            "CANCELLED", "CANCELLED_BY_HOMEAWAY", "CANCELLED_BY_OWNER", "CANCELLED_BY_TRAVELER", "CANCELLED_BY_SYSTEM",
            "DECLINED", "DECLINED_BY_OWNER", "DECLINED_BY_SYSTEM", "DECLINED_BY_TRAVELER_PAY_FAILURE",
        )),
        *((word, None) for word in ("BUILDING", "UNCONFIRMED", "UNCONFIRMED_BY_OWNER", "UNCONFIRMED_BY_TRAVELER")),
    ],
)  # fmt: skip
def test_what_a_status_says_of_the_nights(word: str, status: BookingStatus | None) -> None:
    """A stay that may stand is confirmed, one that ended is cancelled, and a request that nobody accepted is none."""
    booking = read(status=word)[0].booking
    assert (booking and booking.status) == status


@pytest.mark.parametrize("word", ["INVALID", "A_WORD_OF_2031", "booked", "", None, 7, ["BOOKED"]])
def test_a_status_that_does_not_say(word: object) -> None:
    """A word that says neither that a stay stands nor that it ended changes nothing, and is told."""
    found = page(raw(status=word))
    assert not found.reservations
    (problem,) = found.problems
    assert problem.where == "HA-ABCDEFGH"


@pytest.mark.parametrize("word", ["BOOKED", "CANCELLED", "MODIFIED"])
def test_the_word_that_a_confirmation_repeats(word: str) -> None:
    """A first version was booked, a later one modified, one that ended cancelled."""
    fields = {
        "BOOKED": {},
        "MODIFIED": {"lastUpdatedDateTime": "2026-02-02T10:00:00Z"},
        "CANCELLED": {"status": "CANCELLED_BY_OWNER"},
    }
    assert read(**fields[word])[0].action == word


@pytest.mark.parametrize(
    "fields",
    [
        {"id": None},
        {"id": "a b"},
        {"lastUpdatedDateTime": None},
        {"lastUpdatedDateTime": "2026-02-01T10:00:00"},
        {"checkInDate": None},
        {"checkInDate": "2026-05-04"},
        {"checkOutDate": "2026-05-01"},
        {"checkOutDate": "2032-05-01"},
        {"checkOutDate": "20260504"},
        {"status": None},
    ],
    ids=str,
)
def test_what_is_no_booking_is_a_problem(fields: dict[str, Any]) -> None:
    """Without id, status, last change or nights there is no booking; its neighbours are read."""
    found = page(raw(**fields), raw(id="HA-OTHER"))
    assert [each.reservation_id for each in found.reservations] == ["HA-OTHER"]
    assert len(found.problems) == 1


def test_a_cancellation_needs_no_nights() -> None:
    """What ends a booking does not fail for the dates of what ended."""
    reservation, soft = read(status="CANCELLED", checkInDate=None)
    assert reservation.booking is not None
    assert reservation.booking.stay is None
    assert len(soft) == 1


@pytest.mark.parametrize(
    ("amounts", "total", "payout"),
    [
        ({"vrboAmounts": {"transactions": [payment("100", "90"), payment("11.30", "10.05")]}}, "111.30", "100.05"),
        ({"vrboAmounts": {"transactions": [payment("100", "90"), payment("50", "45", paymentStatus="CANCELLED")]}}, "100", "90"),
        ({"vrboAmounts": {"transactions": [payment("100", "90"), payment("50", "45", type="REFUND")]}}, None, None),
        ({"vrboAmounts": {"transactions": []}}, None, None),
        ({"vrboAmounts": None}, None, None),
        (
            {
                "vrboAmounts": None,
                "amounts": {
                    "summary": [
                        {"type": "GUESS_PAYMENT", "amount": money(111.0)},
                        {"type": "PAYOUT", "amount": money("99.99")},
                        {"type": "TAX", "amount": money(7)},
                    ]
                },
            },
            "111",
            "99.99",
        ),
    ],
    ids=["two-payments", "one-called-off", "refunded", "no-payment", "untold", "sold-on-expedia"],
)  # fmt: skip
def test_money(amounts: dict[str, Any], total: str | None, payout: str | None) -> None:
    """The payments of a Vrbo sale together, the summary of an Expedia sale; nothing where money went back."""
    text = wire.json_object(
        httpx.Response(200, content=httpx.Request("POST", "http://x", json=raw(**amounts)).content), "x"
    )
    reservation, soft = mapping.reservation_from_wire(text, PLACE)
    assert reservation.booking is not None
    expected = [amount and Money(Decimal(amount), "EUR") for amount in (total, payout)]
    assert [reservation.booking.total, reservation.booking.payout] == expected
    assert soft == []


@pytest.mark.parametrize(
    "bad",
    [
        money("12.345"),
        money("1e3"),
        money(None),
        money(True),
        money("1", "euro"),
        money("1", "E"),
        {"amount": "1"},
        "1 EUR",
        17,
    ],
    ids=str,
)
def test_money_that_cannot_be_read_costs_no_booking(bad: object) -> None:
    """The booking stands without its money, and a problem says so."""
    found = page(raw(vrboAmounts={"transactions": [payment(1, 1) | {"amount": bad}]}))
    ((reservation,), (problem,)) = found.reservations, found.problems
    assert reservation.booking is not None
    assert reservation.booking.total is reservation.booking.payout is None
    assert problem.where == "HA-ABCDEFGH"


@given(
    st.sampled_from([*MINOR_DIGITS, "EUR", "USD"]),
    st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    st.booleans(),
)
def test_sums_are_exact(currency: str, units: list[int], as_text: bool) -> None:  # noqa: FBT001 - drawn
    """Whatever the currency and however an amount is written, the sum is that of the smallest units."""
    amounts = [Money.from_minor(unit, currency).amount for unit in units]
    rows = [
        payment(0, 0) | {"amount": money(str(amount) if as_text else amount, currency), "distributions": []}
        for amount in amounts
    ]
    reservation, soft = read(vrboAmounts={"transactions": rows})
    assert reservation.booking is not None
    assert reservation.booking.total == Money.from_minor(sum(units), currency)
    assert soft == []


def test_amounts_of_several_currencies_are_no_sum() -> None:
    """Euros and yen are not added."""
    rows = [payment("1", "1"), payment("1", "1") | {"amount": money("1", "JPY")}]
    reservation, soft = read(vrboAmounts={"transactions": rows})
    assert reservation.booking is not None
    assert (reservation.booking.total, soft) == (None, ["amounts of several currencies"])


def nightly(*rows: tuple[str, str, str]) -> dict[str, Any]:
    told = [{"type": kind, "date": night, "amount": money(amount)} for kind, night, amount in rows]
    return {"summary": [], "nightlyPayments": {"dailyAmounts": told}}


def test_nightly_prices() -> None:
    """The base price of each night, where no discount changes it."""
    plain = nightly(("BASE", "2026-05-02", "10"), ("BASE", "2026-05-01", "9.50"), ("TAX", "2026-05-01", "1"))
    booking = read(amounts=plain)[0].booking
    assert booking is not None
    assert booking.nightly == (
        (date(2026, 5, 1), Money(Decimal("9.50"), "EUR")),
        (date(2026, 5, 2), Money(Decimal(10), "EUR")),
    )
    cheaper = nightly(("BASE", "2026-05-01", "10"), ("DISCOUNT", "2026-05-01", "1"))
    reduced = read(amounts=cheaper)[0].booking
    assert reduced is not None
    assert reduced.nightly == ()


# Parts of an answer.


def test_an_error_on_one_reservation_is_a_problem() -> None:
    """What the channel itself cannot give is told with its code; a part that is missing costs only itself."""
    faults = (
        Fault("NOT_FOUND", ("property", "reservations", "edges", 1, "node")),
        Fault("DOWNSTREAM", ("property", "reservations", "edges", 2, "node", "vrboAmounts")),
    )
    found = page(raw(), None, raw(id="HA-2", vrboAmounts=None), faults=faults)
    assert [each.reservation_id for each in found.reservations] == ["HA-ABCDEFGH", "HA-2"]
    assert [problem.reason for problem in found.problems] == [
        "NOT_FOUND",
        "a part of it is missing: DOWNSTREAM",
    ]


@pytest.mark.parametrize(
    ("path", "one"),
    [
        (("property", "reservations", "edges", 0, "node"), True),
        (("property", "reservations", "edges", 0), True),
        (("property", "reservations", "edges"), False),
        (("property", "reservations"), False),
        (("property",), False),
        ((), False),
        (("propertiesByAdvertiser", "elements", 0), False),
    ],
)
def test_what_an_error_costs(path: tuple[object, ...], one: bool) -> None:  # noqa: FBT001 - a row
    """Only an error below a place in the list costs no more than that place."""
    assert mapping.is_of_one_reservation(Fault("NOT_FOUND", path)) is one
    assert not mapping.is_of_one_reservation(Fault("RATE_LIMIT_EXCEEDED", path))


@pytest.mark.parametrize(
    "connection",
    [
        {"edges": None},
        {"edges": {}},
        {"pageInfo": None},
        {"pageInfo": {"hasNextPage": "no"}},
        {"pageInfo": {"hasNextPage": True}},
        {"pageInfo": {"hasNextPage": True, "endCursor": "\ud800"}},
    ],
    ids=range(6),
)
def test_a_page_that_may_not_be_all(connection: dict[str, Any]) -> None:
    """A page that does not say where the next one begins is none."""
    with pytest.raises(UnexpectedResponse):
        page(raw(), **connection)


def test_a_property_that_is_not_there() -> None:
    """No property is the channel's own no."""
    with pytest.raises(Rejected):
        mapping.reservations_from_wire(Answer({"property": None}, ()), None, "vrbo")


def test_properties_that_vrbo_does_not_know() -> None:
    """A property of the partner without an id on Vrbo is not one of Vrbo's listings."""
    known = {
        "id": "901",
        "ids": [{"id": PLACE, "idSource": "VRBO"}],
        "name": "A\nB",
        "currency": "EUR",
        "activeStatus": {"active": False},
    }
    data = {
        "propertiesByAdvertiser": {"elements": [known, {"id": "902", "ids": [], "name": "X"}], "cursor": ""}
    }
    (listing,), cursor = mapping.listings_from_wire(data, "vrbo")
    assert (listing.listing_id, listing.name, listing.currency, listing.active) == (PLACE, "AB", "EUR", False)
    assert cursor is None
