"""Booking.com's Connectivity, simulated from its wire: tokens, the two queues of reservations, inventory and rates.

All its hosts are one here. It is as strict as the real one is where that is known, and stricter where it may be.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from channel_sync.sandbox.acknowledged import Acknowledged
from channel_sync.sandbox.booking_com import inventory, wire
from channel_sync.sandbox.booking_com.hotels import Hotel, hotels_of, reservation_id
from channel_sync.sandbox.booking_com.machine import MachineAccount
from channel_sync.sandbox.booking_com.queues import Queue, Queues, Waiting
from channel_sync.sandbox.booking_com.wire import Said
from channel_sync.sandbox.exchange import Answer, Request, json_answer
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.world import World

LONGEST_INVENTORY = 31  # nights
_CLOCK = ZoneInfo("Europe/Amsterdam")  # by which Booking.com counts what is past, wherever the hotel is
VERSIONS = ("", "1.1")  # of the endpoints that have them

_TEXTS: Mapping[int, tuple[str, str]] = {
    400: ("320", "Invalid request"),
    401: ("497", "Authorization error"),
    403: ("497", "Access denied for hotel"),
    404: ("402", "Not found"),
    429: ("448", "Too many requests"),
}
_DOORS = {
    "OTA_HotelAvailNotif": inventory.items_of_availability,
    "OTA_HotelRateAmountNotif": inventory.items_of_rates,
}


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class BookingCom:
    """One account's hotels. ``world_ids``: the world's listing behind each of the channel's.

    ``recovery``: Booking.com has enabled the recovery of reservations, so that last_change is refused. ``unlinked``:
    ids of hotels that are not linked to the machine account any more.
    """

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self.extranet = Extranet(world, now, through=True)
        self.acknowledged = Acknowledged(world, now)
        self.hotels = hotels_of(world.listings.values())
        self.world_ids: Mapping[str, str] = {
            hotel.listing_id: world_id for world_id, hotel in self.hotels.items()
        }
        self.machine = MachineAccount()
        self.queues = Queues(self.acknowledged, now)
        self.recovery = False
        self.unlinked: set[str] = set()
        self._now = now
        self._by_room = {hotel.room_id: hotel for hotel in self.hotels.values()}

    def reservation_id(self, code: str) -> str:
        """Booking.com's id of the world's booking."""
        return reservation_id(code)

    def answer(self, request: Request) -> Answer:
        """The answer to a request whose path begins behind the channel's name: "/hotels/xml/roomrates"."""
        for method, pattern, verb in _ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                try:
                    if verb is not BookingCom.exchange:
                        self._check(request)
                    return verb(self, request, *found.groups())
                except Refused as refused:
                    return refused.answer
                except (inventory.Malformed, ValueError) as malformed:
                    return self._error(400, Said("320", str(malformed)))
        return self.error(404)

    def error(self, status: int) -> Answer:
        """An error in the channel's own words."""
        code, text = _TEXTS.get(status, ("450", "Internal error"))
        return self._error(status, Said(code, text))

    def exchange(self, request: Request) -> Answer:
        """A token for the machine account."""
        return self.machine.exchange(request, self._now())

    def give(self, request: Request, name: str) -> Answer:
        """A queue; or, with a filter, what else there is."""
        queue = Queue(name)
        asked = self._asked(request)
        known_as, last_change = request.parameter("id"), request.parameter("last_change")
        if known_as:
            found: Iterator[Waiting] = self.queues.one(queue, known_as)
        elif last_change:
            found = self.queues.changed_since(queue, self._last_change(last_change))
        else:
            found = self.queues.waiting(queue)
        given = [each for each in found if self._hotel_of(each).hotel_id in asked]
        limit = request.parameter("limit")
        if limit:
            given = given[: int(limit)]
        self.queues.give(given)
        return wire.reservations(queue, [(each, self._hotel_of(each)) for each in given], self._now())

    def acknowledge(self, request: Request, name: str) -> Answer:
        """Reservations that were processed. All of them are taken, or none."""
        root = inventory.read(request.body)
        if root.tag != f"{{{wire.OTA}}}{name}RS" or root.find("{*}Success") is None:
            raise Refused(self._error(400, Said("320", f"not an {name}RS that tells a success")))
        if not root.get("TimeStamp") or root.get("Target") not in ("Production", "Test"):
            raise Refused(self._error(400, Said("321", "TimeStamp and Target are required")))
        ids = [each.get("ResID_Value", "") for each in root.iterfind(".//{*}HotelReservationID")]
        if not ids:
            raise Refused(self._error(400, Said("321", "no HotelReservationID")))
        refused = self.queues.acknowledge(Queue(name), ids)
        if refused is not None:
            return self._error(refused[0], Said("392", refused[1]), name)
        return wire.result(name, [], self._now())

    def missed(self, request: Request) -> Answer:
        """What nobody acknowledged in time."""
        size = int(request.parameter("page_size", "50"))
        rows = [
            {
                "checkin": each.version.booking.check_in.isoformat(),
                "reservation_id": int(each.reservation_id),
                "property_id": int(self._hotel_of(each).hotel_id),
            }
            for each in self.queues.missed()
        ]
        return json_answer(200, {"errors": [], "data": rows[:size] if self.recovery else []})

    def tell(self, request: Request, name: str) -> Answer:
        """Availability and restrictions, or rates: 200 where some of it was done, 400 where nothing was."""
        if request.headers.get("accept-version", "") not in VERSIONS:
            raise Refused(self._error(400, Said("320", "Not acceptable")))
        root = inventory.read(request.body)
        if root.tag != f"{{{wire.OTA}}}{name}RQ" or not root.get("Version") or not root.get("TimeStamp"):
            raise Refused(self._error(400, Said("320", f"not an {name}RQ")))
        outcome = self._applied(list(_DOORS[name](root)))
        done = outcome.applied > 0
        return wire.result(name, outcome.said, self._now(), done=done, status=200 if done else 400)

    def tell_in_bxml(self, request: Request) -> Answer:
        """B.XML's availability: units, prices and restrictions at once."""
        outcome = self._applied(list(inventory.items_of_bxml(inventory.read(request.body))))
        if outcome.applied and not outcome.said:
            return wire.done()
        name = "availability"
        done = outcome.applied > 0
        return wire.result(name, outcome.said, self._now(), done=done, status=200 if done else 400)

    def rooms(self, request: Request) -> Answer:
        """Every room of the account, or of one hotel."""
        hotel_id = inventory.read(request.body).findtext("hotel_id")
        linked = [hotel for hotel in self.hotels.values() if hotel.hotel_id not in self.unlinked]
        return wire.rooms(hotel for hotel in linked if hotel_id in (None, hotel.hotel_id))

    def left(self, request: Request) -> Answer:
        """What is left to sell of a hotel's rooms, from yesterday on."""
        root = inventory.read(request.body)
        told = {
            name: root.findtext(name) for name in ("hotel_id", "number_of_days", "start_date", "room_level")
        }
        rooms = {each.text for each in root.iterfind("room_id")}
        days = int(told["number_of_days"] or LONGEST_INVENTORY)
        if not 1 <= days <= LONGEST_INVENTORY or told["room_level"] != "1":
            raise Refused(wire.fault(400, "1006", "number_of_days is 1 to 31, room_level 1 is simulated"))
        self._must_be_linked(told["hotel_id"] or "")
        found = []
        for hotel in self.hotels.values():
            if hotel.hotel_id == told["hotel_id"] and (not rooms or hotel.room_id in rooms):
                start = date.fromisoformat(told["start_date"] or str(self._today()))
                if start < self._today() - timedelta(days=1):
                    raise Refused(wire.fault(400, "1005", "start_date is past"))
                end = start + timedelta(days=days)
                found.append((hotel, self.extranet.shown(hotel.listing.listing_id, start, end)))
        return wire.inventory(found)

    def _applied(self, items: Sequence[inventory.Item]) -> inventory.Done:
        for item in items:
            if item.room_id in self._by_room:
                self._must_be_linked(self._by_room[item.room_id].hotel_id)
        return inventory.apply(items, self._by_room, self.extranet, self._today())

    def _asked(self, request: Request) -> set[str]:
        """The hotels that a question is about: those it names, or all that are linked."""
        named = request.parameter("hotel_ids")
        if not named:
            return {hotel.hotel_id for hotel in self.hotels.values()} - self.unlinked
        for hotel_id in named.split(","):
            self._must_be_linked(hotel_id)
        return set(named.split(","))

    def _last_change(self, told: str) -> datetime:
        if self.recovery:
            text = "invalid last_change value: you are a part of the Reservation Recovery program"
            raise Refused(self._error(400, Said("320", text)))
        try:
            return datetime.strptime(told, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            raise Refused(self._error(400, Said("320", "invalid last_change value"))) from None

    def _must_be_linked(self, hotel_id: str) -> None:
        known = {hotel.hotel_id for hotel in self.hotels.values()} - self.unlinked
        if hotel_id not in known:
            raise Refused(self.error(403))

    def _hotel_of(self, waiting: Waiting) -> Hotel:
        return self.hotels[waiting.version.booking.listing_id]

    def _today(self) -> date:
        return self._now().astimezone(_CLOCK).date()

    def _check(self, request: Request) -> None:
        if not self.machine.accepts(request, self._now()):
            raise Refused(self.error(401))

    def _error(self, status: int, said: Said, name: str = "OTA_Error") -> Answer:
        return wire.result(name, [said], self._now(), done=False, status=status)


_Verb = Callable[..., Answer]
_QUEUE = "/hotels/ota/(OTA_HotelResNotif|OTA_HotelResModifyNotif)"
_ROUTES: tuple[tuple[str, re.Pattern[str], _Verb], ...] = (
    ("POST", re.compile("/token-based-authentication/exchange"), BookingCom.exchange),
    ("GET", re.compile(_QUEUE), BookingCom.give),
    ("POST", re.compile(_QUEUE), BookingCom.acknowledge),
    ("GET", re.compile("/reservations-flow-control/missed-reservations"), BookingCom.missed),
    ("POST", re.compile("/hotels/ota/(OTA_HotelAvailNotif|OTA_HotelRateAmountNotif)"), BookingCom.tell),
    ("POST", re.compile("/hotels/xml/availability"), BookingCom.tell_in_bxml),
    ("POST", re.compile("/hotels/xml/roomrates"), BookingCom.rooms),
    ("POST", re.compile("/hotels/xml/roomrateavailability"), BookingCom.left),
)


def environment() -> dict[str, str]:
    """The variables that the sample portfolio names for this channel's account, all of them invented."""
    machine = MachineAccount()
    return {
        "BOOKING_COM_DEMO_CLIENT_ID": machine.client_id,
        "BOOKING_COM_DEMO_CLIENT_SECRET": machine.client_secret,
    }
