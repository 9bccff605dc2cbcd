"""The house's own systems: they tell us, and nobody asks them. No wire, so nothing to call."""

from typing import ClassVar

from adapters.base_adapter import ChannelAdapter, Declaration
from adapters.model import Evidence


class HouseAdapter(ChannelAdapter):
    """What the house sells itself arrives by its webhooks alone."""

    declaration: ClassVar[Declaration] = Declaration(
        name="house",
        title="The house's own systems",
        capabilities=frozenset(),
        evidence=Evidence.EXPLICIT,
        horizon_days=730,
        account_secrets=frozenset({"webhook_secret"}),
        sends_webhooks=True,
    )

    def verify_credentials(self) -> None:
        """There is nothing to verify: each delivery is verified as it comes."""
