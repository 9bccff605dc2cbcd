"""The bookings of the simulated Expedia on their way to the hotel: one open transaction for each, the others wait."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from channel_sync.sandbox.acknowledged import Acknowledged, Version
from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.expedia.hotels import Hotel, hotel_of
from channel_sync.sandbox.world import World

_ONE_DAY = timedelta(days=1)
_KEPT = timedelta(days=8)  # after the guest's departure
_MOST_NUMBERS = 3  # confirmations of one transaction


def reservation_id(code: str) -> str:
    """Expedia's number of the world's booking: thirteen digits, always the same."""
    return str(10**12 + int.from_bytes(hashlib.sha256(code.encode()).digest()[:8], "big") % 10**12)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One version of a booking as Expedia gives it."""

    version: Version
    kind: str  # Book, Modify or Cancel
    status: str  # pending, retrieved or confirmed
    hotel: Hotel

    @property
    def booking(self) -> Booking:
        """How the booking stood then."""
        return self.version.booking

    @property
    def at(self) -> datetime:
        """When it was made."""
        return self.version.booking.updated_at


class Transactions:
    """What was retrieved and confirmed. Not safe for threads: its channel locks.

    ``expires``: what is not confirmed in time goes to the hotel by mail and is given no more; what is over for eight
    days takes no confirmation.
    """

    def __init__(self, world: World, acknowledged: Acknowledged, now: Callable[[], datetime]) -> None:
        self.expires = False
        self._world = world
        self._acknowledged = acknowledged
        self._now = now
        self._retrieved: set[tuple[str, int]] = set()
        self._confirmed: dict[str, int] = {}  # by code, the number of the newest confirmed version
        self._numbers: dict[tuple[str, int], int] = {}  # how often each was confirmed
        self._known: tuple[object, dict[str, list[Version]]] = None, {}

    def current(self) -> list[Transaction]:
        """Of each booking the open transaction, or the last where all are confirmed. The newest first."""
        found = [self._current(versions) for versions in self._versions().values()]
        return sorted(
            (each for each in found if each is not None and not self._is_expired(each)),
            key=lambda each: (each.at, each.version.code),
            reverse=True,
        )

    def retrieve(self, transactions: Iterable[Transaction]) -> None:
        """These were given."""
        self._retrieved.update((each.version.code, each.version.number) for each in transactions)

    def confirm(self, booking_id: str, kind: str, hotel_id: str) -> tuple[int, str] | None:
        """Take a confirmation; None where it is applied, else the warning that says why it is not."""
        found = [each for each in self.current() if reservation_id(each.version.code) == booking_id]
        if not found:
            return 10080, "Update refused. Booking ID cannot be found."
        (transaction,) = found
        code, number = transaction.version.code, transaction.version.number
        is_over = self.expires and self._now().date() > transaction.booking.check_out + _KEPT
        for is_so, warning, words in (
            (transaction.hotel.hotel_id != hotel_id, 10081, "Hotel ID and Booking ID mismatch"),
            (is_over, 10101, "Confirmation must be sent no more than 8 days after guest departure"),
            (
                transaction.status == "pending",
                10102,
                "A newer version of this booking is awaiting retrieval.",
            ),
            (transaction.kind != kind, 10100, "The booking type does not match the one we have stored"),
            (self._numbers.get((code, number), 0) >= _MOST_NUMBERS, 10103, "Already confirmed 3 times."),
        ):
            if is_so:
                return warning, f"Update refused. {words}"
        self._acknowledged.add(transaction.version)
        self._numbers[code, number] = self._numbers.get((code, number), 0) + 1
        self._confirmed[code] = number
        return None

    def _current(self, versions: list[Version]) -> Transaction | None:
        """The open one is the first that is not confirmed: those behind it are released by its confirmation."""
        hotel = hotel_of(versions[0].booking.listing_id)
        if hotel is None:
            return None
        confirmed = self._confirmed.get(versions[0].code, 0)
        version = next((each for each in versions if each.number > confirmed), versions[-1])
        if version.number <= confirmed:
            status = "confirmed"
        else:
            is_retrieved = (version.code, version.number) in self._retrieved
            status = "retrieved" if is_retrieved else "pending"
        changed = "Modify" if version.booking.confirmed else "Cancel"
        return Transaction(version, "Book" if version.number == 1 else changed, status, hotel)

    def _is_expired(self, transaction: Transaction) -> bool:
        if not self.expires or transaction.status == "confirmed":
            return False
        zone = ZoneInfo(self._world.listings[transaction.hotel.world_id].time_zone)
        days = (transaction.booking.check_in - transaction.at.astimezone(zone).date()).days
        patience = {0: timedelta(minutes=30), 1: timedelta(minutes=60)}.get(max(0, days), _ONE_DAY)
        return self._now() >= transaction.at + patience

    def _versions(self) -> dict[str, list[Version]]:
        """By code, all that happened up to now: read anew only when something happened."""
        now = self._now()
        stamp = [self._world.version(listing_id, now) for listing_id in self._world.listings]
        if self._known[0] != stamp:
            by_code: dict[str, list[Version]] = {}
            for version in self._acknowledged.versions():
                by_code.setdefault(version.code, []).append(version)
            self._known = stamp, by_code
        return self._known[1]
