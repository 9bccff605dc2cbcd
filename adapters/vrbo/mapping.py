"""Vrbo's properties and reservations in the words of the trade: pure functions and tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from adapters import json_fields
from adapters.accounts import Listing
from adapters.errors import UnexpectedResponse
from adapters.model import Booking, BookingStatus, ChannelListing, Money, Problem, Stay
from adapters.reading import required, softly
from adapters.vrbo import fields, graphql
from adapters.vrbo.graphql import Answer, Fault, Path

# What a reservation's status says of its nights. INVALID is not here: it says neither that the stay stands nor that
# it ended, and is told as a problem, like a word that is not known.
_STATUSES: Mapping[str, BookingStatus] = {
    **dict.fromkeys(
        (
            "BOOKED", "CONFIRMED", "RESERVED", "CREATED", "IN_PROGRESS", "STAY_IN_PROGRESS", "COMPLETE",
            "RAVELER_CANCEL_PENDING_BOOKING",  # so spelled: a cancellation that was asked for and not granted
        ),
        BookingStatus.CONFIRMED,
    ),
    **dict.fromkeys(
        (
            "CANCELLED", "CANCELLED_BY_HOMEAWAY", "CANCELLED_BY_OWNER", "CANCELLED_BY_TRAVELER",
            "CANCELLED_BY_SYSTEM", "DECLINED", "DECLINED_BY_OWNER", "DECLINED_BY_SYSTEM",
            "DECLINED_BY_TRAVELER_PAY_FAILURE",
        ),
        BookingStatus.CANCELLED,
    ),
}  # fmt: skip

# Requests that nobody has accepted yet: by name not confirmed.
_REQUESTS = frozenset({"BUILDING", "UNCONFIRMED", "UNCONFIRMED_BY_OWNER", "UNCONFIRMED_BY_TRAVELER"})

_PAID_TO_US = "SUPPLIER_INCOME"
_NOT_PAID = "CANCELLED"
_TOTAL_TYPES = ("GUEST_PAYMENT", "GUESS_PAYMENT")  # the schema's own spelling is the second

_LONGEST_STAY = 1_125  # nights: longer ones are a mistake

_PLACE: Path = ("property", "reservations", "edges")
_RESERVATION_FIELDS = (
    "id", "status", "checkInDate", "checkOutDate", "creationDateTime", "lastUpdatedDateTime", "totalGuestCount",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reservation:
    """One that could be read. ``action`` is Vrbo's word for what its newest version did.

    ``booking`` is None for a request that nobody has accepted yet.
    """

    reservation_id: str
    action: str
    booking: Booking | None


@dataclass(frozen=True, slots=True)
class ReservationPage:
    """One page of a property's reservations. ``property_id`` is Expedia Group's own id; ``cursor`` asks for the next."""

    property_id: str
    reservations: tuple[Reservation, ...]
    problems: tuple[Problem, ...]
    cursor: str | None


def listings_from_wire(data: Mapping[str, Any], what: str) -> tuple[list[ChannelListing], str | None]:
    """One page of an advertiser's properties, and the cursor of the next. Those that Vrbo has no id for are not its."""
    try:
        page = fields.part(data, "propertiesByAdvertiser")
        found = [
            _listing(raw) for raw in fields.rows({"elements": fields.array(page, "elements")}, "elements")
        ]
        return [listing for listing in found if listing is not None], fields.cursor(page, "cursor")
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None


def _listing(raw: Mapping[str, Any]) -> ChannelListing | None:
    listing_id = _vrbo_id(raw)
    if listing_id is None:
        return None
    name, currency = raw.get("name"), raw.get("currency")
    shown = "".join(filter(str.isprintable, name)) if isinstance(name, str) else ""
    return ChannelListing(
        listing_id,
        shown or listing_id,
        currency if isinstance(currency, str) else None,
        fields.part(raw, "activeStatus").get("active") is not False,
    )


def is_of_one_reservation(fault: Fault) -> bool:
    """Whether an error costs no more than one reservation of a page, and says so for good."""
    path = fault.path
    return path[:3] == _PLACE and len(path) > 3 and isinstance(path[3], int) and not graphql.stops(fault.code)


def reservations_from_wire(answer: Answer, listing_id: str | None, what: str) -> ReservationPage:
    """The reservations of one answer. ``listing_id`` is theirs; None: the property tells its own.

    Raises RefusedInside for a property that the channel does not know.
    """
    data = answer.data or {}
    if "property" in data and data["property"] is None:
        raise graphql.RefusedInside(f"{what}: the channel knows no such property")
    try:
        place = fields.part(data, "property")
        property_id = required(json_fields.code(place, "id"), "id")
        listing_id = listing_id or _vrbo_id(place) or property_id
        edges, cursor = _edges(fields.part(place, "reservations"))
    except ValueError as error:
        raise UnexpectedResponse(f"{what}: {error}") from None
    costs = {
        fault.path[3]: fault.code or "an error without a code"
        for fault in answer.faults
        if is_of_one_reservation(fault)
    }
    read: list[Reservation] = []
    problems: list[Problem] = []
    for number, edge in enumerate(edges):
        where, cost = f"reservation {number + 1} of {what}", costs.get(number)
        found, unread = _read(edge.get("node") if isinstance(edge, dict) else None, listing_id, where, cost)
        read += found
        problems += unread
    return ReservationPage(property_id, tuple(read), tuple(problems), cursor)


def _edges(connection: Mapping[str, Any]) -> tuple[list[object], str | None]:
    """The reservations on a page, and where the next one begins."""
    edges, paging = fields.array(connection, "edges"), fields.part(connection, "pageInfo")
    match paging.get("hasNextPage"):
        case False:
            return edges, None
        case True:
            return edges, required(fields.cursor(paging, "endCursor"), "endCursor, though there are more")
    raise ValueError("it does not say whether there are more")


def _read(
    node: object, listing_id: str, where: str, cost: str | None
) -> tuple[list[Reservation], list[Problem]]:
    """What one place of a page holds. ``cost`` is the channel's own error there."""
    if not isinstance(node, dict):
        return [], [json_fields.unread(where, cost or "it is not there", node, _RESERVATION_FIELDS)]
    try:
        reservation, reasons = reservation_from_wire(node, listing_id)
    except ValueError as error:
        return [], [json_fields.unread(_shown_id(node) or where, str(error), node, _RESERVATION_FIELDS)]
    if cost is not None:
        reasons.append(f"a part of it is missing: {cost}")
    where = reservation.reservation_id
    return [reservation], [json_fields.unread(where, reason, node, _RESERVATION_FIELDS) for reason in reasons]


def reservation_from_wire(raw: Mapping[str, Any], listing_id: str) -> tuple[Reservation, list[str]]:
    """A reservation, and what of it could not be read without making it another one: money, guests, its date.

    Raises ValueError where id, status, last change or nights cannot be read.
    """
    reservation_id = required(json_fields.code(raw, "id"), "id")
    word = required(fields.word(raw, "status"), "status")
    revised_at = required(json_fields.instant(raw, "lastUpdatedDateTime"), "lastUpdatedDateTime")
    soft: list[str] = []
    booked_at = softly(partial(json_fields.instant, raw, name="creationDateTime"), soft)
    if word in _REQUESTS:
        return Reservation(reservation_id, "BOOKED", None), soft
    if word not in _STATUSES:
        raise ValueError("status is not a word that says whether the stay stands")
    status = _STATUSES[word]
    if status is BookingStatus.CANCELLED:  # what ends a booking must not fail for the dates of what ended
        stay = softly(partial(_stay, raw), soft)
        action = "CANCELLED"
    else:
        stay = _stay(raw)
        action = "BOOKED" if booked_at in (None, revised_at) else "MODIFIED"
    total, payout = softly(partial(_totals, raw), soft) or (None, None)
    booking = Booking(
        reservation_id,
        listing_id,
        status,
        revised_at,
        stay,
        guests=softly(partial(json_fields.count, raw, name="totalGuestCount"), soft),
        booked_at=booked_at,
        total=total,
        payout=payout,
        nightly=softly(partial(_nightly, raw), soft) or (),
    )
    return Reservation(reservation_id, action, booking), soft


def cancelled_from_wire(data: Mapping[str, Any], listing: Listing) -> Booking | None:
    """The booking as an answer to its cancellation shows it; None where that cannot be read: it is done all the same."""
    payload = data.get("cancelVrboReservation")
    raw = payload.get("reservation") if isinstance(payload, dict) else None
    try:
        return reservation_from_wire(raw, listing.listing_id)[0].booking if isinstance(raw, dict) else None
    except ValueError:
        return None


def _stay(raw: Mapping[str, Any]) -> Stay:
    """``checkOutDate`` is the day of departure, exclusive."""
    start = required(json_fields.day(raw, "checkInDate"), "checkInDate")
    end = required(json_fields.day(raw, "checkOutDate"), "checkOutDate")
    if not start < end:
        raise ValueError("checkInDate and checkOutDate are not a stay")
    stay = Stay(start, end)
    if len(stay) > _LONGEST_STAY:
        raise ValueError(f"{len(stay)} nights are more than {_LONGEST_STAY}")
    return stay


def _totals(raw: Mapping[str, Any]) -> tuple[Money | None, Money | None]:
    """What the guest pays and what the house receives: of a Vrbo sale its payments, of an Expedia sale its summary.

    Neither where money went back: how a refund is signed is not documented.
    """
    transactions = fields.rows(fields.part(raw, "vrboAmounts"), "transactions")
    if transactions:
        if any(row.get("type") != "PAYMENT" for row in transactions):
            return None, None
        paid = [row for row in transactions if row.get("paymentStatus") != _NOT_PAID]
        ours = [
            part
            for row in paid
            for part in fields.rows(row, "distributions")
            if part.get("type") == _PAID_TO_US
        ]
        return _sum(paid), _sum(ours)
    summary = fields.rows(fields.part(raw, "amounts"), "summary")
    return (
        _sum([row for row in summary if row.get("type") in _TOTAL_TYPES]),
        _sum([row for row in summary if row.get("type") == "PAYOUT"]),
    )


def _nightly(raw: Mapping[str, Any]) -> tuple[tuple[Any, Money], ...]:
    """The price of each night, where the wire tells it and no discount changes it."""
    nightly = fields.part(fields.part(raw, "amounts"), "nightlyPayments")
    rows = fields.rows(nightly, "dailyAmounts")
    if any(row.get("type") == "DISCOUNT" for row in rows):
        return ()
    prices: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.get("type") == "BASE":
            prices.setdefault(required(json_fields.day(row, "date"), "date"), []).append(row)
    found = ((night, _sum(parts)) for night, parts in sorted(prices.items()))
    return tuple((night, money) for night, money in found if money is not None)


def _sum(rows: Iterable[Mapping[str, Any]]) -> Money | None:
    """The amounts together; None of nothing. Raises ValueError where their currencies differ."""
    told = [required(fields.money(row, "amount"), "amount") for row in rows]
    if not told:
        return None
    if len({money.currency for money in told}) != 1:
        raise ValueError("amounts of several currencies")
    return Money(sum((money.amount for money in told), Decimal(0)), told[0].currency)


def _vrbo_id(raw: Mapping[str, Any]) -> str | None:
    """A property's id on Vrbo, where it has one."""
    for node in fields.rows(raw, "ids"):
        if node.get("idSource") == "VRBO" and node.get("id") is not None:
            return json_fields.code(node, "id")
    return None


def _shown_id(raw: Mapping[str, Any]) -> str | None:
    try:
        return json_fields.code(raw, "id")
    except ValueError:
        return None
