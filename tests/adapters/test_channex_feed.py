"""Channex's feed of revisions: read to its end, recovered after an outage, never wedged; over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from adapters.channex.webhook import ChannexWebhook
from adapters.errors import UnexpectedResponse
from adapters.model import ONE_DAY, Receipt
from adapters.updates import Verdict
from adapters.webhook import Delivery, EventKind
from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.channex.channel import Channex
from tests.adapters.channex_answers import TODAY, Quiet, answering, booked, drained, paths, quiet_house, told
from tests.adapters.scene import NOW, Scene, scene_of


@pytest.fixture
def scene() -> Iterator[Scene]:
    """The sample account on simulated Channex."""
    with scene_of("channex") as scene:
        yield scene


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    """Three rooms in which nothing happens but what a test scripts."""
    with quiet_house() as quiet:
        yield quiet


def test_the_feed_is_read_to_its_end_unacknowledged(scene: Scene) -> None:
    """More than a page of revisions comes oldest first, each once, although nothing is acknowledged meanwhile."""
    waiting = scene.sandbox.channex.acknowledged.waiting()
    assert len(waiting) > 100
    _, receipts, problems = drained(scene.adapter.pull_bookings(scene.listings, NOW, NOW))
    assert [receipt.reference for receipt in receipts] == [wire.revision_id(version) for version in waiting]
    assert problems == 0
    assert set(paths(scene.sandbox)) == {"booking_revisions/feed"}


def test_a_feed_that_never_changes_ends() -> None:
    """The same page again and again, or more pages than there can be, is an error and not an endless pull."""
    row = {"id": "r", "attributes": {}}
    same = answering(told({"data": [row], "meta": {"total": 10**9}}))
    with pytest.raises(UnexpectedResponse, match="the page before once more"):
        list(same.pull_bookings([], NOW, NOW))
    count = iter(range(1_000))
    other = answering(
        lambda _: httpx.Response(200, json={"data": [{"id": next(count)}], "meta": {"total": 10**9}})
    )
    with pytest.raises(UnexpectedResponse, match="more than 5 pages"):
        list(other.pull_bookings([], NOW, NOW))


def test_a_feed_that_shrinks_meanwhile_ends() -> None:
    """Where somebody else acknowledges the rest while it is read, an empty page is the end."""
    adapter = answering(
        lambda request: httpx.Response(
            200,
            json={"data": [{}] if "=1&" in f"{request.url}&" else [], "meta": {"total": 101}},
        )
    )
    assert len(list(adapter.pull_bookings([], NOW, NOW))) <= 1


def test_after_an_outage_the_list_is_read(quiet: Quiet) -> None:
    """What left the feed unacknowledged is found by its time in the list of bookings, once, with a receipt."""
    sandbox, adapter, listings = quiet
    channel: Channex = sandbox.channex
    channel.feed_keeps = timedelta(minutes=30)
    lost = booked(sandbox, 5, NOW - timedelta(hours=2))
    seen = booked(sandbox, 10, NOW - timedelta(minutes=10))
    booked(sandbox, 15, NOW - timedelta(hours=9))  # before the outage

    bookings, receipts, problems = drained(adapter.pull_bookings(listings, NOW - timedelta(hours=3), NOW))
    assert bookings == [channel.reservation_id(seen), channel.reservation_id(lost)]
    assert problems == 0
    assert all(outcome.verdict is Verdict.ACCEPTED for outcome in adapter.acknowledge_bookings(receipts))

    bookings, receipts, _ = drained(adapter.pull_bookings(listings, NOW - timedelta(hours=3), NOW))
    assert sorted(bookings) == sorted(map(channel.reservation_id, (seen, lost)))
    assert receipts == []  # the list says that they are acknowledged


def test_the_list_is_for_outages_only(quiet: Quiet) -> None:
    """A window of the last half hour, or none, asks for the feed alone."""
    sandbox, adapter, listings = quiet
    for begin, end in ((NOW, NOW), (NOW - timedelta(minutes=30), NOW), (NOW - timedelta(days=9),) * 2):
        list(adapter.pull_bookings(listings, begin, end))
    assert set(paths(sandbox)) == {"booking_revisions/feed"}
    list(adapter.pull_bookings(listings, NOW - timedelta(minutes=31), NOW))
    assert paths(sandbox)[-1] == "bookings"


def test_an_unmapped_room_is_stored_and_acknowledged(quiet: Quiet) -> None:
    """A room that Channex has not mapped is a booking of its own id, with a receipt that is accepted."""
    sandbox, adapter, listings = quiet
    code = booked(sandbox, 5, NOW - timedelta(minutes=5))
    room = {
        "checkin_date": "2026-03-15",
        "checkout_date": "2026-03-17",
        "room_type_id": None,
        "rate_plan_id": None,
    }
    sandbox.channex.told[code] = {"rooms": [room]}
    (page,) = adapter.pull_bookings(listings, NOW, NOW)
    (booking,) = page.bookings
    assert booking.listing_id == f"{listings[0].listing_id.split('/')[0]}/-/-"
    assert [outcome.verdict for outcome in adapter.acknowledge_bookings(page.receipts)] == [Verdict.ACCEPTED]
    assert not sandbox.channex.acknowledged.waiting()


def test_a_poisoned_revision_does_not_wedge_the_feed(quiet: Quiet) -> None:
    """The revisions around it are acknowledged; it goes on waiting, so that Channex tells people of it."""
    sandbox, adapter, listings = quiet
    codes = [booked(sandbox, 5 * number, NOW - timedelta(minutes=9 - number)) for number in range(1, 4)]
    sandbox.channex.told[codes[1]] = {"status": "unheard of"}
    (page,) = adapter.pull_bookings(listings, NOW, NOW)
    assert (len(page.bookings), len(page.problems), len(page.receipts)) == (2, 1, 2)
    list(adapter.acknowledge_bookings(page.receipts))
    assert [version.code for version in sandbox.channex.acknowledged.waiting()] == [codes[1]]
    (again,) = adapter.pull_bookings(listings, NOW, NOW)
    assert (again.bookings, len(again.problems), again.receipts) == ((), 1, ())


@pytest.mark.parametrize("status", [404, 410, 422])
def test_a_revision_that_nobody_knows(status: int) -> None:
    """Channex has no such revision: for good, in its own word."""
    adapter = answering(told({"errors": {"code": "not_found", "title": "Resouce Not Found"}}, status))
    (outcome,) = adapter.acknowledge_bookings([Receipt("b", "r")])
    assert (outcome.verdict, outcome.words) == (Verdict.REJECTED, "not_found")


def test_webhooks_trigger_the_feed(quiet: Quiet) -> None:
    """Each notice of a revision is a booking to be asked for, by the id under which the pull then knows it."""
    sandbox, adapter, listings = quiet
    code = booked(sandbox, 5, NOW - timedelta(hours=1))
    sandbox.channex.world.move(
        code, TODAY + 20 * ONE_DAY, TODAY + 22 * ONE_DAY, at=NOW - timedelta(minutes=20)
    )
    sandbox.channex.world.cancel(code, at=NOW - timedelta(minutes=1))
    events = [
        ChannexWebhook().events(Delivery("POST", "h", "/", body=body))[0]
        for body in sandbox.channex.notices()
    ]
    assert [event.name for event in events] == [
        "booking", "booking_new", "non_acked_booking",
        "booking", "booking_modification",
        "booking", "booking_cancellation",
    ]  # fmt: skip
    assert all(event.ask and event.kind is EventKind.BOOKING for event in events)
    (page,) = adapter.pull_bookings(listings, NOW, NOW)
    assert {event.booking_id for event in events} == {booking.booking_id for booking in page.bookings}
    revisions = [receipt.reference for receipt in page.receipts]
    assert {(event.delivery_id or "").split(":")[-1] for event in events} == set(revisions)
    assert {event.listing_ids for event in events} == {(listings[0].listing_id.split("/")[0],)}
