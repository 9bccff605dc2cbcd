"""The bodies of the simulated QuickConnect: what it answers, in the elements of its schemas."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from lxml import etree

from channel_sync.sandbox.bookings import Booking, nights
from channel_sync.sandbox.exchange import Answer
from channel_sync.sandbox.expedia.hotels import Hotel
from channel_sync.sandbox.expedia.transactions import Transaction, reservation_id
from channel_sync.sandbox.expedia.updates import Element
from channel_sync.sandbox.extranet import Shown
from channel_sync.sandbox.rentals import Listing, terms

XML = "text/xml; charset=utf-8"
CARD = "4111111111111111"
LONGEST_STAY = 28  # nights that can be told of a rule

NAMESPACES = {
    "AvailRateUpdateRS": "http://www.expediaconnect.com/EQC/AR/2007/02",
    "BookingRetrievalRS": "http://www.expediaconnect.com/EQC/BR/2014/01",
    "BookingConfirmRS": "http://www.expediaconnect.com/EQC/BC/2007/08",
    "ProductAvailRateRetrievalRS": "http://www.expediaconnect.com/EQC/PAR/2013/07",
}


def message(name: str) -> Element:
    """An empty message of this name."""
    return etree.Element(f"{{{NAMESPACES[name]}}}{name}", nsmap={None: NAMESPACES[name]})


def under(parent: Element, name: str, /, **attributes: str) -> Element:
    """A new last element below ``parent``."""
    return etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{name}", attributes)


def xml_answer(root: Element, status: int = 200) -> Answer:
    """The message as an answer."""
    return Answer(status, etree.tostring(root, xml_declaration=True, encoding="UTF-8"), XML)


def error_answer(name: str, code: int, words: str, status: int = 200) -> Answer:
    """An error in place of what was asked."""
    root = message(name)
    under(root, "Error", code=str(code)).text = words
    return xml_answer(root, status)


def success_answer(name: str, warnings: Iterable[tuple[int, str, dict[str, str]]] = ()) -> Answer:
    """Success, with warnings: code, words, and what they are about."""
    root = message(name)
    success = under(root, "Success")
    for code, words, about in warnings:
        under(success, "Warning", code=str(code), **about).text = words
    return xml_answer(root)


def bookings_answer(transactions: Sequence[Transaction], listings: dict[str, Listing]) -> Answer:
    """These transactions, in this order."""
    root = message("BookingRetrievalRS")
    holder = under(root, "Bookings")
    for transaction in transactions:
        _booking(holder, transaction, listings[transaction.hotel.world_id])
    return xml_answer(root)


def is_collected_by_hotel(booking: Booking) -> bool:
    """Whether the guest pays at the hotel: every second booking. Of the others Expedia tells the hotel's net amounts."""
    return int(reservation_id(booking.code)) % 2 == 1


def _booking(holder: Element, transaction: Transaction, listing: Listing) -> None:
    booking = transaction.booking
    by_hotel = is_collected_by_hotel(booking)
    raw = under(
        holder,
        "Booking",
        id=reservation_id(booking.code),
        type=transaction.kind,
        createDateTime=_moment(transaction.at),
        source="A-Expedia" if by_hotel else "Expedia",
        status=transaction.status,
    )
    under(raw, "Hotel", id=transaction.hotel.hotel_id)
    cancelled = transaction.kind == "Cancel"
    rate = transaction.hotel.rate_id + ("A" if by_hotel else "")
    room = under(
        raw,
        "RoomStay",
        roomTypeID="0" if cancelled else transaction.hotel.room_id,
        ratePlanID="0" if cancelled else rate,
    )
    under(room, "StayDate", arrival=booking.check_in.isoformat(), departure=booking.check_out.isoformat())
    guests = under(room, "GuestCount", adult=str(min(2, booking.guests)))
    if booking.guests > 2:
        guests.set("child", str(booking.guests - 2))
        for _ in range(booking.guests - 2):
            under(guests, "Child", age="7")
    if cancelled:
        _nothing_to_pay(room, booking)
    else:
        _rates(room, booking, listing, by_hotel=by_hotel)
        card = under(room, "PaymentCard", cardCode="VI", cardNumber=CARD, seriesCode="987", expireDate="0530")
        under(card, "CardHolder", name=f"{booking.guest.first_name} {booking.guest.last_name}", country="PT")
    guest = under(raw, "PrimaryGuest")
    under(guest, "Name", givenName=booking.guest.first_name, surname=booking.guest.last_name)
    if not cancelled:
        under(guest, "Phone", number=booking.guest.phone)
        under(guest, "Email").text = booking.guest.email
        under(raw, "SpecialRequest", code="4").text = f"Late arrival of {booking.guest.last_name}"


def _rates(room: Element, booking: Booking, listing: Listing, *, by_hotel: bool) -> None:
    """What each night costs and all of them: the guest's prices or, of what Expedia collects, the hotel's share."""
    prices = [terms(listing, night).price for night in nights(booking.check_in, booking.check_out)]
    total = booking.total if by_hotel else booking.payout
    if not by_hotel:
        unit = Decimal(1).scaleb(-listing.place.digits)
        prices = [(price * total / booking.total).quantize(unit) for price in prices]
        prices[-1] += total - sum(prices)
    holder = under(room, "PerDayRates", currency=booking.currency)
    for night, price in zip(nights(booking.check_in, booking.check_out), prices, strict=True):
        rate = under(holder, "PerDayRate", stayDate=night.isoformat(), baseRate=str(price))
        if booking.nights >= 7:
            rate.set("promoName", "Stay longer")
    under(room, "Total", amountAfterTaxes=str(total), currency=booking.currency)


def _nothing_to_pay(room: Element, booking: Booking) -> None:
    holder = under(room, "PerDayRates")
    for night in nights(booking.check_in, booking.check_out):
        under(holder, "PerDayRate", stayDate=night.isoformat(), baseRate="0.00")
    under(room, "Total", amountAfterTaxes="0.00", amountOfTaxes="0.00")


def products_answer(hotel: Hotel, listing: Listing) -> Answer:
    """The hotel's one room with its one rate."""
    root = message("ProductAvailRateRetrievalRS")
    holder = under(root, "ProductList")
    place = listing.place
    under(holder, "Hotel", id=hotel.hotel_id, name=place.name, city=place.city)
    room = under(holder, "RoomType", id=hotel.room_id, code="GardenFlat", name="Garden Flat", status="Active")
    under(
        room,
        "RatePlan",
        id=hotel.rate_id,
        code="RoomOnly",
        name="Standard",
        status="Active",
        type="Standalone",
        distributionModel="ExpediaCollect",
        rateAcquisitionType="SellRate",
        pricingModel="PerDayPricing",
    )
    return xml_answer(root)


def calendar_answer(
    hotel: Hotel, currency: str, shown: Iterable[Shown], closed: frozenset[date], wanted: frozenset[str]
) -> Answer:
    """These nights of the hotel's room; ``wanted`` are the filters that are on, ``closed`` nights are shut for the room."""
    root = message("ProductAvailRateRetrievalRS")
    holder = under(root, "AvailRateList")
    under(holder, "Hotel", id=hotel.hotel_id)
    for night in shown:
        on_night = under(holder, "AvailRate", date=night.night.isoformat())
        room = under(on_night, "RoomType", id=hotel.room_id)
        if "roomAvailStatus" in wanted:
            room.set("closed", str(night.night in closed).lower())
        if "inventory" in wanted:
            units = str(night.units)
            sold = str(int(night.booking is not None))
            under(
                room,
                "Inventory",
                flexibleAllocation=units,
                totalInventoryAvailable=units,
                totalInventorySold=sold,
            )
        if wanted & {"rateAvailStatus", "rates", "restrictions"}:
            _rate(room, hotel, currency, night, wanted)
    return xml_answer(root)


def _rate(room: Element, hotel: Hotel, currency: str, night: Shown, wanted: frozenset[str]) -> None:
    rate = under(room, "RatePlan", id=hotel.rate_id)
    if "rateAvailStatus" in wanted:
        rate.set("closed", str(night.stop_sell).lower())
    if "rates" in wanted:
        under(under(rate, "Rate", currency=currency), "PerDay", rate=str(night.price))
    if "restrictions" in wanted:
        under(
            rate,
            "Restrictions",
            minLOS=str(min(LONGEST_STAY, night.min_stay_arrival or 1)),
            maxLOS=str(min(LONGEST_STAY, night.max_stay or LONGEST_STAY)),
            closedToArrival=str(night.closed_to_arrival).lower(),
            closedToDeparture=str(night.closed_to_departure).lower(),
        )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
