"""Expedia's notifications: as those of all of Expedia Group. The reservation that one names is pulled."""

from adapters.expedia_group import GroupWebhook


class ExpediaWebhook(GroupWebhook):
    """Nothing of its own: Expedia's reservations are confirmed by the pull that brings them."""
