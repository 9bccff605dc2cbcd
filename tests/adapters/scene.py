"""A channel's real adapter before the sandbox, as the sample portfolio sets it up."""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import httpx
import yaml

from adapters.accounts import Account, Listing
from adapters.base_adapter import ChannelAdapter
from adapters.factory import AdapterFactory
from adapters.model import Secret
from adapters.spending import Spend, spend_of
from channel_sync.sandbox.demo import PORTFOLIO, environment
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.simulated import SimulatedHotels
from channel_sync.sandbox.world import World
from tests.adapters.token_stores import TokensInMemory

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
PATIENCE_S = 20.0  # with a busy machine
HURRY_S = 0.2  # with a channel that is made to answer after PATIENCE_S
TOO_LATE = Fault("latency", seconds=PATIENCE_S)  # cut short when the sandbox closes

_TLS = ssl.create_default_context()  # made once: it takes longer than most tests


@dataclass(frozen=True, slots=True)
class Scene:
    """One account of one channel.

    ``world`` is the truth that the channel tells, ``truth`` names the simulated listing behind each of the channel's
    own ids, ``spends`` is what each request was marked with.
    """

    sandbox: Sandbox
    client: httpx.Client
    account: Account
    listings: tuple[Listing, ...]
    world: World
    truth: Mapping[str, str]
    tokens: TokensInMemory
    adapter: ChannelAdapter
    spends: list[Spend]

    @property
    def hotels(self) -> SimulatedHotels:
        """The channel's own side, where it is one that is told things and waits for acknowledgements."""
        simulated = self.sandbox.channels[self.adapter.declaration.name]
        assert isinstance(simulated, SimulatedHotels), (
            "the simulated channel shows nothing of what it is told"
        )
        return simulated

    def goes_wrong(self, fault: Fault) -> None:
        """From now on every request meets this fault, and only this one."""
        self.sandbox.faults.clear()
        self.sandbox.faults.add(fault)
        self.client.timeout = HURRY_S if fault.kind == "latency" else PATIENCE_S

    def goes_right(self) -> None:
        """From now on nothing goes wrong any more."""
        self.sandbox.faults.clear()
        self.client.timeout = PATIENCE_S

    def with_account(self, account: Account) -> "Scene":
        """The same with other credentials and no token yet."""
        tokens = TokensInMemory()
        adapter = type(self.adapter)(self.client, account, tokens, self.sandbox.clock.now)
        return replace(self, account=account, tokens=tokens, adapter=adapter)

    def secrets(self) -> set[str]:
        """Everything that must not be seen: each secret, each token, and what is long and random within them."""
        held = [*self.account.secrets.values()]
        held += [secret for listing in self.listings for secret in listing.secrets.values()]
        for token in self.tokens.stored.values():
            held += [token.access, *([token.refresh] if token.refresh else [])]
        values = {secret.reveal() for secret in held}
        return values | {part for value in values for part in re.findall("[0-9a-f-]{16,}", value)}


@contextmanager
def scene_of(channel: str, seed: int = 1) -> Iterator[Scene]:
    """The account that the sample portfolio has on ``channel``, at NOW in a sandbox of its own."""
    portfolio = _portfolio()
    marks = _Marks(httpx.HTTPTransport(trust_env=False, verify=_TLS))
    with Sandbox(seed) as sandbox, httpx.Client(transport=marks, timeout=PATIENCE_S) as client:
        sandbox.clock.set(NOW)
        values = environment(sandbox.url)
        (told,) = (each for each in portfolio["channel_accounts"] if each["channel"] == channel)
        account = Account(
            told["code"], f"{sandbox.url}/{channel}", told.get("settings", {}), _secrets(told, values)
        )
        properties = {
            f"{place['code']}/{unit_type['code']}": place
            for place in portfolio["properties"]
            for unit_type in place["unit_types"]
        }
        listings = tuple(
            Listing(
                listing["listing_id"],
                properties[listing["unit_type"]]["time_zone"],
                properties[listing["unit_type"]]["currency"],
                secrets=_secrets(listing, values),
            )
            for listing in told["listings"]
        )
        tokens = TokensInMemory()
        adapter = AdapterFactory.get_adapter(channel)(client, account, tokens, sandbox.clock.now)
        yield Scene(
            sandbox,
            client,
            account,
            listings,
            sandbox.worlds[channel],
            _truth(sandbox, channel, portfolio),
            tokens,
            adapter,
            marks.spends,
        )


class _Marks(httpx.BaseTransport):
    """Sends marked requests and remembers the marks; another fails whatever test it is sent in."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.spends: list[Spend] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, or raise AssertionError."""
        spend = spend_of(request)
        assert spend is not None, f"a {request.method} is not marked with what it spends"
        self.spends.append(spend)
        return self._inner.handle_request(request)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


@cache
def _portfolio() -> Mapping[str, Any]:
    found: dict[str, Any] = yaml.safe_load(PORTFOLIO.read_text(encoding="utf-8"))
    return found


def _truth(sandbox: Sandbox, channel: str, portfolio: Mapping[str, Any]) -> Mapping[str, str]:
    """The world's listing behind each of the channel's."""
    simulated = sandbox.channels[channel]
    if isinstance(simulated, SimulatedHotels):
        return simulated.world_ids
    # A room is one calendar in the simulated world, known there by the listing that bears the world's own id.
    accounts = portfolio["channel_accounts"]
    world_ids = {
        listing["unit_type"]: listing["listing_id"]
        for each in accounts
        for listing in each["listings"]
        if listing["listing_id"] in sandbox.world.listings
    }
    return {
        listing["listing_id"]: world_ids[listing["unit_type"]]
        for each in accounts
        if each["channel"] == channel
        for listing in each["listings"]
    }


def _secrets(told: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Secret]:
    return {name: Secret(values[variable]) for name, variable in told.get("secrets", {}).items()}
