"""What the sample portfolio needs to know of a sandbox: the secrets it names, all of them invented."""

from importlib.resources import files
from importlib.resources.abc import Traversable

from channel_sync.sandbox.booking_com import channel as booking_com
from channel_sync.sandbox.channex import channel as channex
from channel_sync.sandbox.expedia import channel as expedia
from channel_sync.sandbox.feeds import feed_path
from channel_sync.sandbox.signing import public_key
from channel_sync.sandbox.tokens import Tokens
from channel_sync.sandbox.vrbo import channel as vrbo

# The sample portfolio: six listings on simulated Airbnb, four feeds of them, and three rooms on each other channel.
PORTFOLIO: Traversable = files("channel_sync.sandbox") / "portfolio.yaml"


def environment(url: str) -> dict[str, str]:
    """The environment variables that the sample portfolio names, for a sandbox at ``url``."""
    tokens = Tokens()
    feeds = f"{url.rstrip('/')}/ical"
    return {
        "AIRBNB_DEMO_CLIENT_ID": tokens.client_id,
        "AIRBNB_DEMO_CLIENT_SECRET": tokens.client_secret,
        "AIRBNB_DEMO_REFRESH_TOKEN": tokens.refresh_token,
        "AIRBNB_DEMO_WEBHOOK_PUBLIC_KEY": public_key(),
        "HARBOUR_STUDIO_VRBO_FEED_URL": feeds + feed_path("vrbo", "1001"),
        "LANTERN_STUDIO_BOOKING_FEED_URL": feeds + feed_path("booking", "1002"),
        "HUDSON_STUDIO_GOOGLE_FEED_URL": feeds + feed_path("google", "1004"),
        "HARBOUR_LOFT_AIRBNB_FEED_URL": feeds + feed_path("airbnb", "1005"),
        **booking_com.environment(),
        **channex.environment(),
        **expedia.environment(),
        **vrbo.environment(url),
    }
