"""A made-up channel that keeps a queue of reservations until they are acknowledged, over real HTTP, and a house on it.

Its reservations have several rooms; its queue is asked for a page at a time. What it hears, and when, is noted.
"""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from psycopg.rows import dict_row

from adapters import wire
from adapters.accounts import Account, Listing
from adapters.base_adapter import Capability, ChannelAdapter, Declaration
from adapters.model import Booking, BookingPage, BookingStatus, Evidence, Problem, Receipt, Stay
from adapters.parts import RoomStay, parts_of
from adapters.spending import Spend, marked
from adapters.updates import Outcome, Verdict
from adapters.webhook import Webhook
from channel_sync import bootstrap
from channel_sync.resilience.call_counts import CallCounts
from channel_sync.resilience.transport import Caller, GuardedClient
from channel_sync.storage.database import Database
from channel_sync.storage.portfolio import AccountRow
from channel_sync.storage.tokens import PostgresTokenStore
from channel_sync.sync.engine import Engine, OpenChannel
from tests.house import NOW, QUICK

QUEUE = "queue-1"
PAGE = 5
ROOMS = ("h/1/a", "h/1/b", "h/2/a")  # two rates of one room type with three units, and another type with two


class QueueAdapter(ChannelAdapter):
    """The made-up channel's adapter."""

    declaration: ClassVar[Declaration] = Declaration(
        name="queue",
        title="Queue",
        capabilities=frozenset({Capability.PULL_BOOKINGS, Capability.ACKNOWLEDGE_BOOKINGS}),
        evidence=Evidence.EXPLICIT,
        horizon_days=365,
        acknowledge_within=timedelta(minutes=30),
        poll_every=timedelta(seconds=1),
        counts_its_own=True,
        acknowledges_newest=True,
    )

    def pull_bookings(
        self, listings: Iterable[Listing], changed_from: datetime, changed_until: datetime
    ) -> Iterator[BookingPage]:
        """The queue, a page at a time."""
        assert [*listings]
        assert changed_from <= changed_until
        after = -1
        while True:
            request = self.client.build_request("GET", f"{self.account.base_url}/queue?after={after}")
            answer = wire.send(self.client, marked(request, Spend("queue")), "the queue", self.clock)
            told = wire.json_object(answer, "the queue")["reservations"]
            if not told:
                return
            after = told[-1]["number"]
            yield _page(told)

    def acknowledge_bookings(self, receipts: Iterable[Receipt]) -> Iterator[Outcome[Receipt]]:
        """One call for all of them."""
        by_reference = {receipt.reference: receipt for receipt in receipts}
        request = self.client.build_request(
            "POST", f"{self.account.base_url}/ack", json={"references": [*by_reference]}
        )
        wire.repeatable(marked(request, Spend("acknowledgements")))
        answer = wire.send(self.client, request, "the acknowledgement", self.clock)
        for reference, verdict in wire.json_object(answer, "the acknowledgement").items():
            yield Outcome(by_reference[reference], Verdict(verdict), f"code of {verdict}")


def _page(told: Iterable[Mapping[str, Any]]) -> BookingPage:
    bookings: list[Booking] = []
    receipts: list[Receipt] = []
    problems: list[Problem] = []
    for one in told:
        if one.get("broken"):
            problems.append(Problem(one["code"], "cannot be read", "{}"))
            continue
        bookings += version(one["code"], one["at"], one["rooms"], cancelled=one["cancelled"])
        receipts.append(Receipt(one["code"], one["reference"]))
    return BookingPage(tuple(bookings), tuple(problems), tuple(receipts))


def version(
    code: str, at: str, rooms: Iterable[tuple[str, str, str]], *, cancelled: bool = False
) -> tuple[Booking, ...]:
    """The parts of one version of a reservation: (listing, check-in, check-out) of each room; none where none is named."""
    reservation = Booking(
        booking_id=code,
        listing_id="h/0/0",
        status=BookingStatus.CANCELLED if cancelled else BookingStatus.CONFIRMED,
        revised_at=datetime.fromisoformat(at),
        stay=None if cancelled else Stay(date(2026, 6, 1), date(2026, 6, 2)),
    )
    stays = [RoomStay(listing, Stay(date.fromisoformat(a), date.fromisoformat(b))) for listing, a, b in rooms]
    return parts_of(reservation, stays)


@dataclass
class QueueHost:
    """The channel's side. ``on_ack`` is called with the references before they are taken, ``verdicts`` by reference."""

    on_ack: Callable[[list[str]], object] = lambda _: None
    verdicts: dict[str, str] = field(default_factory=dict)
    fail_acks: int = 0  # with HTTP 503, so often
    limit_at: int | None = None  # the page from there on is refused once: not for two minutes
    forget_acks: bool = False  # they are answered, and the queue is as before
    acknowledged: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    url: str = ""
    _queue: list[dict[str, Any]] = field(default_factory=list)
    _numbers: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def put(
        self,
        code: str,
        *rooms: tuple[str, str, str],
        at: datetime = NOW,
        cancelled: bool = False,
        broken: bool = False,
    ) -> str:
        """A version of a reservation waits from now on; the reference of its acknowledgement."""
        with self._lock:
            self._numbers += 1
            told: dict[str, Any] = {
                "code": code,
                "rooms": rooms,
                "at": at.isoformat(),
                "cancelled": cancelled,
            }
            told |= {"broken": broken, "number": self._numbers, "reference": f"{code}@{self._numbers}"}
            self._queue.append(told)
            return str(told["reference"])

    def waiting(self) -> list[str]:
        """References of what waits."""
        with self._lock:
            return [one["reference"] for one in self._queue]

    def queue_after(self, number: int) -> dict[str, Any] | None:
        """A page of the queue; None: too many calls."""
        with self._lock:
            self.calls.append("queue")
            if self.limit_at is not None and number >= self.limit_at:
                self.limit_at = None
                return None
            return {"reservations": [one for one in self._queue if one["number"] > number][:PAGE]}

    def take(self, references: list[str]) -> dict[str, str] | None:
        """Hear acknowledgements; None: the channel is down."""
        self.on_ack(references)
        with self._lock:
            self.calls.append("ack")
            if self.fail_acks:
                self.fail_acks -= 1
                return None
            answer = {one: self.verdicts.get(one, "accepted") for one in references}
            done = {one for one, verdict in answer.items() if verdict != "unknown"}
            self.acknowledged += [one for one in references if one in done]
            if not self.forget_acks:
                self._queue = [one for one in self._queue if one["reference"] not in done]
            return answer


@contextmanager
def serving(host: QueueHost) -> Iterator[QueueHost]:
    """The channel over HTTP."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = host.queue_after(int(self.path.rpartition("=")[2]))
            self._answer(429 if page is None else 200, page or {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = host.take(body["references"])
            self._answer(503 if answer is None else 200, answer or {})

        def _answer(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status == 429:
                self.send_header("Retry-After", "120")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing on the screen."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        host.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield host
        finally:
            server.shutdown()


def queue_engine(
    database: Database,
    url: str,
    clock: Callable[[], datetime],
    webhooks: Callable[[str], Webhook] | None = None,
) -> Engine:
    """An engine that knows this channel alone, and calls it past the guards that all calls pass."""
    tokens = PostgresTokenStore(database)
    counts: CallCounts = bootstrap._counts(database)

    def channel(row: AccountRow) -> AbstractContextManager[OpenChannel]:
        @contextmanager
        def opened() -> Iterator[OpenChannel]:
            caller = Caller(QueueAdapter.declaration, row.code, (), clock)
            with bootstrap._guards(database, counts) as guards, GuardedClient(guards, caller) as client:
                adapter = QueueAdapter(client, Account(row.code, base_url=url), tokens, clock)
                yield OpenChannel(adapter, client.requests_of_this_thread, client.waited_of_this_thread)

        return opened()

    def none(channel: str) -> Webhook:
        raise AssertionError(f"nothing is delivered by {channel}")

    return Engine(
        database=database,
        declarations={"queue": QueueAdapter.declaration},
        open_channel=channel,
        webhooks=webhooks or none,
        secrets=lambda _: {},
        clock=clock,
        retry=QUICK,
    )


@dataclass(frozen=True, slots=True)
class QueueHouse:
    """A hotel that sells on this channel (account QUEUE) and on its own website (account ``site``)."""

    host: QueueHost
    database: Database
    engine: Engine

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """What a query finds."""
        with self.database.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement.encode(), parameters)
            return cursor.fetchall()

    def execute(self, statement: str, *parameters: object) -> None:
        """Change the tables by hand."""
        with self.database.connect() as connection:
            connection.execute(statement.encode(), parameters)


@contextmanager
def queue_house(database: Database) -> Iterator[QueueHouse]:
    """The hotel at NOW, and its channel."""
    with serving(QueueHost()) as host:
        house = QueueHouse(host, database, queue_engine(database, host.url, lambda: NOW))
        house.execute(
            "WITH p AS (INSERT INTO property (code, name, time_zone, currency) VALUES ('h', 'H', 'UTC', 'EUR') "
            "RETURNING property_id) "
            "INSERT INTO unit_type (property_id, code, name) SELECT property_id, type, type FROM p, (VALUES ('1'), ('2')) "
            "AS types (type)"
        )
        house.execute(
            "INSERT INTO unit (unit_type_id, code) SELECT unit_type_id, number FROM unit_type, generate_series(1, 3) AS number "
            "WHERE number < 3 OR code = '1'"
        )
        house.execute(
            "INSERT INTO channel_account (code, channel, environment) VALUES (%s, 'queue', 'sandbox'), "
            "('site', 'house', 'sandbox')",
            QUEUE,
        )
        for account, listing in [*((QUEUE, room) for room in ROOMS), ("site", "s/1"), ("site", "s/2")]:
            house.execute(
                "INSERT INTO listing (channel_account_id, external_id, unit_type_id) "
                "SELECT channel_account_id, %s, unit_type_id FROM channel_account, unit_type "
                "WHERE channel_account.code = %s AND unit_type.code = %s",
                listing,
                account,
                listing.split("/")[1],
            )
        yield house


def real_clock() -> datetime:
    """The present time, for processes of their own."""
    return datetime.now(UTC)


__all__ = ["QUEUE", "QueueHost", "QueueHouse", "queue_engine", "queue_house", "real_clock", "version"]
