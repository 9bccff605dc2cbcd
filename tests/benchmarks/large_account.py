"""One large account of the simulated channel: its portfolio, the processes around it, and what its calendars cost bare."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from channel_sync.sandbox import demo
from channel_sync.sandbox.rentals import Listing
from channel_sync.storage import embedded

ACCOUNT = "large-account"


def portfolio_of(listings: Sequence[Listing], quotas: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """One account with all the listings, a unit type behind each, in the properties of the simulated world.

    ``quotas`` are the account's own.
    """
    places = {listing.place.code: listing.place for listing in listings}
    return {
        "properties": [
            {
                "code": place.code,
                "name": place.name,
                "time_zone": place.time_zone,
                "currency": place.currency,
                "unit_types": [
                    {"code": listing.listing_id, "name": listing.name, "units": 1}
                    for listing in listings
                    if listing.place is place
                ],
            }
            for place in places.values()
        ],
        "channel_accounts": [
            {
                "code": ACCOUNT,
                "channel": "airbnb",
                "environment": "sandbox",
                "settings": {"user_id": "7000001"},
                "quotas": list(quotas),
                "secrets": {
                    name: f"AIRBNB_DEMO_{name.upper()}"
                    for name in ("client_id", "client_secret", "refresh_token")
                },
                "listings": [
                    {
                        "listing_id": listing.listing_id,
                        "unit_type": f"{listing.place.code}/{listing.listing_id}",
                    }
                    for listing in listings
                ],
            }
        ],
    }


@contextmanager
def channels(listings: int) -> Iterator[str]:
    """The simulated channels in a process of their own: their address."""
    command = [sys.executable, "-m", "channel_sync.cli", "sandbox", "--listings", str(listings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@contextmanager
def database_server() -> Iterator[str]:
    """An embedded server with fsync on: the URL of its maintenance database."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder).resolve() / "data"
        try:
            yield embedded.start(data_dir).url
        finally:
            embedded.stop(data_dir)


def fetch_all(url: str, paths: Sequence[str], threads: int) -> tuple[float, float]:
    """Seconds, and those of this process's CPU, in which a bare client asks for all of these and drops the answers."""
    environ = demo.environment(url)
    granted = httpx.post(
        f"{url}/airbnb/v2/oauth2/authorizations",
        auth=(environ["AIRBNB_DEMO_CLIENT_ID"], environ["AIRBNB_DEMO_CLIENT_SECRET"]),
        json={"refresh_token": environ["AIRBNB_DEMO_REFRESH_TOKEN"]},
        trust_env=False,
    ).raise_for_status()
    headers = {
        "X-Airbnb-API-Key": environ["AIRBNB_DEMO_CLIENT_ID"],
        "X-Airbnb-OAuth-Token": granted.json()["access_token"],
        "X-AIRBNB-REQ-API-VERSION": "2025.06.30",
    }
    with (
        httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(threads) as pool,
    ):
        began, cpu = time.perf_counter(), time.process_time()
        for answer in pool.map(client.get, paths):
            answer.raise_for_status()
        return time.perf_counter() - began, time.process_time() - cpu
