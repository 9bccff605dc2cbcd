"""What is told to Booking.com: valid by the OTA's schemas, one night in a message, and every word answered for."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapters.accounts import Listing
from adapters.booking_com.answers import Result, Trouble
from adapters.booking_com.messages import (
    MOST_MESSAGES,
    Call,
    Door,
    Facts,
    body_of,
    calls_of,
    facts_of,
)
from adapters.booking_com.pushes import pushed
from adapters.booking_com.receipts import OTA, Queue, acknowledgement
from adapters.errors import ConfigurationError
from adapters.model import ONE_DAY, Money, Restrictions, Stay, minor_digits
from adapters.updates import AvailabilityUpdate, PricingUpdate, Verdict
from channel_sync.sandbox.booking_com import inventory

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
LISBON = Listing("8100001/810000101/32100001", "Europe/Lisbon", "EUR")
LISBON_SAVER = Listing("8100001/810000101/32100009", "Europe/Lisbon", "EUR")
TOKYO = Listing("8100002/810000201/32100002", "Asia/Tokyo", "JPY")
APRIL = date(2026, 4, 1)
ALL_RULES = Restrictions(2, 3, 20, closed_to_arrival=True, closed_to_departure=False, stop_sell=True)

# The release of the schemas that is at hand (2010A) and the messages as Booking.com documents them differ in this:
# - the schemas include one another incompletely, so all of them are included here;
# - two of their types are of cars and flights, whose schemas are not there: they are empty here;
# - there is no schema of OTA_HotelResModifyNotifRS: its element is put together here, as the standard has it, from the
#   types that there are.
# No message of ours needs an exception: names, order, types and namespace are the schema's.
_SCHEMAS = (
    "SimpleTypes", "CommonTypes", "CommonPrefs", "Profile", "HotelPreferences", "HotelReservation",
    "HotelContentDescription", "HotelAvailNotifRQ", "HotelRateAmountNotifRQ", "HotelResNotifRS",
)  # fmt: skip
_ADDED = """
<xs:complexType name="VehicleProfileRentalPrefType"/>
<xs:complexType name="AirlinePrefType"/>
<xs:element name="OTA_HotelResModifyNotifRS"><xs:complexType><xs:sequence>
  <xs:element name="Success" type="SuccessType"/>
  <xs:element name="HotelResModifies" type="HotelResModifyType"/>
</xs:sequence><xs:attributeGroup ref="OTA_PayloadStdAttributes"/></xs:complexType></xs:element>
"""


@pytest.fixture
def schema(fixtures_dir: Path) -> etree.XMLSchema:
    """The OTA's schemas as one."""
    folder = fixtures_dir / "ota_xml" / "xsd"
    included = "".join(
        f'<xs:include schemaLocation="{(folder / f"OTA_{name}.xsd").as_uri()}"/>' for name in _SCHEMAS
    )
    document = (
        f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{OTA}" targetNamespace="{OTA}"'
        f' elementFormDefault="qualified">{included}{_ADDED}</xs:schema>'
    )
    return etree.XMLSchema(etree.fromstring(document))


def planned(updates: Sequence[AvailabilityUpdate | PricingUpdate]) -> tuple[Facts, list[Call]]:
    """The messages and the calls that a push of these would be."""
    facts: Facts = {}
    for update in updates:
        facts.update(facts_of(update))
    return facts, list(calls_of(facts))


def nights(first: date, count: int) -> Stay:
    return Stay(first, first + count * ONE_DAY)


def test_what_is_told_is_valid(schema: etree.XMLSchema) -> None:
    """Units, prices in currencies of 2, 0 and 3 digits, and every rule: each call validates, and says all that was meant."""
    kuwait = Listing("8100003/810000301/32100003", "Asia/Kuwait", "KWD")
    updates: list[AvailabilityUpdate | PricingUpdate] = [
        AvailabilityUpdate(LISBON, nights(APRIL, 3), 1),
        *(
            PricingUpdate(listing, nights(APRIL, 2), Money(Decimal(price), listing.currency), ALL_RULES)
            for listing, price in ((LISBON, "120.5"), (TOKYO, "18400"), (kuwait, "42.255"))
        ),
    ]
    facts, calls = planned(updates)
    for call in calls:
        document = etree.fromstring(body_of(call, facts, NOW))
        assert schema.validate(document), schema.error_log
    assert {call.door for call in calls} == set(Door)


@pytest.mark.parametrize("queue", list(Queue), ids=str)
def test_an_acknowledgement_is_valid(schema: etree.XMLSchema, queue: Queue) -> None:
    """One and many reservations, at either queue."""
    for ids in (["3000000001"], ["3000000001", "3000000002", "3000000003"]):
        document = etree.fromstring(acknowledgement(queue, ids, NOW))
        assert schema.validate(document), schema.error_log
        assert [each.get("ResID_Value") for each in document.iter("{*}HotelReservationID")] == ids


def test_a_schema_that_checks(schema: etree.XMLSchema) -> None:
    """A message that the standard does not know is refused: the schema above is not empty."""
    body = acknowledgement(Queue.NEW, ["1"], NOW).replace(b"ResID_Value", b"ResID_Valeu")
    assert not schema.validate(etree.fromstring(body))


def test_a_message_is_about_one_night() -> None:
    """Start and end are the same date, numbered from 1; units name no rate, since all rates share the room."""
    facts, (call,) = planned([AvailabilityUpdate(LISBON, nights(APRIL, 2), 3)])
    root = etree.fromstring(body_of(call, facts, NOW))
    told = [
        (each.get("LocatorID"), each.get("BookingLimit"), dict(each[0].items()))
        for each in root.iter("{*}AvailStatusMessage")
    ]
    assert told == [
        ("1", "3", {"Start": "2026-04-01", "End": "2026-04-01", "InvTypeCode": "810000101"}),
        ("2", "3", {"Start": "2026-04-02", "End": "2026-04-02", "InvTypeCode": "810000101"}),
    ]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (Restrictions(min_stay_arrival=2), 'LengthsOfStay ArrivalDateBased="1"><LengthOfStay Time="2" MinMaxMessageType="SetMinLOS"'),
        (Restrictions(min_stay_through=3), 'LengthsOfStay><LengthOfStay Time="3" MinMaxMessageType="SetMinLOS"'),
        (Restrictions(max_stay=20), 'LengthsOfStay><LengthOfStay Time="20" MinMaxMessageType="SetMaxLOS"'),
        (Restrictions(closed_to_arrival=True), 'RestrictionStatus Status="Close" Restriction="Arrival"'),
        (Restrictions(closed_to_departure=False), 'RestrictionStatus Status="Open" Restriction="Departure"'),
        (Restrictions(stop_sell=True), 'RestrictionStatus Status="Close"/'),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,
)  # fmt: skip
def test_each_rule_has_its_words(rules: Restrictions, said: str) -> None:
    """Every restriction of the model is said in the wire's own way, of the room at its rate."""
    facts, (call,) = planned([PricingUpdate(LISBON, nights(APRIL, 1), restrictions=rules)])
    body = body_of(call, facts, NOW).decode()
    assert said in body
    assert body.count('RatePlanCode="32100001"') == body.count("<AvailStatusMessage ") == 1


def test_calls_are_of_one_hotel_and_one_month() -> None:
    """A push over two hotels and a turn of the month is as many calls as there are of these, and no more."""
    stay = nights(date(2026, 4, 29), 4)
    facts, calls = planned(
        [AvailabilityUpdate(listing, stay, 1) for listing in (LISBON, TOKYO, LISBON_SAVER)]
    )
    assert [(call.property_id, len(call.facts)) for call in calls] == [
        ("8100001", 2), ("8100001", 2), ("8100002", 2), ("8100002", 2)
    ]  # fmt: skip
    for call in calls:
        assert len({(fact.night.year, fact.night.month) for fact in call.facts}) == 1
        assert body_of(call, facts, NOW)


def test_a_call_has_a_limit() -> None:
    """A month of a hotel with very many rooms is told in several calls, each message once."""
    listings = [Listing(f"1/{room}/9", "UTC", "EUR") for room in range(50)]
    facts, calls = planned([AvailabilityUpdate(each, nights(APRIL, 30), 1) for each in listings])
    assert [len(call.facts) for call in calls] == [MOST_MESSAGES, 500]
    assert {fact for call in calls for fact in call.facts} == facts.keys()


def test_an_odd_listing_is_a_mistake_of_the_house() -> None:
    """An id that is not property/room/rate is named, before anything is sent."""
    update = AvailabilityUpdate(Listing("1001", "UTC", "EUR"), nights(APRIL, 1), 1)
    with pytest.raises(ConfigurationError, match="1001"):
        list(pushed([update], no_call))


def no_call(call: Call, facts: Facts) -> Result:
    raise AssertionError(f"called about {call} of {len(facts)}")


@pytest.mark.parametrize(
    "update",
    [
        AvailabilityUpdate(LISBON, nights(APRIL, 1), 255),
        AvailabilityUpdate(LISBON, nights(APRIL, 1), -1),
        PricingUpdate(LISBON, nights(APRIL, 1), Money(Decimal(1), "USD")),
        PricingUpdate(LISBON, nights(APRIL, 1), Money(Decimal(0), "EUR")),
    ],
    ids=["too-many", "fewer-than-none", "currency", "free"],
)
def test_what_the_wire_cannot_say_is_rejected(update: PricingUpdate | AvailabilityUpdate) -> None:
    """It is rejected with a reason, without a call."""
    (outcome,) = pushed([update], no_call)  # type: ignore[type-var]
    assert (outcome.item, outcome.verdict, bool(outcome.words)) == (update, Verdict.REJECTED, True)


def test_nothing_to_tell_is_done() -> None:
    """An update without price and rules is accepted, without a call."""
    (outcome,) = pushed([PricingUpdate(LISBON, nights(APRIL, 5))], no_call)
    assert outcome.verdict is Verdict.ACCEPTED


def trouble(*, refused: bool = True, record: str | None = None, text: str = "") -> Trouble:
    return Trouble(refused, "code 1", record, text)


@pytest.mark.parametrize(
    ("status", "troubles", "verdicts"),
    [
        (200, [], "AAA"),
        (200, [trouble(record="1")], "WAA"),  # of two nights one was refused
        (200, [trouble(record="1"), trouble(record="2")], "RAA"),
        (200, [trouble(record="3"), trouble(record="4", refused=False)], "ARW"),
        (200, [trouble(record="99")], "WWW"),  # it names none of them, so it may be any
        (200, [trouble()], "WWW"),
        (200, [trouble(refused=False)], "WWW"),
        (200, [trouble(text="NOT_A_VALID_DATE 2026-04-01")], "WAA"),
        (200, [trouble(text="2026-04-01 and 2026-04-02 of room 810000101")], "RAA"),
        (400, [trouble()], "RRR"),
        (400, [trouble(record="1")], "RRR"),  # HTTP 400: nothing at all was done
    ],
)  # fmt: skip
def test_what_is_said_is_booked_where_it_belongs(status: int, troubles: list[Trouble], verdicts: str) -> None:
    """By the number of a message, else by the dates it mentions, else under all of them."""
    updates = [
        AvailabilityUpdate(LISBON, nights(APRIL, 2), 1),
        AvailabilityUpdate(LISBON, nights(APRIL + 5 * ONE_DAY, 1), 1),
        AvailabilityUpdate(LISBON, nights(APRIL + 9 * ONE_DAY, 1), 1),
    ]
    outcomes = list(pushed(updates, lambda _call, _facts: Result(status == 200, tuple(troubles))))
    assert [outcome.item for outcome in outcomes] == updates
    assert "".join(outcome.verdict[0].upper() for outcome in outcomes) == verdicts
    assert all(bool(outcome.words) is (outcome.verdict is not Verdict.ACCEPTED) for outcome in outcomes)


def test_an_update_over_two_calls_ends_with_the_second() -> None:
    """Refused in one month and done in the next it is done in part; its outcome comes when all was answered."""
    seen: list[Call] = []

    def tell(call: Call, _facts: Facts) -> Result:
        seen.append(call)
        return Result(len(seen) > 1, (trouble(),) if len(seen) == 1 else ())

    early = AvailabilityUpdate(LISBON, nights(date(2026, 4, 3), 1), 1)
    long = AvailabilityUpdate(LISBON, nights(date(2026, 4, 30), 2), 1)
    outcomes = pushed([long, early], tell)
    assert (next(outcomes).item, len(seen)) == (early, 1)
    assert [(outcome.item, outcome.verdict) for outcome in outcomes] == [(long, Verdict.WARNED)]
    assert len(seen) == 2


UPDATES = st.lists(
    st.builds(
        lambda listing, start, length, units: AvailabilityUpdate(
            listing, nights(APRIL + timedelta(days=start), length), units
        ),
        st.sampled_from([LISBON, TOKYO, LISBON_SAVER]),
        st.integers(0, 40),
        st.integers(1, 12),
        st.integers(0, 3),
    ),
    max_size=8,
)


@given(UPDATES)
def test_the_last_word_on_each_night_is_told(updates: list[AvailabilityUpdate]) -> None:
    """Whatever overlaps whatever: each room and night is told once, with what was said of it last, each update answered."""
    expected = {
        (update.listing.listing_id.split("/")[1], night): update.units_open
        for update in updates
        for night in update.nights
    }
    told: list[tuple[tuple[str, date], int]] = []

    def tell(call: Call, facts: Facts) -> Result:
        root = inventory.read(body_of(call, facts, NOW))
        for item in inventory.items_of_availability(root):
            told.extend(((item.room_id, night), item.told["units"]) for night in item.nights)
        return Result(success=True, troubles=())

    outcomes = list(pushed(updates, tell))
    assert sorted(map(repr, updates)) == sorted(repr(outcome.item) for outcome in outcomes)
    assert len(told) == len(expected)
    assert dict(told) == expected


@given(st.sampled_from(["EUR", "JPY", "KWD"]), st.integers(1, 10**11))
def test_a_price_is_told_to_the_last_digit(currency: str, minor: int) -> None:
    """The smallest units and the number of places give back exactly the price, in every currency."""
    listing = Listing("1/2/3", "UTC", currency)
    price = Money.from_minor(minor, currency)
    facts, (call,) = planned([PricingUpdate(listing, nights(APRIL, 1), price)])
    body = body_of(call, facts, NOW)
    (item,) = inventory.items_of_rates(inventory.read(body))
    assert (item.told["price"], item.currency) == (price.amount, currency)
    assert f'DecimalPlaces="{minor_digits(currency)}"'.encode() in body
