"""Reading an Expedia message: its root, one attribute of it as what it should be, and what may be shown of the rest.

Every reader returns None for an attribute that is absent and raises ValueError for one that is something else. The
errors name the attribute, never its value. Guests, cards and credentials are dropped as the body is parsed.
"""

import re
from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from adapters.errors import ChannelError, UnexpectedResponse
from adapters.expedia.retry import error_of
from adapters.model import Money, Problem
from adapters.xml_body import Element, read_xml

# Of an answer, looked at before it is parsed: 125 bookings or a year of one rate take a twentieth of it.
BIGGEST = 32 * 1024 * 1024  # bytes
MOST_TAGS = 400_000

# What no one but the parser sees: of EQC messages, then of the OTA ones.
_DROPPED = (
    "Authentication", "PaymentCard", "CardHolder", "PrimaryGuest", "RewardProgram", "SpecialRequest",
    "PersonName", "ResGuests", "SpecialRequests", "Guarantee", "Profiles", "Comments", "Memberships",
)  # fmt: skip

# Attributes that a Problem may show.
_SHOWN = frozenset(
    {
        "id", "type", "createDateTime", "status", "roomTypeID", "ratePlanID", "arrival", "departure", "adult", "child",
        "currency", "stayDate", "baseRate", "extraPersonFees", "hotelServiceFees", "amountAfterTaxes", "amount", "date",
        "closed", "totalInventoryAvailable", "totalInventorySold", "rate", "occupancy", "minLOS", "maxLOS",
        "closedToArrival", "closedToDeparture", "ID", "CreateDateTime", "TimeStamp", "RoomTypeCode", "RatePlanCode",
        "HotelCode", "Start", "End", "EffectiveDate", "ExpireDate", "AmountBeforeTax", "AmountAfterTax", "CurrencyCode",
    }
)  # fmt: skip
_MOST_SHOWN = 4_000  # characters

Read = TypeVar("Read")

_PLAIN = re.compile("[A-Za-z0-9:.+_-]{0,40}")
_CODE = re.compile("[A-Za-z0-9_.:-]{1,50}")
_NUMBER = re.compile("[0-9]{1,18}")
_CURRENCY = re.compile("[A-Z]{3}")
_DATE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_DECIMAL = re.compile(r"[0-9]{1,13}(\.[0-9]{1,9})?")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_ERROR_CODE = re.compile("[0-9]{1,6}")
_THROTTLED = re.compile(r"throttl|too many|rate[ -]?limit", re.IGNORECASE)


def root_of(body: bytes, names: Collection[str], what: str) -> Element:
    """The root of an answer that is one of these messages. Raises UnexpectedResponse for anything else."""
    if len(body) > BIGGEST or body.count(b"<") > MOST_TAGS:
        raise UnexpectedResponse(f"{what}: {len(body)} bytes are more than any answer has")
    try:
        root = read_xml(body, _DROPPED)
    except ValueError:
        root = None
    if root is None:  # raised here, not above: nothing of the parser's stands behind it
        raise UnexpectedResponse(f"{what}: {len(body)} bytes that are not XML as we read it")
    if local(root) not in names:
        raise UnexpectedResponse(f"{what}: XML, but not the answer")
    return root


def refusal(root: Element, what: str) -> ChannelError | None:
    """The error that an answer tells in place of what was asked, in codes only; None where it tells none."""
    told = children(root, "Error")
    if not told:
        return None
    written = [each.get("code", "").strip() for each in told]
    codes = [int(each) if _ERROR_CODE.fullmatch(each) else 0 for each in written]
    return error_of(codes, what, throttled=any(_THROTTLED.search(each.text or "") for each in told))


def local(element: Element) -> str:
    """The element's name without its namespace, which is a version's."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, name: str) -> list[Element]:
    """The elements of this name directly below."""
    return [child for child in element if local(child) == name]


def child(element: Element | None, *path: str) -> Element | None:
    """The first element at the end of the path, or None."""
    for name in path:
        if element is None:
            return None
        element = next(iter(children(element, name)), None)
    return element


def required_child(element: Element, *path: str) -> Element:
    """As ``child``; raises ValueError naming what is missing."""
    found = child(element, *path)
    if found is None:
        raise ValueError(f"it has no {path[-1]}")
    return found


def text(element: Element | None, name: str) -> str | None:
    """An attribute without the spaces that Expedia's samples have around some."""
    told = None if element is None else element.get(name)
    return None if told is None else told.strip()


def _matching(element: Element | None, name: str, form: re.Pattern[str], kind: str) -> str | None:
    told = text(element, name)
    if told is None or form.fullmatch(told):
        return told
    raise ValueError(f"{name} is not {kind}")


def code(element: Element | None, name: str) -> str | None:
    """An id of at most 50 letters and digits."""
    return _matching(element, name, _CODE, "an id")


def number(element: Element | None, name: str) -> str | None:
    """An id that is a number, as it is written without leading zeros."""
    told = _matching(element, name, _NUMBER, "a number")
    return None if told is None else str(int(told))


def word(element: Element, name: str, known: Collection[str]) -> str:
    """One of the known words. Raises ValueError where it is absent too."""
    told = text(element, name)
    if told is None or told not in known:
        raise ValueError(f"{name} is not a word we know")
    return told


def currency(element: Element | None, name: str) -> str | None:
    """A currency code."""
    return _matching(element, name, _CURRENCY, "an ISO 4217 code")


def day(element: Element | None, name: str) -> date | None:
    """A date; a zone behind it means nothing to a night."""
    told = text(element, name)
    found = None if told is None else _DATE.fullmatch(told)
    if told is None:
        return None
    try:
        return date.fromisoformat(found[1] if found else "")
    except ValueError:
        raise ValueError(f"{name} is not a date") from None


def instant(element: Element | None, name: str) -> datetime | None:
    """A moment in UTC; one without a zone is in UTC, as the documentation says."""
    told = text(element, name)
    if told is None:
        return None
    try:
        moment = datetime.fromisoformat(told)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} is not a time") from None


def amount(element: Element | None, name: str) -> Decimal | None:
    """An amount that is not negative, exactly as its digits say."""
    told = _matching(element, name, _DECIMAL, "an amount")
    return None if told is None else Decimal(told)


def money(element: Element | None, name: str, code_of_currency: str) -> Money | None:
    """An amount in a currency, at most with that currency's digits."""
    told = amount(element, name)
    return None if told is None else Money(told, code_of_currency)


def count(element: Element | None, name: str, most: int = 9_999) -> int | None:
    """A whole number from 0 to ``most``."""
    told = _matching(element, name, _NUMBER, "a count")
    if told is None or int(told) <= most:
        return None if told is None else int(told)
    raise ValueError(f"{name} is more than {most}")


def flag(element: Element | None, name: str) -> bool | None:
    """True or false, in both of XML's spellings."""
    told = text(element, name)
    if told is None or told in _FLAGS:
        return None if told is None else _FLAGS[told]
    raise ValueError(f"{name} is neither true nor false")


def needed(value: Read | None, name: str) -> Read:
    """The value. Raises ValueError where there is none."""
    if value is None:
        raise ValueError(f"it has no {name}")
    return value


def unread(where: str, reason: str, element: Element, *, mended: bool = False) -> Problem:
    """A Problem that shows the attributes of a short list, and of them only plain words, numbers and dates."""
    shown = []
    for each in element.iter():
        for name, value in each.items():
            if name in _SHOWN:
                plain = value if _PLAIN.fullmatch(value) else f"<{len(value)} characters>"
                shown.append(f"{local(each)[:40]}@{name}={plain}")
    return Problem(where, reason, " ".join(shown)[:_MOST_SHOWN], mended)
