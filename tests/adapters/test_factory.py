"""The tables of channels and what they give."""

import subprocess
import sys

import pytest

from adapters.base_adapter import ChannelAdapter
from adapters.errors import ConfigurationError
from adapters.factory import CHANNELS, WEBHOOKS, AdapterFactory
from adapters.webhook import Webhook


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_every_channel_of_the_table_exists(channel: str) -> None:
    """Each entry imports, is an adapter, and declares the name it is listed under."""
    adapter = AdapterFactory.get_adapter(channel_type=channel)
    assert issubclass(adapter, ChannelAdapter)
    assert adapter.declaration.name == channel


@pytest.mark.parametrize("channel", sorted(WEBHOOKS))
def test_every_webhook_of_the_table_exists(channel: str) -> None:
    """Each entry imports, and is a webhook that says what it is verified with."""
    webhook = AdapterFactory.get_webhook(channel_type=channel)
    assert isinstance(webhook, Webhook)
    assert webhook.secret_names


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_a_channel_that_sends_webhooks_has_one(channel: str) -> None:
    """An adapter that says its channel sends webhooks has somebody to read them, and no other has."""
    assert (channel in WEBHOOKS) is AdapterFactory.get_adapter(channel).declaration.sends_webhooks


@pytest.mark.parametrize("channel", ["", "Airbnb", "hostaway", "adapters.airbnb.adapter:AirbnbAdapter"])
def test_an_unknown_channel_is_refused(channel: str) -> None:
    """A channel that is not in the table is a configuration error that names those that are."""
    with pytest.raises(ConfigurationError, match=f"this build knows {', '.join(sorted(CHANNELS))}"):
        AdapterFactory.get_adapter(channel)


@pytest.mark.parametrize("channel", ["", "ical", "Airbnb", "adapters.airbnb.webhook:AirbnbWebhook"])
def test_a_channel_without_webhooks_is_refused(channel: str) -> None:
    """The same for a channel that sends no webhooks."""
    with pytest.raises(ConfigurationError, match=f"this build knows {', '.join(sorted(WEBHOOKS))}"):
        AdapterFactory.get_webhook(channel)


def test_the_tables_cannot_be_changed() -> None:
    """Channels are added in the source, not at run time."""
    for table in (CHANNELS, WEBHOOKS):
        with pytest.raises(TypeError):
            table["mine"] = "mine:Adapter"  # type: ignore[index]


def test_the_tables_import_no_channel() -> None:
    """A channel's libraries are imported when it is asked for and not before."""
    names = [f"adapters.{name}" for name in CHANNELS.keys() | WEBHOOKS.keys()] + ["cryptography", "jwt"]
    code = f"import sys, adapters.factory; print([name for name in {names!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
