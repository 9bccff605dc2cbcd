"""A sandbox that stands still at one moment, and clients of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import httpx
import pytest

from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.server import Sandbox

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Seven lively listings at noon (UTC) of 23 November 2026."""
    with Sandbox(listings=7, clock=Clock(NOW)) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """An HTTP client of the sandbox, without credentials."""
    with httpx.Client(base_url=sandbox.url, timeout=5) as client:
        yield client


@pytest.fixture
def token(sandbox: Sandbox, client: httpx.Client) -> Callable[[], str]:
    """Asks for a fresh access token."""

    def refreshed() -> str:
        tokens = sandbox.airbnb.tokens
        answer = client.post(
            "/airbnb/v2/oauth2/authorizations",
            json={"grant_type": "refresh_token", "refresh_token": tokens.refresh_token},
            auth=(tokens.client_id, tokens.client_secret),
        )
        return str(answer.raise_for_status().json()["access_token"])

    return refreshed


@pytest.fixture
def airbnb(sandbox: Sandbox, token: Callable[[], str]) -> Iterator[httpx.Client]:
    """A client of the simulated Airbnb with all it asks for."""
    headers = {
        "X-Airbnb-API-Key": sandbox.airbnb.tokens.client_id,
        "X-Airbnb-OAuth-Token": token(),
        "X-AIRBNB-REQ-API-VERSION": "2025.06.30",
    }
    with httpx.Client(base_url=f"{sandbox.url}/airbnb", headers=headers, timeout=5) as client:
        yield client
