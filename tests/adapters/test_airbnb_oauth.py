"""Airbnb's tokens: fetched once for all, renewed before they end, kept when they rotate, never invented."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any

import httpx
import pytest

from adapters.accounts import Token
from adapters.airbnb import oauth
from adapters.airbnb.adapter import AirbnbAdapter
from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    ConfigurationError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from adapters.model import Secret
from channel_sync.sandbox.faults import Fault
from tests.adapters.scene import PATIENCE_S, TOO_LATE, Scene, scene_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD = Secret("old-refresh")
GRANT = "/airbnb/v2/oauth2/authorizations"


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The sample account on simulated Airbnb."""
    with scene_of("airbnb") as scene:
        yield scene


def grants(scene: Scene) -> int:
    """How often a token was asked for."""
    return sum(call.path == GRANT for call in scene.sandbox.calls)


def with_refresh_token(scene: Scene, value: str) -> Scene:
    """The account with another refresh token in its secrets."""
    secrets = {**scene.account.secrets, "refresh_token": Secret(value)}
    return scene.with_account(replace(scene.account, secrets=secrets))


def test_a_token_is_fetched_once(scene: Scene) -> None:
    """The first call fetches a token and stores it; later calls and later adapters use it."""
    scene.adapter.verify_credentials()
    list(scene.adapter.list_listings())
    AirbnbAdapter(scene.client, scene.account, scene.tokens, scene.sandbox.clock.now).verify_credentials()
    assert grants(scene) == 1
    assert scene.tokens.load(scene.account.code) is not None


def test_a_token_is_in_no_address(scene: Scene) -> None:
    """Key and token travel in headers with the version of the API, never in a path or query."""
    list(scene.adapter.list_listings())
    for call in scene.sandbox.calls:
        assert not [secret for secret in scene.secrets() if secret in f"{call.path}?{call.query}"]
        if call.path != GRANT:
            assert call.headers["x-airbnb-req-api-version"] == "2025.06.30"
            assert call.headers["x-airbnb-api-key"] == scene.account.secret("client_id")


@pytest.mark.parametrize(("left", "renewed"), [(61, False), (60, True), (1, True), (-1, True)])
def test_a_token_is_renewed_before_its_end(scene: Scene, left: int, renewed: bool) -> None:  # noqa: FBT001 - a table
    """A token serves until a minute before its end, and is renewed without a refused call."""
    scene.adapter.verify_credentials()
    scene.sandbox.clock.advance(scene.sandbox.airbnb.tokens.lifetime - timedelta(seconds=left))
    scene.adapter.verify_credentials()
    assert grants(scene) == 1 + renewed
    assert all(call.status == 200 for call in scene.sandbox.calls)


def test_a_token_that_died_early_is_renewed_once(scene: Scene) -> None:
    """A refused token is renewed and the question repeated, without anybody noticing."""
    scene.adapter.verify_credentials()
    scene.sandbox.airbnb.tokens.revoke()
    assert len(list(scene.adapter.list_listings())) == 6
    assert grants(scene) == 2
    assert [call.status for call in scene.sandbox.calls].count(401) == 1


def test_a_second_refusal_is_the_end(scene: Scene) -> None:
    """When the renewed token is refused too, a person has to look; nothing is tried a third time."""
    scene.adapter.verify_credentials()
    scene.sandbox.faults.add(Fault("expired_token", method="GET"))
    scene.sandbox.calls.clear()
    with pytest.raises(AuthenticationFailed, match="authentication_required"):
        list(scene.adapter.list_listings())
    assert [call.method for call in scene.sandbox.calls] == ["GET", "POST", "GET"]


def test_eight_holders_of_a_dead_token_renew_it_once(scene: Scene) -> None:
    """Of many threads with the same dead token one renews it, and the others take what it got."""
    scene.adapter.verify_credentials()
    scene.sandbox.airbnb.tokens.revoke()
    start = Barrier(8)

    def pull(_: int) -> int:
        with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
            adapter = AirbnbAdapter(client, scene.account, scene.tokens, scene.sandbox.clock.now)
            start.wait(timeout=10)
            return len(list(adapter.list_listings()))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(pull, range(8))) == [6] * 8
    assert grants(scene) == 2


def test_a_rotated_refresh_token_is_kept(scene: Scene) -> None:
    """Where each renewal brings a new refresh token, the stored one wins over the account's secret."""
    scene.sandbox.airbnb.tokens.rotate = True
    for _ in range(3):
        scene.sandbox.airbnb.tokens.revoke()
        scene.adapter.verify_credentials()
    stored = scene.tokens.load(scene.account.code)
    assert stored is not None
    assert stored.refresh == Secret(scene.sandbox.airbnb.tokens.refresh_token)
    assert stored.refresh != scene.account.secrets["refresh_token"]
    assert all(call.status == 200 for call in scene.sandbox.calls if call.path == GRANT)


def test_a_mended_secret_is_tried(scene: Scene) -> None:
    """Where the stored refresh token is refused, the secret that a person set anew is taken."""
    scene.tokens.stored[scene.account.code] = Token(Secret("dead"), NOW, Secret("revoked"))
    scene.adapter.verify_credentials()
    assert grants(scene) == 2
    stored = scene.tokens.load(scene.account.code)
    assert stored is not None
    assert stored.refresh == scene.account.secrets["refresh_token"]


def test_a_refused_grant_stores_nothing(scene: Scene) -> None:
    """A refresh token that is not taken is for a person to mend; what was stored stays as it was."""
    poorer = with_refresh_token(scene, "revoked")
    with pytest.raises(AuthenticationFailed, match=r"airbnb-demo.*refresh_token"):
        poorer.adapter.verify_credentials()
    assert poorer.tokens.stored == {}
    assert grants(poorer) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", code=401), AuthenticationFailed),
        (Fault("status", code=403), AuthenticationFailed),
        (Fault("status", code=404), Rejected),
        (Fault("status", code=429, retry_after="5"), RateLimited),
        (Fault("status", code=500), Unavailable),
        (Fault("drop"), Unavailable),
        (Fault("drop", after="headers"), Unavailable),
        (TOO_LATE, Unavailable),
        (Fault("truncate", bytes=20), Unavailable),
        (Fault("html"), UnexpectedResponse),
        (Fault("empty_body"), UnexpectedResponse),
        (Fault("wrong_shape"), UnexpectedResponse),
    ],
    ids=lambda value: f"{value.kind}-{value.code}-{value.after}" if isinstance(value, Fault) else "",
)
def test_a_failed_grant_stores_nothing(scene: Scene, fault: Fault, error: type[ChannelError]) -> None:
    """However a renewal fails nothing is stored, no calendar is asked for, and the next attempt succeeds."""
    scene.goes_wrong(replace(fault, method="POST"))
    with pytest.raises(error):
        scene.adapter.verify_credentials()
    assert scene.tokens.stored == {}
    assert {call.path for call in scene.sandbox.calls} == {GRANT}
    scene.sandbox.faults.clear()
    scene.client.timeout = PATIENCE_S
    scene.adapter.verify_credentials()


@pytest.mark.parametrize("key", ["", "key\n", "two words", "schlüssel", "a\r\nX-Evil: 1"])
def test_a_key_that_fits_no_header(scene: Scene, key: str) -> None:
    """A client id with a line end from a badly set variable is named, not sent and not shown."""
    secrets = {**scene.account.secrets, "client_id": Secret(key)}
    tokens = scene.with_account(replace(scene.account, secrets=secrets))
    tokens.tokens.stored[scene.account.code] = Token(Secret("at"), NOW + timedelta(days=900), None)
    with pytest.raises(ConfigurationError, match=r"airbnb-demo.*client_id") as caught:
        tokens.adapter.verify_credentials()
    assert not key or key not in str(caught.value)
    assert not scene.sandbox.calls


@pytest.mark.parametrize(
    ("body", "expires_at"),
    [
        ({"expires_at": 1767312000}, datetime(2026, 1, 2, tzinfo=UTC)),
        ({"expires_at": Decimal("1767312000.5")}, datetime(2026, 1, 2, tzinfo=UTC)),
        ({"expires_in": 3600}, NOW + timedelta(hours=1)),
        ({"expires_at": None, "expires_in": 3600}, NOW + timedelta(hours=1)),
        ({"expires_at": 1767312000, "expires_in": 60}, datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_the_end_of_a_token(body: dict[str, Any], expires_at: datetime) -> None:
    """An end in seconds since 1970 comes before one in seconds from now; the old refresh token is kept."""
    token = oauth.token_from_wire({"access_token": "at"} | body, OLD, NOW, "x")
    assert token == Token(Secret("at"), expires_at, OLD)


def test_a_new_refresh_token_replaces_the_old() -> None:
    """A reply that brings a refresh token rotates it."""
    body = {"access_token": "at", "expires_in": 3600, "refresh_token": "new"}
    assert oauth.token_from_wire(body, OLD, NOW, "x").refresh == Secret("new")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"access_token": "t0k3n"},
        {"access_token": "", "expires_in": 3600},
        {"access_token": 5, "expires_in": 3600},
        {"access_token": "t0k 3n", "expires_in": 3600},
        {"access_token": "t0k3n\n", "expires_in": 3600},
        {"access_token": "t0k3n-ä", "expires_in": 3600},
        {"access_token": "t0k3n", "expires_at": "1767312000"},
        {"access_token": "t0k3n", "expires_at": True},
        {"access_token": "t0k3n", "expires_at": 1767312000000},  # milliseconds
        {"access_token": "t0k3n", "expires_at": 10**400},
        {"access_token": "t0k3n", "expires_at": 1700000000},  # gone by
        {"access_token": "t0k3n", "expires_in": 60},  # within the margin: every call would renew
    ],
)
def test_a_token_that_is_none(body: dict[str, Any]) -> None:
    """A reply without a usable token and its end is refused, and shows nothing of the token."""
    with pytest.raises(UnexpectedResponse) as caught:
        oauth.token_from_wire(body, OLD, NOW, "airbnb token")
    assert "t0k" not in f"{caught.value!r}"
