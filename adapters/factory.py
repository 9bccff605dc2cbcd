"""The tables of channels. Adding a channel adds one line to the first, and one to the second if it sends webhooks.

Import paths, not classes: a channel is imported when it is asked for, so that one channel's missing dependency
does not take the others down, and nothing is imported when the channel manager is switched off.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from adapters.base_adapter import ChannelAdapter
from adapters.errors import ConfigurationError
from adapters.webhook import Webhook

CHANNELS: Mapping[str, str] = MappingProxyType(
    {
        "airbnb": "adapters.airbnb.adapter:AirbnbAdapter",
        "booking_com": "adapters.booking_com.adapter:BookingComAdapter",
        "channex": "adapters.channex.adapter:ChannexAdapter",
        "expedia": "adapters.expedia.adapter:ExpediaAdapter",
        "house": "adapters.house.adapter:HouseAdapter",
        "ical": "adapters.ical.adapter:ICalAdapter",
        "vrbo": "adapters.vrbo.adapter:VrboAdapter",
    }
)

WEBHOOKS: Mapping[str, str] = MappingProxyType(
    {
        "airbnb": "adapters.airbnb.webhook:AirbnbWebhook",
        "booking_com": "adapters.booking_com.webhook:BookingComWebhook",
        "channex": "adapters.channex.webhook:ChannexWebhook",
        "expedia": "adapters.expedia.webhook:ExpediaWebhook",
        "house": "adapters.house.webhook:HouseWebhook",
        "vrbo": "adapters.vrbo.webhook:VrboWebhook",
    }
)


class AdapterFactory:
    """Chooses the adapter of a channel, and what reads its webhooks."""

    @staticmethod
    def get_adapter(channel_type: str) -> type[ChannelAdapter]:
        """The adapter class of a channel. Raises ConfigurationError for a channel that does not exist."""
        adapter: type[ChannelAdapter] = _found(CHANNELS, channel_type, "channel")
        return adapter

    @staticmethod
    def get_webhook(channel_type: str) -> Webhook:
        """What reads a channel's webhooks. Raises ConfigurationError for a channel that sends none we can read."""
        webhook: type[Webhook] = _found(WEBHOOKS, channel_type, "channel with webhooks")
        return webhook()


def _found(table: Mapping[str, str], channel_type: str, what: str) -> type:
    try:
        module, _, name = table[channel_type].partition(":")
    except KeyError:
        known = ", ".join(sorted(table))
        raise ConfigurationError(f"no {what} {channel_type!r}: this build knows {known}") from None
    found: type = getattr(import_module(module), name)
    return found
