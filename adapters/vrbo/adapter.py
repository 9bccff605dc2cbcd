"""Vrbo: its listings, reservations and confirmations by Expedia Group's GraphQL, its calendars by each listing's feed.

What is sure about the wire and what is our reading of it stands in the README beside this file.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import islice
from typing import ClassVar

from adapters.accounts import Listing
from adapters.base_adapter import Capability, ChannelAdapter, Declaration
from adapters.calendar_feed.download import FEED_URL, availability_of_feed
from adapters.errors import ConfigurationError, Rejected, UnexpectedResponse
from adapters.model import (
    AvailabilityPage,
    Booking,
    BookingPage,
    ChannelListing,
    Evidence,
    Problem,
    Receipt,
    Stay,
    Validators,
)
from adapters.updates import Outcome, Verdict
from adapters.vrbo import callbacks, mapping, notifications, operations
from adapters.vrbo.callbacks import CallbackSecret
from adapters.vrbo.graphql import RefusedInside
from adapters.vrbo.mapping import ReservationPage
from adapters.vrbo.notifications import Notice
from adapters.vrbo.supply import PAGE_SIZE, Supply

_ID_SOURCES = ("EXPEDIA", "SUPPLIER", "VRBO")


class VrboAdapter(ChannelAdapter):
    """One partner's account. A listing is a property under its id on Vrbo, with the URL of its calendar as a secret."""

    declaration: ClassVar[Declaration] = Declaration(
        name="vrbo",
        title="Vrbo",
        capabilities=frozenset(
            {
                Capability.LIST_LISTINGS,
                Capability.PULL_AVAILABILITY,
                Capability.PULL_BOOKINGS,
                Capability.ACKNOWLEDGE_BOOKINGS,
            }
        ),
        evidence=Evidence.ABSENCE,
        horizon_days=730,
        base_urls={
            "production": "https://api.expediagroup.com",
            "test": "https://test-api.expediagroup.com",
        },
        silence=timedelta(seconds=65),  # its own limit for an answer
        account_secrets=frozenset({"client_id", "client_secret"}),
        listing_secrets=frozenset({FEED_URL}),
        sends_webhooks=True,
        acknowledge_within=timedelta(minutes=30),
        poll_every=timedelta(minutes=5),
    )

    @cached_property
    def _supply(self) -> Supply:
        return Supply(self.client, self.account, self.tokens, self.clock)

    def verify_credentials(self) -> None:
        """Ask for one property: it proves the credentials and the advertiser's id together."""
        self._supply.properties(self._advertiser_id(), None, "vrbo properties", 1)

    def list_listings(self) -> Iterator[ChannelListing]:
        """Every property of the advertiser that Vrbo has an id for."""
        ask = partial(self._supply.properties, self._advertiser_id())
        for listings in self._supply.pages("properties", ask):
            yield from listings

    def pull_availability(
        self, listing: Listing, window: Stay, validators: Validators
    ) -> Iterator[AvailabilityPage]:
        """One page with the closed nights of the listing's feed, or the word that nothing changed."""
        yield availability_of_feed(self.client, listing, window, validators, self.clock)

    def pull_bookings(
        self, listings: Iterable[Listing], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """What notifications wait to be confirmed of, then each mapped listing's reservations by last change."""
        yield from self._waiting()
        if changed_from < changed_until:
            for listing in listings:
                yield from self._changed(listing.listing_id, changed_from, changed_until)

    def acknowledge_bookings(self, receipts: Iterable[Receipt]) -> Iterator[Outcome[Receipt]]:
        """One confirmation each. A token that Vrbo does not take is REJECTED with its code; a call that fails raises."""
        for receipt in receipts:
            notice = notifications.notice_from_reference(receipt.reference)
            if notice is None:
                yield Outcome(receipt, Verdict.REJECTED, "the reference is not one of Vrbo's")
                continue
            try:
                yield self._confirmed(receipt, notice)
            except RefusedInside as refused:
                yield Outcome(receipt, Verdict.REJECTED, str(refused))

    # Beyond the contract.

    def cancel_reservation(
        self, listing: Listing, reservation_id: str, reason: str, secondary_reason: str | None = None
    ) -> Booking | None:
        """Cancel a guest's stay on Vrbo; the booking as it then stands, where the answer tells it.

        ``reason`` is a word of Vrbo's: DATES_BOOKED_ANOTHER_PLATFORM, EXTENUATING_CIRCUMSTANCE, GUEST_REQUESTED_CANCEL,
        HOUSE_RULES_CONFLICT, PAYMENT_NOT_RECEIVED or PROPERTY_SOLD_OWNERSHIP_CHANGE; only the third one has a secondary
        reason. Raises Rejected where the listing has no such reservation, and OutcomeUnknown where no answer came.
        """
        what = f"vrbo cancellation of reservation {reservation_id}"
        page = self._supply.reservations(
            listing.listing_id, "VRBO", {"ids": [reservation_id]}, what, listing.listing_id
        )
        if reservation_id not in {found.reservation_id for found in page.reservations}:
            raise Rejected(f"{what}: listing {listing.listing_id} has no such reservation")
        told = {"propertyId": page.property_id, "reservationId": reservation_id, "primaryReason": reason}
        if secondary_reason is not None:
            told["secondaryReason"] = secondary_reason
        data = self._supply.data(operations.CANCEL, {"input": told}, what, page.property_id)
        return mapping.cancelled_from_wire(data, listing)

    def create_callback(
        self, callback_url: str, api_key: str, contact_email: str, timeout_s: int = 30
    ) -> CallbackSecret:
        """Tell Vrbo where notifications go. Keep the secret: it is told once."""
        told = {
            "callbackUrl": callback_url,
            "apiKey": api_key,
            "contactEmail": contact_email,
            "requestTimeoutSeconds": timeout_s,
        }
        what = "vrbo callback"
        return callbacks.created_from_wire(
            self._supply.data(operations.CREATE_CALLBACK, {"input": told}, what), what
        )

    def subscribe_callback(self, config_id: str) -> None:
        """Have notifications of reservations sent to a callback."""
        told = {"eventType": notifications.EVENT_TYPE, "callbackConfigId": config_id}
        self._supply.data(operations.SUBSCRIBE, {"input": told}, "vrbo subscription")

    def refresh_callback_secret(self, config_id: str) -> CallbackSecret:
        """A new secret of a callback. The one before it stays good beside it for a while."""
        told = {"callbackConfigId": config_id, "keepExistingSecretActive": True}
        what = "vrbo callback's secret"
        return callbacks.refreshed_from_wire(
            self._supply.data(operations.REFRESH_CALLBACK, {"input": told}, what), what
        )

    # Reservations.

    def _waiting(self) -> Iterator[BookingPage]:
        """The reservations that undelivered notifications tell of, with their receipts."""
        notices: dict[str, dict[str, list[Notice]]] = {}
        for found, unread in self._supply.pages("notifications", self._supply.undelivered):
            if unread:
                yield BookingPage((), tuple(unread))
            for notice in found:
                of_place = notices.setdefault(notice.property_id, {})
                of_place.setdefault(notice.reservation_id, []).append(notice)
        for property_id, of_place in notices.items():
            remaining = iter(of_place.items())
            while part := dict(islice(remaining, PAGE_SIZE)):
                yield self._told_of(property_id, part)

    def _told_of(self, property_id: str, notices: Mapping[str, Sequence[Notice]]) -> BookingPage:
        """Reservations that notifications name. One that is not there, or not to be read, has no receipt."""
        what = f"vrbo reservations of property {property_id}"
        try:
            page = self._supply.reservations(
                property_id, self._notified_source(), {"ids": list(notices)}, what
            )
        except RefusedInside as refused:
            lost = tuple(Problem(each, str(refused), "") for each in notices)
            return BookingPage((), lost)
        bookings, receipts = [], []
        for read in page.reservations:
            if read.booking is not None:
                bookings.append(read.booking)
                receipts += [notice.receipt for notice in notices.get(read.reservation_id, ())]
        named = {read.reservation_id for read in page.reservations}
        named |= {problem.where for problem in page.problems}
        reason = "a notification tells of it, but the channel does not give it"
        absent = tuple(Problem(each, reason, "") for each in notices if each not in named)
        bookings.sort(key=lambda booking: (booking.revised_at, booking.booking_id))
        return BookingPage(tuple(bookings), (*page.problems, *absent), tuple(receipts))

    def _changed(
        self, listing_id: str, changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """A listing's reservations by last change. Whole seconds are asked for, and the edges sifted here."""
        after = changed_until.astimezone(UTC) + timedelta(seconds=1)
        span = {
            "from": f"{changed_from.astimezone(UTC):%Y-%m-%dT%H:%M:%S+00:00}",
            "to": f"{after:%Y-%m-%dT%H:%M:%S+00:00}",
        }

        def read(cursor: str | None, what: str) -> tuple[ReservationPage, str | None]:
            wanted = {"lastUpdatedDateTime": span}
            page = self._supply.reservations(listing_id, "VRBO", wanted, what, listing_id, cursor)
            return page, page.cursor

        for page in self._supply.pages(f"reservations of listing {listing_id}", read):
            bookings = tuple(
                read.booking
                for read in page.reservations
                if read.booking and changed_from <= read.booking.revised_at < changed_until
            )
            if bookings or page.problems:
                yield BookingPage(bookings, page.problems)

    def _confirmed(self, receipt: Receipt, notice: Notice) -> Outcome[Receipt]:
        what = f"vrbo confirmation of reservation {notice.reservation_id}"
        action = notice.action
        if action is None:
            source = self._notified_source()
            page = self._supply.reservations(
                notice.property_id, source, {"ids": [notice.reservation_id]}, what
            )
            known = {read.reservation_id: read.action for read in page.reservations}
            action = known.get(notice.reservation_id)
        if action is None:
            return Outcome(receipt, Verdict.UNKNOWN, "what the notification tells of cannot be read any more")
        told = {
            "propertyId": notice.property_id,
            "reservationId": notice.reservation_id,
            "confirmationToken": notice.token,
            "actionType": action,
            "confirmationCode": notice.reservation_id,  # ours is the channel's own id
        }
        data = self._supply.data(operations.CONFIRM, {"input": told}, what, notice.property_id)
        if not isinstance(data.get("confirmReservationNotification"), dict):
            raise UnexpectedResponse(f"{what}: the answer does not say that it was taken")
        return Outcome(receipt, Verdict.ACCEPTED)

    def _notified_source(self) -> str:
        """Whose ids of properties stand in notifications."""
        source = self.account.settings.get("notification_id_source", "EXPEDIA")
        if source not in _ID_SOURCES:
            raise ConfigurationError(
                f"account {self.account.code!r}: notification_id_source is one of {', '.join(_ID_SOURCES)}"
            )
        return source

    def _advertiser_id(self) -> str:
        advertiser_id = self.account.settings.get("advertiser_id", "")
        if not advertiser_id.strip():
            raise ConfigurationError(
                f"account {self.account.code!r}: set advertiser_id to the partner's id on Vrbo"
            )
        return advertiser_id
