"""Expedia's answers and notifications, as a hostile channel may change them."""

from collections.abc import Callable, Iterator

from adapters.expedia import calendar, confirmations, fields, updates
from adapters.expedia.notifications import bookings_from_ota
from adapters.expedia.reservations import transactions
from adapters.model import BookingPage
from adapters.xml_body import Element
from tests.adapters.expedia_messages import HOUSES, LISTING, LISTINGS, NOW, ROOM, WINDOW, answers
from tests.adapters.hostile import Case

WHAT = "expedia"
_BATCH = [confirmations.Confirmation("1780001", "1000000000001", "Book")]

_NOTIFICATION = b"""<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
<OTA_HotelResNotifRQ xmlns="http://www.opentravel.org/OTA/2003/05" TimeStamp="2026-03-09T12:21:00-07:00">
<POS><Source><RequestorID Type="18" ID="A-Expedia"/></Source></POS>
<HotelReservations><HotelReservation CreateDateTime="2026-03-09T12:21:00-07:00"><UniqueID Type="14" ID="13357395"/>
<RoomStays><RoomStay><RoomTypes><RoomType RoomTypeCode="200001001"/></RoomTypes>
<RatePlans><RatePlan RatePlanCode="300001001A"/></RatePlans>
<RoomRates><RoomRate EffectiveDate="2026-03-20" ExpireDate="2026-03-21" NumberOfUnits="1"><Rates><Rate>
<Base AmountBeforeTax="178.64" CurrencyCode="EUR"/><AdditionalGuestAmounts><AdditionalGuestAmount>
<Amount AmountBeforeTax="10.00" CurrencyCode="EUR"/></AdditionalGuestAmount></AdditionalGuestAmounts>
<Fees><Fee Type="Exclusive" Amount="1.50"/></Fees></Rate></Rates></RoomRate></RoomRates>
<GuestCounts><GuestCount AgeQualifyingCode="10" Count="2"/></GuestCounts>
<TimeSpan Start="2026-03-20" End="2026-03-21"/>
<Guarantee><PaymentCard CardNumber="4111111111111111"/></Guarantee>
<Total AmountAfterTax="200.14" CurrencyCode="EUR"/><BasicPropertyInfo HotelCode="1780001"/></RoomStay></RoomStays>
<ResGuests><ResGuest><Surname>Ferreira</Surname></ResGuest></ResGuests>
</HotelReservation></HotelReservations></OTA_HotelResNotifRQ></e:Body></e:Envelope>"""


def cases() -> Iterator[Case]:
    """One of each answer, each with what reads it, and a notification."""
    readers: dict[str, tuple[str, Callable[[Element], object]]] = {
        "products": ("ProductAvailRateRetrievalRS", _products),
        "rates_of_a_day": ("ProductAvailRateRetrievalRS", _currencies),
        "availability": ("ProductAvailRateRetrievalRS", _nights),
        "prices": ("ProductAvailRateRetrievalRS", _prices),
        "bookings": ("BookingRetrievalRS", _bookings),
        "confirmed": ("BookingConfirmRS", _endings),
        "misplaced": ("BookingConfirmRS", _endings),
        "updated": ("AvailRateUpdateRS", _ending),
    }
    bodies = answers()
    yield "refused", bodies["refused"], _refusal
    for kind, (name, read) in readers.items():
        yield kind, bodies[kind], _reader(name, read)
    yield "notification", _NOTIFICATION, lambda body: bookings_from_ota(body, LISTINGS)


def _reader(name: str, read: Callable[[Element], object]) -> Callable[[bytes], object]:
    def whole(body: bytes) -> object:
        root = fields.root_of(body, {name}, WHAT)
        error = fields.refusal(root, WHAT)
        if error is not None:
            raise error
        return read(root)

    return whole


def _refusal(body: bytes) -> object:
    root = fields.root_of(body, {"AvailRateUpdateRS"}, WHAT)
    return fields.refusal(root, WHAT) or updates.ending(root, WHAT)


def _products(root: Element) -> object:
    return calendar.listings_from_wire(root, "1780001", {}, WHAT)


def _currencies(root: Element) -> object:
    return calendar.currencies_from_wire(root, "1780001", WHAT)


def _shown(root: Element) -> calendar.Calendar:
    return calendar.calendar_from_wire(root, LISTING, ROOM, WINDOW, WHAT)


def _nights(root: Element) -> object:
    return calendar.availability_from_wire(_shown(root))


def _prices(root: Element) -> object:
    return calendar.pricing_from_wire(_shown(root), through=False)


def _bookings(root: Element) -> object:
    found, problems = transactions(root, HOUSES, NOW, WHAT)
    return BookingPage(
        tuple(booking for each in found for booking in each.bookings),
        (*problems, *(problem for each in found for problem in each.problems)),
        tuple(each.receipt for each in found if each.receipt),
    )


def _endings(root: Element) -> object:
    return confirmations.endings(root, _BATCH, WHAT)


def _ending(root: Element) -> object:
    return updates.ending(root, WHAT)
