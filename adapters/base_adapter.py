"""The contract every channel signs: what it can do, declared as data, and the verbs that do it.

An adapter knows its channel's wire and nothing else: no Dagster, no database, no settings, no clock of its own.
It is handed an ``httpx.Client`` (already bounded, rate-limited and guarded), one account's credentials, a place
where tokens are shared, and a clock. What the house does with the answers is not its business.

An author of a channel writes ``declaration`` and the verbs it declares. A verb that is not declared refuses
with Unsupported before any I/O; it must not be overridden. The contract suite proves both.
"""

from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, NoReturn

import httpx

from adapters.accounts import Account, Listing, TokenStore
from adapters.errors import Unsupported
from adapters.model import (
    AvailabilityPage,
    BookingPage,
    ChannelListing,
    Evidence,
    PricingPage,
    Receipt,
    Stay,
    Validators,
)
from adapters.updates import AvailabilityUpdate, Outcome, PricingUpdate


class Capability(StrEnum):
    """A verb that a channel can have."""

    LIST_LISTINGS = "list_listings"
    PULL_AVAILABILITY = "pull_availability"
    PULL_PRICING = "pull_pricing"
    PULL_BOOKINGS = "pull_bookings"
    ACKNOWLEDGE_BOOKINGS = "acknowledge_bookings"
    PUSH_AVAILABILITY = "push_availability"
    PUSH_PRICING = "push_pricing"


class QuotaScope(StrEnum):
    """What a channel counts calls by."""

    IP = "ip"
    ACCOUNT = "account"
    PROPERTY = "property"
    LISTING = "listing"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class Quota:
    """At most ``limit`` calls in any sliding ``window``, counted per ``scope``.

    With ``endpoints`` only calls of these count, together; without, all do. ``burst`` is how many we let go at once
    after a pause: that is our choice, not the channel's, and each one beyond the first takes 1 / ``limit`` off the
    pace that can be kept up. Calls that cost more than 1 need a burst of at least their cost.
    """

    limit: int
    window: timedelta
    scope: QuotaScope
    burst: int = 1
    endpoints: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a channel is and can do, as data. README tables, partitions and tests are built from it."""

    name: str  # the channel's key in the factory and in every table: "airbnb"
    title: str  # as people write it: "Airbnb"
    capabilities: frozenset[Capability]
    evidence: Evidence  # what its availability answers say about nights they do not mention
    horizon_days: int  # how far ahead of today its calendar reaches
    base_urls: Mapping[str, str] = field(
        default_factory=dict
    )  # by environment: {"production": "https://..."}
    quotas: tuple[Quota, ...] = ()
    pause: timedelta = timedelta(seconds=10)  # after a 429 that does not say for how long
    silence: timedelta = timedelta(seconds=30)  # for which it may say nothing before a call is given up
    account_secrets: frozenset[str] = frozenset()  # names of secrets every account must have
    listing_secrets: frozenset[str] = frozenset()  # names of secrets every listing must have
    sends_webhooks: bool = False
    acknowledge_within: timedelta | None = None  # None: no acknowledgement is asked for
    poll_every: timedelta | None = (
        None  # how often it wants to be asked for bookings; None: as often as we like
    )
    ordered_pushes: bool = False  # pushes to one property must arrive in order
    most_updates: int | None = None  # in one push; None: as many as fit into a body
    counts_its_own: bool = (
        False  # lowers what a room has left, at all its rates, by its own bookings: not told of them
    )
    acknowledges_newest: bool = (
        False  # an acknowledgement names the booking: it counts for the version last given
    )


class ChannelAdapter(ABC):
    """Base of every channel's adapter. One instance serves one account for the length of one pull or push."""

    declaration: ClassVar[Declaration]

    def __init__(
        self,
        client: httpx.Client,
        account: Account,
        tokens: TokenStore,
        clock: Callable[[], datetime],
    ) -> None:
        """Keep what the adapter is handed. ``clock`` gives the present time in UTC."""
        self.client = client
        self.account = account
        self.tokens = tokens
        self.clock = clock

    def verify_credentials(self) -> None:
        """Make the cheapest authenticated call. Raises AuthenticationFailed, or any other ChannelError."""
        self._refuse("verify_credentials")

    def list_listings(self) -> Iterator[ChannelListing]:
        """Every listing the account can see, over all pages."""
        self._refuse(Capability.LIST_LISTINGS)

    def pull_availability(
        self, listing: Listing, window: Stay, validators: Validators
    ) -> Iterator[AvailabilityPage]:
        """The listing's availability for the nights of ``window``, page by page in order of nights.

        Each night of the window is stated in exactly one page, or, with ABSENCE evidence, one page lists the
        closed nights of the whole window. A page is yielded only when it was read to its end. A night that is
        there but cannot be read is left out and stands in ``problems``: what was known of it stays.
        """
        self._refuse(Capability.PULL_AVAILABILITY)

    def pull_pricing(self, listing: Listing, window: Stay) -> Iterator[PricingPage]:
        """The listing's prices and restrictions for the nights of ``window``, page by page.

        A night that cannot be read is left out and stands in ``problems``, as with availability.
        """
        self._refuse(Capability.PULL_PRICING)

    def pull_bookings(
        self, listings: Iterable[Listing], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """Bookings of the account whose last change lies in ``[changed_from, changed_until)``, both UTC.

        ``listings`` are the mapped ones, for currency and time zone; a booking of any other listing is
        yielded all the same: it is stored and flagged, never dropped.

        A channel that wants acknowledgements gives first everything that waits for one, whenever it changed, then what
        else changed in the window as far as it can be asked for that. With an empty window (both moments equal) only
        what waits is asked for: that is how a channel is polled.
        """
        self._refuse(Capability.PULL_BOOKINGS)

    def acknowledge_bookings(self, receipts: Iterable[Receipt]) -> Iterator[Outcome[Receipt]]:
        """Tell the channel that these are committed on our side. To tell it twice does no harm.

        REJECTED is final: the channel no longer waits for this one, or never did. UNKNOWN may be told again. An error
        that is raised leaves those without an outcome as they were.
        """
        self._refuse(Capability.ACKNOWLEDGE_BOOKINGS)

    def push_availability(
        self, updates: Iterable[AvailabilityUpdate]
    ) -> Iterator[Outcome[AvailabilityUpdate]]:
        """Tell the channel how many units are for sale. One outcome for each update, none twice, in any order.

        Calls are as few as the channel's limits allow, and an outcome is given as soon as its call has ended. When a
        call fails its error is raised: what has no outcome yet was not done, or, with OutcomeUnknown, the call under
        way may have been. Updates of one property arrive at the channel in the order in which they are given.
        """
        self._refuse(Capability.PUSH_AVAILABILITY)

    def push_pricing(self, updates: Iterable[PricingUpdate]) -> Iterator[Outcome[PricingUpdate]]:
        """Tell the channel prices and restrictions; what an update leaves None stays as it is there.

        As ``push_availability`` in everything else. What the channel cannot express is REJECTED without a call.
        """
        self._refuse(Capability.PUSH_PRICING)

    def _refuse(self, verb: str) -> NoReturn:
        raise Unsupported(f"{self.declaration.title} cannot {verb.replace('_', ' ')}")
