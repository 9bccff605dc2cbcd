"""Any iCal feed: GET one URL, and everything closed on it is closed here.

Read-only and without any statement about open nights: what a feed does not mention is merely not mentioned.
"""

from collections.abc import Iterator
from typing import ClassVar

from adapters.accounts import Listing
from adapters.base_adapter import Capability, ChannelAdapter, Declaration
from adapters.calendar_feed.download import FEED_URL, availability_of_feed
from adapters.model import AvailabilityPage, Evidence, Stay, Validators


class ICalAdapter(ChannelAdapter):
    """Reads feeds. An account is a bundle of them; each listing has its own URL, which is the credential."""

    declaration: ClassVar[Declaration] = Declaration(
        name="ical",
        title="iCal feed",
        capabilities=frozenset({Capability.PULL_AVAILABILITY}),
        evidence=Evidence.ABSENCE,
        horizon_days=730,
        listing_secrets=frozenset({FEED_URL}),
    )

    def verify_credentials(self) -> None:
        """Return at once: an account of feeds has no login, and each feed proves itself when it is pulled."""

    def pull_availability(
        self, listing: Listing, window: Stay, validators: Validators
    ) -> Iterator[AvailabilityPage]:
        """One page with the feed's closed nights inside ``window``, or the word that nothing changed."""
        yield availability_of_feed(self.client, listing, window, validators, self.clock)
