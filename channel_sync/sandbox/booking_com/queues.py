"""The two queues of reservations: what waits in which, what was last given of it, and what is acknowledged."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock

from channel_sync.sandbox.acknowledged import Acknowledged, Version
from channel_sync.sandbox.booking_com.hotels import reservation_id

MISSED_AFTER = timedelta(minutes=30)
WRONG_TYPE = "Hotel reservation has transaction message of the wrong type"
NOT_FOUND = "Hotel reservation was not found"


class Queue(StrEnum):
    """A booking that nobody has acknowledged yet is new however often it changed."""

    NEW = "OTA_HotelResNotif"
    CHANGED = "OTA_HotelResModifyNotif"


@dataclass(frozen=True, slots=True)
class Waiting:
    """The newest version of a reservation and the queue that it is in, or was last acknowledged in."""

    queue: Queue
    version: Version
    acknowledged: bool

    @property
    def reservation_id(self) -> str:
        """Booking.com's id."""
        return reservation_id(self.version.code)


class Queues:
    """Safe to use from several threads. ``falls_back_after``: when a message leaves its queue for a mail; None: never."""

    def __init__(self, acknowledged: Acknowledged, now: Callable[[], datetime]) -> None:
        self.falls_back_after: timedelta | None = None
        self._acknowledged = acknowledged
        self._now = now
        self._given: dict[str, tuple[Queue, int]] = {}
        self._told_in: dict[str, Queue] = {}
        self._lock = Lock()

    def waiting(self, queue: Queue) -> Iterator[Waiting]:
        """What is in the queue, oldest first, with every change that it has seen."""
        for each in self._all():
            age = self._now() - each.version.booking.updated_at
            late = self.falls_back_after is not None and age >= self.falls_back_after
            if each.queue is queue and not each.acknowledged and not late:
                yield each

    def changed_since(self, queue: Queue, moment: datetime) -> Iterator[Waiting]:
        """What was booked or changed since then, acknowledged or not."""
        for each in self._all():
            if each.queue is queue and each.version.booking.updated_at >= moment:
                yield each

    def one(self, queue: Queue, known_as: str) -> Iterator[Waiting]:
        """The reservation of that id, if it belongs here."""
        for each in self._all():
            if each.queue is queue and each.reservation_id == known_as:
                yield each

    def missed(self) -> Iterator[Waiting]:
        """What nobody acknowledged for half an hour."""
        for each in self._all():
            if not each.acknowledged and self._now() - each.version.booking.updated_at >= MISSED_AFTER:
                yield each

    def give(self, given: Iterable[Waiting]) -> None:
        """These go out as they are now: no older version of theirs can be acknowledged any more."""
        with self._lock:
            self._given.update({each.reservation_id: (each.queue, each.version.number) for each in given})

    def acknowledge(self, queue: Queue, ids: Iterable[str]) -> tuple[int, str] | None:
        """Acknowledge all of these as they were last given, or none of them: then the status and text of the refusal."""
        known = {each.reservation_id: each for each in self._all()}
        found: list[Waiting] = []
        with self._lock:
            for each in ids:
                if each not in known:
                    return 404, NOT_FOUND
                one = known[each]
                if self._given.get(each) != (queue, one.version.number):
                    return 400, WRONG_TYPE
                found.append(one)
        told = {one.version.code: one for one in found}
        for version in list(self._acknowledged.versions()):
            one_told = told.get(version.code)
            # A version that a newer one has overtaken never went out: it is known with that one.
            fresh = not self._acknowledged.times(version.code, version.number)
            if one_told is not None and (fresh or version.number == one_told.version.number):
                self._acknowledged.add(version)
        with self._lock:
            self._told_in.update({one.reservation_id: queue for one in found})
        return None

    def _all(self) -> list[Waiting]:
        """Every reservation as it stands, by the time of its last change."""
        newest: dict[str, Version] = {}
        told: dict[str, int] = {}
        for version in self._acknowledged.versions():
            newest[version.code] = version
            if self._acknowledged.times(version.code, version.number):
                told[version.code] = version.number
        found = []
        for code, version in newest.items():
            last = told.get(code)
            if last is None:
                queue = Queue.NEW
            elif last < version.number:
                queue = Queue.CHANGED
            else:
                with self._lock:
                    queue = self._told_in.get(reservation_id(code), Queue.NEW)
            found.append(Waiting(queue, version, last == version.number))
        return sorted(found, key=lambda each: (each.version.booking.updated_at, each.version.code))
