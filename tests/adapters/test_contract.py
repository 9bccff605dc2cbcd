"""Every channel keeps the same promises: see contract.py."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.adapters.contract import ChannelContract
from tests.adapters.expedia_world import WorldOfShortStays
from tests.adapters.scene import Scene, scene_of


class TestAirbnb(ChannelContract):
    """Airbnb's partner API."""

    channel = "airbnb"


class TestICal(ChannelContract):
    """Calendar feeds."""

    channel = "ical"


class TestChannex(ChannelContract):
    """Channex's aggregator."""

    channel = "channex"


class TestVrbo(ChannelContract):
    """Vrbo: GraphQL for reservations, a feed for each calendar."""

    channel = "vrbo"


class TestBookingCom(ChannelContract):
    """Booking.com's OTA XML, with acknowledgements."""

    channel = "booking_com"


class TestExpedia(ChannelContract):
    """Expedia QuickConnect's XML."""

    channel = "expedia"

    @pytest.fixture
    def scene(self) -> Iterator[Scene]:
        """As everyone's, in a world whose longest stays Expedia has words for."""
        with scene_of(self.channel) as scene:
            yield replace(scene, world=WorldOfShortStays(scene.world))
