"""What is odd about Booking.com's hotels, pushes and limits, over real HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from adapters.booking_com.adapter import BookingComAdapter
from adapters.errors import AuthenticationFailed, UnexpectedResponse
from adapters.model import (
    ONE_DAY,
    Money,
    Restrictions,
    Stay,
    Validators,
)
from adapters.spending import Spend
from adapters.updates import AvailabilityUpdate, PricingUpdate, Verdict
from channel_sync.resilience import quota_keys
from channel_sync.sandbox.booking_com.channel import BookingCom
from channel_sync.sandbox.faults import Fault
from tests.adapters.scene import NOW, Scene, scene_of

EXCHANGE = "/booking_com/token-based-authentication/exchange"
SOON = Stay(NOW.date() + 5 * ONE_DAY, NOW.date() + 7 * ONE_DAY)


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


def test_a_hotel_that_is_not_linked(scene: Scene) -> None:
    """403 says that the hotel is not this machine account's, which a person has to mend; the token is not renewed."""
    scene.adapter.verify_credentials()
    listing = scene.listings[0]
    channel(scene).unlinked.add(listing.listing_id.split("/")[0])
    with pytest.raises(AuthenticationFailed, match="not linked"):
        list(scene.adapter.pull_availability(listing, SOON, Validators()))
    with pytest.raises(AuthenticationFailed, match="not linked"):
        list(scene.adapter.push_availability([AvailabilityUpdate(listing, SOON, 0)]))
    assert len(calls(scene, EXCHANGE, "POST")) == 1


@pytest.mark.parametrize("code", ["401", "403", "1006", ""])
def test_a_fault_with_success(scene: Scene, code: str) -> None:
    """B.XML says no with HTTP 200 as well: that is no answer to a question."""
    scene.adapter.verify_credentials()
    body = f'<?xml version="1.0"?><fault code="{code}" string="Call Ana"/>'
    scene.sandbox.faults.add(Fault("status", code=200, body=body, content_type="application/xml"))
    with pytest.raises(Exception, match=f"fault {code}") as caught:
        list(scene.adapter.pull_availability(scene.listings[0], SOON, Validators()))
    assert isinstance(caught.value, AuthenticationFailed) is (code in ("401", "403"))
    assert "Ana" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ('<result><room room_id="{room}"><date value="{a}" rooms_to_sell="1"/></room></result>', None),
        ('<result><room room_id="1"><date value="{a}" rooms_to_sell="1"/></room></result>', None),
        ('<result><room room_id="{room}">' + '<date value="{a}" rooms_to_sell="1"/>' * 2 + "</room></result>", None),
        ('<result><room room_id="{room}"><date rooms_to_sell="1"/></room></result>', None),
        (
            (
                '<result><room room_id="{room}"><date value="{a}" rooms_to_sell="many"/>'
                '<date value="{b}" rooms_to_sell="5" closed="1"/></room></result>'
            ),
            1,
        ),
    ],
    ids=["missing", "other-room", "twice", "undated", "unreadable"],
)  # fmt: skip
def test_inventory_that_is_not_all(scene: Scene, body: str, problems: int | None) -> None:
    """A night missing or told twice refuses the answer; one that cannot be read is a problem; closed is closed."""
    scene.adapter.verify_credentials()
    listing = scene.listings[0]
    nights = {"a": SOON.check_in, "b": SOON.check_in + ONE_DAY, "room": listing.listing_id.split("/")[1]}
    scene.sandbox.faults.add(
        Fault("status", code=200, body=body.format(**nights), content_type="application/xml")
    )
    pull = scene.adapter.pull_availability(listing, SOON, Validators())
    if problems is None:
        with pytest.raises(UnexpectedResponse):
            list(pull)
        return
    (page,) = pull
    assert len(page.problems) == problems
    assert [(night.night, night.units_open) for night in page.nights] == [(nights["b"], 0)]


def test_nights_that_are_past_are_not_asked_for(scene: Scene) -> None:
    """A month that has begun is asked from yesterday on, by the clock of Booking.com; one that is over, not at all."""
    listing = scene.listings[1]  # in Tokyo, where it is tomorrow already
    scene.sandbox.clock.set(datetime(2026, 3, 9, 23, 30, tzinfo=UTC))
    april = date(2026, 4, 1)
    found = list(scene.adapter.pull_availability(listing, Stay(date(2026, 3, 1), april), Validators()))
    assert [page.window for page in found] == [Stay(date(2026, 3, 9), april)]
    past = Stay(date(2026, 2, 1), date(2026, 3, 1))
    assert list(scene.adapter.pull_availability(listing, past, Validators())) == []


def test_what_half_succeeds_is_told_by_the_night(scene: Scene) -> None:
    """A night that is past is refused by its number: the update is done in part, its neighbour whole."""
    listing = scene.listings[0]
    past = Stay(NOW.date() - 3 * ONE_DAY, NOW.date() + ONE_DAY)
    updates = [AvailabilityUpdate(listing, past, 0), AvailabilityUpdate(listing, SOON, 0)]
    outcomes = list(scene.adapter.push_availability(updates))
    assert [outcome.verdict for outcome in outcomes] == [Verdict.WARNED, Verdict.ACCEPTED]
    assert "NOT_A_VALID_DATE" in outcomes[0].words


def test_what_fails_whole_is_rejected_with_its_code(scene: Scene) -> None:
    """HTTP 400: nothing was done; an unknown room is named by the channel's code, and the other hotel's call is made."""
    known, other = scene.listings[:2]
    strange = replace(other, listing_id="8100002/999/1")
    updates = [AvailabilityUpdate(strange, SOON, 0), AvailabilityUpdate(known, SOON, 0)]
    verdicts = {
        outcome.item.listing.listing_id: (outcome.verdict, outcome.words)
        for outcome in scene.adapter.push_availability(updates)
    }
    assert verdicts == {
        strange.listing_id: (Verdict.REJECTED, "code 402 ROOM_ID_INVALID"),
        known.listing_id: (Verdict.ACCEPTED, ""),
    }


def test_the_currency_of_the_hotel_decides(scene: Scene) -> None:
    """A listing set up in another currency than its hotel is refused by the channel, in its own words."""
    mistaken = replace(scene.listings[0], currency="USD")
    update = PricingUpdate(mistaken, SOON, Money(Decimal(100), "USD"), Restrictions(stop_sell=False))
    (outcome,) = scene.adapter.push_pricing([update])
    assert outcome.verdict is Verdict.WARNED  # the restriction was done, the price was not
    assert "CURRENCY_CODE_DONT_MATCH_HOTEL_CURRENCY" in outcome.words


def test_every_published_limit_counts_its_calls() -> None:
    """30 tokens an hour; a queue every 20 s; 5 s between any two of the four calls about reservations; the rest free."""
    quotas = BookingComAdapter.declaration.quotas

    def windows(endpoint: str) -> list[tuple[int, float]]:
        spend = Spend(endpoint, property_id="1", listing_id="1/2/3")
        found = [
            quota
            for policy in quota_keys.policies("booking_com", quotas, "a", "h", spend)
            for quota in policy.quotas
        ]
        return sorted((quota.limit, quota.window.total_seconds()) for quota in found)

    assert windows("token") == [(30, 3600.0)]
    assert windows("new_reservations") == windows("changed_reservations") == [(1, 5.0), (1, 20.0)]
    assert windows("new_acknowledgements") == windows("changed_acknowledgements") == [(1, 5.0)]
    assert windows("rates") == windows("inventory") == []
