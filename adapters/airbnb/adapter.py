"""Airbnb's partner API for homes, read only: listings, calendars with prices, reservations.

What is sure about the wire and what is our reading of it stands in the README beside this file.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

import httpx

from adapters import wire
from adapters.accounts import Listing, Token
from adapters.airbnb import mapping, oauth, reservations
from adapters.base_adapter import Capability, ChannelAdapter, Declaration, Quota, QuotaScope
from adapters.errors import ConfigurationError, UnexpectedResponse
from adapters.model import (
    ONE_DAY,
    AvailabilityPage,
    BookingPage,
    ChannelListing,
    Evidence,
    PricingPage,
    Stay,
    Validators,
)
from adapters.spending import Spend, marked

API_VERSION = "2025.06.30"
LONGEST_CALENDAR = 731  # nights in one call
PAGE_SIZE = 50

_ID = re.compile("[0-9]{1,32}")


class AirbnbAdapter(ChannelAdapter):
    """One host's account, seen through a partner's API key."""

    declaration: ClassVar[Declaration] = Declaration(
        name="airbnb",
        title="Airbnb",
        capabilities=frozenset(
            {
                Capability.LIST_LISTINGS,
                Capability.PULL_AVAILABILITY,
                Capability.PULL_PRICING,
                Capability.PULL_BOOKINGS,
            }
        ),
        evidence=Evidence.EXPLICIT,
        horizon_days=730,
        base_urls={"production": "https://api.airbnb.com"},
        quotas=(
            Quota(2_000, timedelta(seconds=10), QuotaScope.IP),
            # The long windows give way for a while, so that the shortest one alone sets the pace of a pull.
            Quota(20_000, timedelta(minutes=5), QuotaScope.IP, burst=2_000),
            Quota(200_000, timedelta(hours=1), QuotaScope.IP, burst=20_000),
            Quota(4_500_000, timedelta(days=1), QuotaScope.IP, burst=450_000),
        ),
        account_secrets=frozenset({"client_id", "client_secret", "refresh_token"}),
        sends_webhooks=True,
    )

    most_pages: ClassVar[int] = 20_000  # a million reservations: beyond that the paging goes in circles

    _token: Token | None = None

    def verify_credentials(self) -> None:
        """Ask for one listing: it proves key, token and the host's id together, and no token is in its path."""
        query = {"user_id": self._user_id(), "_limit": "1"}
        self._get("listings", query, Spend("listings"), "listings")

    def list_listings(self) -> Iterator[ChannelListing]:
        """Every listing of the host. Raises UnexpectedResponse when one has no id."""
        query = {"user_id": self._user_id(), "_limit": str(PAGE_SIZE)}
        for body, what in self._pages("listings", query):
            for raw in mapping.rows(body, "listings", what):
                yield mapping.listing_from_wire(raw, what)

    def pull_availability(
        self,
        listing: Listing,
        window: Stay,
        validators: Validators,  # noqa: ARG002 - Airbnb's calendar has none
    ) -> Iterator[AvailabilityPage]:
        """One page per 731 nights, each of them stated or, where it cannot be read, kept as a Problem."""
        for calendar in self._calendars(listing, window):
            yield mapping.availability_from_wire(calendar)

    def pull_pricing(self, listing: Listing, window: Stay) -> Iterator[PricingPage]:
        """One page per 731 nights, from the same calendar."""
        for calendar in self._calendars(listing, window):
            yield mapping.pricing_from_wire(calendar)

    def pull_bookings(
        self,
        listings: Iterable[Listing],  # noqa: ARG002 - the wire names listing and currency itself
        changed_from: datetime,
        changed_until: datetime,
    ) -> Iterator[BookingPage]:
        """Bookings by last change. Airbnb cannot be asked by it: every page is read and sifted here."""
        query = {"host_id": self._user_id(), "_limit": str(PAGE_SIZE)}
        for body, what in self._pages("reservations", query):
            page = reservations.bookings_from_wire(body, changed_from, changed_until, what)
            if page.bookings or page.problems:
                yield page

    def _calendars(self, listing: Listing, window: Stay) -> Iterator[mapping.Calendar]:
        """The calendar of ``window`` in parts of at most 731 nights. The end in the path is inclusive."""
        if not _ID.fullmatch(listing.listing_id):
            raise ConfigurationError(f"listing {listing.listing_id!r}: an Airbnb listing id is a number")
        start = window.check_in
        while start < window.check_out:
            part = Stay(start, min(window.check_out, start + LONGEST_CALENDAR * ONE_DAY))
            path = f"calendars/{listing.listing_id}/{part.check_in}/{part.check_out - ONE_DAY}"
            what = f"calendar of listing {listing.listing_id} for {part}"
            body = self._get(path, {}, Spend("calendars", listing_id=listing.listing_id), what)
            yield mapping.calendar_from_wire(
                body, listing.listing_id, part, listing.currency, f"airbnb {what}"
            )
            start = part.check_out

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], str]]:
        """Every page of a list with its name in errors. Raises UnexpectedResponse when the paging does not end."""
        step: dict[str, str] = {}
        seen: set[str] = set()
        for number in range(1, self.most_pages + 1):
            what = f"{path}, page {number}"
            body = self._get(path, {**query, **step}, Spend(path), what)
            step = mapping.next_page(body, f"airbnb {what}")
            if str(step) in seen:
                raise UnexpectedResponse(f"airbnb {what}: it names a page that was already read")
            seen.add(str(step))
            yield body, f"airbnb {what}"
            if not step:
                return
        raise UnexpectedResponse(f"airbnb {path}: more than {self.most_pages} pages")

    def _get(self, path: str, query: Mapping[str, str], spend: Spend, what: str) -> dict[str, Any]:
        """One authenticated GET. A refused token is renewed once; a second refusal is AuthenticationFailed."""
        what = f"airbnb {what}"
        token = self._usable_token()
        response = self._send(path, query, spend, token, what)
        if response.status_code == 401:
            token = self._renewed(token)
            response = self._send(path, query, spend, token, what)
        if not response.is_success:
            raise mapping.error_from_answer(response, what, self.clock)
        return wire.json_object(response, what)

    def _send(
        self, path: str, query: Mapping[str, str], spend: Spend, token: Token, what: str
    ) -> httpx.Response:
        key = self.account.secret("client_id")
        if not oauth.is_header_text(key):
            raise ConfigurationError(
                f"account {self.account.code!r}: client_id is empty or holds spaces or line ends"
            )
        request = self.client.build_request(
            "GET",
            f"{self.account.base_url}/v2/{path}",
            params=dict(query),
            headers={
                "X-Airbnb-API-Key": key,
                "X-Airbnb-OAuth-Token": token.access.reveal(),
                "X-AIRBNB-REQ-API-VERSION": API_VERSION,
            },
        )
        return wire.exchange(self.client, marked(request, spend), what)

    def _usable_token(self) -> Token:
        if self._token is None:
            self._token = self.tokens.load(self.account.code)
        if self._token is None or not oauth.is_fresh(self._token, self.clock()):
            return self._renewed(self._token)
        return self._token

    def _renewed(self, stale: Token | None) -> Token:
        """What replaced ``stale``: fetched here, or by whoever of its holders was first."""

        def fetch(stored: Token | None) -> Token:
            return oauth.renewed_token(self.client, self.account, stored, self.clock)

        self._token = self.tokens.renew(self.account.code, stale, fetch)
        return self._token

    def _user_id(self) -> str:
        user_id = self.account.settings.get("user_id", "")
        if not _ID.fullmatch(user_id):
            raise ConfigurationError(
                f"account {self.account.code!r}: set user_id to the host's numeric Airbnb user id"
            )
        return user_id
