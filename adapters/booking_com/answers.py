"""What Booking.com says of what it was told: success, warnings and errors inside one answer, whatever its HTTP status."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import httpx

from adapters import wire
from adapters.booking_com.fields import attribute, children, name_of
from adapters.errors import AuthenticationFailed, ChannelError, Rejected, UnexpectedResponse
from adapters.xml_body import Element, read_xml

# Dropped before anybody sees a tree: cards, and whatever names a guest. Nothing here reads them.
UNREAD = frozenset(
    {
        "Guarantee", "GuaranteesAccepted", "PaymentCard", "Profiles", "ResGuests", "Customer", "Comments", "SpecialRequests",
        "Services", "TPA_Extensions", "customer", "guest_name", "remarks", "info", "extra_info", "special_requests",
    }
)  # fmt: skip

_CODE = re.compile("[A-Za-z0-9_-]{1,40}")
_WORD = re.compile(r"\b[A-Z]{2,20}(?:_[A-Z0-9]{1,20}){1,8}\b")
_RECORDS = ("RecordID", "RPH", "LocatorID")
_MOST = 2_000  # troubles of one answer that are looked at


@dataclass(frozen=True, slots=True)
class Trouble:
    """One warning or error. ``refused``: an error, so that what it is about was not done.

    ``words`` are its codes alone; ``record`` is what it names of the request; ``text`` is looked at, never shown.
    """

    refused: bool
    words: str
    record: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """What was said of one request. ``success``: that some of it was done, in so many words."""

    success: bool
    troubles: tuple[Trouble, ...]

    @property
    def words(self) -> str:
        """The codes of all of it, each once."""
        return ", ".join(dict.fromkeys(trouble.words for trouble in self.troubles))[:200] or "no reason given"


def message_from(body: bytes, what: str) -> Element:
    """The message of an answer, out of its SOAP envelope where it has one, without cards and guests.

    Raises UnexpectedResponse for what is not XML.
    """
    try:
        root = read_xml(body, UNREAD)
    except ValueError:
        root = None
    if root is None:
        raise UnexpectedResponse(f"{what}: {len(body)} bytes that are not XML we read")
    if name_of(root) == "Envelope":
        inside = [message for message in children(root, "Body") for message in message]
        if len(inside) != 1:
            raise UnexpectedResponse(f"{what}: an envelope without one message")
        return inside[0]
    return root


def result_from(body: bytes, name: str, what: str) -> Result:
    """What an answer named ``name`` says. Raises UnexpectedResponse for another, and for one that says nothing."""
    message = message_from(body, what)
    if name_of(message) != name:
        raise UnexpectedResponse(f"{what}: not an {name}")
    success = any(True for _ in children(message, "Success"))
    result = Result(success, _troubles(message))
    if not success and not result.troubles:
        raise UnexpectedResponse(f"{what}: neither success nor an error")
    return result


def refusal_from(body: bytes, what: str) -> Result | None:
    """What an answer outside 2xx says, whatever it is named; None where it does not say it in its own words."""
    try:
        troubles = _troubles(message_from(body, what))
    except UnexpectedResponse:
        return None
    return Result(success=False, troubles=troubles) if troubles else None


def error_from_answer(response: httpx.Response, what: str, clock: Callable[[], datetime]) -> ChannelError:
    """The error of an answer outside 2xx, with Booking.com's codes for it."""
    if response.status_code == 403:
        return AuthenticationFailed(
            f"{what}: HTTP 403: the hotel is not linked to this machine account, or the account may not do this"
        )
    said = refusal_from(response.content, what) if 400 <= response.status_code < 500 else None
    return wire.error_from_status(response, f"{what} ({said.words})" if said else what, clock)


def fault_in(message: Element, what: str) -> ChannelError | None:
    """The error that a B.XML answer is, with HTTP 200 too: ``<fault code="..." string="..."/>``."""
    faults = [message] if name_of(message) == "fault" else list(children(message, "fault"))
    if not faults:
        return None
    told = attribute(faults[0], "code") or ""
    if told in ("401", "403"):
        return AuthenticationFailed(f"{what}: fault {told}")
    return Rejected(f"{what}: fault {told if _CODE.fullmatch(told) else 'without a code'}")


def _troubles(message: Element) -> tuple[Trouble, ...]:
    found = [(each, True) for each in children(message, "Errors", "Error")]
    found += [(each, False) for each in children(message, "Warnings", "Warning")]
    return tuple(_trouble(each, refused=refused) for each, refused in found[:_MOST])


def _trouble(element: Element, *, refused: bool) -> Trouble:
    text = f"{element.text or ''} {element.get('ShortText') or ''}"[:1_000]
    told = attribute(element, "Code") or ""
    words = [f"code {told}"] if _CODE.fullmatch(told) else []
    words += dict.fromkeys(_WORD.findall(text))
    record = next((value for name in _RECORDS if (value := attribute(element, name))), None)
    return Trouble(
        refused, " ".join(words) or ("an error" if refused else "a warning") + " without a code", record, text
    )
