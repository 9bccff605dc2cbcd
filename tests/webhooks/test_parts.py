"""The parts of the gateway by themselves: limits, proxies, what is kept of a delivery, group commit."""

import asyncio
import threading
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.accounts import Account
from adapters.webhook import Delivery, Event, EventKind, Webhook
from channel_sync.storage import webhooks
from channel_sync.storage.database import Database
from channel_sync.storage.webhooks import Arrival, InboxEvent
from channel_sync.webhooks.deliveries import arrivals
from channel_sync.webhooks.front import UNKNOWN, Front
from channel_sync.webhooks.inbox import Inbox, NotStored
from channel_sync.webhooks.limits import Limits, Rate, Seldom, network_of
from channel_sync.webhooks.receivers import Receiver
from channel_sync.webhooks.tables import Tables

_PAUSES = st.lists(st.floats(0, 3), min_size=1, max_size=60)


@given(pauses=_PAUSES, per_second=st.floats(0.2, 50), burst=st.integers(1, 10))
def test_no_span_of_time_holds_more_than_rate_and_burst(
    pauses: list[float], per_second: float, burst: int
) -> None:
    """Between any two admitted requests there are at most burst + seconds x rate of them; who waits is admitted."""
    limits = Limits(Rate(per_second, burst), Rate(1e9, 1e9), 0.0)
    now, admitted = 0.0, []
    for pause in pauses:
        now += pause
        wait = limits.admit("10.0.0.1", now)
        if not wait:
            admitted.append(now)
        else:
            assert wait <= 1 / per_second + 1e-9
    for first, begin in enumerate(admitted):
        for last, end in enumerate(admitted[first:], first):
            assert last - first + 1 <= burst + (end - begin) * per_second + 1e-6


def test_one_source_does_not_cost_another_its_turn() -> None:
    """Each source has a bucket of its own; all together have one too."""
    limits = Limits(Rate(1, 2), Rate(1, 3), 0.0)
    assert [True, True, False] == [limits.admit("10.0.0.1", 0.0) == 0 for _ in range(3)]
    assert [True, False] == [limits.admit(f"10.0.0.{last}", 0.0) == 0 for last in (2, 3)]
    assert limits.admit("10.0.0.3", 1.0) == 0


def test_sources_are_forgotten_when_there_are_too_many() -> None:
    """A sender of forged addresses does not fill the memory."""
    limits = Limits(Rate(1, 1), Rate(1e9, 1e9), 0.0)
    for number in range(11_000):
        limits.admit(str(number), 0.0)
    assert len(limits._sources) == 10_000


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        (UNKNOWN, UNKNOWN),
        ("a:b", "a:b"),
    ],
)
def test_a_subscriber_is_one_source(address: str, network: str) -> None:
    """An IPv6 network counts as one address does in IPv4."""
    assert network == network_of(address)


def test_seldom_is_once_in_its_time() -> None:
    """Yes, then no until the time is over; each key by itself."""
    seldom = Seldom(60)
    asked = [("a", 0.0), ("a", 59.0), ("b", 59.0), ("a", 60.0), ("a", 61.0)]
    assert [True, False, True, True, False] == [seldom(key, now) for key, now in asked]


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1,10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, not an address"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, not an address, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.3"], "10.0.0.3"),
        (None, ["198.51.100.1"], UNKNOWN),
    ],
)
def test_forwarded_addresses_are_believed_as_far_as_who_says_them(
    peer: str | None, forwarded: list[str], source: str
) -> None:
    """From the right, through trusted proxies only: what a sender puts in front is never believed."""
    front = Front(trusted_proxies=(ip_network("10.0.0.0/8"),))
    assert source == front.source(peer, forwarded)
    assert (peer or UNKNOWN) == Front().source(peer, forwarded)


def test_the_public_url_stands_for_ours() -> None:
    """Its host, with a port if it has one, and its path before ours."""
    assert ("a:1", "/x") == Front().addressed("a:1", "/x")
    assert ("hooks.example", "/x") == Front("https://hooks.example").addressed("a:1", "/x")
    assert ("hooks.example:8443", "/cs/x") == Front("https://hooks.example:8443/cs").addressed("a:1", "/x")


class _Odd(Webhook):
    """A channel whose deliveries say whatever a test wants."""

    secret_names = ("secret",)
    kept_headers = ("x-kept",)

    def __init__(self, *said: Event | Exception) -> None:
        self.said = said

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """All is well."""

    def events(self, delivery: Delivery) -> tuple[Event, ...]:  # noqa: ARG002 - whatever was delivered
        """What was told before."""
        for each in self.said:
            if isinstance(each, Exception):
                raise each
        return tuple(each for each in self.said if isinstance(each, Event))

    def scrubbed(self, body: bytes) -> bytes:
        """Without the word for a guest."""
        return body.replace(b"guest", b"*")


def _stored(database: Database, webhook: Webhook, delivery: Delivery) -> list[InboxEvent]:
    """What comes out of the inbox of a delivery."""
    with database.connect() as connection:
        ((account,),) = connection.execute(
            "INSERT INTO channel_account (code, channel, environment) VALUES ('odd', 'odd', 'x') RETURNING channel_account_id"
        ).fetchall()
        webhooks.store(connection, arrivals(Receiver(account, "odd", Account("odd"), webhook), delivery))
        return webhooks.due_events(connection, account, 10)


def test_texts_that_the_database_does_not_take_are_mended(database: Database) -> None:
    """NUL, lone surrogates and texts of any length are stored; long ids stay apart although they begin alike."""
    odd, long = "a\0b\ud800c", "x" * 10_000
    said = [
        Event(EventKind.BOOKING, odd, f"{odd}{long}{end}", odd, (odd, long), problem=long) for end in "12"
    ]
    headers = {"x-kept": "\0" + long, "x-secret": "s"}
    one, two = _stored(database, _Odd(*said), Delivery("POST", "h", "/p\0", "q=\0", headers, b"a guest"))
    assert "a\ufffdb?c" == one.name == one.booking_external_id == one.listing_external_ids[0]
    assert one.delivery_key + "#2" != two.delivery_key
    assert ["x-kept"] == list(one.headers)
    assert max(map(len, (one.delivery_key, one.headers["x-kept"], one.listing_external_ids[1]))) <= 200
    assert b"a *" == one.body


def test_each_event_of_a_delivery_has_its_row(database: Database) -> None:
    """Several events of one delivery share its id; without an id they share the hash of the body."""
    said = (
        Event(EventKind.BOOKING, "one", "d"),
        Event(EventKind.CALENDAR, "two", "d"),
        Event(EventKind.TEST, "three"),
    )
    found = _stored(database, _Odd(*said), Delivery("POST", "h", "/", "", {}, b"body"))
    hashed = "sha256:230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
    assert ["d", "d#2", f"{hashed}#3"] == [event.delivery_key for event in found]


@pytest.mark.parametrize(
    ("webhook", "reason"),
    [(_Odd(), "it names no event"), (_Odd(KeyError("guest")), "a defect of ours: KeyError")],
)
def test_a_delivery_that_says_nothing_is_kept(webhook: Webhook, reason: str) -> None:
    """It is from the channel: what this version cannot read, a later one may."""
    receiver = Receiver(1, "odd", Account("odd"), webhook)
    (arrival,) = arrivals(
        receiver, Delivery("POST", "h", "/", "a=guest%40x&api_token=T&Signature=S&b", {}, b"body")
    )
    assert ("unknown", reason) == (arrival.kind, arrival.reason)
    assert "a=%2A%40x&api_token=removed&Signature=removed&b=" == arrival.query


def _arrival(key: str) -> Arrival:
    return Arrival(1, "inn", key, "POST", "/", "", {}, b"", "unknown", "")


async def _put_all(inbox: Inbox, keys: Sequence[str]) -> list[BaseException | None]:
    running = asyncio.create_task(inbox.run())
    results = await asyncio.gather(*(inbox.put((_arrival(key),)) for key in keys), return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return results


def test_what_arrives_during_a_commit_goes_into_the_next() -> None:
    """Many deliveries, few commits, each delivery in exactly one; none is answered before its commit."""
    batches: list[list[str]] = []
    entered = threading.Event()

    def write(arrivals: Sequence[Arrival]) -> None:
        entered.set()
        batches.append([arrival.delivery_key for arrival in arrivals])

    keys = [f"d-{number}" for number in range(1_200)]
    assert {None} == set(asyncio.run(_put_all(Inbox(write), keys)))
    assert keys == sorted((key for batch in batches for key in batch), key=keys.index)
    assert len(batches) == 3


def test_one_that_cannot_be_stored_takes_no_other_with_it() -> None:
    """The database refuses one row: its sender is told so, the others are stored."""

    def write(arrivals: Sequence[Arrival]) -> None:
        if any(arrival.delivery_key == "bad" for arrival in arrivals):
            raise psycopg.DataError

    results = asyncio.run(_put_all(Inbox(write), ["a", "bad", "b"]))
    assert [True, False, True] == [result is None for result in results]
    assert isinstance(results[1], NotStored)


def test_a_failed_commit_is_told_to_all_that_were_in_it() -> None:
    """The database is away: nobody is told that his delivery is stored, and nothing is tried one by one."""
    calls: list[int] = []

    def write(arrivals: Sequence[Arrival]) -> None:
        calls.append(len(arrivals))
        raise psycopg.OperationalError

    results = asyncio.run(_put_all(Inbox(write), ["a", "b", "c"]))
    assert [NotStored] * 3 == [type(result) for result in results]
    assert [3] == calls


def test_what_is_acknowledged_is_on_the_disk(database: Database) -> None:
    """Deliveries are committed with synchronous_commit on, on a server whose default is off."""
    tables = Tables(database)
    try:
        ((default,),) = tables.reading(lambda line: line.execute("SHOW synchronous_commit").fetchall())
        ((storing,),) = tables._storing.run(lambda line: line.execute("SHOW synchronous_commit").fetchall())
    finally:
        tables.close()
    assert ("off", "on") == (default, storing)
