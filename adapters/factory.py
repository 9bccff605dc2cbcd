"""The table of channels. Adding a channel adds one line here.

Import paths, not classes: a channel is imported when it is asked for, so that one channel's missing dependency
does not take the others down, and nothing is imported when the channel manager is switched off.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from adapters.base_adapter import ChannelAdapter
from adapters.errors import ConfigurationError

CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "airbnb": "adapters.airbnb.adapter:AirbnbAdapter",
        "ical": "adapters.ical.adapter:ICalAdapter",
    }
)


class AdapterFactory:
    """Chooses the adapter of a channel."""

    @staticmethod
    def get_adapter(channel_type: str) -> type[ChannelAdapter]:
        """The adapter class of a channel. Raises ConfigurationError for a channel that does not exist."""
        try:
            module, _, name = CHANNELS[channel_type].partition(":")
        except KeyError:
            known = ", ".join(sorted(CHANNELS))
            raise ConfigurationError(f"no channel {channel_type!r}: this build knows {known}") from None
        adapter: type[ChannelAdapter] = getattr(import_module(module), name)
        return adapter
