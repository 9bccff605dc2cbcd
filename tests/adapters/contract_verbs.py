"""The verbs as the engine calls them, and what goes wrong while it does: what the contract's tests are built from."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from adapters.base_adapter import Capability
from adapters.errors import ChannelError
from adapters.model import ONE_DAY, Money, Receipt, Stay, Validators
from adapters.updates import AvailabilityUpdate, PricingUpdate
from channel_sync.sandbox.faults import Fault
from tests.adapters.scene import NOW, TOO_LATE, Scene

TODAY = NOW.date()
TOMORROW = TODAY + ONE_DAY
LONG_AGO = NOW - timedelta(days=3650)
WINDOWS = [
    Stay(TOMORROW, TOMORROW + ONE_DAY),
    Stay(TOMORROW + 9 * ONE_DAY, TOMORROW + 30 * ONE_DAY),
    Stay(TOMORROW, TOMORROW + 400 * ONE_DAY),
]
WINDOW = WINDOWS[1]

# Each verb as the engine calls it, about the first listing, for the receipts of some versions that wait.
VERBS: Mapping[Capability, Callable[[Scene, Iterable[Receipt]], Iterable[object] | None]] = {
    Capability.LIST_LISTINGS: lambda scene, _: scene.adapter.list_listings(),
    Capability.PULL_AVAILABILITY: lambda scene, _: scene.adapter.pull_availability(
        scene.listings[0], WINDOW, Validators()
    ),
    Capability.PULL_PRICING: lambda scene, _: scene.adapter.pull_pricing(scene.listings[0], WINDOW),
    Capability.PULL_BOOKINGS: lambda scene, _: scene.adapter.pull_bookings(scene.listings, LONG_AGO, NOW),
    Capability.ACKNOWLEDGE_BOOKINGS: lambda scene, receipts: scene.adapter.acknowledge_bookings(receipts),
    Capability.PUSH_AVAILABILITY: lambda scene, _: scene.adapter.push_availability(
        [AvailabilityUpdate(scene.listings[0], WINDOW, 1)]
    ),
    Capability.PUSH_PRICING: lambda scene, _: scene.adapter.push_pricing(
        [PricingUpdate(scene.listings[0], WINDOW, Money(Decimal(240), scene.listings[0].currency))]
    ),
}
PULLS = [
    Capability.LIST_LISTINGS,
    Capability.PULL_AVAILABILITY,
    Capability.PULL_PRICING,
    Capability.PULL_BOOKINGS,
]
TELLS = [Capability.ACKNOWLEDGE_BOOKINGS, Capability.PUSH_AVAILABILITY, Capability.PUSH_PRICING]

# Two letters or more, and no number but that of a protocol's version: it stands in the keys and rows of counters.
ENDPOINT = re.compile("[a-z][a-z_]+[0-9]?")

# Numbers that card schemes publish for tests. A simulated channel puts one of them beside each guest.
TEST_CARDS = (
    "4111111111111111",
    "4242424242424242",
    "4012888888881881",
    "5555555555554444",
    "5105105105105100",
    "378282246310005",
    "6011111111111117",
)

# Everything that can go wrong on the way back, once: for what must hold whatever goes wrong.
EVERYTHING_WRONG = (
    *(Fault("status", code=code) for code in (302, 400, 401, 403, 404, 408, 409, 410, 422, 429, 500, 503)),
    Fault("status", code=429, retry_after="30"),
    TOO_LATE,
    Fault("drop"),
    Fault("drop", after="headers"),
    Fault("truncate", bytes=40),
    Fault("html"),
    Fault("empty_body"),
    Fault("wrong_shape"),
)


def declared(scene: Scene, verb: Capability) -> None:
    """Skip the test unless the channel declares the verb."""
    if verb not in scene.adapter.declaration.capabilities:
        pytest.skip(f"{scene.adapter.declaration.title} does not declare {verb}")


def within_reach(scene: Scene, window: Stay) -> Stay:
    """The part of the window that the channel's calendar reaches."""
    days = scene.adapter.declaration.horizon_days
    reached = window.clipped_to(Stay(TODAY, TODAY + timedelta(days=days)))
    assert reached
    return reached


def waiting(scene: Scene) -> tuple[Receipt, ...]:
    """The receipts of all that the channel wants acknowledged now; none where it wants none."""
    if Capability.ACKNOWLEDGE_BOOKINGS not in scene.adapter.declaration.capabilities:
        return ()
    pages = scene.adapter.pull_bookings(scene.listings, NOW, NOW)
    return tuple(receipt for page in pages for receipt in page.receipts)


def needed(scene: Scene, verb: Capability) -> tuple[Receipt, ...]:
    """The receipts that a verb is called with: a few, so that each test takes a few calls."""
    return waiting(scene)[:3] if verb is Capability.ACKNOWLEDGE_BOOKINGS else ()


def drained(scene: Scene, verb: Capability, receipts: tuple[Receipt, ...] | None = None) -> list[object]:
    """All that a verb gives."""
    given = needed(scene, verb) if receipts is None else receipts
    return list(VERBS[verb](scene, given) or ())


def with_fault(
    scene: Scene,
    verb: Capability,
    fault: Fault,
    expected: type[ChannelError] | tuple[type[ChannelError], ...],
) -> ChannelError:
    """Let every call meet the fault, after the credentials were accepted; the error that it becomes."""
    scene.adapter.verify_credentials()
    receipts = needed(scene, verb)
    scene.goes_wrong(replace(fault))
    with pytest.raises(expected) as caught:
        drained(scene, verb, receipts)
    scene.goes_right()
    assert caught.value.__cause__ is None
    return caught.value


def whole_text(error: BaseException | None) -> list[str]:
    """Everything that an error and those behind it say, with their attributes."""
    found: list[str] = []
    while error is not None:
        found += [str(error), repr(error), repr(error.args), repr(vars(error))]
        found += whole_text(error.__cause__)
        error = error.__context__
    return found
