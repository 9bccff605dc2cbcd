"""Booking.com's two queues, over real HTTP: what comes in which, what acknowledges it, what was missed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from adapters.booking_com.receipts import Queue, reference_of
from adapters.errors import ConfigurationError, UnexpectedResponse
from adapters.model import (
    ONE_DAY,
    BookingPage,
    BookingStatus,
    Receipt,
    Stay,
)
from adapters.updates import Verdict
from channel_sync.sandbox.booking_com.channel import BookingCom
from channel_sync.sandbox.faults import Fault
from tests.adapters.scene import NOW, Scene, scene_of

NEW = "/booking_com/hotels/ota/OTA_HotelResNotif"
CHANGED = "/booking_com/hotels/ota/OTA_HotelResModifyNotif"
SOME = 12  # of the receipts: enough to be halved and halved again


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


def waiting(scene: Scene) -> list[Receipt]:
    return [receipt for page in pages(scene) for receipt in page.receipts]


def pages(scene: Scene, changed_from: datetime = NOW, changed_until: datetime = NOW) -> list[BookingPage]:
    return list(scene.adapter.pull_bookings(scene.listings, changed_from, changed_until))


def with_settings(scene: Scene, **settings: str) -> Scene:
    return scene.with_account(replace(scene.account, settings=settings))


def test_a_booking_changed_before_it_was_acknowledged_is_new(scene: Scene) -> None:
    """It comes once, as it stands; changed after that it comes in the other queue, and is acknowledged there."""
    world = scene.world
    free = Stay(NOW.date() + 500 * ONE_DAY, NOW.date() + 502 * ONE_DAY)
    code = world.book("1001", free.check_in, free.check_out, at=NOW - timedelta(minutes=3))
    world.move(code, free.check_in, free.check_out - ONE_DAY, at=NOW - timedelta(minutes=2))
    known_as = channel(scene).reservation_id(code)

    (receipt,) = (each for each in waiting(scene) if each.booking_id == known_as)
    assert Queue.NEW in receipt.reference
    (outcome,) = scene.adapter.acknowledge_bookings([receipt])
    assert outcome.verdict is Verdict.ACCEPTED

    world.cancel(code, at=NOW + timedelta(seconds=1))
    scene.sandbox.clock.set(NOW + timedelta(seconds=30))
    found = [
        (booking, page)
        for page in pages(scene)
        for booking in page.bookings
        if booking.booking_id == known_as
    ]
    ((booking, page),) = found
    assert booking.status is BookingStatus.CANCELLED
    (again,) = (each for each in page.receipts if each.booking_id == known_as)
    assert Queue.CHANGED in again.reference
    assert [each.verdict for each in scene.adapter.acknowledge_bookings([again])] == [Verdict.ACCEPTED]
    assert known_as not in {each.booking_id for each in waiting(scene)}


def test_a_stale_acknowledgement_is_rejected(scene: Scene) -> None:
    """A newer message waits: the old one is refused for good, the newer one is not touched, and comes with the next pull."""
    told = [each for each in waiting(scene) if Queue.NEW in each.reference][:SOME]
    stale = next(
        each
        for each in told
        for booking in scene.world.bookings(NOW)
        if booking.confirmed and channel(scene).reservation_id(booking.code) == each.booking_id
    )
    code = next(
        booking.code
        for booking in scene.world.bookings(NOW)
        if channel(scene).reservation_id(booking.code) == stale.booking_id
    )
    scene.world.cancel(code, at=NOW + timedelta(seconds=1))
    scene.sandbox.clock.set(NOW + timedelta(seconds=2))

    outcomes = {each.item.reference: each for each in scene.adapter.acknowledge_bookings(told)}
    assert outcomes.pop(stale.reference).verdict is Verdict.REJECTED
    assert {each.verdict for each in outcomes.values()} == {Verdict.ACCEPTED}
    assert len(outcomes) == len(told) - 1
    # Halved until the one is found: a handful of calls, and none to the other queue, where its successor may wait.
    assert 1 < len(calls(scene, NEW, "POST")) <= 9
    assert not calls(scene, CHANGED, "POST")
    assert stale.booking_id in {each.booking_id for each in waiting(scene)}


def test_the_wrong_queue_is_refused(scene: Scene) -> None:
    """A message is acknowledged where it was retrieved and nowhere else."""
    receipt = next(each for each in waiting(scene) if Queue.NEW in each.reference)
    elsewhere = Receipt(receipt.booking_id, reference_of(Queue.CHANGED, receipt.booking_id, NOW))
    before = channel(scene).acknowledged.waiting()
    (outcome,) = scene.adapter.acknowledge_bookings([elsewhere])
    assert (outcome.verdict, "392" in outcome.words) == (Verdict.REJECTED, True)
    assert channel(scene).acknowledged.waiting() == before


@pytest.mark.parametrize(
    ("said", "status", "verdicts"),
    [
        ("<Success/>", 200, "AAA"),
        ('<Success/><Warnings><Warning Code="87" RecordID="{0}"/></Warnings>', 200, "WAA"),
        ('<Success/><Warnings><Warning Code="87" RecordID=""/></Warnings>', 200, "WWW"),
        ('<Success/><Errors><Error Code="392" RecordID="{1}"/></Errors>', 200, "ARA"),
    ],
)
def test_an_acknowledgement_in_part(scene: Scene, said: str, status: int, verdicts: str) -> None:
    """A warning or an error that names a reservation is about that one; a warning that names none is about all."""
    receipts = waiting(scene)[:3]
    body = (
        f"<OTA_HotelResNotifRS>{said.format(*(each.booking_id for each in receipts))}</OTA_HotelResNotifRS>"
    )
    scene.sandbox.faults.add(Fault("status", code=status, body=body, content_type="application/xml"))
    outcomes = list(scene.adapter.acknowledge_bookings(receipts))
    assert "".join(outcome.verdict[0].upper() for outcome in outcomes) == verdicts


def test_errors_that_name_no_reservation_are_narrowed_down(scene: Scene) -> None:
    """All of a request refused without a name: each is asked for alone before it is given up."""
    receipts = waiting(scene)[:4]
    body = "<OTA_HotelResNotifRS><Errors><Error Code='450'>no</Error></Errors></OTA_HotelResNotifRS>"
    scene.sandbox.faults.add(Fault("status", code=200, body=body, content_type="application/xml"))
    outcomes = list(scene.adapter.acknowledge_bookings(receipts))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.REJECTED}
    assert len(calls(scene, NEW, "POST")) == 7


# Recovery, and what changed in a window.


def test_the_window_is_asked_by_last_change(scene: Scene) -> None:
    """What was acknowledged before comes again if it changed in the window, without a receipt, and nothing outside it."""
    list(scene.adapter.acknowledge_bookings(waiting(scene)))
    assert waiting(scene) == []
    edge = NOW - timedelta(days=60)
    found = pages(scene, edge, NOW)
    changed = [booking for booking in scene.world.bookings(NOW) if edge <= booking.updated_at < NOW]
    assert sorted(booking.booking_id for page in found for booking in page.bookings) == sorted(
        channel(scene).reservation_id(booking.code) for booking in changed
    )
    assert changed
    assert not [receipt for page in found for receipt in page.receipts]
    assert calls(scene, NEW)[-1] == "last_change=2026-01-09+09%3A30%3A00"


def test_recovery_replaces_last_change(scene: Scene) -> None:
    """What fell out of the queues is listed, asked for by its id, and can still be acknowledged; last_change is not used."""
    scene = with_settings(scene, reservation_recovery="on")
    hotels = channel(scene)
    hotels.recovery = True
    hotels.queues.falls_back_after = timedelta(minutes=30)
    listed = {each.reservation_id for each in hotels.queues.missed()}
    assert len(listed) > 50
    scene.adapter.verify_credentials()
    found = pages(scene, NOW - timedelta(days=400), NOW)
    receipts = [receipt for page in found for receipt in page.receipts]
    assert len(receipts) == 5  # the rest with the next pulls: each question takes its time
    assert {receipt.booking_id for receipt in receipts} <= listed
    assert not [query for path in (NEW, CHANGED) for query in calls(scene, path) if "last_change" in query]
    outcomes = list(scene.adapter.acknowledge_bookings(receipts))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert {each.reservation_id for each in hotels.queues.missed()} == listed - {
        r.booking_id for r in receipts
    }


def test_recovery_is_on_or_off(scene: Scene) -> None:
    """Any other word is a mistake that is named before any request."""
    wrong = with_settings(scene, reservation_recovery="yes")
    with pytest.raises(ConfigurationError, match="reservation_recovery"):
        pages(wrong)
    assert not scene.sandbox.calls


@pytest.mark.parametrize(
    ("body", "problems"),
    [
        ('{"errors": [], "data": [{"reservation_id": true}, 7, {}, {"reservation_id": "a b"}]}', 4),
        ('{"data": []}', 0),
    ],
)
def test_a_list_of_missed_reservations(scene: Scene, body: str, problems: int) -> None:
    """A row without an id is a problem; the rest of the pull goes on."""
    scene = with_settings(scene, reservation_recovery="on")
    scene.sandbox.faults.add(Fault("status", code=200, body=body, path="*/missed-reservations"))
    assert sum(len(page.problems) for page in pages(scene)) == problems


@pytest.mark.parametrize("body", ['{"errors": [{"code": 1}], "data": []}', "{}", "[]", "<x/>"])
def test_no_list_of_missed_reservations(scene: Scene, body: str) -> None:
    """An error or no list proves nothing."""
    scene = with_settings(scene, reservation_recovery="on")
    scene.sandbox.faults.add(Fault("status", code=200, body=body, path="*/missed-reservations"))
    with pytest.raises(UnexpectedResponse):
        pages(scene)


def test_pages_are_small(scene: Scene) -> None:
    """What waits is handed on some at a time, so that it can be committed and acknowledged in between."""
    found = pages(scene)
    assert len(found) > 1
    assert max(len(page.receipts) for page in found) == 100
    first = [booking.revised_at for page in found for booking in page.bookings]
    assert first == sorted(first)
