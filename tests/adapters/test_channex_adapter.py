"""What Channex shows: lists to their end, nights whole, rates to the last digit; and how it is set up."""

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from adapters.accounts import Account
from adapters.channex.adapter import ChannexAdapter
from adapters.channex.mapping import MinStay
from adapters.errors import ConfigurationError, UnexpectedResponse
from adapters.model import Money, Restrictions, Secret, Validators
from adapters.updates import AvailabilityUpdate, PricingUpdate, Verdict
from channel_sync.sandbox.server import Sandbox
from tests.adapters.channex_answers import LISTING, WINDOW, answering, paths, told
from tests.adapters.scene import Scene, scene_of
from tests.adapters.token_stores import TokensInMemory


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The sample account on simulated Channex."""
    with scene_of("channex") as scene:
        yield scene


# What there is to sell.


def test_all_pages_of_rate_plans_are_read() -> None:
    """Each of 120 rate plans is listed once, under the names of its property and room, a hundred on a page."""
    with Sandbox(rooms=120, lively=False) as sandbox, httpx.Client(timeout=20) as client:
        account = Account("c", f"{sandbox.url}/channex", secrets={"api_key": Secret(sandbox.channex.api_key)})
        adapter = ChannexAdapter(client, account, TokensInMemory(), sandbox.clock.now)
        listed = list(adapter.list_listings())
        assert [listing.listing_id for listing in listed] == list(sandbox.channex.world_ids)
        assert listed[0].name == "Harbour House, Harbour House Studio, Standard"
        assert paths(sandbox) == ["properties", "room_types", "room_types", "rate_plans", "rate_plans"]
        assert all("limit%5D=100" in call.query for call in sandbox.calls)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [], "meta": {}},
        {"data": [], "meta": {"total": "0"}},
        {"data": [], "meta": {"total": True}},
        {"data": [], "meta": {"total": 3}},
        {"data": {}, "meta": {"total": 0}},
        {"data": None, "meta": {"total": 0}},
        {"data": [{"attributes": {"id": "p", "title": "t"}}], "meta": {"total": 1_000}},
        {"data": [{"attributes": {"title": "t"}}], "meta": {"total": 1}},
        {"data": [None], "meta": {"total": 1}},
    ],
)
def test_a_list_that_may_not_be_all_is_none(body: object) -> None:
    """No total, fewer than the total, the same page again, one without an id: an answer that proves nothing."""
    with pytest.raises(UnexpectedResponse, match="channex properties, page"):
        list(answering(told(body)).list_listings())


@pytest.mark.parametrize("kind", list(MinStay))
def test_a_minimum_stay_is_the_propertys(scene: Scene, kind: MinStay) -> None:
    """The minimum stay is read as the kind that the property goes by; the other has no effect and is not told."""
    channel = scene.sandbox.channex
    channel.rooms.min_stay_type = kind.value
    listing = scene.listings[0]
    update = PricingUpdate(
        listing, WINDOW, restrictions=Restrictions(min_stay_arrival=3, min_stay_through=2, stop_sell=True)
    )
    assert [outcome.verdict for outcome in scene.adapter.push_pricing([update])] == [Verdict.ACCEPTED]
    (page,) = scene.adapter.pull_pricing(listing, WINDOW)
    expected = {MinStay.ARRIVAL: (3, None), MinStay.THROUGH: (None, 2), MinStay.BOTH: (3, 2)}
    assert {
        (night.restrictions.min_stay_arrival, night.restrictions.min_stay_through) for night in page.nights
    } == {expected[kind]}
    assert {night.restrictions.stop_sell for night in page.nights} == {True}


@pytest.mark.parametrize(
    ("kind", "night", "expected"),
    [
        ("arrival", {"min_stay": 4}, (4, None)),
        ("through", {"min_stay": 4}, (None, 4)),
        ("both", {"min_stay": 4, "min_stay_arrival": 2}, (2, None)),
        (None, {"min_stay_arrival": 2, "min_stay_through": 1}, (2, 1)),
    ],
)
def test_the_virtual_minimum_stay(
    kind: str | None, night: dict[str, int], expected: tuple[int | None, int | None]
) -> None:
    """``min_stay`` stands for the kind that the property goes by; a property that does not say goes by both."""
    home = {"attributes": {"id": "place", "title": "t", "settings": kind and {"min_stay_type": kind}}}
    nights = {night_.isoformat(): night for night_ in WINDOW}

    def answer(request: httpx.Request) -> httpx.Response:
        is_home = "/properties/" in request.url.path
        return httpx.Response(200, json={"data": home if is_home else {"rate": nights}})

    (page,) = answering(answer).pull_pricing(LISTING, WINDOW)
    assert {
        (each.restrictions.min_stay_arrival, each.restrictions.min_stay_through) for each in page.nights
    } == {expected}
    assert {each.price for each in page.nights} == {None}


@pytest.mark.parametrize(
    ("rate", "price", "problems"),
    [
        ("200.00", Money.from_minor(20_000, "EUR"), 0),
        ("200", Money.from_minor(20_000, "EUR"), 0),
        ("0.00", None, 0),
        (None, None, 0),
        (20_000, None, 7),
        ("-1.00", None, 7),
        ("200.001", None, 7),
        (True, None, 7),
        ("NaN", None, 7),
    ],
)
def test_a_rate_is_read_to_the_last_digit(rate: object, price: Money | None, problems: int) -> None:
    """Only a decimal string is a rate: a number would be minor units. What is no rate leaves its night unread."""
    nights = {night.isoformat(): {"rate": rate} for night in WINDOW}

    def answer(request: httpx.Request) -> httpx.Response:
        is_home = "/properties/" in request.url.path
        home = {"attributes": {"id": "place", "title": "t"}}
        return httpx.Response(200, json={"data": home if is_home else {"rate": nights}})

    (page,) = answering(answer).pull_pricing(LISTING, WINDOW)
    assert len(page.problems) == problems
    assert [night.price for night in page.nights] == [price] * (len(WINDOW) - problems)


def test_availability_as_it_comes() -> None:
    """A number is units, none or less is closed; what is no number is left out with a problem."""
    values = [3, 0, -2, "3", None, 1.5, True]
    nights = {night.isoformat(): value for night, value in zip(WINDOW, values, strict=True)}
    adapter = answering(told({"data": {"room": nights, "another": {}}}))
    (page,) = adapter.pull_availability(LISTING, WINDOW, Validators())
    assert [night.units_open for night in page.nights] == [3, 0, 0]
    assert len(page.problems) == 4


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        None,
        {"another": {}},
        {"room": []},
        {"room": {}},
        {"room": {night.isoformat(): 1 for night in list(WINDOW)[:-1]}},
    ],
)
def test_a_missing_night_proves_nothing(data: object) -> None:
    """A calendar without the room, or without one of its nights, opens and closes nothing."""
    with pytest.raises(UnexpectedResponse, match="availability of listing place/room/rate"):
        list(answering(told({"data": data})).pull_availability(LISTING, WINDOW, Validators()))


# What is set up.


@pytest.mark.parametrize("key", ["", " ", "a b", "a\nb", "\u00e9"])
def test_a_key_that_is_no_header(key: str) -> None:
    """A key with spaces or line ends is named as what is wrong, and is not shown."""
    adapter = answering(told({}))
    adapter.account = Account("north", "https://channex.example", secrets={"api_key": Secret(key)})
    with pytest.raises(ConfigurationError, match=r"north.*api_key is empty or holds spaces"):
        adapter.verify_credentials()


@pytest.mark.parametrize("listing_id", ["1001", "a/b", "a/b/c/d", "a//c", "a/b c/d", "../b/c?x=/d"])
def test_a_listing_that_is_none_of_channex(listing_id: str) -> None:
    """An id of another form is named before anything is asked."""
    listing = replace(LISTING, listing_id=listing_id)
    adapter = answering(told({}))
    for asked in (
        adapter.pull_availability(listing, WINDOW, Validators()),
        adapter.pull_pricing(listing, WINDOW),
        adapter.push_availability([AvailabilityUpdate(listing, WINDOW, 1)]),
    ):
        with pytest.raises(ConfigurationError, match="listing"):
            next(iter(asked))
