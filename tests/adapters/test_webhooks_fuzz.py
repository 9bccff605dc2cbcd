"""A small run of the fuzzer, and that it would tell: see tests/benchmarks/webhook_fuzz.py."""

from datetime import datetime

import pytest

from adapters.accounts import Account
from adapters.factory import AdapterFactory
from adapters.webhook import Delivery, Webhook
from tests.adapters.webhook_signing import SCHEMES
from tests.benchmarks import webhook_fuzz


@pytest.mark.parametrize("channel", SCHEMES)
def test_no_mutation_passes(channel: str) -> None:
    """Of two thousand changed deliveries none is accepted, and each is refused in the one way there is."""
    found = webhook_fuzz.fuzzed(SCHEMES[channel], 2_000, seed=7)
    assert (found.accepted, found.crashed, found.read_differently) == (0, 0, 0)
    assert found.refused + found.same == found.mutations == 2_000
    assert found.refused > 1_000


@pytest.mark.parametrize("channel", SCHEMES)
def test_the_fuzzer_tells(channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A verifier that looks at nothing is found out, and so is one that fails in another way."""
    webhook = AdapterFactory.get_webhook(channel)

    def looks_away(_: Webhook, delivery: Delivery, account: Account, now: datetime) -> None:
        del delivery, account, now

    def fails(_: Webhook, delivery: Delivery, account: Account, now: datetime) -> None:
        del account, now
        if "é" in str(delivery.headers):
            raise UnicodeError("not ASCII")

    shown: list[str] = []
    monkeypatch.setattr(type(webhook), "verify", looks_away)
    assert webhook_fuzz.fuzzed(SCHEMES[channel], 200, 7, shown.append).accepted > 50
    monkeypatch.setattr(type(webhook), "verify", fails)
    assert webhook_fuzz.fuzzed(SCHEMES[channel], 400, 7, shown.append).crashed > 0
    assert shown
