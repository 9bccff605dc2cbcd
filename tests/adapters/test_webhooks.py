"""Every channel's webhooks keep the same promises: see webhook_contract.py."""

import pytest

pytest.register_assert_rewrite("tests.adapters.webhook_contract")

from tests.adapters import webhook_signing as signing  # noqa: E402 - after asserts were made to explain themselves
from tests.adapters.webhook_contract import WebhookContract  # noqa: E402 - the same


class TestAirbnb(WebhookContract):
    """RSA over host, path, method, date, type and body."""

    scheme = signing.AIRBNB


class TestBookingCom(WebhookContract):
    """A token that we issued."""

    scheme = signing.BOOKING_COM


class TestChannex(WebhookContract):
    """A word in a header."""

    scheme = signing.CHANNEX


class TestExpedia(WebhookContract):
    """HMAC over time and body, in base64."""

    scheme = signing.EXPEDIA


class TestHouse(WebhookContract):
    """Standard Webhooks."""

    scheme = signing.HOUSE


class TestVrbo(WebhookContract):
    """As Expedia's, with a token that confirms."""

    scheme = signing.VRBO
