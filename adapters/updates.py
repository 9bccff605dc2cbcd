"""What the house tells a channel, and how each of it ends: a call half-succeeds, and HTTP 200 is not success."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from adapters.accounts import Listing
from adapters.model import Money, Restrictions, Stay

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class AvailabilityUpdate:
    """So many units of a listing are for sale on each night of ``nights``; 0 closes them."""

    listing: Listing
    nights: Stay
    units_open: int


@dataclass(frozen=True, slots=True)
class PricingUpdate:
    """The price of each night of ``nights`` and the restrictions on selling it. None stays as it is at the channel."""

    listing: Listing
    nights: Stay
    price: Money | None = None
    restrictions: Restrictions = Restrictions()


class Verdict(StrEnum):
    """What a channel said of one item."""

    ACCEPTED = "accepted"
    WARNED = "warned"  # accepted, with the channel's warning: some of it may not have been done as asked
    REJECTED = "rejected"  # not done, and repeating it unchanged is useless
    UNKNOWN = "unknown"  # it may or may not have been done


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Item]):
    """How one item ended. ``words`` are the channel's codes and our reading of them: no secret, no guest."""

    item: Item
    verdict: Verdict
    words: str = ""
