"""Every channel keeps the same promises: see contract.py."""

import pytest

pytest.register_assert_rewrite("tests.adapters.contract")

from tests.adapters.contract import ChannelContract  # noqa: E402 - after asserts in it were made to explain themselves


class TestAirbnb(ChannelContract):
    """Airbnb's partner API."""

    channel = "airbnb"


class TestICal(ChannelContract):
    """Calendar feeds."""

    channel = "ical"
