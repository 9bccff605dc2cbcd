"""How Airbnb is asked: pages to their end, calendars in parts, nothing sent that is not set up."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from adapters.accounts import Account, Listing, Token
from adapters.airbnb.adapter import AirbnbAdapter
from adapters.errors import ConfigurationError, Rejected, Unavailable, UnexpectedResponse
from adapters.model import ONE_DAY, Secret, Stay, Validators
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.world import World
from tests.adapters.scene import NOW, TOO_LATE, Scene, scene_of
from tests.adapters.token_stores import TokensInMemory

START = NOW.date() + ONE_DAY
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class ThreePages(AirbnbAdapter):
    """Gives up early."""

    most_pages = 3


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The sample account on simulated Airbnb."""
    with scene_of("airbnb") as scene:
        yield scene


def answering(answer: Callable[[httpx.Request], dict[str, Any]]) -> AirbnbAdapter:
    """An adapter with a good token whose channel answers as told."""
    client = httpx.Client(
        transport=httpx.MockTransport(lambda request: httpx.Response(200, json=answer(request)))
    )
    account = Account("a", "https://airbnb.example", {"user_id": "7"}, {"client_id": Secret("key")})
    tokens = TokensInMemory(Token(Secret("at"), NOW + timedelta(days=1)))
    return ThreePages(client, account, tokens, lambda: NOW)


def test_all_pages_are_read(scene: Scene) -> None:
    """120 listings are three pages of fifty at most, each listing once."""
    with Sandbox(listings=120) as sandbox:
        sandbox.clock.set(NOW)
        larger = scene.with_account(replace(scene.account, base_url=f"{sandbox.url}/airbnb"))
        listed = [listing.listing_id for listing in larger.adapter.list_listings()]
        assert listed == list(sandbox.world.listings)
        asked = [call.query for call in sandbox.calls if call.path.endswith("/listings")]
        assert len(asked) == 3
        assert all("_limit=50" in query and "user_id=7000001" in query for query in asked)


def test_a_broken_page_ends_the_pull(scene: Scene) -> None:
    """What was read of earlier pages stands; the page that failed raises and is not passed over."""
    scene.sandbox.clock.set(NOW + timedelta(days=300))
    scene.adapter.verify_credentials()
    pages = scene.adapter.pull_bookings(scene.listings, LONG_AGO, NOW + timedelta(days=300))
    first = next(pages)
    scene.sandbox.faults.add(Fault("truncate", bytes=500))
    assert len(first.bookings) == 50
    with pytest.raises(Unavailable, match="reservations, page 2"):
        next(pages)


def test_bookings_made_while_pages_are_read(scene: Scene) -> None:
    """A booking that arrives between two pages neither hides nor doubles another."""
    stays = [Stay(START + 3 * number * ONE_DAY, START + (3 * number + 2) * ONE_DAY) for number in range(130)]
    world = World.empty(listings=1)
    known = [world.book("1001", stay.check_in, stay.check_out, at=NOW) for stay in stays[:120]]
    later = iter(stays[120:])
    with Sandbox(world=world) as sandbox:
        sandbox.clock.set(NOW)
        quiet = scene.with_account(replace(scene.account, base_url=f"{sandbox.url}/airbnb"))
        found: list[str] = []
        for page in quiet.adapter.pull_bookings(scene.listings, LONG_AGO, NOW + ONE_DAY):
            found += [booking.booking_id for booking in page.bookings]
            stay = next(later)
            world.book("1001", stay.check_in, stay.check_out, at=NOW)
    assert set(known) <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("nights", "lengths"), [(1, [1]), (731, [731]), (732, [731, 1]), (1500, [731, 731, 38])]
)
def test_a_long_window_is_asked_in_parts(scene: Scene, nights: int, lengths: list[int]) -> None:
    """No call spans more than 731 dates; the end in the path is the last night itself."""
    window = Stay(START, START + nights * ONE_DAY)
    pages = list(scene.adapter.pull_availability(scene.listings[0], window, Validators()))
    assert [len(page.window) for page in pages] == lengths
    assert [night.night for page in pages for night in page.nights] == list(window)
    paths = [call.path for call in scene.sandbox.calls if "/calendars/" in call.path]
    expected = [
        f"/airbnb/v2/calendars/1001/{page.window.check_in}/{page.window.check_out - ONE_DAY}"
        for page in pages
    ]
    assert paths == expected


def test_a_listing_that_is_not_there(scene: Scene) -> None:
    """A listing of another host is rejected in Airbnb's words, with the listing in the message."""
    gone = replace(scene.listings[0], listing_id="424242")
    with pytest.raises(Rejected, match=r"listing 424242.*record_not_found"):
        list(scene.adapter.pull_pricing(gone, Stay(START, START + ONE_DAY)))


def test_a_late_answer_costs_one_call(scene: Scene) -> None:
    """The adapter repeats nothing on its own: retries have another owner."""
    scene.adapter.verify_credentials()
    scene.sandbox.calls.clear()
    scene.goes_wrong(TOO_LATE)
    with pytest.raises(Unavailable):
        list(scene.adapter.list_listings())
    assert len(scene.sandbox.calls) <= 1  # the late one may not be written down yet


@pytest.mark.parametrize("user_id", ["", "7 OR 1", "../1", "host"])
def test_a_host_without_a_number(scene: Scene, user_id: str) -> None:
    """A user id that is none is named with its account before any request."""
    poorer = scene.with_account(replace(scene.account, settings={"user_id": user_id}))
    with pytest.raises(ConfigurationError, match=r"airbnb-demo.*user_id"):
        poorer.adapter.verify_credentials()
    assert not scene.sandbox.calls


@pytest.mark.parametrize("listing_id", ["", "1001/2026-01-01", "..", "1001?x=1", "harbour"])
def test_a_listing_without_a_number(scene: Scene, listing_id: str) -> None:
    """A listing id that could change the path is refused before any request."""
    listing = Listing(listing_id, "Europe/Lisbon", "EUR")
    with pytest.raises(ConfigurationError, match="an Airbnb listing id is a number"):
        list(scene.adapter.pull_availability(listing, Stay(START, START + ONE_DAY), Validators()))
    assert not scene.sandbox.calls


def test_pages_by_offset() -> None:
    """Where no cursor is named the offset is followed to its end."""

    def page(request: httpx.Request) -> dict[str, Any]:
        offset = int(request.url.params.get("_offset", "0"))
        following = offset + 1 if offset < 2 else None
        return {"listings": [{"id": offset}], "paging": {"next_offset": following, "next_cursor": None}}

    adapter = answering(page)
    with adapter.client:
        assert [listing.listing_id for listing in adapter.list_listings()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("cursors", "said"),
    [
        (["a", "a", "b", "c"], "already read"),
        (["a", "b", "a"], "already read"),
        (["a", "b", "c", "d"], "more than 3"),
    ],
)
def test_paging_that_does_not_end(cursors: list[str], said: str) -> None:
    """A cursor that comes back, and cursors without end, are noticed."""
    left = iter(cursors)
    adapter = answering(lambda _: {"listings": [], "paging": {"next_cursor": next(left)}})
    with adapter.client, pytest.raises(UnexpectedResponse, match=said):
        list(adapter.list_listings())


def test_a_page_without_paging_is_not_the_last() -> None:
    """A page that does not say whether it is the last gives nothing: there may be more."""
    adapter = answering(lambda _: {"reservations": []})
    with adapter.client, pytest.raises(UnexpectedResponse, match="no paging"):
        list(adapter.pull_bookings([], LONG_AGO, NOW))


def test_a_redirect_is_not_followed() -> None:
    """A token goes to no other host: a redirect is an unexpected answer."""
    seen: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://evil.example/"}, content=json.dumps({}))

    adapter = answering(lambda _: {})
    with (
        adapter.client,
        httpx.Client(transport=httpx.MockTransport(redirect)) as client,
        pytest.raises(UnexpectedResponse, match="HTTP 302"),
    ):
        list(AirbnbAdapter(client, adapter.account, adapter.tokens, adapter.clock).list_listings())
    assert seen == ["airbnb.example"]
