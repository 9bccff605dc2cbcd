"""A simulated channel remembers which versions of its reservations it was told are known."""

from datetime import UTC, date, datetime, timedelta

from channel_sync.sandbox.acknowledged import Acknowledged, Version
from channel_sync.sandbox.world import World

BOOKED = datetime(2026, 3, 1, 9, tzinfo=UTC)
MOVED, CANCELLED = BOOKED + timedelta(hours=1), BOOKED + timedelta(hours=2)


def of_one_booking(now: datetime) -> tuple[str, Acknowledged]:
    """A booking that is moved, then cancelled, as known at ``now``."""
    world = World.empty(1)
    code = world.book("1001", date(2026, 4, 1), date(2026, 4, 4), at=BOOKED)
    world.move(code, date(2026, 4, 2), date(2026, 4, 5), at=MOVED)
    world.cancel(code, at=CANCELLED)
    return code, Acknowledged(world, lambda: now)


def test_every_version_that_happened_waits() -> None:
    """Versions come oldest first, each as the booking stood then; what is still to come is not among them."""
    code, acknowledged = of_one_booking(MOVED)
    first, second = acknowledged.waiting()

    assert [(version.code, version.number) for version in (first, second)] == [(code, 1), (code, 2)]
    assert (first.booking.check_in, first.booking.confirmed) == (date(2026, 4, 1), True)
    assert (second.booking.check_in, second.booking.updated_at) == (date(2026, 4, 2), MOVED)
    assert [version.booking.confirmed for version in of_one_booking(CANCELLED)[1].waiting()] == [
        True,
        True,
        False,
    ]


def test_what_was_acknowledged_waits_no_more() -> None:
    """One version acknowledged twice is remembered twice; the others still wait."""
    code, acknowledged = of_one_booking(CANCELLED)
    (_, second, _) = acknowledged.waiting()
    acknowledged.add(second)
    acknowledged.add(second)

    assert [version.number for version in acknowledged.waiting()] == [1, 3]
    assert acknowledged.times(code, 2) == (CANCELLED, CANCELLED)
    assert acknowledged.times(code, 1) == ()


def test_a_watcher_sees_an_acknowledgement_before_it_counts() -> None:
    """A watcher is called while the version still waits."""
    _, acknowledged = of_one_booking(CANCELLED)
    seen: list[tuple[int, int]] = []

    def watch(version: Version) -> None:
        seen.append((version.number, len(acknowledged.waiting())))

    acknowledged.watchers.append(watch)
    acknowledged.add(acknowledged.waiting()[0])

    assert seen == [(1, 3)]
