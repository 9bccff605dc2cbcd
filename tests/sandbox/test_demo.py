import re
from typing import Any
from zoneinfo import available_timezones

import httpx
import pytest
import yaml

from channel_sync.sandbox.demo import PORTFOLIO, environment
from channel_sync.sandbox.feeds import DIALECTS
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.simulated import SimulatedHotels


@pytest.fixture
def portfolio() -> dict[str, Any]:
    """The sample portfolio as it stands in its file."""
    found: dict[str, Any] = yaml.safe_load(PORTFOLIO.read_text())
    return found


def accounts(portfolio: dict[str, Any]) -> dict[str, Any]:
    """The accounts by their code."""
    return {account["code"]: account for account in portfolio["channel_accounts"]}


def test_every_secret_is_named_and_known(portfolio: dict[str, Any]) -> None:
    """The secrets that the portfolio names are exactly those that the environment holds."""
    named = [
        variable
        for account in portfolio["channel_accounts"]
        for holder in (account, *account["listings"])
        for variable in holder.get("secrets", {}).values()
    ]

    assert sorted(environment("http://sandbox")) == sorted(named)
    assert all(re.fullmatch("[A-Z0-9_]+", variable) for variable in named)


def test_the_sandbox_takes_the_secrets(sandbox: Sandbox) -> None:
    """The account's secrets give a token; each feed URL is one calendar, one of each dialect."""
    secrets = environment(sandbox.url)
    granted = httpx.post(
        f"{sandbox.url}/airbnb/v2/oauth2/authorizations",
        json={"refresh_token": secrets["AIRBNB_DEMO_REFRESH_TOKEN"]},
        auth=(secrets["AIRBNB_DEMO_CLIENT_ID"], secrets["AIRBNB_DEMO_CLIENT_SECRET"]),
    )
    feeds = [url for name, url in secrets.items() if name.endswith("_FEED_URL")]

    assert granted.is_success
    assert all(httpx.get(url).text.startswith("BEGIN:VCALENDAR") for url in feeds)
    assert set(DIALECTS) == {url.split("/ical/", 1)[1].split("/")[0] for url in feeds if "/ical/" in url}


def test_the_portfolio_lists_what_the_sandbox_has(portfolio: dict[str, Any], sandbox: Sandbox) -> None:
    """Every listing exists under its id, in the property's currency and time zone."""
    places = {place["code"]: place for place in portfolio["properties"]}
    airbnb = accounts(portfolio)["airbnb-demo"]

    assert len(airbnb["listings"]) == 6
    for listing in airbnb["listings"]:
        place = places[listing["unit_type"].split("/")[0]]
        truth = sandbox.world.listings[listing["listing_id"]]
        assert (truth.currency, truth.time_zone, truth.place.code) == (
            place["currency"],
            place["time_zone"],
            place["code"],
        )
        assert place["time_zone"] in available_timezones()


def test_each_channels_rooms_are_its_own(portfolio: dict[str, Any], sandbox: Sandbox) -> None:
    """Each account's listings are the channel's, in the property's currency, and no room is sold by two such channels."""
    places = {place["code"]: place for place in portfolio["properties"]}
    hotels = {name: each for name, each in sandbox.channels.items() if isinstance(each, SimulatedHotels)}
    sold: list[str] = []

    assert hotels.keys() == {"booking_com", "channex", "expedia", "vrbo"}
    for name, channel in hotels.items():
        listings = accounts(portfolio)[f"{name.replace('_', '-')}-demo"]["listings"]
        sold += [listing["unit_type"] for listing in listings]
        assert {listing["listing_id"] for listing in listings} == channel.world_ids.keys()
        for listing in listings:
            place = places[listing["unit_type"].split("/")[0]]
            truth = channel.world.listings[channel.world_ids[listing["listing_id"]]]
            assert (truth.currency, truth.place.code) == (place["currency"], place["code"])
    assert len(set(sold)) == len(sold)


def test_a_feed_shows_the_room_it_belongs_to(portfolio: dict[str, Any], sandbox: Sandbox) -> None:
    """A feed and the Airbnb listing of the same unit type close the same nights of the next year."""
    by_unit_type = {
        listing["unit_type"]: listing["listing_id"]
        for listing in accounts(portfolio)["airbnb-demo"]["listings"]
    }
    secrets = environment(sandbox.url)

    for feed in accounts(portfolio)["feeds-demo"]["listings"]:
        url = secrets[feed["secrets"]["feed_url"]]
        shown = {sandbox.feed_url(dialect, by_unit_type[feed["unit_type"]]) for dialect in DIALECTS}
        assert url in shown
