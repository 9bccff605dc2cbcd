"""Expedia QuickConnect, simulated from its wire: AR, BR, BC and PARR, one message a call."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import RLock

from lxml import etree

from channel_sync.sandbox.acknowledged import Acknowledged
from channel_sync.sandbox.exchange import Answer, Request
from channel_sync.sandbox.expedia import wire
from channel_sync.sandbox.expedia.hotels import HOTELS, Hotel
from channel_sync.sandbox.expedia.transactions import Transaction, Transactions, reservation_id
from channel_sync.sandbox.expedia.updates import Element, Refused, Shop, Updates, local, read_updates
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.tokens import invented
from channel_sync.sandbox.world import World

USERNAME = f"EQC{invented('expedia username')[:20]}"
PASSWORD = invented("expedia password")[:24]

BIGGEST_UPDATE = 100_000  # bytes
MOST_BOOKINGS = 125
MOST_NUMBERS = 10  # confirmations in a message
LONGEST_CALENDAR = {True: 365, False: 31}  # days in an answer: whether one rate was asked for

_NAMESPACES = {
    "AvailRateUpdateRQ": "http://www.expediaconnect.com/EQC/AR/2011/06",
    "BookingRetrievalRQ": "http://www.expediaconnect.com/EQC/BR/2014/01",
    "BookingConfirmRQ": "http://www.expediaconnect.com/EQC/BC/2007/09",
    "ProductAvailRateRetrievalRQ": "http://www.expediaconnect.com/EQC/PAR/2013/07",
}
_MESSAGES = {
    "/eqc/ar": "AvailRateUpdate",
    "/eqc/br": "BookingRetrieval",
    "/eqc/bc": "BookingConfirm",
    "/eqc/parr": "ProductAvailRateRetrieval",
}
_FILTERS = ("inventory", "roomAvailStatus", "rateAvailStatus", "restrictions", "rates")
_TELLS = {  # AR's words in those of the extranet
    "price": "price",
    "minLOS": "min_stay_arrival",
    "maxLOS": "max_stay",
    "closedToArrival": "closed_to_arrival",
    "closedToDeparture": "closed_to_departure",
    "closed": "stop_sell",
}


class Expedia:
    """One account's hotels. ``world_ids``: the world's listing behind each of the channel's.

    ``transactions`` can be told to expire; ``failures`` are the codes and words that the next messages are answered
    with; ``thresholds`` the least and the highest rate of a hotel; ``while_updating`` is called while a hotel is busy.
    """

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self.extranet = Extranet(world, now)
        self.acknowledged = Acknowledged(world, now)
        self.world_ids: Mapping[str, str] = {hotel.listing_id: hotel.world_id for hotel in HOTELS.values()}
        self.transactions = Transactions(world, self.acknowledged, now)
        self.failures: deque[tuple[int, str]] = deque()
        self.thresholds: dict[str, tuple[Decimal, Decimal]] = {}
        self.while_updating: Callable[[], object] = lambda: None
        self._now = now
        self._closed: set[tuple[str, date]] = set()
        self._busy: set[str] = set()
        self._lock = RLock()

    def reservation_id(self, code: str) -> str:
        """Expedia's number of the world's booking."""
        return reservation_id(code)

    def answer(self, request: Request) -> Answer:
        """The answer to a message; an error of Expedia's own words comes with HTTP 200."""
        name = _MESSAGES.get(request.path)
        if name is None or request.method != "POST":
            return self.error(404)
        if "xml" not in request.headers.get("content-type", ""):
            return self.error(415)
        verbs = {
            "AvailRateUpdate": self._update,
            "BookingRetrieval": self._retrieve,
            "BookingConfirm": self._confirm,
            "ProductAvailRateRetrieval": self._show,
        }
        try:
            root = self._read(request, f"{name}RQ")
            self._fail()
            return verbs[name](root)
        except Refused as refused:
            return wire.error_answer(f"{name}RS", refused.code, refused.words)

    def error(self, status: int) -> Answer:
        """An error of the servers in front of it, in its own words."""
        code = {401: 1001, 403: 1003, 503: 4206}.get(status, 4000 if status >= 500 else 3010)
        return wire.error_answer("BookingRetrievalRS", code, "Internal system error", status)

    # Any message.

    def _fail(self) -> None:
        if self.failures:
            raise Refused(*self.failures.popleft())

    def _read(self, request: Request, name: str) -> Element:
        if name == "AvailRateUpdateRQ" and len(request.body) > BIGGEST_UPDATE:
            raise Refused(3405, "Message size limit exceeded.")
        parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
        try:
            root = etree.fromstring(request.body, parser)
        except etree.XMLSyntaxError:
            raise Refused(2002, "Parsing error") from None
        if root.tag != f"{{{_NAMESPACES[name]}}}{name}":
            raise Refused(2010, "The namespace specified is invalid.")
        login = _first(root, "Authentication")
        if login is None or (login.get("username"), login.get("password")) != (USERNAME, PASSWORD):
            raise Refused(1001, "Authentication error: invalid username or password.")
        return root

    def _hotel(self, root: Element) -> Hotel:
        told = _first(root, "Hotel")
        hotel = HOTELS.get("" if told is None else told.get("id", ""))
        if hotel is None or hotel.world_id not in self.world.listings:
            raise Refused(3202, "Hotel ID not found. Your account is not linked to this hotel.")
        return hotel

    # AR.

    def _update(self, root: Element) -> Answer:
        hotel = self._hotel(root)
        shop = Shop({hotel.room_id: frozenset({hotel.rate_id})}, self._currency(hotel))
        with self._alone(hotel.hotel_id):
            self.while_updating()
            updates = read_updates(root, shop, self._now().date())
            warnings = self._apply(hotel, updates)
        return wire.success_answer("AvailRateUpdateRS", warnings)

    @contextmanager
    def _alone(self, hotel_id: str) -> Iterator[None]:
        """One message of a hotel at a time: a second one is refused and does not wait."""
        with self._lock:
            if hotel_id in self._busy:
                raise Refused(3210, "Communication error: exceed max number of connections allowed (1).")
            self._busy.add(hotel_id)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(hotel_id)

    def _apply(self, hotel: Hotel, updates: Updates) -> list[tuple[int, str, dict[str, str]]]:
        warned: list[tuple[int, str, dict[str, str]]] = []
        least, most = self.thresholds.get(hotel.hotel_id, (Decimal(0), Decimal("Infinity")))
        for (_, rate, night), told in updates.told.items():
            if not rate:
                if "units" in told:
                    self.extranet.sell(hotel.world_id, [night], told["units"])
                if "closed" in told:
                    change = self._closed.add if told["closed"] else self._closed.discard
                    change((hotel.world_id, night))
                continue
            if not least <= told.get("price", least) <= most:
                del told["price"]
                if not warned:
                    warned.append((7021, "Sell/LAR rate must be within Rate Verification threshold.", {}))
            offered = {_TELLS[name]: value for name, value in told.items()}
            if offered:
                self.extranet.offer(hotel.world_id, [night], **offered)
        return warned

    # BR and BC.

    def _retrieve(self, root: Element) -> Answer:
        hotel = self._hotel(root) if _first(root, "Hotel") is not None else None
        asked = _first(root, "ParamSet")
        with self._lock:
            found = [
                each
                for each in self.transactions.current()
                if hotel in (None, each.hotel) and self._is_asked_for(each, asked)
            ][:MOST_BOOKINGS]
            answer = wire.bookings_answer(found, dict(self.world.listings))
            self.transactions.retrieve(found)
        return answer

    def _is_asked_for(self, transaction: Transaction, asked: Element | None) -> bool:
        """Nothing told asks for what is pending; days alone ask for everything."""
        one = None if asked is None else _first(asked, "Booking")
        if one is not None:
            return reservation_id(transaction.version.code) == one.get("id")
        told = [] if asked is None else list(asked)
        statuses = {each.get("value") for each in told if local(each) == "Status"}
        days = next((each.text for each in told if local(each) == "NbDaysInPast"), None)
        if days is not None and not (days.isdecimal() and 1 <= int(days) <= 30):
            raise Refused(3010, "Validation against schema failed: NbDaysInPast")
        if not statuses and days is None:
            statuses = {"pending"}
        since = timedelta(days=int(days or 30))
        is_endless = days is None and "confirmed" not in statuses
        is_recent = is_endless or transaction.at > self._now() - since
        return is_recent and (not statuses or transaction.status in statuses)

    def _confirm(self, root: Element) -> Answer:
        hotel = self._hotel(root)
        holder = _first(root, "BookingConfirmNumbers")
        numbers = [] if holder is None else list(holder)
        if len(numbers) > MOST_NUMBERS:
            raise Refused(3301, "Update refused. No more than 10 confirmation numbers can be sent.")
        if not numbers or not all(1 <= len(each.get("confirmNumber", "")) <= 50 for each in numbers):
            raise Refused(3010, "Validation against schema failed: confirmNumber")
        warnings = []
        for each in numbers:
            told = {name: each.get(name, "") for name in ("bookingID", "bookingType", "confirmNumber")}
            _moment_of(each.get("confirmTime", ""))
            with self._lock:
                refused = self.transactions.confirm(told["bookingID"], told["bookingType"], hotel.hotel_id)
            if refused is not None:
                warnings.append((*refused, told))
        return wire.success_answer("BookingConfirmRS", warnings)

    # PARR.

    def _show(self, root: Element) -> Answer:
        hotel = self._hotel(root)
        asked = _first(root, "ParamSet")
        if asked is None or not len(asked):
            raise Refused(3010, "Validation against schema failed: ParamSet")
        if local(asked[0]) == "ProductRetrieval":
            return wire.products_answer(hotel, self.world.listings[hotel.world_id])
        wanted = frozenset(name for name in _FILTERS if asked[0].get(name, "true") in ("true", "1"))
        rooms = list(asked[0])
        if any(room.get("id") != hotel.room_id for room in rooms):
            raise Refused(3203, "The following RoomTypeIDs do not belong to the given hotel")
        rates = [rate for room in rooms for rate in room]
        if any(rate.get("id") != hotel.rate_id for rate in rates):
            raise Refused(3204, "The following RatePlanIDs do not belong to the given hotel")
        first, last = _date_of(asked[0].get("from", "")), _date_of(asked[0].get("to", ""))
        if last < first:
            raise Refused(3021, "Validation error: end date must not be before start date.")
        # Of a longer range it gives the first days and does not say so.
        end = min(last + timedelta(days=1), first + timedelta(days=LONGEST_CALENDAR[len(rates) == 1]))
        shown = self.extranet.shown(hotel.world_id, first, end)
        closed = frozenset(night for world_id, night in self._closed if world_id == hotel.world_id)
        return wire.calendar_answer(hotel, self._currency(hotel), shown, closed, wanted)

    def _currency(self, hotel: Hotel) -> str:
        return self.world.listings[hotel.world_id].currency


def environment() -> dict[str, str]:
    """The variables that the sample portfolio names for this channel's account, all of them invented."""
    return {"EXPEDIA_DEMO_USERNAME": USERNAME, "EXPEDIA_DEMO_PASSWORD": PASSWORD}


def _first(element: Element, name: str) -> Element | None:
    return next((each for each in element if local(each) == name), None)


def _date_of(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(3129, "Invalid Date") from None


def _moment_of(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refused(3010, "Validation against schema failed: confirmTime") from None
