"""What is changed at Vrbo beyond the contract, over real HTTP before the sandbox: cancellations and callbacks."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from adapters.errors import (
    OutcomeUnknown,
    Rejected,
)
from adapters.model import Booking, BookingStatus
from adapters.vrbo.adapter import VrboAdapter
from adapters.vrbo.supply import PATH
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.vrbo.channel import Vrbo
from channel_sync.sandbox.vrbo.desk import Desk
from tests.adapters.contract_verbs import whole_text
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


def bodies(scene: Scene) -> list[dict[str, Any]]:
    """What GraphQL was asked, in order."""
    return [json.loads(call.body) for call in scene.sandbox.calls if call.path == GRAPHQL]


# Cancelling.


def confirmed(scene: Scene) -> Booking:
    listing_id = scene.listings[0].listing_id
    return next(
        booking
        for page in scene.adapter.pull_bookings(scene.listings, NOW, NOW)
        for booking in page.bookings
        if booking.status is BookingStatus.CONFIRMED and booking.listing_id == listing_id
    )


def test_a_stay_is_cancelled(scene: Scene) -> None:
    """The host cancels: the booking comes back cancelled, the channel has it, and a second time is refused."""
    booking, listing = confirmed(scene), scene.listings[0]
    ended = vrbo(scene).cancel_reservation(listing, booking.booking_id, "DATES_BOOKED_ANOTHER_PLATFORM")
    assert ended == replace(booking, status=BookingStatus.CANCELLED, revised_at=NOW)
    true = scene.world.booking(booking.booking_id.replace("HA-", "HM", 1), NOW)
    assert true is not None
    assert not true.confirmed
    with pytest.raises(Rejected, match="CONFLICT"):
        vrbo(scene).cancel_reservation(listing, booking.booking_id, "PAYMENT_NOT_RECEIVED")


def test_a_cancellation_that_the_channel_refuses(scene: Scene) -> None:
    """A reason that is none, a second reason where there is none, another listing's stay: refused, nothing done."""
    booking, (listing, other, *_) = confirmed(scene), scene.listings
    for where, *reasons in (
        (listing, "BORED"),
        (listing, "PAYMENT_NOT_RECEIVED", "OTHER"),
        (other, "PAYMENT_NOT_RECEIVED"),
    ):
        with pytest.raises(Rejected):
            vrbo(scene).cancel_reservation(where, booking.booking_id, *reasons)
    assert confirmed(scene) == booking


def test_a_cancellation_without_an_answer_is_not_repeated(scene: Scene) -> None:
    """Whether it was done is not known: nobody repeats it blindly."""
    booking = confirmed(scene)
    before = len(bodies(scene))
    scene.sandbox.faults.add(Fault("drop", after="headers", path=GRAPHQL, every=2))
    with pytest.raises(OutcomeUnknown) as caught:
        vrbo(scene).cancel_reservation(
            scene.listings[0], booking.booking_id, "GUEST_REQUESTED_CANCEL", "PAYMENT"
        )
    assert [body["operationName"] for body in bodies(scene)[before:]] == ["Reservations", "Cancel"]
    assert booking.booking_id in str(caught.value)


def test_a_cancellation_that_is_done_though_it_cannot_be_shown(scene: Scene) -> None:
    """Where the channel cancels and fails to show the reservation, it is cancelled and the next pull tells how."""
    booking, listing = confirmed(scene), scene.listings[0]
    body = {
        "data": {"cancelVrboReservation": {"reservation": None}},
        "errors": [
            {
                "path": ["cancelVrboReservation", "reservation"],
                "extensions": {"code": "INTERNAL_SERVER_ERROR"},
            }
        ],
    }
    scene.sandbox.faults.add(Fault("status", code=200, body=json.dumps(body), path=GRAPHQL, every=2))
    assert vrbo(scene).cancel_reservation(listing, booking.booking_id, "PAYMENT_NOT_RECEIVED") is None


# Callbacks.


def test_a_callback_is_set_up_and_its_secret_replaced(scene: Scene) -> None:
    """Created, subscribed, refreshed: each secret is told once, and for a while there are two."""
    made = vrbo(scene).create_callback("https://hooks.example.org/v", "our-key", "ops@example.org")
    vrbo(scene).subscribe_callback(made.config_id)
    known = desk(scene).callbacks[made.config_id]
    assert (known.url, known.email, known.timeout_s) == (
        "https://hooks.example.org/v",
        "ops@example.org",
        30,
    )
    assert known.event_types == {"ReservationNotificationEvent"}
    assert made.secret.reveal() == known.secrets[0]
    assert (made.expires_at, made.previous_until) == (NOW + timedelta(days=365), None)
    renewed = vrbo(scene).refresh_callback_secret(made.config_id)
    assert [made.secret.reveal(), renewed.secret.reveal()] == known.secrets
    assert (renewed.config_id, renewed.previous_until) == (made.config_id, NOW + timedelta(days=3))
    assert made.secret.reveal() not in repr([made, renewed])


def test_a_callback_that_is_not_there(scene: Scene) -> None:
    """Refused for good."""
    with pytest.raises(Rejected, match="NOT_FOUND"):
        vrbo(scene).refresh_callback_secret("nobody")
    with pytest.raises(Rejected, match="NOT_FOUND"):
        vrbo(scene).subscribe_callback("nobody")


@pytest.mark.parametrize("fault", [Fault("drop"), Fault("drop", after="headers"), Fault("status", code=502)])
def test_a_secret_whose_answer_is_lost(scene: Scene, fault: Fault) -> None:
    """It may have been made: asking again would make another, so nobody does. The key that was sent is in no error."""
    scene.adapter.verify_credentials()
    scene.goes_wrong(replace(fault, path=GRAPHQL))
    with pytest.raises(OutcomeUnknown) as caught:
        vrbo(scene).create_callback("https://hooks.example.org/v", "our-key", "ops@example.org")
    assert not [text for text in whole_text(caught.value) if "our-key" in text]
