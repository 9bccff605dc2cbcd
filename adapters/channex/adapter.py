"""Channex's API for property systems: what is sold, what is left, at which rates; revisions of bookings and their ack.

What is sure about the wire and what is our reading of it stands in the README beside this file.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx

from adapters import wire
from adapters.accounts import Listing
from adapters.base_adapter import Capability, ChannelAdapter, Declaration, Quota, QuotaScope
from adapters.channex import bookings, fields, mapping, outcomes, pushes
from adapters.errors import ConfigurationError, UnexpectedResponse
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
from adapters.parts import MappedRooms, RoomId
from adapters.spending import Spend, marked
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate, Verdict

PAGE_SIZE = 100
UNHEARD = timedelta(minutes=30)  # a revision that waits longer is told to people, and may leave the feed

_KEY = re.compile(r"[!-~]{1,256}")
_ID = re.compile("[A-Za-z0-9_-]{1,64}")
_GONE = frozenset({404, 410, 422})  # an acknowledgement that Channex has no revision for


class ChannexAdapter(ChannelAdapter):
    """The properties that one API key opens."""

    declaration: ClassVar[Declaration] = Declaration(
        name="channex",
        title="Channex",
        capabilities=frozenset(Capability),
        evidence=Evidence.EXPLICIT,
        horizon_days=500,
        base_urls={"production": "https://app.channex.io", "staging": "https://staging.channex.io"},
        quotas=(
            Quota(10, timedelta(minutes=1), QuotaScope.PROPERTY, endpoints=frozenset({"push_availability"})),
            Quota(10, timedelta(minutes=1), QuotaScope.PROPERTY, endpoints=frozenset({"push_restrictions"})),
        ),
        pause=timedelta(minutes=1),
        account_secrets=frozenset({"api_key"}),
        sends_webhooks=True,
        acknowledge_within=UNHEARD,
        poll_every=timedelta(minutes=1),
        ordered_pushes=True,
    )

    most_pages: ClassVar[int] = 10_000  # a million of anything: beyond that the paging goes in circles
    most_bytes: ClassVar[int] = 9_500_000  # of one push; Channex takes 10 MB

    def verify_credentials(self) -> None:
        """Ask for one property."""
        query = {"pagination[page]": "1", "pagination[limit]": "1"}
        what = "channex properties"
        mapping.rows(self._get("properties", query, Spend("properties"), what), what)

    # What there is to sell.

    def list_listings(self) -> Iterator[ChannelListing]:
        """Every rate plan of every room type. Raises UnexpectedResponse when one has no id."""
        properties = {
            home.property_id: home
            for found, what in self._pages("properties", {})
            for home in (mapping.property_from_wire(raw, what) for raw in found)
        }
        rooms = dict(
            mapping.room_from_wire(raw, what)
            for found, what in self._pages("room_types", {})
            for raw in found
        )
        for found, what in self._pages("rate_plans", {}):
            for raw in found:
                yield mapping.listing_from_wire(raw, properties, rooms, what)

    def pull_availability(
        self,
        listing: Listing,
        window: Stay,
        validators: Validators,  # noqa: ARG002 - Channex has none
    ) -> Iterator[AvailabilityPage]:
        """One page: how many units the listing's room type has left."""
        room = mapping.room_of(listing)
        what = f"channex availability of listing {listing.listing_id} for {window}"
        body = self._get("availability", _nights(room, window), _spend("availability", room, listing), what)
        yield mapping.availability_from_wire(body, listing.listing_id, room, window, what)

    def pull_pricing(self, listing: Listing, window: Stay) -> Iterator[PricingPage]:
        """One page: the rates and restrictions of the listing's rate plan."""
        room = mapping.room_of(listing)
        what = f"channex property of listing {listing.listing_id}"
        spend = _spend("properties", room, listing)
        home = mapping.property_from_wire(
            self._get(f"properties/{room.property_id}", {}, spend, what).get("data"), what
        )
        what = f"channex restrictions of listing {listing.listing_id} for {window}"
        query = {**_nights(room, window), "filter[restrictions]": ",".join(mapping.RESTRICTIONS)}
        body = self._get("restrictions", query, _spend("restrictions", room, listing), what)
        yield mapping.pricing_from_wire(
            body, listing.listing_id, room, window, listing.currency, home.min_stay, what
        )

    # Bookings.

    def pull_bookings(
        self, listings: Iterable[Listing], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """The feed of revisions that wait for acknowledgement, oldest first; then what an outage may have missed.

        Channex asks that its list of bookings be read after an outage only: that is, here, for a window that begins
        before the time a revision surely stays in the feed.
        """
        rooms, given = MappedRooms(listings), set[str]()
        feed = self._pages("booking_revisions/feed", {"order[inserted_at]": "asc"}, whole=False)
        for found, what in feed:
            page = bookings.bookings_from_wire(found, rooms, given, what)
            if page.bookings or page.problems:
                yield page
        if changed_from >= min(changed_until, self.clock() - UNHEARD):
            return
        query = {
            "order[inserted_at]": "asc",
            "filter[inserted_at][gte]": _moment(changed_from),
            "filter[inserted_at][lte]": _moment(changed_until + timedelta(seconds=1)),
        }
        for found, what in self._pages("bookings", query, whole=False):
            page = bookings.bookings_from_wire(
                found, rooms, given, what, lambda at: changed_from <= at < changed_until
            )
            if page.bookings or page.problems:
                yield page

    def acknowledge_bookings(self, receipts: Iterable[Receipt]) -> Iterator[Outcome[Receipt]]:
        """One call for each revision."""
        for receipt in receipts:
            yield self._acknowledged(receipt)

    def _acknowledged(self, receipt: Receipt) -> Outcome[Receipt]:
        if not _ID.fullmatch(receipt.reference):
            return Outcome(receipt, Verdict.REJECTED, "the receipt names no revision")
        path, what = f"booking_revisions/{receipt.reference}/ack", "channex acknowledgement of a revision"
        response = self._send("POST", path, {}, Spend("booking_revisions_ack"), what)
        if response.status_code in _GONE:
            said = mapping.error_code(response.content)
            return Outcome(receipt, Verdict.REJECTED, said or f"HTTP {response.status_code}")
        mapping.success(self._object(response, what), what)
        return Outcome(receipt, Verdict.ACCEPTED)

    # Pushes.

    def push_availability(
        self, updates: Iterable[AvailabilityUpdate]
    ) -> Iterator[Outcome[AvailabilityUpdate]]:
        """One call for each property, unless it is larger than Channex takes."""
        return self._pushed("availability", updates, pushes.availability_plan)

    def push_pricing(self, updates: Iterable[PricingUpdate]) -> Iterator[Outcome[PricingUpdate]]:
        """One call for each property, unless it is larger than Channex takes."""
        return self._pushed("restrictions", updates, pushes.pricing_plan)

    def _pushed(
        self,
        path: str,
        updates: Iterable[pushes.Update],
        plan_of: Callable[[Sequence[pushes.Update], Callable[[Listing], date]], pushes.Plan[pushes.Update]],
    ) -> Iterator[Outcome[pushes.Update]]:
        of_property: dict[str, list[pushes.Update]] = {}
        for update in updates:
            of_property.setdefault(mapping.room_of(update.listing).property_id, []).append(update)
        for property_id, told in of_property.items():
            yield from self._told(path, property_id, plan_of(told, self._today))

    def _told(
        self, path: str, property_id: str, plan: pushes.Plan[pushes.Update]
    ) -> Iterator[Outcome[pushes.Update]]:
        """The outcomes of one property's updates, each after the last call that tells of it."""
        report = outcomes.Report(plan)
        yield from report.ended()
        for values, content in pushes.bodies(plan.values, self.most_bytes):
            self._tell(path, property_id, values, content, report)
            yield from report.ended()

    def _tell(
        self,
        path: str,
        property_id: str,
        values: Sequence[pushes.Value],
        content: bytes,
        report: outcomes.Report[Any],
        *,
        again: bool = True,
    ) -> None:
        """One call; where Channex refuses it for some of its values, ``again`` without them, once."""
        what = f"channex push of {path} of property {property_id}"
        spend = Spend(f"push_{path}", property_id=property_id, one_at_a_time=f"push/{property_id}")
        response = self._send("POST", path, {}, spend, what, content)
        if response.status_code != 422:
            body = self._object(response, what)
            report.answered(values, mapping.success(body, what), outcomes.task_of(body))
            return
        named = outcomes.refused_values(response.content, len(values)) if again else frozenset()
        refused = named or frozenset(range(len(values)))
        words = mapping.error_code(response.content) or "HTTP 422"
        report.refused([value for place, value in enumerate(values) if place in refused], words)
        left = [value for place, value in enumerate(values) if place not in refused]
        for rest, smaller in pushes.bodies(left, self.most_bytes):
            self._tell(path, property_id, rest, smaller, report, again=False)

    def _today(self, listing: Listing) -> date:
        return self.clock().astimezone(ZoneInfo(listing.time_zone)).date()

    # The wire.

    def _pages(
        self, path: str, query: Mapping[str, str], *, whole: bool = True
    ) -> Iterator[tuple[list[Any], str]]:
        """Every page of a list with its name in errors. Raises UnexpectedResponse when the paging does not end.

        A list that is to be ``whole`` has to reach its total; of a feed, somebody else may acknowledge the rest.
        """
        read, before, spend = 0, list[Any](), Spend(path.replace("/", "_"))
        for number in range(1, self.most_pages + 1):
            what = f"channex {path}, page {number}"
            place = {"pagination[page]": str(number), "pagination[limit]": str(PAGE_SIZE)}
            body = self._get(path, {**query, **place}, spend, what)
            found, total = mapping.rows(body, what), mapping.total(body, what)
            if found and found == before:
                raise UnexpectedResponse(f"{what}: the page before once more")
            read, before = read + len(found), found
            yield found, what
            if read >= total:
                return
            if not found:
                if whole:
                    raise UnexpectedResponse(
                        f"{what}: it is empty, and {total - read} of {total} are missing"
                    )
                return
        raise UnexpectedResponse(f"channex {path}: more than {self.most_pages} pages")

    def _get(self, path: str, query: Mapping[str, str], spend: Spend, what: str) -> dict[str, Any]:
        return self._object(self._send("GET", path, query, spend, what), what)

    def _object(self, response: httpx.Response, what: str) -> dict[str, Any]:
        if not response.is_success:
            raise mapping.error_from_answer(response, what, self.clock)
        return fields.body_of(response.content, what)

    def _send(
        self, method: str, path: str, query: Mapping[str, str], spend: Spend, what: str, content: bytes = b""
    ) -> httpx.Response:
        """One call. Every POST states how something is, and may be sent again."""
        key = self.account.secret("api_key")
        if not _KEY.fullmatch(key):
            raise ConfigurationError(
                f"account {self.account.code!r}: api_key is empty or holds spaces or line ends"
            )
        headers = {"user-api-key": key, "Accept": "application/json"}
        if method == "POST":
            headers["Content-Type"] = "application/json"
        url = f"{self.account.base_url}/api/v1/{path}"
        request = self.client.build_request(
            method, url, params=dict(query), headers=headers, content=content or None
        )
        return wire.exchange(self.client, marked(wire.repeatable(request), spend), what)


def _nights(room: RoomId, window: Stay) -> dict[str, str]:
    """The query for a window's nights. The end is inclusive on the wire."""
    return {
        "filter[property_id]": room.property_id,
        "filter[date][gte]": window.check_in.isoformat(),
        "filter[date][lte]": (window.check_out - ONE_DAY).isoformat(),
    }


def _spend(endpoint: str, room: RoomId, listing: Listing) -> Spend:
    return Spend(endpoint, property_id=room.property_id, listing_id=listing.listing_id)


def _moment(moment: datetime) -> str:
    """As Channex writes its own: UTC without an offset."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds")
