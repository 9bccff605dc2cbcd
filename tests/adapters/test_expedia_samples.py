"""Every official sample of Expedia's messages: read into our words, said by us, or left out for a reason."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from adapters.accounts import Account, Listing
from adapters.errors import UnexpectedResponse
from adapters.expedia import confirmations, fields, messages, updates
from adapters.expedia.notifications import bookings_from_ota
from adapters.expedia.reservations import Houses, transactions
from adapters.expedia.updates import Item
from adapters.model import ONE_DAY, Booking, BookingStatus, Money, Restrictions, Stay
from adapters.parts import RoomId
from adapters.updates import AvailabilityUpdate, PricingUpdate
from adapters.xml_body import Element, written_xml
from channel_sync.sandbox.expedia.updates import Shop, local, read_updates
from tests.adapters.expedia_messages import ACCOUNT, NOW, answers, asked, simulated, violations

THEN = date(2012, 8, 1)  # when the samples were today's
LISTING = Listing("1/1/1", "Europe/Lisbon", "EUR")
READ = ("AvailRateUpdateRQ", "AvailRateUpdateRS", "BookingRetrievalRQ", "BookingRetrievalRS", "BookingConfirmRQ",
        "BookingConfirmRS", "Envelope")  # fmt: skip

# Elements and attributes that our model has no word for: a sample with one of them is read by the simulated channel only.
UNSAID = {
    "PerOccupancy": "a price by the number of guests: our nights have one",
    "PerPerson": "a price for one of two guests: our nights have one for the room",
    "flexibleAllocation": "what is on top of a base allocation: we tell the total",
    "rateChangeIndicator": "prices by the day of arrival",
    "lengthOfStay": "prices by the length of the stay",
}


def samples(folder: Path) -> list[tuple[Path, Element]]:
    """Every sample with its root, comments left out."""
    paths = [path for kind in ("eqc_ar", "eqc_br_bc", "booking_notification")
             for path in sorted((folder / "expedia" / kind).glob("*.xml"))]  # fmt: skip
    if not paths:
        pytest.skip(f"no samples in {folder}")
    parser = etree.XMLParser(remove_comments=True, resolve_entities=False)
    return [(path, etree.fromstring(path.read_bytes(), parser)) for path in paths]


def of(folder: Path, *names: str) -> list[tuple[Path, Element]]:
    """The samples that are one of these messages."""
    return [(path, root) for path, root in samples(folder) if local(root) in names]


def test_no_kind_of_sample_is_left_out(fixtures_dir: Path) -> None:
    """Each sample is of a kind that a test of this file is about."""
    assert set() == {local(root) for _, root in samples(fixtures_dir)} - set(READ)


def shop_of(root: Element) -> Shop:
    """A property that has what the message is about, set up as it needs it."""
    rooms: dict[str, set[str]] = {}
    for room in root.iter("{*}RoomType"):
        rates = {rate.get("id", "").strip() for rate in room.iter("{*}RatePlan")}
        rooms.setdefault(room.get("id", "").strip(), set()).update(rates)
    prices = list(root.iter("{*}Rate"))
    return Shop(
        {room: frozenset(of_room) for room, of_room in rooms.items()},
        "EUR",
        frozenset({"PerDay", "PerOccupancy", "PerPerson"}),
        by_arrival=any(rate.get("rateChangeIndicator") for rate in prices),
        by_length=any(rate.get("lengthOfStay") for rate in prices),
    )


def is_said(root: Element) -> bool:
    """Whether our words are enough for all of the message."""
    told = {local(each) for each in root.iter()} | {name for each in root.iter() for name in each.attrib}
    return not told & UNSAID.keys()


def test_every_update_is_understood_by_the_simulated_channel(fixtures_dir: Path) -> None:
    """Each official AR message is taken, and tells something of each of its rooms."""
    for path, root in of(fixtures_dir, "AvailRateUpdateRQ"):
        found = read_updates(root, shop_of(root), THEN)
        assert found.count > 0, path.name
        assert {room.get("id", "").strip() for room in root.iter("{*}RoomType")} == {
            room for room, _, _ in found.told
        }


def items_of(told: dict[tuple[str, str, date], dict[str, object]]) -> Iterable[Item[PricingUpdate]]:
    """The same as updates of single nights."""
    for (room, rate, night), what in told.items():
        stay = Stay(night, night + ONE_DAY)
        if not rate:
            units = what.get("units")
            whole = updates.Told(units=units, closed=what.get("closed"))  # type: ignore[arg-type]
            yield Item(AvailabilityUpdate(LISTING, stay, 0), (room, ""), whole)  # type: ignore[arg-type]
            continue
        price = what.get("price")
        update = PricingUpdate(
            LISTING,
            stay,
            Money(price, "EUR") if isinstance(price, Decimal) else None,
            Restrictions(
                min_stay_arrival=what.get("minLOS"),  # type: ignore[arg-type]
                max_stay=what.get("maxLOS"),  # type: ignore[arg-type]
                closed_to_arrival=what.get("closedToArrival"),  # type: ignore[arg-type]
                closed_to_departure=what.get("closedToDeparture"),  # type: ignore[arg-type]
                stop_sell=what.get("closed"),  # type: ignore[arg-type]
            ),
        )
        yield Item(update, (room, rate), updates.pricing_told(update, through=False))


def test_every_update_that_we_have_words_for_is_said_by_us(fixtures_dir: Path) -> None:
    """Our own messages of what a sample says mean the same, night by night, and validate."""
    said = [root for _, root in of(fixtures_dir, "AvailRateUpdateRQ") if is_said(root)]
    for root in said:
        expected = read_updates(root, shop_of(root), THEN)
        found: dict[tuple[str, str, date], dict[str, object]] = {}
        for groups in updates.plan(items_of(expected.told)):
            ours = messages.message("AvailRateUpdateRQ", ACCOUNT, "1")
            updates.write(ours, groups)
            assert [] == violations(fixtures_dir, written_xml(ours))
            found |= read_updates(ours, shop_of(root), THEN).told
        assert expected.told == found
    assert said


def test_every_answer_to_an_update_is_read(fixtures_dir: Path) -> None:
    """It ended in success, or in warnings or errors that are told by their codes."""
    for path, root in of(fixtures_dir, "AvailRateUpdateRS"):
        read = fields.root_of(path.read_bytes(), {"AvailRateUpdateRS"}, "sample")
        codes = {each.get("code", "") for each in root.iter("{*}Warning", "{*}Error")}
        error = fields.refusal(read, "sample")
        words = str(error) if error is not None else updates.ending(read, "sample")[1]
        assert all(code in words for code in codes)


def test_every_answer_with_bookings_is_read_without_loss(fixtures_dir: Path) -> None:
    """Each booking of each sample comes with its nights, room, guests, money and time, as the attributes say."""
    for path, root in of(fixtures_dir, "BookingRetrievalRS"):
        read = fields.root_of(path.read_bytes(), {"BookingRetrievalRS"}, "sample")
        found, problems = transactions(read, Houses(()), NOW, "sample")
        assert problems == [], path.name
        told = {(raw.get("id"), raw.get("type")): raw for raw in root.iter("{*}Booking")}
        assert told.keys() == {each.key[:2] for each in found}, path.name
        for each in found:
            assert each.problems == (), path.name
            raw = told[each.key[:2]]
            assert (raw.get("status") in ("pending", "retrieved")) is (each.receipt is not None)
            (booking,) = each.bookings
            at = datetime.fromisoformat(raw.get("createDateTime", ""))
            assert (raw.get("id"), at) == (booking.booking_id, booking.revised_at)
            if raw.get("type") == "Cancel":
                assert booking.status is BookingStatus.CANCELLED
            else:
                same_booking(raw, booking)


def same_booking(raw: Element, booking: Booking) -> None:
    """Compare a booking with the attributes of its element, read in another way."""

    def value(path: str) -> list[str]:
        return [str(each) for each in raw.xpath(path)]

    (hotel,), (room,), (rate,) = (
        value("*[local-name()='Hotel']/@id"), value("*/@roomTypeID"), value("*/@ratePlanID"),
    )  # fmt: skip
    assert f"{hotel}/{room}/{rate}" == booking.listing_id
    assert booking.stay is not None
    assert (value("*/*/@arrival"), value("*/*/@departure")) == (
        [booking.stay.check_in.isoformat()], [booking.stay.check_out.isoformat()],
    )  # fmt: skip
    assert sum(map(int, value("*/*/@adult | */*/@child"))) == booking.guests
    assert len(booking.nightly) == len(booking.stay)
    (total,) = value("*/*/@amountAfterTaxes")
    (currency,) = set(value("*/*[local-name()='Total' or local-name()='PerDayRates']/@currency"))
    assert Money(Decimal(total), currency) in (booking.total, booking.payout)
    prices = value("*/*/*/@baseRate | */*/*/@extraPersonFees | */*/*/@hotelServiceFees")
    assert sum(map(Decimal, prices)) == sum(price.amount for _, price in booking.nightly)


def test_every_request_for_bookings_is_one_that_we_send(fixtures_dir: Path) -> None:
    """Ours are of the samples' kind and validate; the one for a single booking is not used, nothing here asks by id."""
    account = Account("sample", "", {}, ACCOUNT.secrets)
    ours = [
        messages.bookings(account, hotel, status, days)
        for hotel in (None, "3546")
        for status in ("pending", "retrieved", "confirmed")
        for days in (None, 1, 30)
    ]
    for message in ours:
        assert [] == violations(fixtures_dir, written_xml(message))
    said = {(local(each), each.get("value")) for message in ours for each in message.iter()}
    for path, root in of(fixtures_dir, "BookingRetrievalRQ"):
        asked = {(local(each), each.get("value")) for each in root.iter()} - {("Booking", None)}
        assert asked <= said, path.name


def test_every_confirmation_is_said_by_us(fixtures_dir: Path) -> None:
    """The same bookings, types, numbers and times make a message that is equal and validates."""
    for path, root in of(fixtures_dir, "BookingConfirmRQ"):
        numbers = list(root.iter("{*}BookingConfirmNumber"))
        (hotel,) = root.iter("{*}Hotel")
        found = []
        for each in numbers:
            at = datetime.fromisoformat(each.get("confirmTime", ""))
            told = (each.get("bookingID", ""), each.get("bookingType", ""), each.get("confirmNumber", ""))
            ours = messages.confirmations(ACCOUNT, hotel.get("id", ""), [told], at)
            assert [] == violations(fixtures_dir, written_xml(ours))
            found += [dict(number.attrib) for number in ours.iter("{*}BookingConfirmNumber")]
        assert [dict(each.attrib) for each in numbers] == found, path.name


def test_every_answer_to_a_confirmation_is_read(fixtures_dir: Path) -> None:
    """What a warning names was not applied; all else of the message was."""
    for path, root in of(fixtures_dir, "BookingConfirmRS"):
        read = fields.root_of(path.read_bytes(), {"BookingConfirmRS"}, "sample")
        warned = {
            confirmations.Confirmation(
                "3546", each.get("bookingID", ""), each.get("bookingType", "")
            ): each.get("code")
            for each in root.iter("{*}Warning")
        }
        other = confirmations.Confirmation("3546", "1", "Book")
        endings = confirmations.endings(read, [*warned, other], "sample")
        assert "accepted" == endings[other][0]
        for confirmation, code in warned.items():
            assert ("rejected", f"warning {code}") == endings[confirmation], path.name


def test_every_notification_is_read_without_loss(fixtures_dir: Path) -> None:
    """Each SOAP push comes with its nights, room, guests, money and time; the answers to them hold nothing to read."""
    kinds = ("OTA_HotelResNotifRQ", "OTA_HotelResModifyNotifRQ", "OTA_CancelRQ")
    for path, root in of(fixtures_dir, "Envelope"):
        (payload,) = root.iterfind("{*}Body/*")
        if local(payload) not in kinds:
            assert local(payload).endswith("RS") or local(payload) == "Fault", path.name  # we answer none
            with pytest.raises(UnexpectedResponse):
                bookings_from_ota(path.read_bytes(), ())
            continue
        page = bookings_from_ota(path.read_bytes(), ())
        assert (page.problems, page.receipts) == ((), ()), path.name
        (booking,) = page.bookings
        same_notification(payload, booking)
        shown = repr(page)
        secret = [text for each in payload.iter("{*}Surname", "{*}Email") if (text := each.text)]
        secret += [each.get("CardNumber", "") for each in payload.iter("{*}PaymentCard")]
        assert not [each for each in secret if each in shown]


def same_notification(payload: Element, booking: Booking) -> None:
    """Compare a booking with the attributes of its notification."""
    assert booking.booking_id in {
        each.get("ID") for each in payload.iter("{*}UniqueID") if each.get("Type") == "14"
    }
    if local(payload) == "OTA_CancelRQ":
        guests = [each.get("Quantity") for each in payload.iter("{*}AssociatedQuantity")]
        at = datetime.fromisoformat(payload.get("TimeStamp", "")).astimezone(UTC)
        assert (BookingStatus.CANCELLED, at, None) == (booking.status, booking.revised_at, booking.stay)
        assert [str(booking.units), str(booking.guests)] == guests
        return
    (span,) = payload.iter("{*}TimeSpan")
    assert booking.stay is not None
    assert (span.get("Start"), span.get("End")) == tuple(
        map(str, (booking.stay.check_in, booking.stay.check_out))
    )
    (room,), (hotel,) = payload.iter("{*}RoomType"), payload.iter("{*}BasicPropertyInfo")
    rates = {each.get("RatePlanCode") for each in payload.iter("{*}RatePlan")}
    assert f"{hotel.get('HotelCode')}/{room.get('RoomTypeCode')}/{rates.pop()}" == booking.listing_id
    assert sum(int(each.get("Count", "")) for each in payload.iter("{*}GuestCount")) == booking.guests
    (total,) = payload.iter("{*}Total")
    amount = Money(Decimal(total.get("AmountAfterTax", "")), total.get("CurrencyCode", ""))
    assert amount in (booking.total, booking.payout)
    parts = [each.get("AmountBeforeTax", "") for each in payload.iter("{*}Base", "{*}Amount")]
    parts += [each.get("Amount", "") for each in payload.iter("{*}Fee") if each.get("Type") == "Exclusive"]
    assert len(booking.nightly) == len(booking.stay)
    assert sum(map(Decimal, parts)) == sum(price.amount for _, price in booking.nightly)


@pytest.mark.parametrize("name", sorted(answers().keys() - {"bookings"}))
def test_the_simulated_answers_validate(fixtures_dir: Path, name: str) -> None:
    """What the simulated channel answers validates."""
    assert [] == violations(fixtures_dir, answers()[name])


@pytest.mark.parametrize(("hotel", "digits"), [("1780001", 2), ("1780002", 0), ("1780003", 3)])
def test_the_simulated_bookings_validate(fixtures_dir: Path, hotel: str, digits: int) -> None:
    """So do its bookings, but for dinars: the schema has two digits for every currency, and the truth has three."""
    body = asked(simulated(), "br", messages.bookings(ACCOUNT, hotel, "pending", None))
    found = violations(fixtures_dir, body)
    assert b"<Booking " in body
    assert (digits > 2) is bool(found)
    assert all("fractional part" in each or "fraction" in each or "atomic type" in each for each in found)


@pytest.mark.parametrize("name", ["products", "rates_of_a_day", "calendar"])
def test_our_questions_validate(fixtures_dir: Path, name: str) -> None:
    """So does what is asked about products, rates and calendars."""
    stay = Stay(NOW.date(), NOW.date() + 9 * ONE_DAY)
    ours = {
        "products": lambda: messages.products(ACCOUNT, "1"),
        "rates_of_a_day": lambda: messages.rates_of_a_day(ACCOUNT, "1", stay),
        "calendar": lambda: messages.calendar(ACCOUNT, RoomId("1", "2", "3"), stay, {"inventory", "rates"}),
    }
    assert [] == violations(fixtures_dir, written_xml(ours[name]()))
