"""The table of channels and what it gives."""

import pytest

from adapters.base_adapter import ChannelAdapter
from adapters.errors import ConfigurationError
from adapters.factory import CHANNELS, AdapterFactory


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_every_channel_of_the_table_exists(channel: str) -> None:
    """Each entry imports, is an adapter, and declares the name it is listed under."""
    adapter = AdapterFactory.get_adapter(channel_type=channel)
    assert issubclass(adapter, ChannelAdapter)
    assert adapter.declaration.name == channel


@pytest.mark.parametrize("channel", ["", "Airbnb", "expedia", "adapters.airbnb.adapter:AirbnbAdapter"])
def test_an_unknown_channel_is_refused(channel: str) -> None:
    """A channel that is not in the table is a configuration error that names those that are."""
    with pytest.raises(ConfigurationError, match=f"this build knows {', '.join(sorted(CHANNELS))}"):
        AdapterFactory.get_adapter(channel)


def test_the_table_cannot_be_changed() -> None:
    """Channels are added in the source, not at run time."""
    with pytest.raises(TypeError):
        CHANNELS["mine"] = "mine:Adapter"  # type: ignore[index]
