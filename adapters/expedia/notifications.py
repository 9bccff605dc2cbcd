"""Booking notifications, the SOAP push that some partners take in place of retrieval: read into the same words.

Nothing of the project receives them; the README says why. The messages are of OTA 2003/05.
"""

from collections.abc import Iterable
from datetime import date
from functools import partial

from adapters.accounts import Listing
from adapters.errors import UnexpectedResponse
from adapters.expedia import fields
from adapters.expedia.reservations import Houses, of_whom, stay_of
from adapters.model import ONE_DAY, Booking, BookingPage, BookingStatus, Money, Stay
from adapters.parts import RoomStay, parts_of
from adapters.reading import softly
from adapters.xml_body import Element

_EXPEDIA_ID = "14"  # of UniqueID@Type
_HELD = {
    "OTA_HotelResNotifRQ": ("HotelReservations", "HotelReservation"),
    "OTA_HotelResModifyNotifRQ": ("HotelResModifies", "HotelResModify"),
}
_CANCEL = "OTA_CancelRQ"
_MOST_UNITS = 99


def bookings_from_ota(body: bytes, listings: Iterable[Listing]) -> BookingPage:
    """The bookings of one notification. It has no receipts: its answer is what confirms it.

    Raises UnexpectedResponse for anything that is no notification, among it the answers to one.
    """
    what = "expedia booking notification"
    envelope = fields.root_of(body, {"Envelope"}, what)
    payloads = [each for holder in fields.children(envelope, "Body") for each in holder]
    if len(payloads) != 1 or fields.local(payloads[0]) not in (*_HELD, _CANCEL):
        raise UnexpectedResponse(f"{what}: no notification is in it")
    (payload,) = payloads
    houses = Houses(listings)
    if fields.local(payload) == _CANCEL:
        raws = [payload]
    else:
        holder, each = _HELD[fields.local(payload)]
        raws = [raw for held in fields.children(payload, holder) for raw in fields.children(held, each)]
    found: list[Booking] = []
    problems = []
    for raw in raws:
        soft: list[str] = []
        try:
            read = _cancelled(raw) if raw is payload else _confirmed(payload, raw, houses, soft)
            found += read
            problems += [fields.unread(read[0].booking_id, reason, raw, mended=True) for reason in soft]
        except ValueError as error:
            problems.append(fields.unread(what, str(error), raw))
    return BookingPage(tuple(found), tuple(problems))


def _booking_id(raw: Element) -> str:
    for each in fields.children(raw, "UniqueID"):
        if each.get("Type") == _EXPEDIA_ID:
            return fields.needed(fields.number(each, "ID"), "ID")
    raise ValueError("it has no id of Expedia's")


def _cancelled(raw: Element) -> tuple[Booking, ...]:
    """A cancellation names its hotel and nights, and no room."""
    told = fields.required_child(raw, "Verification")
    hotels = [each.text for each in fields.children(told, "Vendor") if each.get("CodeContext") == "HotelCode"]
    hotel = (hotels[0] or "").strip() if hotels else ""
    if not (hotel.isascii() and hotel.isdecimal()):
        raise ValueError("it has no HotelCode")
    quantities: dict[str | None, int | None] = {}
    for each in fields.children(told, "AssociatedQuantity"):
        quantities[each.get("CodeContext")] = softly(partial(fields.count, each, "Quantity"), [])
    booking = Booking(
        _booking_id(raw),
        f"{hotel}/0/0",
        BookingStatus.CANCELLED,
        fields.needed(fields.instant(raw, "TimeStamp"), "TimeStamp"),
        None,  # the nights are told, the room is not: both are those that are known here
        units=quantities.get("Number of rooms") or 1,
        guests=quantities.get("Number of guests"),
    )
    return parts_of(booking, ())


def _confirmed(payload: Element, raw: Element, houses: Houses, soft: list[str]) -> tuple[Booking, ...]:
    at = fields.needed(fields.instant(raw, "CreateDateTime"), "CreateDateTime")
    source = fields.text(fields.child(payload, "POS", "Source", "RequestorID"), "ID")
    held = fields.children(fields.required_child(raw, "RoomStays"), "RoomStay")
    rooms = [room for each in held for room in _rooms(each, houses, soft)]
    if not rooms:
        raise ValueError("it has no RoomStay")
    told = [_amounts(each, source, soft) for each in held]
    total, payout = (_summed(each) for each in zip(*told, strict=True))
    is_new = fields.local(payload) == "OTA_HotelResNotifRQ"
    booking = Booking(
        _booking_id(raw),
        rooms[0].listing_id,
        BookingStatus.CONFIRMED,
        at,
        rooms[0].stay,
        booked_at=at if is_new else None,
        total=total,
        payout=payout,
    )
    return parts_of(booking, rooms)


def _rooms(room: Element, houses: Houses, soft: list[str]) -> list[RoomStay]:
    """One for each of its units. Raises ValueError where hotel, room or nights cannot be read."""
    span = fields.child(room, "TimeSpan")
    stay = stay_of(fields.day(span, "Start"), fields.day(span, "End"))
    hotel = fields.needed(fields.number(fields.child(room, "BasicPropertyInfo"), "HotelCode"), "HotelCode")
    kind = fields.code(fields.child(room, "RoomTypes", "RoomType"), "RoomTypeCode")
    rate = fields.code(fields.child(room, "RatePlans", "RatePlan"), "RatePlanCode")
    listing_id = houses.listing_id(
        hotel, fields.needed(kind, "RoomTypeCode"), fields.needed(rate, "RatePlanCode")
    )
    first = fields.child(room, "RoomRates", "RoomRate")
    units = softly(lambda: fields.count(first, "NumberOfUnits", _MOST_UNITS), soft) or 1
    prices = softly(lambda: _nightly(room, stay), soft) or ()
    total = softly(lambda: _total(room), soft)
    guests = softly(lambda: _guests(room), soft)
    if units > 1:  # what they cost is told of all of them together
        return [RoomStay(listing_id, stay, guests)] * units
    return [RoomStay(listing_id, stay, guests, prices, total)]


def _guests(room: Element) -> int | None:
    holder = fields.child(room, "GuestCounts")
    told = [] if holder is None else [fields.count(each, "Count") for each in holder]
    counted = [each for each in told if each is not None]
    return sum(counted) if counted and len(counted) == len(told) else None


def _nightly(room: Element, stay: Stay) -> tuple[tuple[date, Money], ...]:
    """What each night costs before taxes: the base, further guests, and the fees that are not in it."""
    prices: dict[date, Money] = {}
    holder = fields.child(room, "RoomRates")
    for each in [] if holder is None else fields.children(holder, "RoomRate"):
        price = _price(fields.required_child(each, "Rates", "Rate"))
        first = fields.needed(fields.day(each, "EffectiveDate"), "EffectiveDate")
        after = fields.day(each, "ExpireDate") or first + ONE_DAY
        for night in Stay(first, after) if after <= stay.check_out else ():
            if night not in stay or night in prices:
                raise ValueError("the rates are not those of its nights")
            prices[night] = price
    return tuple(sorted(prices.items()))


def _price(rate: Element) -> Money:
    base = fields.required_child(rate, "Base")
    currency = fields.needed(fields.currency(base, "CurrencyCode"), "CurrencyCode")
    amount = fields.needed(fields.amount(base, "AmountBeforeTax"), "AmountBeforeTax")
    for guest in _below(rate, "AdditionalGuestAmounts", "AdditionalGuestAmount"):
        amount += fields.amount(fields.child(guest, "Amount"), "AmountBeforeTax") or 0
    for fee in _below(rate, "Fees", "Fee"):
        if fields.text(fee, "Type") == "Exclusive":
            amount += fields.amount(fee, "Amount") or 0
    return Money(amount, currency)


def _below(element: Element, holder: str, name: str) -> list[Element]:
    held = fields.child(element, holder)
    return [] if held is None else fields.children(held, name)


def _total(room: Element) -> Money | None:
    told = fields.child(room, "Total")
    currency = fields.needed(fields.currency(told, "CurrencyCode"), "CurrencyCode")
    return fields.money(told, "AmountAfterTax", currency)


def _amounts(room: Element, source: str | None, soft: list[str]) -> tuple[Money | None, Money | None]:
    """What the guest pays and what the house receives, as far as it is told."""
    told = fields.child(room, "BaseRateType")
    total, payout = of_whom(
        softly(lambda: _total(room), []), source, None if told is None else (told.text or "").strip()
    )
    payment = fields.child(room, "Payment")
    if payout is None and fields.text(payment, "model") == "Net":
        currency = softly(lambda: fields.currency(payment, "CurrencyCode"), soft)
        payout = softly(lambda: fields.money(payment, "Amount", currency or ""), soft)
    return total, payout


def _summed(told: Iterable[Money | None]) -> Money | None:
    amounts = list(told)
    known = [each for each in amounts if each is not None]
    if not known or len(known) < len(amounts) or len({each.currency for each in known}) > 1:
        return None
    return Money(sum((each.amount for each in known[1:]), known[0].amount), known[0].currency)
