"""What a call spends: told by the adapter on each request, counted by the transport beneath it.

An adapter marks every request before it sends it; the engine's transport refuses one that is not marked. The mark
travels as an httpx request extension: it is never sent.
"""

from dataclasses import dataclass

import httpx

_EXTENSION = "channel_sync.spend"


@dataclass(frozen=True, slots=True)
class Spend:
    """One call in the words of the channel's quotas.

    ``endpoint`` names the kind of call ("calendars"), from a small fixed set and without an id or a secret: it
    stands in counters. ``property_id`` and ``listing_id`` are the channel's own ids of what the call is about, where
    it is about one. ``cost`` is what a channel that weighs its calls counts for this one. Calls of one account
    with the same ``one_at_a_time`` are never in flight together, over all processes.
    """

    endpoint: str
    property_id: str | None = None
    listing_id: str | None = None
    cost: int = 1
    one_at_a_time: str | None = None


def marked(request: httpx.Request, spend: Spend) -> httpx.Request:
    """The same request, marked."""
    request.extensions = {**request.extensions, _EXTENSION: spend}
    return request


def spend_of(request: httpx.Request) -> Spend | None:
    """What the request was marked with; None where it was not."""
    spend = request.extensions.get(_EXTENSION)
    return spend if isinstance(spend, Spend) else None
