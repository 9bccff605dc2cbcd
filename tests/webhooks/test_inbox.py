"""The inbox in the tables: repetitions, what is due, and what becomes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from channel_sync.storage import webhooks
from channel_sync.storage.database import Database
from channel_sync.storage.webhooks import Arrival

_ARRIVAL = Arrival(
    channel_account_id=1,
    account="inn",
    delivery_key="d-1",
    method="POST",
    path="/webhooks/house/inn",
    query="",
    headers={"content-type": "application/json"},
    body=b'{"a": 1}',
    kind="booking",
    name="booking.created",
    booking_external_id="B1",
    listing_external_ids=("L1", "L2"),
    revised_at=datetime(2026, 3, 1, tzinfo=UTC),
)


@pytest.fixture
def account(database: Database) -> int:
    """Our key of an account."""
    return _account(database, "inn")


def _account(database: Database, code: str) -> int:
    with database.connect() as connection:
        ((key,),) = connection.execute(
            "INSERT INTO channel_account (code, channel, environment) VALUES (%s, 'house', 'sandbox') "
            "RETURNING channel_account_id",
            [code],
        ).fetchall()
    return int(key)


def test_what_was_stored_is_due_as_it_was(database: Database, account: int) -> None:
    """An event comes out of the inbox with all that was put in."""
    with database.connect() as connection:
        assert webhooks.store(connection, [_ARRIVAL]) == 1
        (event,) = webhooks.due_events(connection, account, 10)
    kept = [
        name for name in Arrival.__slots__ if name in type(event).__slots__ and name != "listing_external_ids"
    ]
    assert {name: getattr(_ARRIVAL, name) for name in kept} == {name: getattr(event, name) for name in kept}
    assert ["L1", "L2"] == event.listing_external_ids
    assert (1, 0) == (event.times_received, event.attempts)


def test_a_repeated_delivery_is_counted(database: Database, account: int) -> None:
    """The same key again, in one statement or in another, makes no second row; another account's does."""
    other = replace(_ARRIVAL, channel_account_id=_account(database, "lodge"), account="lodge")
    with database.connect() as connection:
        assert webhooks.store(connection, [_ARRIVAL, other, _ARRIVAL]) == 2
        assert webhooks.store(connection, [replace(_ARRIVAL, body=b"changed")]) == 0
        (event,) = webhooks.due_events(connection, account, 10)
    assert (3, b'{"a": 1}') == (event.times_received, event.body)


@pytest.mark.parametrize(
    ("key", "revised_at", "due"),
    [
        ("d-1", None, 0),
        ("sha256:00", datetime(2026, 3, 1, tzinfo=UTC), 0),
        ("sha256:00", None, 1),
        ("sha256:00#2", None, 1),
    ],
)
def test_a_settled_event_is_due_again_only_if_it_may_be_a_new_one(
    database: Database, account: int, key: str, revised_at: datetime | None, due: int
) -> None:
    """Neither an id nor a time of its own: what reads the same may have happened again."""
    arrival = replace(_ARRIVAL, delivery_key=key, revised_at=revised_at)
    with database.connect() as connection:
        webhooks.store(connection, [arrival])
        (event,) = webhooks.due_events(connection, account, 10)
        webhooks.settle(connection, event.webhook_event_id, "applied", None, "run-1")
        assert webhooks.due_events(connection, account, 10) == []
        webhooks.store(connection, [arrival])
        assert due == len(webhooks.due_events(connection, account, 10))


def test_two_processes_are_not_given_the_same_event(database: Database, account: int) -> None:
    """What one is at, another is not given; what was left alone is there again."""
    arrivals = [replace(_ARRIVAL, delivery_key=f"d-{number}") for number in range(5)]
    with database.connect() as one, database.connect() as two:
        webhooks.store(one, arrivals)
        one.commit()
        first = webhooks.due_events(one, account, 3)
        second = webhooks.due_events(two, account, 10)
        assert ["d-0", "d-1", "d-2"] == [event.delivery_key for event in first]
        assert ["d-3", "d-4"] == [event.delivery_key for event in second]
        one.rollback()
        two.rollback()
        assert len(webhooks.due_events(two, account, 10)) == 5


def test_a_postponed_event_waits(database: Database, account: int) -> None:
    """It is due again at its time, one attempt older, and never after it is settled."""
    with database.connect() as connection:
        webhooks.store(connection, [_ARRIVAL])
        (event,) = webhooks.due_events(connection, account, 1)
        key = event.webhook_event_id
        ((now,),) = connection.execute("SELECT clock_timestamp()").fetchall()
        assert webhooks.postpone(connection, key, "the channel is down", now + timedelta(hours=1))
        assert webhooks.due_events(connection, account, 1) == []
        assert webhooks.postpone(connection, key, "the channel is down", now)
        (event,) = webhooks.due_events(connection, account, 1)
        assert event.attempts == 2
        assert webhooks.park(connection, key, "no listing of ours", "run-1")
        assert not webhooks.postpone(connection, key, "too late", now)
        assert not webhooks.settle(connection, key, "applied", None, "run-2")
        assert webhooks.due_events(connection, account, 1) == []
        found = connection.execute("SELECT state, reason, run_id, attempts FROM webhook_event").fetchall()
    assert [("parked", "no listing of ours", "run-1", 3)] == found


def test_who_listens_is_told_the_account(database: Database, account: int) -> None:
    """One notice an account and transaction, when it commits; none for a repetition of what is settled."""
    other = replace(_ARRIVAL, channel_account_id=_account(database, "lodge"), account="lodge")
    more = replace(_ARRIVAL, delivery_key="d-2")
    with database.connect(autocommit=True) as listener, database.connect() as connection:
        listener.execute(f"LISTEN {webhooks.NOTIFIED}".encode())
        webhooks.store(connection, [_ARRIVAL, more, other])
        assert _told(listener, 0.2) == []
        connection.commit()
        assert ["inn", "lodge"] == _told(listener, 5)
        for event in webhooks.due_events(connection, account, 9):
            webhooks.settle(connection, event.webhook_event_id, "applied", None, None)
        connection.commit()
        webhooks.store(connection, [_ARRIVAL])
        connection.commit()
        assert _told(listener, 0.2) == []


def _told(listener: psycopg.Connection, seconds: float) -> list[str]:
    return sorted(notice.payload for notice in listener.notifies(timeout=seconds, stop_after=2))


def test_the_age_of_the_inbox_is_that_of_its_oldest_event(database: Database, account: int) -> None:
    """Settled events do not count."""
    with database.connect() as connection:
        assert webhooks.inbox_age(connection) is None
        webhooks.store(connection, [_ARRIVAL, replace(_ARRIVAL, delivery_key="d-2")])
        connection.execute(
            "UPDATE webhook_event SET received_at = received_at - interval '1 hour' WHERE delivery_key = 'd-2'"
        )
        age = webhooks.inbox_age(connection)
        assert age is not None
        assert 3600 <= age < 3700
        for event in webhooks.due_events(connection, account, 9):
            webhooks.settle(connection, event.webhook_event_id, "superseded", "older", None)
        assert webhooks.inbox_age(connection) is None
