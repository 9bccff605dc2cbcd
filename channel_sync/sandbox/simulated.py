"""What the sandbox asks of every simulated channel."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from channel_sync.sandbox.acknowledged import Acknowledged
from channel_sync.sandbox.exchange import Answer, Request
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.world import World


class SimulatedChannel(Protocol):
    """One account's side of a channel."""

    def answer(self, request: Request) -> Answer:
        """The true answer; the path begins behind the channel's name."""
        ...

    def error(self, status: int) -> Answer:
        """An error in the channel's own words."""
        ...


@runtime_checkable
class SimulatedHotels(SimulatedChannel, Protocol):
    """A channel that is told what the house sells, or waits until its reservations are acknowledged."""

    world: World
    extranet: Extranet
    acknowledged: Acknowledged
    world_ids: Mapping[str, str]  # the world's listing behind each of the channel's

    def reservation_id(self, code: str) -> str:
        """The channel's own id of the world's booking."""
        ...
