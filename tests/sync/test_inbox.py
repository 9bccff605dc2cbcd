"""Deliveries applied from the inbox: bookings decided, what is missing asked for, nothing lost and nothing twice."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

import pytest

from adapters.accounts import Account
from adapters.factory import AdapterFactory
from adapters.model import Stay
from adapters.webhook import Delivery, Event, EventKind, Webhook
from channel_sync.sandbox.faults import Fault
from channel_sync.storage import observations, webhooks
from channel_sync.storage.webhooks import Arrival
from channel_sync.sync import inbox
from channel_sync.sync.inbox import Applied, Replayed
from tests.house import NOW, House
from tests.sync.decided_scene import add_inn

AIRBNB = "airbnb-demo"
EVER = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
TABLES = (
    "booking", "booking_revision", "booking_night", "allocation", "conflict", "house_availability", "outbox",
    "webhook_event", "sync_log", "unread_payload", "listing_state", "channel_listing",
)  # fmt: skip


@pytest.fixture
def inn(quiet_house: House) -> House:
    """The house, with a website of its own that delivers bookings: account ``inn``."""
    add_inn(quiet_house)
    return quiet_house


def message(
    number: int = 1, *, hour: int = 12, kind: str = "booking.confirmed", **changes: object
) -> dict[str, Any]:
    """A booking of the website, of three nights."""
    data = {
        "booking_id": f"W{number}",
        "listing_id": "direct-1",
        "status": "confirmed",
        "check_in": "2026-06-01",
        "check_out": "2026-06-04",
        "revised_at": f"2026-03-01T{hour:02}:00:00Z",
        **changes,
    }
    return {"type": kind, "data": data}


def cancelled(number: int = 1, *, hour: int = 13) -> dict[str, Any]:
    """Its cancellation, which names no dates."""
    return message(
        number, hour=hour, kind="booking.cancelled", status="cancelled", check_in=None, check_out=None
    )


def deliver(house: House, *bodies: Mapping[str, Any], account: str = "inn", channel: str = "house") -> None:
    """Put deliveries into the inbox, as the gateway does."""
    webhook = AdapterFactory.get_webhook(channel)
    ((account_id,),) = [
        tuple(row.values())
        for row in house.rows("SELECT channel_account_id FROM channel_account WHERE code = %s", account)
    ]
    (before,) = house.rows("SELECT count(*) FROM webhook_event")
    with house.database.connect() as connection:
        for number, told in enumerate(bodies, before["count"]):
            body = json.dumps(told).encode()
            for event in webhook.events(Delivery("POST", "", "/", body=body)):
                arrival = Arrival(
                    account_id, account, f"d{number}", "POST", "/", "", {}, webhook.scrubbed(body), event.kind,
                    event.name, event.booking_id, event.listing_ids, event.revised_at, event.problem,
                )  # fmt: skip
                webhooks.store(connection, [arrival])


def states(house: House) -> list[tuple[str, str | None]]:
    """What is said of each event, in order of arrival."""
    rows = house.rows("SELECT state, reason FROM webhook_event ORDER BY webhook_event_id")
    return [(row["state"], row["reason"]) for row in rows]


def dump(house: House) -> dict[str, list[dict[str, Any]]]:
    """Everything that the tables hold."""
    return {table: house.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}


def test_a_delivered_booking_is_decided(inn: House) -> None:
    """It is stored, gets its unit, closes its nights and is told to the others, in one go with its settlement."""
    deliver(inn, message())

    applied = inbox.apply_due(inn.engine, "inn", "run-1")

    assert Applied({"applied": 1}, changed=1, days=frozenset({date(2026, 3, 1)})) == applied
    assert [("applied", None)] == states(inn)
    assert [{"nights": 3}] == inn.rows(
        "SELECT count(*) AS nights FROM house_availability WHERE units_open = 0"
    )
    assert [{"n": 1}] == inn.rows("SELECT count(*) AS n FROM allocation")
    assert ["1001", "harbour-studio-vrbo"] == [
        row["external_id"]
        for row in inn.rows("SELECT external_id FROM outbox JOIN listing USING (listing_id) ORDER BY 1")
    ]
    (line,) = inn.rows("SELECT sync_log_id, run_id, subject, requests, rows_changed FROM sync_log")
    assert ("run-1", "bookings", 0, 1) == tuple(line.values())[1:]
    assert inn.rows("SELECT sync_log_id FROM booking") == [{"sync_log_id": line["sync_log_id"]}]
    assert Applied() == inbox.apply_due(inn.engine, "inn", "run-2")


def test_an_older_revision_is_superseded_and_a_known_one_changes_nothing(inn: House) -> None:
    """Each says so; the booking stands as its newest revision."""
    deliver(inn, message(hour=15, guests=3))
    inbox.apply_due(inn.engine, "inn", "run-1")
    deliver(inn, message(hour=14), message(hour=15, guests=3))

    applied = inbox.apply_due(inn.engine, "inn", "run-2")

    assert {"superseded": 1, "applied": 1} == applied.events
    assert 0 == applied.changed
    assert [("superseded", "a newer revision is known"), ("applied", "already stored")] == states(inn)[1:]
    assert [{"guests": 3}] == inn.rows("SELECT guests FROM booking")


@pytest.mark.parametrize("together", [True, False])
def test_a_cancellation_that_arrives_first_wins(inn: House, together: bool) -> None:  # noqa: FBT001 - a parameter
    """It is kept; the booking that follows it is not revived, and its nights stay open."""
    deliver(inn, cancelled(hour=13))
    if not together:
        inbox.apply_due(inn.engine, "inn", "run-1")
    deliver(inn, message(hour=12))

    inbox.apply_due(inn.engine, "inn", "run-2")

    assert [{"status": "cancelled", "check_in": date(2026, 6, 1)}] == inn.rows(
        "SELECT status, check_in FROM booking"
    )
    assert [] == inn.rows("SELECT * FROM house_availability WHERE units_open = 0")
    assert [] == inn.rows("SELECT * FROM allocation")


def test_a_chain_of_changes_is_never_revived_by_an_old_version(inn: House) -> None:
    """Booked, moved, cancelled; then each of the former again under a new delivery."""
    moved = message(hour=13, check_in="2026-07-01", check_out="2026-07-03")
    for told in (
        moved,
        cancelled(hour=14),
        message(hour=12),
        {**moved, "again": 1},
        {**message(hour=12), "again": 2},
    ):
        deliver(inn, told)
        inbox.apply_due(inn.engine, "inn", "run")

    assert [{"status": "cancelled", "check_in": date(2026, 7, 1)}] == inn.rows(
        "SELECT status, check_in FROM booking"
    )
    assert [] == inn.rows("SELECT * FROM house_availability WHERE units_open = 0")
    assert ["applied", "applied", "superseded", "applied", "applied"] == [state for state, _ in states(inn)]


def test_events_of_one_booking_are_applied_oldest_revision_first(inn: House) -> None:
    """What lies in the inbox in any order is superseded by nothing."""
    deliver(inn, cancelled(hour=14), message(hour=13, guests=2), message(hour=12))

    assert {"applied": 3} == inbox.apply_due(inn.engine, "inn", "run").events


def test_a_booking_of_an_unknown_listing_is_adopted_when_that_is_mapped(inn: House) -> None:
    """It is stored, flagged and counted as applied; a later pass finds its listing."""
    deliver(inn, message(listing_id="garden"))
    assert {"applied": 1} == inbox.apply_due(inn.engine, "inn", "run-1").events
    assert [{"kind": "unmapped"}] == inn.rows("SELECT kind FROM conflict WHERE closed_at IS NULL")
    inn.execute("UPDATE listing SET external_id = 'garden' WHERE external_id = 'direct-1'")

    assert 1 == inbox.apply_due(inn.engine, "inn", "run-2").changed
    assert [] == inn.rows("SELECT * FROM conflict WHERE closed_at IS NULL")
    assert [{"n": 1}] == inn.rows("SELECT count(*) AS n FROM allocation")


def test_what_cannot_be_read_is_parked_and_what_says_nothing_is_applied(inn: House) -> None:
    """The website cannot be asked: a person has to look. Kinds that change no booking need nothing."""
    deliver(
        inn,
        message(check_in="yesterday"),
        {"type": "calendar.changed", "data": {}},
        {"type": "message.created", "data": {}},
        {"type": "weather.changed", "data": {}},
    )

    applied = inbox.apply_due(inn.engine, "inn", "run")

    assert {"parked": 1, "applied": 3} == applied.events
    assert [
        ("parked", "status, check_in, check_out, units or guests cannot be read"),
        ("applied", "the next pull of the calendar reads it"),
        ("applied", "nothing to do"),
        ("applied", "nothing to do"),
    ] == states(inn)


def asking(house: House, number: int = 3) -> None:
    """Deliveries of Airbnb that name reservations without telling them."""
    told = [
        {"action": "reservation_acceptance_confirmation", "reservation": {"confirmation_code": f"HMASK{n}"}}
        for n in range(number)
    ]
    deliver(house, *told, account=AIRBNB, channel="airbnb")


def test_what_a_delivery_does_not_tell_is_asked_for_once(inn: House) -> None:
    """Three such events: one pull of the days in question, and all of them are applied."""
    code = inn.sandbox.world.book("1001", date(2026, 6, 1), date(2026, 6, 4), at=NOW - timedelta(hours=1))
    asking(inn)

    applied = inbox.apply_due(inn.engine, AIRBNB, "run")

    assert ({"applied": 3}, 3, 1) == (applied.events, applied.asked, applied.changed)
    assert [{"external_id": code}] == inn.rows("SELECT external_id FROM booking")
    (pull,) = inn.rows("SELECT requests, window_start FROM sync_log WHERE requests > 0")
    assert pull["window_start"] < NOW.date()


def test_a_channel_that_cannot_be_asked_postpones_its_events_and_no_others(inn: House) -> None:
    """The delay grows up to a quarter of an hour; after ten attempts a person has to look."""
    asking(inn, 1)
    inn.sandbox.faults.add(Fault("status", path="*/reservations*", code=500))
    for attempt, delay in ((1, 10), (2, 20), (3, 40), (8, 900), (9, 900)):
        inn.execute(
            "UPDATE webhook_event SET next_attempt_at = clock_timestamp(), attempts = %s", attempt - 1
        )
        assert {"postponed": 1} == inbox.apply_due(inn.engine, AIRBNB, "run").events
        (row,) = inn.rows(
            "SELECT state, attempts, reason, extract(epoch FROM next_attempt_at - clock_timestamp())::float AS wait "
            "FROM webhook_event"
        )
        assert ("received", attempt) == (row["state"], row["attempts"])
        assert delay - 60 < row["wait"] <= delay or delay < 60
        assert row["reason"].startswith("the channel could not be asked: ")
        # Not due yet, so not tried.
        assert {} == inbox.apply_due(inn.engine, AIRBNB, "run").events
        inn.execute("TRUNCATE circuit_breaker_state, rate_limit_state")

    inn.execute("UPDATE webhook_event SET next_attempt_at = clock_timestamp()")
    assert {"parked": 1} == inbox.apply_due(inn.engine, AIRBNB, "run").events


class _Broken(Webhook):
    """A reader with a defect that one delivery meets."""

    secret_names: ClassVar[tuple[str, ...]] = ()
    kept_fields = frozenset()

    def verify(self, delivery: Delivery, account: Account, now: datetime) -> None:
        """Not asked here."""

    def events(self, delivery: Delivery) -> tuple[Event, ...]:
        """The second delivery breaks it."""
        if b"W2" in delivery.body:
            raise RuntimeError("Canary Guest")
        return AdapterFactory.get_webhook("house").events(delivery)


def test_a_defect_of_ours_costs_no_other_event_anything(inn: House) -> None:
    """The event is postponed with class and place of the error, without its message."""
    deliver(inn, message(1), message(2, check_in="2026-06-05", check_out="2026-06-07"), message(3))
    broken = replace(inn.engine, webhooks=lambda _channel: _Broken())

    applied = inbox.apply_due(broken, "inn", "run")

    assert {"applied": 2, "postponed": 1} == applied.events
    (_, (state, reason), _) = states(inn)
    assert "received" == state
    assert reason is not None
    assert reason.startswith("a defect of ours: RuntimeError at test_inbox.py:")
    assert [{"external_id": "W1"}, {"external_id": "W3"}] == inn.rows(
        "SELECT external_id FROM booking ORDER BY 1"
    )


def test_an_unknown_kind_is_applied(inn: House) -> None:
    """A kind that this version does not know is no error."""
    deliver(inn, {"type": "moon.full", "data": {}})
    assert {"applied": 1} == inbox.apply_due(inn.engine, "inn", "run").events
    assert [{"kind": EventKind.UNKNOWN.value}] == inn.rows("SELECT kind FROM webhook_event")


def test_a_replay_of_what_was_applied_changes_nothing(inn: House) -> None:
    """Every row of every table is as before."""
    deliver(
        inn, message(1), message(2), cancelled(1), message(1, hour=11), {"type": "calendar.changed", "data": {}},
        message(3, status="?"), message(4, listing_id="nowhere"),
    )  # fmt: skip
    inbox.apply_due(inn.engine, "inn", "run")
    before = dump(inn)

    assert Replayed(events=7) == inbox.replay(inn.engine, None, *EVER)
    assert Replayed(events=7) == inbox.replay(inn.engine, "inn", *EVER)

    assert before == dump(inn)


def test_a_replay_restores_what_was_lost(inn: House) -> None:
    """The bookings of a range are there again, and what was parked is settled if it can be applied by now."""
    deliver(inn, message(1), cancelled(1), message(2))
    inbox.apply_due(inn.engine, "inn", "run")
    facts = "SELECT external_id, status, check_in FROM booking ORDER BY 1"
    before = inn.rows(facts)
    inn.execute("TRUNCATE booking, house_availability CASCADE")
    inn.execute("UPDATE webhook_event SET state = 'parked' WHERE webhook_event_id = 3")

    assert Replayed(events=3, changed=3, settled=1) == inbox.replay(inn.engine, "inn", *EVER)

    assert before == inn.rows(facts)
    assert {"applied"} == {state for state, _ in states(inn)}
    assert Replayed() == inbox.replay(inn.engine, "inn", EVER[0], EVER[0] + timedelta(days=1))


def test_deliveries_do_not_pass_for_a_pull(inn: House) -> None:
    """The next pull still reaches back to the last one: what was delivered proves nothing of the other bookings."""
    deliver(inn, message())
    inbox.apply_due(inn.engine, "inn", "run")

    with inn.database.connect() as connection:
        ((account_id,),) = connection.execute(
            "SELECT channel_account_id FROM channel_account WHERE code = 'inn'"
        ).fetchall()
        assert observations.last_success(connection, account_id, "bookings") is None


def test_asking_leaves_no_day_out_since_the_last_pull(inn: House) -> None:
    """It counts as a pull, so it reaches back as far as a pull would."""
    today = NOW.date()
    inn.pull_bookings(AIRBNB, Stay(today - timedelta(days=1), today + timedelta(days=1)))
    inn.sandbox.clock.advance(timedelta(days=5))
    asking(inn, 1)

    inbox.apply_due(inn.engine, AIRBNB, "run")

    assert [{"window_start": today - timedelta(days=1)}] == inn.rows(
        "SELECT window_start FROM sync_log WHERE run_id = 'run' AND requests > 0"
    )
