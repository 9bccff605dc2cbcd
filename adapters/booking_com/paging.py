"""Reservations of one answer, handed on some at a time, with what acknowledges them."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from adapters.booking_com.receipts import Queue, reference_of
from adapters.booking_com.reservations import Reservation
from adapters.model import BookingPage, Problem, Receipt

PAGE = 100  # reservations: our choice, so that they are committed and acknowledged before the next are


def pages_of(
    queue: Queue,
    found: Sequence[Reservation],
    problems: Sequence[Problem],
    given: set[tuple[str, datetime]],
) -> Iterator[BookingPage]:
    """Those that are not in ``given``, to which they are added. Problems stand on the first page."""
    fresh = [each for each in found if (each.reservation_id, each.revised_at) not in given]
    given.update((each.reservation_id, each.revised_at) for each in fresh)
    for start in range(0, max(len(fresh), 1 if problems else 0), PAGE):
        some = fresh[start : start + PAGE]
        yield BookingPage(
            tuple(booking for each in some for booking in each.bookings),
            tuple(problems) if start == 0 else (),
            tuple(_receipt(queue, each) for each in some),
        )


def _receipt(queue: Queue, reservation: Reservation) -> Receipt:
    reference = reference_of(queue, reservation.reservation_id, reservation.revised_at)
    return Receipt(reservation.reservation_id, reference)
