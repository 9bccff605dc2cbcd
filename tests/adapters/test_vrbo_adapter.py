"""What is Vrbo's own, over real HTTP before the sandbox: tokens, notifications, confirmations."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.errors import (
    AuthenticationFailed,
    ConfigurationError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from adapters.model import Receipt, Validators
from adapters.updates import Verdict
from adapters.vrbo.adapter import VrboAdapter
from adapters.vrbo.supply import PAGE_SIZE, PATH, Supply
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.vrbo import wire
from channel_sync.sandbox.vrbo.channel import Vrbo
from channel_sync.sandbox.vrbo.desk import Desk
from channel_sync.sandbox.world import World
from tests.adapters.contract_verbs import LONG_AGO, WINDOW
from tests.adapters.scene import NOW, Scene, scene_of

GRAPHQL = f"/vrbo{PATH}"


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The sample account before a sandbox of its own."""
    with scene_of("vrbo") as scene:
        yield scene


def vrbo(scene: Scene) -> VrboAdapter:
    assert isinstance(scene.adapter, VrboAdapter)
    return scene.adapter


def channel(sandbox: Sandbox) -> Vrbo:
    simulated = sandbox.channels["vrbo"]
    assert isinstance(simulated, Vrbo)
    return simulated


def desk(scene: Scene) -> Desk:
    return channel(scene.sandbox).desk


def waiting(scene: Scene) -> list[Receipt]:
    return [
        receipt for page in scene.adapter.pull_bookings(scene.listings, NOW, NOW) for receipt in page.receipts
    ]


def bodies(scene: Scene) -> list[dict[str, Any]]:
    """What GraphQL was asked, in order."""
    return [json.loads(call.body) for call in scene.sandbox.calls if call.path == GRAPHQL]


# Tokens.


def test_a_token_is_asked_for_once(scene: Scene) -> None:
    """One token serves every call of an account until it ends, in this process and the next."""
    scene.adapter.verify_credentials()
    list(scene.adapter.list_listings())
    another = VrboAdapter(scene.client, scene.account, scene.tokens, scene.sandbox.clock.now)
    another.verify_credentials()
    assert channel(scene.sandbox).tokens.grants == 1
    scene.sandbox.clock.set(NOW + timedelta(minutes=30))
    another.verify_credentials()
    assert channel(scene.sandbox).tokens.grants == 2


def test_a_refused_token_is_renewed_once(scene: Scene) -> None:
    """A token that was revoked is replaced and the call repeated; one that is refused anew is for a person to mend."""
    scene.adapter.verify_credentials()
    channel(scene.sandbox).tokens.revoke()
    scene.adapter.verify_credentials()
    assert channel(scene.sandbox).tokens.grants == 2
    scene.sandbox.faults.add(Fault("status", code=401, path=GRAPHQL))
    with pytest.raises(AuthenticationFailed):
        scene.adapter.verify_credentials()
    assert channel(scene.sandbox).tokens.grants == 3


def test_a_token_that_is_refused_inside_200(scene: Scene) -> None:
    """The same where the refusal stands in the body of HTTP 200."""
    scene.adapter.verify_credentials()
    body = json.dumps({"data": None, "errors": [{"extensions": {"code": "UNAUTHENTICATED"}}]})
    scene.sandbox.faults.add(Fault("status", code=200, body=body, path=GRAPHQL, times=1))
    scene.adapter.verify_credentials()
    assert channel(scene.sandbox).tokens.grants == 2


def test_credentials_of_somebody_else(scene: Scene) -> None:
    """A wrong secret and another partner's id are both for a person to mend."""
    wrong = {**scene.account.secrets, "client_secret": scene.account.secrets["client_id"]}
    with pytest.raises(AuthenticationFailed):
        scene.with_account(replace(scene.account, secrets=wrong)).adapter.verify_credentials()
    with pytest.raises(AuthenticationFailed):
        scene.with_account(
            replace(scene.account, settings={"advertiser_id": "1"})
        ).adapter.verify_credentials()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "advertiser_id"),
        ({"advertiser_id": " "}, "advertiser_id"),
        ({"advertiser_id": wire.ADVERTISER_ID, "notification_id_source": "OURS"}, "notification_id_source"),
    ],
    ids=["none", "blank", "unknown-source"],
)
def test_settings_that_cannot_be_used(scene: Scene, settings: dict[str, str], name: str) -> None:
    """What is not set, or not a word that there is, is named."""
    other = scene.with_account(replace(scene.account, settings=settings))
    with pytest.raises(ConfigurationError, match=name):
        _ = [*other.adapter.pull_bookings(other.listings, NOW, NOW), *other.adapter.list_listings()]


# What is on the wire.


def test_no_guest_is_asked_for(scene: Scene) -> None:
    """The channel has every guest, and gives none of them to a pull of reservations."""
    list(scene.adapter.pull_bookings(scene.listings, LONG_AGO, NOW))
    asked = " ".join(body["query"] for body in bodies(scene))
    assert "primaryGuest" not in asked
    assert wire.CARD_NUMBER in json.dumps(desk(scene).notifications())  # these have one, and it ends there


def test_calls_are_few(scene: Scene) -> None:
    """The reservations of waiting notifications are asked for by the page, not one by one."""
    receipts = waiting(scene)
    asked = [body for body in bodies(scene) if body["operationName"] == "Reservations"]
    named = [each for body in asked for each in body["variables"]["filter"]["ids"]]
    assert len(receipts) > len(asked) * 10
    assert max(len(body["variables"]["filter"]["ids"]) for body in asked) <= PAGE_SIZE
    assert len(named) == len(set(named))


def test_a_change_at_the_edge_of_a_window(scene: Scene) -> None:
    """Two windows that touch share no reservation and lose none, also between two whole seconds."""
    for notice in waiting(scene):
        list(scene.adapter.acknowledge_bookings([notice]))
    changes = sorted(booking.updated_at for booking in scene.world.bookings(NOW))
    edge = changes[len(changes) // 2]
    for cut in (edge, edge + timedelta(milliseconds=300)):
        before, after, whole = (
            sorted(
                booking.booking_id
                for page in scene.adapter.pull_bookings(scene.listings, start, end)
                for booking in page.bookings
            )
            for start, end in ((LONG_AGO, cut), (cut, NOW), (LONG_AGO, NOW))
        )
        assert sorted(before + after) == whole
        assert before
        assert after


def test_the_feed_is_asked_only_if_it_changed(scene: Scene) -> None:
    """A feed that did not change is not read again."""
    listing = scene.listings[0]
    (first,) = scene.adapter.pull_availability(listing, WINDOW, Validators())
    (again,) = scene.adapter.pull_availability(listing, WINDOW, first.validators)
    assert not first.unchanged
    assert again.unchanged


def test_paging_that_goes_in_circles_ends(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that was already followed, or more pages than there can be, is no list."""
    page = {"undeliveredNotifications": {"cursor": "again", "elements": []}}
    scene.sandbox.faults.add(Fault("status", code=200, body=json.dumps({"data": page}), path=GRAPHQL))
    with pytest.raises(UnexpectedResponse, match="already read"):
        list(scene.adapter.pull_bookings(scene.listings, NOW, NOW))
    scene.goes_right()
    monkeypatch.setattr(Supply, "most_pages", 1)
    with pytest.raises(UnexpectedResponse, match="more than 1 page"):
        list(scene.adapter.pull_bookings(scene.listings, NOW, NOW))


# Notifications and their confirmation.


def test_a_reservation_that_the_channel_cannot_give(scene: Scene) -> None:
    """One that fails inside an answer is a problem without a receipt; the others come and are confirmed."""
    (code, *_) = sorted({version.code for version in channel(scene.sandbox).acknowledged.waiting()})
    failing = wire.reservation_id(code)
    desk(scene).fails[failing] = "NOT_FOUND"
    pages = list(scene.adapter.pull_bookings(scene.listings, NOW, NOW))
    assert failing not in {booking.booking_id for page in pages for booking in page.bookings}
    assert failing not in {receipt.booking_id for page in pages for receipt in page.receipts}
    assert {problem.reason for page in pages for problem in page.problems} >= {"NOT_FOUND"}
    assert sum(len(page.bookings) for page in pages) > 50


def test_a_limit_inside_an_answer_stops_the_pull(scene: Scene) -> None:
    """Too many calls is told for what it is, wherever in an answer it stands."""
    (version, *_) = channel(scene.sandbox).acknowledged.waiting()
    desk(scene).fails[wire.reservation_id(version.code)] = "RATE_LIMIT_EXCEEDED"
    with pytest.raises(RateLimited):
        list(scene.adapter.pull_bookings(scene.listings, NOW, NOW))


def test_a_notification_that_does_not_tell_what_was_done(scene: Scene) -> None:
    """Then the newest version of its reservation is asked for before it is confirmed."""
    desk(scene).tells_actions = False
    newest = {version.code: version for version in channel(scene.sandbox).acknowledged.versions()}
    last = {wire.reservation_id(code): wire.confirmation_token(each) for code, each in newest.items()}
    told = [receipt for receipt in waiting(scene) if last[receipt.booking_id] in receipt.reference]
    for action in ("BOOKED", "MODIFIED", "CANCELLED"):
        (receipt, *_) = [
            each for each in told if wire.action_of(newest[each.booking_id.replace("HA-", "HM", 1)]) == action
        ]
        (outcome,) = scene.adapter.acknowledge_bookings([receipt])
        assert outcome.verdict is Verdict.ACCEPTED


def test_what_was_taken_as_a_webhook_is_not_in_the_queue(scene: Scene) -> None:
    """A notification that was delivered is known by its own receipt alone, and that confirms it."""
    told = desk(scene).notifications()
    before = waiting(scene)
    desk(scene).delivered.add(told[0]["notificationId"])
    (left_out,) = {receipt.reference for receipt in before} - {each.reference for each in waiting(scene)}
    (outcome,) = scene.adapter.acknowledge_bookings([Receipt("HA-1", left_out)])
    assert outcome.verdict is Verdict.ACCEPTED
    assert len(desk(scene).notifications()) == len(told) - 1


def test_a_token_that_is_not_taken(scene: Scene) -> None:
    """A token of another reservation is refused for good, with the channel's code and without the token."""
    first, second, *_ = waiting(scene)
    property_id, reservation, token, action = json.loads(first.reference)
    swapped = json.dumps([property_id, json.loads(second.reference)[1], token, action])
    (outcome,) = scene.adapter.acknowledge_bookings([Receipt(reservation, swapped)])
    assert outcome.verdict is Verdict.REJECTED
    assert "INVALID_CONFIRMATION_TOKEN" in outcome.words
    assert token not in outcome.words


@pytest.mark.parametrize("status", [400, 404])
def test_a_call_that_is_refused_rejects_no_receipt(scene: Scene, status: int) -> None:
    """Where the call itself is refused nothing is said of what it confirms: it can be confirmed later."""
    (receipt, *_) = waiting(scene)
    scene.goes_wrong(Fault("status", code=status, path=GRAPHQL))
    with pytest.raises(Rejected):
        list(scene.adapter.acknowledge_bookings([receipt]))
    scene.goes_right()
    (outcome,) = scene.adapter.acknowledge_bookings([receipt])
    assert outcome.verdict is Verdict.ACCEPTED


def test_a_confirmation_whose_answer_is_lost_may_be_repeated(scene: Scene) -> None:
    """It states what is known here: told twice it is the same, so a lost answer is one that may pass."""
    (receipt, *_) = waiting(scene)
    scene.goes_wrong(Fault("drop", method="POST"))
    with pytest.raises(Unavailable):
        list(scene.adapter.acknowledge_bookings([receipt]))
    scene.goes_right()
    (outcome,) = scene.adapter.acknowledge_bookings([receipt])
    assert outcome.verdict is Verdict.ACCEPTED


def test_nothing_is_there(scene: Scene) -> None:
    """A world without properties has no listing and nothing that waits."""
    with Sandbox(world=World.empty(0), rooms=0) as empty:
        empty.clock.set(NOW)
        poor = scene.with_account(replace(scene.account, base_url=f"{empty.url}/vrbo"))
        assert list(poor.adapter.list_listings()) == []
        assert list(poor.adapter.pull_bookings((), LONG_AGO, NOW)) == []
