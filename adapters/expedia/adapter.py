"""Expedia QuickConnect: what is for sale is told and read, bookings are retrieved and confirmed.

One XML message a call, the credentials within it. What is sure about the wire stands in the README beside this file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar

from adapters import wire
from adapters.accounts import Listing
from adapters.base_adapter import Capability, ChannelAdapter, Declaration
from adapters.errors import ConfigurationError, Rejected, Unavailable
from adapters.expedia import calendar, confirmations, fields, messages, pushes, updates
from adapters.expedia.reservations import Houses, confirm_number
from adapters.expedia.retrieval import Retrieval
from adapters.expedia.updates import Group, Item, Told, Update
from adapters.model import (
    ONE_DAY,
    AvailabilityPage,
    BookingPage,
    ChannelListing,
    Evidence,
    PricingPage,
    Receipt,
    Stay,
    Validators,
)
from adapters.parts import RoomId, room_id
from adapters.spending import Spend, marked
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate, Verdict
from adapters.xml_body import Element, written_xml

LONGEST_CALENDAR = 365  # nights of one rate in one answer; of more it gives the first and does not say so

_HOTEL = re.compile("[0-9]{1,9}")
_ID = re.compile("[A-Za-z0-9_.:-]{1,50}")
_SEPARATORS = re.compile("[,; ]+")
_ANSWERS = {
    "AvailRateUpdateRQ": "AvailRateUpdateRS",
    "BookingRetrievalRQ": "BookingRetrievalRS",
    "BookingConfirmRQ": "BookingConfirmRS",
    "ProductAvailRateRetrievalRQ": "ProductAvailRateRetrievalRS",
}


class ExpediaAdapter(ChannelAdapter):
    """One QuickConnect login and the hotels that it may see."""

    declaration: ClassVar[Declaration] = Declaration(
        name="expedia",
        title="Expedia",
        capabilities=frozenset(Capability),
        evidence=Evidence.EXPLICIT,
        horizon_days=731,
        base_urls={"production": "https://services.expediapartnercentral.com"},
        silence=timedelta(seconds=65),  # an update may take its time: 60 s are asked for
        account_secrets=frozenset({"username", "password"}),
        sends_webhooks=True,
        acknowledge_within=timedelta(minutes=30),
        poll_every=timedelta(minutes=1),
        ordered_pushes=True,
        counts_its_own=True,
        acknowledges_newest=True,
    )

    def verify_credentials(self) -> None:
        """Ask for the products of the first hotel: bookings would be moved on by being asked for."""
        self._products(self._hotels()[0])

    def list_listings(self) -> Iterator[ChannelListing]:
        """Every rate of every room of the account's hotels. Raises UnexpectedResponse when one has no id."""
        for hotel in self._hotels():
            products = self._products(hotel)
            today = self.clock().date()
            what = f"rates of hotel {hotel}"
            message = messages.rates_of_a_day(self.account, hotel, Stay(today, today + ONE_DAY))
            rates = self._ask("parr", message, Spend("parr", property_id=hotel), what)
            currencies = calendar.currencies_from_wire(rates, hotel, f"expedia {what}")
            yield from calendar.listings_from_wire(
                products, hotel, currencies, f"expedia products of {hotel}"
            )

    def pull_availability(
        self,
        listing: Listing,
        window: Stay,
        validators: Validators,  # noqa: ARG002 - QuickConnect has none
    ) -> Iterator[AvailabilityPage]:
        """One page per 365 nights, each of them stated or, where it cannot be read, kept as a Problem."""
        for part in self._calendars(listing, window, {"inventory", "roomAvailStatus"}):
            yield calendar.availability_from_wire(part)

    def pull_pricing(self, listing: Listing, window: Stay) -> Iterator[PricingPage]:
        """One page per 365 nights."""
        through = self._through()
        for part in self._calendars(listing, window, {"rateAvailStatus", "restrictions", "rates"}):
            yield calendar.pricing_from_wire(part, through=through)

    def pull_bookings(
        self, listings: Iterable[Listing], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """What waits to be retrieved or confirmed, then what was confirmed in the window, as far as 30 days back."""
        known = tuple(listings)
        hotels = sorted({room_id(listing.listing_id).property_id for listing in known})
        retrieval = Retrieval(self._retrieve, Houses(known), self.clock)
        yield from retrieval.pages(hotels, changed_from, changed_until)

    def acknowledge_bookings(self, receipts: Iterable[Receipt]) -> Iterator[Outcome[Receipt]]:
        """Confirm, ten of one hotel in a message."""
        told, refused = confirmations.sorted_out(receipts)
        yield from refused
        for batch in confirmations.batches(told):
            for confirmation, (verdict, words) in self._confirm(batch):
                for receipt in told[confirmation]:
                    yield Outcome(receipt, verdict, words)

    def push_availability(
        self, updates_: Iterable[AvailabilityUpdate]
    ) -> Iterator[Outcome[AvailabilityUpdate]]:
        """Tell how many units a room has, at all its rates."""
        today = self.clock().date()
        yield from self._push(
            updates_,
            lambda update: updates.availability_refusal(update, today),
            lambda update: updates.availability_told(update.units_open),
        )

    def push_pricing(self, updates_: Iterable[PricingUpdate]) -> Iterator[Outcome[PricingUpdate]]:
        """Tell rates and restrictions."""
        today, through = self.clock().date(), self._through()
        yield from self._push(
            updates_,
            lambda update: updates.pricing_refusal(update, today, through=through),
            lambda update: updates.pricing_told(update, through=through),
        )

    # Pushes.

    def _push(
        self,
        given: Iterable[Update],
        refusal: Callable[[Update], str | None],
        told: Callable[[Update], Told],
    ) -> Iterator[Outcome[Update]]:
        """Hotel by hotel. A message that failed holds back what is behind it at that hotel, not at the others."""
        of_hotel: dict[str, list[Item[Update]]] = {}
        for update in given:
            room = _room(update.listing)
            reason = refusal(update)
            if reason is not None:
                yield Outcome(update, Verdict.REJECTED, reason)
                continue
            tells = told(update)
            item = Item(update, updates.product_of(room, tells), tells)
            of_hotel.setdefault(room.property_id, []).append(item)
        failed: Unavailable | None = None
        for hotel, items in of_hotel.items():
            try:
                yield from pushes.outcomes(items, partial(self._tell, hotel))
            except Unavailable as error:
                if error.retry_after is None:  # nobody answers: that is not this hotel's trouble alone
                    raise
                failed = failed or error
        if failed is not None:
            raise failed

    def _tell(self, hotel: str, groups: Sequence[Group]) -> tuple[Verdict, str]:
        what = f"rates and availability of hotel {hotel}"
        message = messages.message("AvailRateUpdateRQ", self.account, hotel)
        updates.write(message, groups)
        spend = Spend("ar", property_id=hotel, one_at_a_time=f"hotel {hotel}")
        root = self._answer("ar", message, spend, what)
        error = fields.refusal(root, f"expedia {what}")
        if isinstance(error, Rejected):
            return Verdict.REJECTED, _words(error)
        if error is not None:
            raise error
        return updates.ending(root, f"expedia {what}")

    # Bookings.

    def _retrieve(self, status: str, days: int | None, hotel: str | None) -> Element:
        message = messages.bookings(self.account, hotel, status, days)
        return self._ask("br", message, Spend("br", property_id=hotel), f"{status} bookings")

    def _confirm(
        self, batch: Sequence[confirmations.Confirmation]
    ) -> Iterator[tuple[confirmations.Confirmation, confirmations.Ending]]:
        """How each of a message ended. A message that is refused as a whole is told one by one."""
        hotel = batch[0].hotel
        what = f"confirmations of hotel {hotel}"
        numbers = [(each.booking_id, each.kind, confirm_number(each.booking_id)) for each in batch]
        message = messages.confirmations(self.account, hotel, numbers, self.clock())
        root = self._answer("bc", message, Spend("bc", property_id=hotel), what)
        error = fields.refusal(root, f"expedia {what}")
        if isinstance(error, Rejected) and len(batch) > 1:
            for each in batch:
                yield from self._confirm([each])
        elif isinstance(error, Rejected):
            yield batch[0], (Verdict.REJECTED, _words(error))
        elif error is not None:
            raise error
        else:
            yield from confirmations.endings(root, batch, f"expedia {what}").items()

    # What is shown.

    def _calendars(self, listing: Listing, window: Stay, wanted: set[str]) -> Iterator[calendar.Calendar]:
        """The calendar of ``window`` in parts that one answer holds."""
        room = _room(listing)
        start = window.check_in
        while start < window.check_out:
            part = Stay(start, min(window.check_out, start + LONGEST_CALENDAR * ONE_DAY))
            what = f"calendar of listing {listing.listing_id} for {part}"
            message = messages.calendar(self.account, room, part, wanted)
            spend = Spend("parr", property_id=room.property_id, listing_id=listing.listing_id)
            root = self._ask("parr", message, spend, what)
            yield calendar.calendar_from_wire(root, listing, room, part, f"expedia {what}")
            start = part.check_out

    def _products(self, hotel: str) -> Element:
        message = messages.products(self.account, hotel)
        return self._ask("parr", message, Spend("parr", property_id=hotel), f"products of hotel {hotel}")

    # The wire.

    def _ask(self, endpoint: str, message: Element, spend: Spend, what: str) -> Element:
        """The answer to a message, without an error in it."""
        root = self._answer(endpoint, message, spend, what)
        error = fields.refusal(root, f"expedia {what}")
        if error is not None:
            raise error
        return root

    def _answer(self, endpoint: str, message: Element, spend: Spend, what: str) -> Element:
        """The answer to a message, which may tell an error. Each message is a question or says how something is."""
        request = self.client.build_request(
            "POST",
            f"{self.account.base_url}/eqc/{endpoint}",
            content=written_xml(message),
            headers={"Content-Type": "text/xml; charset=utf-8"},
        )
        what = f"expedia {what}"
        response = wire.send(self.client, wire.repeatable(marked(request, spend)), what, self.clock)
        return fields.root_of(response.content, {_ANSWERS[fields.local(message)]}, what)

    def _hotels(self) -> list[str]:
        hotels = [each for each in _SEPARATORS.split(self.account.settings.get("hotel_ids", "")) if each]
        if not hotels or not all(map(_HOTEL.fullmatch, hotels)):
            raise ConfigurationError(
                f"account {self.account.code!r}: set hotel_ids to the numbers of its hotels, with commas between"
            )
        return list(dict.fromkeys(hotels))

    def _through(self) -> bool:
        """Whether the hotels check stays on every night and not on arrival."""
        told = self.account.settings.get("length_of_stay", "arrival")
        if told not in ("arrival", "through"):
            raise ConfigurationError(f"account {self.account.code!r}: length_of_stay is arrival or through")
        return told == "through"


def _words(error: Rejected) -> str:
    """Its codes, without what was asked."""
    return str(error).rpartition(": ")[2]


def _room(listing: Listing) -> RoomId:
    """The listing's hotel, room and rate. Raises ConfigurationError for ids that Expedia does not have."""
    room = room_id(listing.listing_id)
    if _HOTEL.fullmatch(room.property_id) and _ID.fullmatch(room.room_id) and _ID.fullmatch(room.rate_id):
        return room
    raise ConfigurationError(f"listing {listing.listing_id!r}: a hotel's id is a number, then room and rate")
