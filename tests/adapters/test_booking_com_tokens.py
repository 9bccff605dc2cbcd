"""Booking.com's tokens, over real HTTP: exchanged once for all, again before they end, at the host that is theirs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from adapters.accounts import Account, Token
from adapters.booking_com.adapter import BookingComAdapter
from adapters.errors import AuthenticationFailed, Unavailable, UnexpectedResponse
from adapters.model import (
    Secret,
)
from channel_sync.sandbox.booking_com.channel import BookingCom
from channel_sync.sandbox.faults import Fault
from tests.adapters.scene import NOW, Scene, scene_of
from tests.adapters.token_stores import TokensInMemory

EXCHANGE = "/booking_com/token-based-authentication/exchange"


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The sample account on simulated Booking.com."""
    with scene_of("booking_com") as scene:
        yield scene


def channel(scene: Scene) -> BookingCom:
    return scene.sandbox.booking_com


def calls(scene: Scene, path: str, method: str = "GET") -> list[str]:
    """The queries of the calls to a path."""
    return [call.query for call in scene.sandbox.calls if (call.method, call.path) == (method, path)]


def test_a_token_is_exchanged_once(scene: Scene) -> None:
    """It is shared by later calls and adapters until just before its end, then exchanged again."""
    again = type(scene.adapter)(scene.client, scene.account, scene.tokens, scene.sandbox.clock.now)
    for adapter in (scene.adapter, again):
        adapter.verify_credentials()
        list(adapter.list_listings())
    assert len(calls(scene, EXCHANGE, "POST")) == 1
    stored = scene.tokens.load(scene.account.code)
    assert stored is not None
    assert stored.expires_at == NOW + timedelta(hours=1)

    scene.sandbox.clock.set(NOW + timedelta(minutes=57))
    scene.adapter.verify_credentials()
    assert len(calls(scene, EXCHANGE, "POST")) == 1
    scene.sandbox.clock.set(NOW + timedelta(minutes=58, seconds=1))
    scene.adapter.verify_credentials()
    assert len(calls(scene, EXCHANGE, "POST")) == 2


def test_a_refused_token_is_exchanged_once_more(scene: Scene) -> None:
    """A token that died early is replaced; where the new one is refused too, a person has to look."""
    scene.adapter.verify_credentials()
    channel(scene).machine.revoke()
    scene.adapter.verify_credentials()
    assert len(calls(scene, EXCHANGE, "POST")) == 2

    scene.sandbox.faults.add(Fault("status", code=401, path="*/roomrates"))
    with pytest.raises(AuthenticationFailed):
        scene.adapter.verify_credentials()
    assert len(calls(scene, EXCHANGE, "POST")) == 3


def test_wrong_credentials_are_named(scene: Scene) -> None:
    """The machine account's id and secret are refused by the exchange itself, and not shown."""
    secrets = {**scene.account.secrets, "client_secret": Secret("not-the-secret")}
    wrong = scene.with_account(replace(scene.account, secrets=secrets))
    with pytest.raises(AuthenticationFailed, match="client id and secret") as caught:
        wrong.adapter.verify_credentials()
    assert "not-the-secret" not in str(caught.value)


def test_a_lost_exchange_may_be_asked_again(scene: Scene) -> None:
    """One token more does no harm, so no answer means that it can be tried later."""
    scene.sandbox.faults.add(Fault("drop", path="*/exchange"))
    with pytest.raises(Unavailable):
        scene.adapter.verify_credentials()


@pytest.mark.parametrize(
    "body", ['{"ruid": "x"}', '{"jwt": ""}', '{"jwt": "a b"}', '{"jwt": 7}', "[]", "<x/>"]
)
def test_an_exchange_without_a_token(scene: Scene, body: str) -> None:
    """What cannot stand in a header is no token, and is not stored."""
    scene.sandbox.faults.add(Fault("status", path="*/exchange", code=200, body=body))
    with pytest.raises(UnexpectedResponse):
        scene.adapter.verify_credentials()
    assert scene.tokens.load(scene.account.code) is None


@pytest.mark.parametrize(
    "jwt", ["opaque", "a.b.c", "a.e30.c", "a.eyJleHAiOiAiMSJ9.c", "a.eyJleHAiOiA5OTk5OTk5OTk5OTl9.c"]
)
def test_a_token_that_does_not_say_when_it_ends(scene: Scene, jwt: str) -> None:
    """It counts as living the promised hour; so does one that says it lives longer."""
    scene.sandbox.faults.add(
        Fault("status", path="*/exchange", code=200, body=f'{{"jwt": "{jwt}"}}', times=1)
    )
    scene.sandbox.faults.add(Fault("status", path="*/exchange", code=401))
    with pytest.raises(AuthenticationFailed):  # the channel does not know it, and refuses another
        scene.adapter.verify_credentials()
    stored = scene.tokens.load(scene.account.code)
    assert stored is not None
    assert stored.expires_at == NOW + timedelta(hours=1)


def test_production_has_three_hosts() -> None:
    """Reservations and tokens live elsewhere than rooms; with an address of one's own all are there."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(404)

    token = Token(Secret("t"), NOW + timedelta(hours=1))
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        for base_url in ("https://supply-xml.booking.com", "https://proxy.example"):
            for known in (token, None):
                secrets = {name: Secret("x") for name in ("client_id", "client_secret")}
                account = Account("a", base_url, secrets=secrets)
                adapter = BookingComAdapter(client, account, TokensInMemory(known), lambda: NOW)
                with pytest.raises(Exception, match="booking_com"):
                    list(adapter.pull_bookings([], NOW, NOW))
                with pytest.raises(Exception, match="booking_com"):
                    list(adapter.list_listings())
    first, second = asked[:4], asked[4:]
    assert first == [
        "secure-supply-xml.booking.com",
        "supply-xml.booking.com",
        *["connectivity-authentication.booking.com"] * 2,
    ]
    assert set(second) == {"proxy.example"}
