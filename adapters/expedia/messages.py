"""The messages that Expedia is sent, as elements: each validates against its official schema."""

from collections.abc import Iterable
from datetime import datetime

from lxml import etree

from adapters.accounts import Account
from adapters.errors import ConfigurationError
from adapters.model import ONE_DAY, Stay
from adapters.parts import RoomId
from adapters.xml_body import Element

_NAMESPACES = {
    "AvailRateUpdateRQ": "http://www.expediaconnect.com/EQC/AR/2011/06",
    "BookingRetrievalRQ": "http://www.expediaconnect.com/EQC/BR/2014/01",
    "BookingConfirmRQ": "http://www.expediaconnect.com/EQC/BC/2007/09",
    "ProductAvailRateRetrievalRQ": "http://www.expediaconnect.com/EQC/PAR/2013/07",
}
_LENGTHS = {"username": range(4, 31), "password": range(6, 31)}  # of what the schemas allow


def message(name: str, account: Account, hotel: str | None) -> Element:
    """A message of this name with the account's credentials, about one hotel or all that the account may see."""
    root = etree.Element(f"{{{_NAMESPACES[name]}}}{name}", nsmap={None: _NAMESPACES[name]})
    credentials = {secret: account.secret(secret) for secret in _LENGTHS}
    for secret, value in credentials.items():
        if len(value) not in _LENGTHS[secret] or not value.isprintable():
            raise ConfigurationError(
                f"account {account.code!r}: {secret} has {_LENGTHS[secret][0]} to {_LENGTHS[secret][-1]} printable characters"
            )
    under(root, "Authentication", credentials)
    if hotel is not None:
        under(root, "Hotel", {"id": hotel})
    return root


def under(parent: Element, name: str, attributes: dict[str, str] | None = None) -> Element:
    """A new last element below ``parent``, in its namespace."""
    return etree.SubElement(parent, f"{{{etree.QName(parent).namespace}}}{name}", attributes or {})


def bookings(account: Account, hotel: str | None, status: str, days_in_past: int | None) -> Element:
    """Which bookings of this status there are; of the last so many days where that is told."""
    root = message("BookingRetrievalRQ", account, hotel)
    asked = under(root, "ParamSet")
    under(asked, "Status", {"value": status})
    if days_in_past is not None:
        under(asked, "NbDaysInPast").text = str(days_in_past)
    return root


def confirmations(
    account: Account, hotel: str, told: Iterable[tuple[str, str, str]], at: datetime
) -> Element:
    """These are known here: each with its booking's id, its type and our number for it."""
    root = message("BookingConfirmRQ", account, hotel)
    numbers = under(root, "BookingConfirmNumbers")
    for booking_id, kind, confirm_number in told:
        attributes = {
            "bookingType": kind,
            "bookingID": booking_id,
            "confirmNumber": confirm_number,
            "confirmTime": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        under(numbers, "BookingConfirmNumber", attributes)
    return root


def products(account: Account, hotel: str) -> Element:
    """What rooms and rates the hotel has, those that are not sold now too."""
    root = message("ProductAvailRateRetrievalRQ", account, hotel)
    under(under(root, "ParamSet"), "ProductRetrieval", {"productStatus": "All"})
    return root


def rates_of_a_day(account: Account, hotel: str, night: Stay) -> Element:
    """The rates of all that the hotel sells on one night: the only place where a currency is told."""
    root = message("ProductAvailRateRetrievalRQ", account, hotel)
    _nights(root, night, {"rates"})
    return root


def calendar(account: Account, room: RoomId, nights: Stay, wanted: set[str]) -> Element:
    """What is shown of one rate of one room; ``wanted`` are the names of the filters that are on."""
    root = message("ProductAvailRateRetrievalRQ", account, room.property_id)
    of_room = under(_nights(root, nights, wanted), "RoomType", {"id": room.room_id})
    under(of_room, "RatePlan", {"id": room.rate_id})
    return root


_FILTERS = ("inventory", "roomAvailStatus", "rateAvailStatus", "restrictions", "rates")


def _nights(root: Element, nights: Stay, wanted: set[str]) -> Element:
    """The last night is named, not the day after it."""
    span = {"from": nights.check_in.isoformat(), "to": (nights.check_out - ONE_DAY).isoformat()}
    filters = {name: str(name in wanted).lower() for name in _FILTERS}
    return under(under(root, "ParamSet"), "AvailRateRetrieval", {**span, **filters})
