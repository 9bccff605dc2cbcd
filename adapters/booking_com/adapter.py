"""Booking.com's Connectivity: reservations taken and acknowledged in OTA XML, availability and prices told in it.

What is sure about the wire and what is our reading of it stands in the README beside this file.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

import httpx

from adapters import wire
from adapters.accounts import Listing, Token
from adapters.base_adapter import Capability, ChannelAdapter, Declaration, Quota, QuotaScope
from adapters.booking_com import answers, bxml, recovery, tokens
from adapters.booking_com.acknowledging import acknowledged
from adapters.booking_com.messages import Call, Door, Facts, body_of
from adapters.booking_com.paging import pages_of
from adapters.booking_com.pushes import pushed
from adapters.booking_com.receipts import Queue, acknowledgement
from adapters.booking_com.reservations import Reservation, reservations_from_ota
from adapters.errors import ChannelError, ConfigurationError
from adapters.model import (
    ONE_DAY,
    AvailabilityPage,
    BookingPage,
    ChannelListing,
    Evidence,
    Problem,
    Receipt,
    Stay,
    Validators,
)
from adapters.parts import MappedRooms, room_id
from adapters.spending import Spend, marked
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate

API_VERSION = "1.1"
SUPPLY = "https://supply-xml.booking.com"
# The other hosts beside it. Everywhere but at Booking.com itself, all paths are at the account's one address.
RESERVATIONS = "https://secure-supply-xml.booking.com"
TOKENS = "https://connectivity-authentication.booking.com"

_MISSED_AT_ONCE = (
    5  # asked for one by one in one pull: each takes 20 s or more of what the queues are polled with
)
_CLOCK = ZoneInfo("Europe/Amsterdam")  # by which Booking.com counts what is past
_ASKED = {Queue.NEW: "new_reservations", Queue.CHANGED: "changed_reservations"}
_TOLD = {Queue.NEW: "new_acknowledgements", Queue.CHANGED: "changed_acknowledgements"}
_PUSHED = {Door.AVAILABILITY: "availability", Door.RATES: "rates"}


class BookingComAdapter(ChannelAdapter):
    """One machine account with the hotels that are linked to it."""

    declaration: ClassVar[Declaration] = Declaration(
        name="booking_com",
        title="Booking.com",
        capabilities=frozenset(
            {
                Capability.LIST_LISTINGS,
                Capability.PULL_AVAILABILITY,
                Capability.PULL_BOOKINGS,
                Capability.ACKNOWLEDGE_BOOKINGS,
                Capability.PUSH_AVAILABILITY,
                Capability.PUSH_PRICING,
            }
        ),
        evidence=Evidence.EXPLICIT,
        horizon_days=730,
        base_urls={"production": SUPPLY},
        quotas=(
            Quota(30, timedelta(hours=1), QuotaScope.ACCOUNT, burst=3, endpoints=frozenset({"token"})),
            *(
                Quota(1, timedelta(seconds=20), QuotaScope.ACCOUNT, endpoints=frozenset({endpoint}))
                for endpoint in _ASKED.values()
            ),
            # So that five seconds lie between an acknowledgement and the next question, whichever queue they are about.
            Quota(
                1,
                timedelta(seconds=5),
                QuotaScope.ACCOUNT,
                endpoints=frozenset({*_ASKED.values(), *_TOLD.values()}),
            ),
        ),
        account_secrets=frozenset({"client_id", "client_secret"}),
        sends_webhooks=True,
        acknowledges_newest=True,
        acknowledge_within=timedelta(minutes=30),
        poll_every=timedelta(seconds=20),
    )

    _token: Token | None = None

    def verify_credentials(self) -> None:
        """Ask for the rooms: of the calls that need a token it is the one that disturbs nothing."""
        self._rooms()

    def list_listings(self) -> Iterator[ChannelListing]:
        """Every room of every hotel linked to the account, at each of its rates."""
        response, what = self._rooms()
        yield from bxml.listings_from_bxml(response.content, what)

    def pull_availability(
        self,
        listing: Listing,
        window: Stay,
        validators: Validators,  # noqa: ARG002 - Booking.com's inventory has none
    ) -> Iterator[AvailabilityPage]:
        """One page per 31 nights, of the room at whatever rate. Nights before yesterday are told no more: they are in none."""
        room = room_id(listing.listing_id)
        start = max(window.check_in, self.clock().astimezone(_CLOCK).date() - ONE_DAY)
        while start < window.check_out:
            part = Stay(start, min(window.check_out, start + timedelta(days=bxml.LONGEST_INVENTORY)))
            what = f"booking_com inventory of listing {listing.listing_id} for {part}"
            response = self._post(
                f"{self.account.base_url}/hotels/xml/roomrateavailability",
                bxml.inventory_request(room, part),
                Spend("inventory", property_id=room.property_id, listing_id=listing.listing_id),
                what,
            )
            self._must_be_success(response, what)
            yield bxml.inventory_from_bxml(response.content, listing.listing_id, room, part, what)
            start = part.check_out

    def pull_bookings(
        self, listings: Iterable[Listing], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """All that waits in both queues, then what was missed, then, without recovery, what else changed in the window."""
        rooms = MappedRooms(listings)
        recovers = self._recovers()
        given: set[tuple[str, datetime]] = set()
        for queue in Queue:
            yield from pages_of(queue, *self._reservations(queue, {}, rooms), given)
        if recovers:
            yield from self._missed(rooms, given)
        elif changed_from < changed_until:
            for queue in Queue:
                asked = {"last_change": changed_from.strftime("%Y-%m-%d %H:%M:%S")}
                found, problems = self._reservations(queue, asked, rooms)
                changed = [each for each in found if changed_from <= each.revised_at < changed_until]
                for page in pages_of(queue, changed, problems, given):
                    # What waited was given before: this was acknowledged once, or nobody waits for it any more.
                    yield replace(page, receipts=())

    def acknowledge_bookings(self, receipts: Iterable[Receipt]) -> Iterator[Outcome[Receipt]]:
        """Many in one request, each at the queue that it was taken from."""
        return acknowledged(receipts, self._acknowledge)

    def push_availability(
        self, updates: Iterable[AvailabilityUpdate]
    ) -> Iterator[Outcome[AvailabilityUpdate]]:
        """Units of a room, which all its rates share: one call for each hotel and calendar month."""
        return pushed(updates, self._tell)

    def push_pricing(self, updates: Iterable[PricingUpdate]) -> Iterator[Outcome[PricingUpdate]]:
        """Prices in one call for each hotel and calendar month, restrictions in another."""
        return pushed(updates, self._tell)

    def _rooms(self) -> tuple[httpx.Response, str]:
        what = "booking_com rooms and rates"
        url = f"{self.account.base_url}/hotels/xml/roomrates"
        response = self._post(url, bxml.request_of(), Spend("room_rates"), what)
        self._must_be_success(response, what)
        fault = answers.fault_in(answers.message_from(response.content, what), what)
        if fault is not None:
            raise fault
        return response, what

    def _reservations(
        self, queue: Queue, query: Mapping[str, str], rooms: MappedRooms
    ) -> tuple[list[Reservation], list[Problem]]:
        what = f"booking_com {queue} reservations"
        url = f"{self._host(RESERVATIONS)}/hotels/ota/{queue.message}"
        response = self._get(url, query, Spend(_ASKED[queue]), what)
        return reservations_from_ota(response.content, frozenset({f"{queue.message}RQ"}), rooms, what)

    def _missed(self, rooms: MappedRooms, given: set[tuple[str, datetime]]) -> Iterator[BookingPage]:
        """What fell out of the queues: a list of ids, each of which is then asked for in either queue."""
        what = "booking_com missed reservations"
        url = f"{self.account.base_url}{recovery.PATH}"
        response = self._get(url, {"page_size": "50"}, Spend("missed_reservations"), what)
        ids, problems = recovery.missed_from_wire(wire.json_object(response, what), what)
        if problems:
            yield BookingPage((), tuple(problems))
        known = {reservation_id for reservation_id, _ in given}
        left = [each for each in ids if each not in known]
        # Begun elsewhere each minute, so that a few that cannot be read do not stand before all others for ever.
        first = int(self.clock().timestamp() // 60) % max(1, len(left))
        for reservation_id in (left[first:] + left[:first])[:_MISSED_AT_ONCE]:
            for queue in Queue:
                found, unread = self._reservations(queue, {"id": reservation_id}, rooms)
                yield from pages_of(queue, found, unread, given)
                if found or unread:
                    break

    def _acknowledge(self, queue: Queue, ids: Sequence[str]) -> answers.Result:
        """What is said of these. Raises what a call raises."""
        what = f"booking_com acknowledgement of {len(ids)} {queue} reservations"
        url = f"{self._host(RESERVATIONS)}/hotels/ota/{queue.message}"
        response = self._post(url, acknowledgement(queue, ids, self.clock()), Spend(_TOLD[queue]), what)
        if response.is_success:
            return answers.result_from(response.content, f"{queue.message}RS", what)
        said = answers.refusal_from(response.content, what) if response.status_code in (400, 404) else None
        if said is None:
            raise self._error(response, what)
        return said

    def _tell(self, call: Call, facts: Facts) -> answers.Result:
        """What is said of one call's messages. HTTP 400 says that none of them was done."""
        what = f"booking_com {_PUSHED[call.door]} of hotel {call.property_id}"
        response = self._post(
            f"{self.account.base_url}/hotels/ota/{call.door}",
            body_of(call, facts, self.clock()),
            Spend(_PUSHED[call.door], property_id=call.property_id),
            what,
        )
        if response.is_success:
            return replace(
                answers.result_from(response.content, f"{call.door}RS", what), success=True
            )  # some of it was done, or the status were another
        said = answers.refusal_from(response.content, what) if response.status_code == 400 else None
        if said is None:
            raise self._error(response, what)
        return said

    def _get(self, url: str, query: Mapping[str, str], spend: Spend, what: str) -> httpx.Response:
        def request() -> httpx.Request:
            return self.client.build_request("GET", url, params=dict(query))

        response = self._sent(request, spend, what)
        self._must_be_success(response, what)
        return response

    def _post(self, url: str, body: bytes, spend: Spend, what: str) -> httpx.Response:
        """Every POST here asks, acknowledges or says how something is: each may be repeated."""

        def request() -> httpx.Request:
            headers = {"Content-Type": "application/xml", "Accept-Version": API_VERSION}
            return wire.repeatable(self.client.build_request("POST", url, content=body, headers=headers))

        return self._sent(request, spend, what)

    def _sent(self, request: Callable[[], httpx.Request], spend: Spend, what: str) -> httpx.Response:
        """One authenticated call. A refused token is renewed once."""
        token = self._usable_token()
        response = self._once(request(), token, spend, what)
        if response.status_code == 401:
            response = self._once(request(), self._renewed(token), spend, what)
        return response

    def _once(self, request: httpx.Request, token: Token, spend: Spend, what: str) -> httpx.Response:
        request.headers["Authorization"] = f"Bearer {token.access.reveal()}"
        return wire.exchange(self.client, marked(request, spend), what)

    def _must_be_success(self, response: httpx.Response, what: str) -> None:
        if not response.is_success:
            raise self._error(response, what)

    def _error(self, response: httpx.Response, what: str) -> ChannelError:
        return answers.error_from_answer(response, what, self.clock)

    def _usable_token(self) -> Token:
        for name in sorted(self.declaration.account_secrets):
            self.account.secret(name)  # an account that lacks one has no business with a stored token
        if self._token is None:
            self._token = self.tokens.load(self.account.code)
        if self._token is None or not tokens.is_fresh(self._token, self.clock()):
            return self._renewed(self._token)
        return self._token

    def _renewed(self, stale: Token | None) -> Token:
        """What replaced ``stale``: exchanged here, or by whoever of its holders was first."""

        def fetch(_stored: Token | None) -> Token:
            return tokens.exchanged(self.client, self.account, self._host(TOKENS), self.clock)

        self._token = self.tokens.renew(self.account.code, stale, fetch)
        return self._token

    def _host(self, published: str) -> str:
        return published if self.account.base_url == SUPPLY else self.account.base_url

    def _recovers(self) -> bool:
        told = self.account.settings.get("reservation_recovery", "off")
        if told not in ("on", "off"):
            raise ConfigurationError(
                f"account {self.account.code!r}: set reservation_recovery to on, if Booking.com has enabled it, or off"
            )
        return told == "on"
