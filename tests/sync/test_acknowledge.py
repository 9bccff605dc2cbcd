"""Receipts: they wait once their bookings are committed, until the channel has said something final."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, ClassVar

import psycopg
import pytest

from adapters.accounts import Account
from adapters.model import ONE_DAY, Receipt, Stay
from adapters.webhook import Delivery, Event, EventKind, Webhook
from channel_sync.storage import bookings as table
from channel_sync.storage import webhooks
from channel_sync.storage.database import Database
from channel_sync.storage.webhooks import Arrival
from channel_sync.sync import inbox
from channel_sync.sync.account_turn import turn_at
from channel_sync.sync.acknowledge import Acknowledged, acknowledge
from channel_sync.sync.bookings import BookingBatch, PulledBookings, pull_bookings, store_bookings
from channel_sync.sync.poll import poll
from tests.house import NOW
from tests.sync.queue_channel import QUEUE, ROOMS, QueueAdapter, QueueHouse, queue_engine, queue_house

JUNE = ("2026-06-01", "2026-06-04")
ONE, _, TWO = ROOMS
_numbers = count(1)


@pytest.fixture
def hotel(database: Database) -> Iterator[QueueHouse]:
    """The hotel on the made-up channel."""
    with queue_house(database) as house:
        yield house


def pull(hotel: QueueHouse) -> PulledBookings:
    """Pull one day's bookings and the queue."""
    day = Stay(NOW.date(), NOW.date() + ONE_DAY)
    return pull_bookings(hotel.engine, BookingBatch(f"bookings_{next(_numbers)}", "run", QUEUE, day))


def receipts(hotel: QueueHouse) -> dict[str, tuple[str | None, int, bool]]:
    """Verdict, attempts, and whether it is acknowledged, by reference."""
    rows = hotel.rows("SELECT * FROM booking_receipt")
    return {
        row["reference"]: (row["verdict"], row["attempts"], row["acknowledged_at"] is not None)
        for row in rows
    }


def test_what_is_stored_is_acknowledged_and_nothing_before(hotel: QueueHouse) -> None:
    """A pull leaves no receipt, a store does; each is told once, in as few calls as there are batches."""
    references = [hotel.host.put(f"R{number}", (ONE, *JUNE)) for number in range(12)]
    pulled = pull(hotel)
    assert {} == receipts(hotel)
    assert "R3@4" not in repr(pulled)

    store_bookings(hotel.engine, pulled)
    assert dict.fromkeys(references, (None, 0, False)) == receipts(hotel)
    assert Acknowledged({"accepted": 12}) == acknowledge(hotel.engine, QUEUE, "run")

    assert dict.fromkeys(references, ("accepted", 1, True)) == receipts(hotel)
    assert references == hotel.host.acknowledged
    assert 1 == hotel.host.calls.count("ack")
    assert Acknowledged() == acknowledge(hotel.engine, QUEUE, "run")
    assert [] == hotel.host.waiting()


def test_it_is_due_when_the_channel_said_it_would_be(hotel: QueueHouse) -> None:
    """Without a word of its own: so long after it was asked for, and half an hour here."""
    hotel.host.put("R1", (ONE, *JUNE))
    store_bookings(hotel.engine, pull(hotel))

    assert [{"received_at": NOW, "due_at": NOW + timedelta(minutes=30)}] == hotel.rows(
        "SELECT received_at, due_at FROM booking_receipt"
    )


def test_a_batch_that_cannot_be_stored_leaves_nothing_to_acknowledge(
    hotel: QueueHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where some of it was committed already; stored again, all of it is acknowledged."""
    for number in range(3):
        hotel.host.put(f"R{number}", (ONE, *JUNE), at=NOW + timedelta(seconds=number))
    pulled, stored = pull(hotel), count()
    real = table.apply_revision

    def fails_at_the_third(*given: Any) -> Any:
        if next(stored) == 2:
            raise RuntimeError("the process dies here")
        return real(*given)

    with monkeypatch.context() as patched:
        patched.setattr(table, "apply_revision", fails_at_the_third)
        with pytest.raises(RuntimeError):
            store_bookings(hotel.engine, pulled)
    assert [{"n": 2}] == hotel.rows("SELECT count(*) AS n FROM booking")
    assert {} == receipts(hotel)

    store_bookings(hotel.engine, pulled)
    assert Acknowledged({"accepted": 3}) == acknowledge(hotel.engine, QUEUE, "run")
    assert 0 == store_bookings(hotel.engine, pulled).entry.rows_changed


def test_each_verdict_ends_as_it_should(hotel: QueueHouse) -> None:
    """Accepted and warned are done; rejected is final, with the channel's words; unknown goes on waiting."""
    verdicts = ("accepted", "warned", "rejected", "unknown")
    hotel.host.verdicts = {
        hotel.host.put(f"R{number}", (ONE, *JUNE)): one for number, one in enumerate(verdicts)
    }
    store_bookings(hotel.engine, pull(hotel))

    assert Acknowledged(dict.fromkeys(verdicts, 1)) == acknowledge(hotel.engine, QUEUE, "run-1")

    assert [
        ("accepted", "code of accepted", True),
        ("warned", "code of warned", True),
        ("rejected", "code of rejected", False),
        (None, "code of unknown", False),
    ] == [
        (row["verdict"], row["words"], row["acknowledged_at"] is not None)
        for row in hotel.rows("SELECT * FROM booking_receipt ORDER BY booking_receipt_id")
    ]
    hotel.host.verdicts = {}
    assert Acknowledged({"accepted": 1}) == acknowledge(hotel.engine, QUEUE, "run-2")
    assert ("accepted", 2, True) == receipts(hotel)["R3@4"]


def test_a_channel_that_is_down_leaves_it_waiting(hotel: QueueHouse) -> None:
    """A short fault is repeated at once; a long one is counted, told in the result, and left for the next time."""
    hotel.host.put("R1", (ONE, *JUNE))
    store_bookings(hotel.engine, pull(hotel))
    hotel.host.fail_acks = 1000

    failed = acknowledge(hotel.engine, QUEUE, "run")

    assert ("Unavailable", {"unknown": 1}) == (failed.error, dict(failed.counts))
    assert {"R1@1": (None, 1, False)} == receipts(hotel)
    hotel.host.fail_acks = 1
    assert Acknowledged({"accepted": 1}) == acknowledge(hotel.engine, QUEUE, "run")


def test_an_acknowledgement_that_was_lost_is_told_again(hotel: QueueHouse) -> None:
    """A channel that still shows what it was told did not hear us: it waits again, its attempts and deadline kept."""
    hotel.host.put("R1", (ONE, *JUNE))
    hotel.host.forget_acks = True
    store_bookings(hotel.engine, pull(hotel))
    acknowledge(hotel.engine, QUEUE, "run")
    (before,) = hotel.rows("SELECT due_at FROM booking_receipt")
    later = replace(hotel.engine, clock=lambda: NOW + timedelta(minutes=5))

    again = poll(later, QUEUE)

    assert (0, {"accepted": 1}) == (
        again.stored and again.stored.entry.rows_changed,
        dict(again.acknowledged.counts),
    )
    assert {"R1@1": ("accepted", 2, True)} == receipts(hotel)
    assert [before] == hotel.rows("SELECT due_at FROM booking_receipt")


def test_what_was_read_before_it_was_acknowledged_does_not_wait_again(hotel: QueueHouse) -> None:
    """Two pulls of the same queue: the slower one stores what the other has acknowledged meanwhile."""
    hotel.host.put("R1", (ONE, *JUNE))
    slow, quick = pull(hotel), pull(hotel)
    store_bookings(hotel.engine, quick)
    acknowledge(replace(hotel.engine, clock=lambda: NOW + timedelta(seconds=1)), QUEUE, "run")

    store_bookings(hotel.engine, slow)

    assert {"R1@1": ("accepted", 1, True)} == receipts(hotel)


def test_a_listing_that_is_not_mapped_is_acknowledged_all_the_same(hotel: QueueHouse) -> None:
    """It is stored and flagged: that is all a channel wants to know. What cannot be read is neither."""
    hotel.host.put("R1", ("h/9/z", *JUNE))
    hotel.host.put("R2", broken=True)
    store_bookings(hotel.engine, pull(hotel))
    acknowledge(hotel.engine, QUEUE, "run")

    assert ["R1@1"] == hotel.host.acknowledged
    assert ["R2@2"] == hotel.host.waiting()
    assert [{"kind": "unmapped"}] == hotel.rows("SELECT kind FROM conflict")
    assert [{"part": "R2"}] == hotel.rows("SELECT part FROM unread_payload")


def test_the_most_urgent_goes_first(hotel: QueueHouse) -> None:
    """By deadline, not by arrival; a receipt without one last."""
    for number, minutes in enumerate((20, None, 5)):
        hotel.execute(
            "INSERT INTO booking_receipt (channel_account_id, reference, booking_external_id, received_at, due_at) "
            "SELECT channel_account_id, %s, 'R', %s, %s FROM channel_account WHERE code = %s",
            f"ref{number}",
            NOW,
            None if minutes is None else NOW + timedelta(minutes=minutes),
            QUEUE,
        )

    acknowledge(hotel.engine, QUEUE, "run")

    assert ["ref2", "ref0", "ref1"] == hotel.host.acknowledged


def test_two_processes_tell_nothing_twice(hotel: QueueHouse) -> None:
    """The second waits for the first, finds nothing left, and says so."""
    for number in range(3):
        hotel.host.put(f"R{number}", (ONE, *JUNE))
    store_bookings(hotel.engine, pull(hotel))
    found: list[Acknowledged] = []
    second = threading.Thread(target=lambda: found.append(acknowledge(hotel.engine, QUEUE, "two")))

    def begin_second(_: object) -> None:
        if second.ident is None:
            second.start()

    hotel.host.on_ack = begin_second

    found.append(acknowledge(hotel.engine, QUEUE, "one"))
    second.join(30)

    assert [{}, {"accepted": 3}] == sorted((dict(one.counts) for one in found), key=len)
    assert 1 == hotel.host.calls.count("ack")


def test_a_lost_database_is_not_taken_for_the_channels_fault(hotel: QueueHouse) -> None:
    """What cannot be written down is raised; nothing is marked as told."""
    hotel.host.put("R1", (ONE, *JUNE))
    store_bookings(hotel.engine, pull(hotel))

    def cut(_: object) -> None:
        hotel.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )

    hotel.host.on_ack = cut
    with pytest.raises(psycopg.Error):
        acknowledge(hotel.engine, QUEUE, "run")
    assert {"R1@1": (None, 0, False)} == receipts(hotel)


# The turn -------------------------------------------------------------------------------------------------------------


def test_nothing_is_told_while_what_the_channel_gave_is_not_committed(hotel: QueueHouse) -> None:
    """The channel would take it for the version it gave last, which a killed process had and nobody has now."""
    hotel.host.put("R1", (ONE, *JUNE))
    store_bookings(hotel.engine, pull(hotel))
    newer = hotel.host.put("R1", (TWO, *JUNE))
    pull(hotel)  # and dies

    assert {} == dict(acknowledge(hotel.engine, QUEUE, "run").counts)
    assert [] == hotel.host.acknowledged

    store_bookings(hotel.engine, pull(hotel))

    assert "accepted" in acknowledge(hotel.engine, QUEUE, "run").counts
    assert newer in hotel.host.acknowledged


def test_a_channel_whose_acknowledgements_name_a_version_is_told_at_once(
    hotel: QueueHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is nothing to mistake."""
    named = replace(QueueAdapter.declaration, acknowledges_newest=False)
    monkeypatch.setattr(QueueAdapter, "declaration", named)
    engine = replace(hotel.engine, declarations={**hotel.engine.declarations, "queue": named})
    hotel.host.put("R1", (ONE, *JUNE))
    store_bookings(engine, pull(hotel))
    pull(hotel)  # and dies

    assert {"accepted": 1} == dict(acknowledge(engine, QUEUE, "run").counts)


def test_a_poll_leaves_an_account_alone_that_a_run_is_at(hotel: QueueHouse) -> None:
    """It asks nothing, tells nothing, and is no failure."""
    hotel.host.put("R1", (ONE, *JUNE))
    with turn_at(hotel.engine, QUEUE):
        assert (None, {}, None) == (
            (polled := poll(hotel.engine, QUEUE)).stored,
            dict(polled.acknowledged.counts),
            polled.error,
        )
        assert [] == hotel.host.calls

    assert {"accepted": 1} == dict(poll(hotel.engine, QUEUE).acknowledged.counts)


# Polling --------------------------------------------------------------------------------------------------------------


def written(hotel: QueueHouse) -> list[int]:
    """How many rows there are of everything that a poll could write."""
    return [
        hotel.rows(f"SELECT count(*) AS n FROM {name}")[0]["n"]
        for name in (
            "sync_log",
            "booking",
            "booking_revision",
            "booking_receipt",
            "unread_payload",
            "pg_class",
        )
    ]


def test_a_poll_in_vain_leaves_nothing(hotel: QueueHouse) -> None:
    """No row, no staging table, no line of the log: one question."""
    before = written(hotel)

    polled = poll(hotel.engine, QUEUE)

    assert (None, None) == (polled.stored, polled.error)
    assert before == written(hotel)
    assert ["queue"] == hotel.host.calls


def test_a_poll_that_finds_something_stores_and_acknowledges_it(hotel: QueueHouse) -> None:
    """With a line of the log that the rows point at, which is not taken for a pull of what changed."""
    hotel.host.put("R1", (ONE, *JUNE), (TWO, *JUNE))

    polled = poll(hotel.engine, QUEUE)

    assert polled.stored is not None
    assert (2, {"accepted": 1}) == (polled.stored.entry.rows_changed, dict(polled.acknowledged.counts))
    assert [{"run_id": "poll", "rows_changed": 2}] == hotel.rows(
        "SELECT run_id, rows_changed FROM sync_log WHERE sync_log_id = ALL (SELECT sync_log_id FROM booking)"
    )
    assert [] == hotel.rows("SELECT * FROM analytics.sync_health WHERE subject = 'bookings'")


def test_a_reservation_that_cannot_be_read_is_counted_and_no_more(hotel: QueueHouse) -> None:
    """It stays in the queue, and every poll meets it: one row that says how often."""
    hotel.host.put("R1", broken=True)
    for _ in range(3):
        poll(hotel.engine, QUEUE)

    assert [{"times_seen": 3}] == hotel.rows("SELECT times_seen FROM unread_payload")
    assert [] == hotel.rows("SELECT * FROM sync_log")


def test_a_poll_tells_what_an_earlier_step_could_not(hotel: QueueHouse) -> None:
    """Also when the queue itself is empty by then."""
    hotel.host.put("R1", (ONE, *JUNE))
    store_bookings(hotel.engine, pull(hotel))
    hotel.host.put("gone", (ONE, *JUNE))
    hotel.host.take(["gone@2"])

    assert {"accepted": 1} == dict(poll(hotel.engine, QUEUE).acknowledged.counts)


# Deliveries -----------------------------------------------------------------------------------------------------------


class Bell(Webhook):
    """Says that a reservation waits, and with what it is to be acknowledged."""

    secret_names: ClassVar[tuple[str, ...]] = ()
    kept_fields: ClassVar[frozenset[Any]] = frozenset()

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """Nobody else knows the address."""

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """The body is the booking's id."""
        code = delivery.body.decode()
        receipt = Receipt(code, f"rung {code}")
        return (Event(EventKind.BOOKING, "bell", booking_id=code, ask=True, receipt=receipt),)


def test_a_delivery_that_had_the_channel_asked_is_acknowledged(hotel: QueueHouse) -> None:
    """With what the delivery holds and with what the queue holds; not where the channel did not show the booking."""
    hotel.host.put("R1", (ONE, *JUNE))
    engine = queue_engine(hotel.database, hotel.host.url, lambda: NOW, lambda _: Bell())
    ((account_id,),) = [
        row.values()
        for row in hotel.rows("SELECT channel_account_id FROM channel_account WHERE code = %s", QUEUE)
    ]
    with hotel.database.connect() as connection:
        for code in ("R1", "R2"):
            arrival = Arrival(
                account_id, QUEUE, code, "POST", "/", "", {}, code.encode(), "booking", "bell", code
            )
            webhooks.store(connection, [arrival])

    applied = inbox.apply_due(engine, QUEUE, "run")

    assert {"applied": 2} == dict(applied.events)
    assert {"R1@1", "rung R1"} == {*hotel.host.acknowledged}
    assert {"R1@1": ("accepted", 1, True), "rung R1": ("accepted", 1, True)} == receipts(hotel)
