"""Acknowledgements as operators see them: a step of the bookings' run, a check, and a schedule that is in time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.execution.plan import active

from adapters.base_adapter import Declaration
from channel_sync.defs import assemble
from channel_sync.defs.checks import acknowledgement_evaluation
from channel_sync.defs.partitions import ACCOUNTS, range_tags
from channel_sync.defs.polling import report_poll
from channel_sync.defs.pools import give_pools, pool_of
from channel_sync.defs.schedules import EVERY_MINUTES, every_minutes, minute_of
from channel_sync.storage.database import Database
from channel_sync.sync.poll import poll
from tests.defs.test_schedules import tick
from tests.house import NOW
from tests.sync.queue_channel import QUEUE, ROOMS, QueueAdapter, QueueHouse, queue_house

JUNE = ("2026-06-01", "2026-06-04")
TODAY = NOW.date()
CHECK = dg.AssetCheckKey(dg.AssetKey("channel_bookings"), "no_overdue_acknowledgement")


@pytest.fixture
def hotel(database: Database, instance: dg.DagsterInstance) -> Iterator[QueueHouse]:
    """The hotel on the made-up channel, with its partitions and its pool."""
    instance.add_dynamic_partitions(str(ACCOUNTS["bookings"].name), [QUEUE])
    give_pools(instance, [QUEUE])
    with queue_house(database) as house:
        yield house


def run(hotel: QueueHouse, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """One run for today's partition."""
    return (
        assemble.definitions(hotel.engine)
        .resolve_job_def("sync_bookings")
        .execute_in_process(
            instance=instance, tags=range_tags("bookings", QUEUE, TODAY, TODAY), raise_on_error=False
        )
    )


def step(result: dg.ExecuteInProcessResult) -> str:
    """The key of the step that acknowledged."""
    (key,) = {
        event.step_key
        for event in result.all_events
        if event.step_key is not None and "acknowledge_bookings" in event.step_key
    }
    return key


def late_shown(instance: dg.DagsterInstance) -> tuple[str, dg.AssetCheckSeverity]:
    """What the UI shows of the check."""
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([CHECK])[CHECK]
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return record.status.value, evaluation.severity


def test_a_run_acknowledges_what_it_stored(hotel: QueueHouse, instance: dg.DagsterInstance) -> None:
    """After the store step, in the account's slot; the materialisation says how many, and no step's result which."""
    hotel.host.put("R1", (ROOMS[0], *JUNE))
    hotel.host.verdicts = {hotel.host.put("R2", (ROOMS[0], *JUNE)): "warned"}
    held: list[int] = []
    pools = instance.event_log_storage
    hotel.host.on_ack = lambda _: held.append(len(pools.get_concurrency_info(pool_of(QUEUE)).claimed_slots))

    result = run(hotel, instance)

    assert result.success
    assert [1] == held
    assert {"R1@1", "R2@2"} == {*hotel.host.acknowledged}
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    assert "1 accepted, 1 warned" == metadata["acknowledged"].value
    assert "SUCCEEDED" == late_shown(instance)[0]
    assert "R1@1" not in repr(result.output_for_node("channel_bookings.pull_bookings"))


def test_a_step_with_nothing_to_tell_waits_for_no_slot(
    hotel: QueueHouse, instance: dg.DagsterInstance
) -> None:
    """Its pool may be taken meanwhile."""
    asked: list[str] = []
    real = instance.event_log_storage.claim_concurrency_slot

    def claim(pool: str, run_id: str, step_key: str, priority: int | None = None) -> object:
        asked.append(step_key.partition("[")[0])
        return real(pool, run_id, step_key, priority)

    instance.event_log_storage.claim_concurrency_slot = claim  # type: ignore[method-assign,assignment]

    result = run(hotel, instance)

    assert result.success
    assert step(result)
    assert ["channel_bookings.pull_bookings"] == asked


def test_a_channel_that_cannot_be_told_fails_the_run_and_not_what_is_stored(
    hotel: QueueHouse, instance: dg.DagsterInstance
) -> None:
    """The failure says so, and the check is evaluated all the same."""
    hotel.host.put("R1", (ROOMS[0], *JUNE))
    hotel.host.fail_acks = 1000

    result = run(hotel, instance)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 channels not told" in str(failure.step_failure_data)
    assert [{"n": 1}] == hotel.rows("SELECT count(*) AS n FROM booking")
    assert "SUCCEEDED" == late_shown(instance)[0]


def test_before_a_long_wait_what_was_read_is_stored(
    hotel: QueueHouse, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to come back in two minutes, the run has its first page committed by then: its deadline runs on."""
    references = [hotel.host.put(f"R{number}", (ROOMS[0], *JUNE)) for number in range(7)]
    hotel.host.limit_at = 5
    passed = [1_000_000.0]
    waiting: list[int] = []

    def sleep(seconds: float) -> None:
        passed[0] += seconds
        hotel.execute("UPDATE rate_limit_state SET blocked_until_us = 0")
        (found,) = hotel.rows("SELECT count(*) AS n FROM booking_receipt")
        waiting.append(found["n"])

    monkeypatch.setattr(active, "time", SimpleNamespace(time=lambda: passed[0], sleep=sleep))

    assert run(hotel, instance).success
    assert [5] == waiting
    assert references == hotel.host.acknowledged


def test_the_check_warns_before_it_is_too_late_and_fails_after(hotel: QueueHouse) -> None:
    """Due in half an hour it passes, in nine minutes it warns, overdue it is an error; acknowledged it passes."""
    hotel.host.put("R1", (ROOMS[0], *JUNE))
    hotel.host.fail_acks = 1000
    poll(hotel.engine, QUEUE)

    def found(minutes: int) -> tuple[bool, dg.AssetCheckSeverity]:
        later = replace(hotel.engine, clock=lambda: NOW + timedelta(minutes=minutes))
        evaluation = acknowledgement_evaluation(later)
        assert "R1@1" not in str(evaluation.metadata)
        return evaluation.passed, evaluation.severity

    assert (True, dg.AssetCheckSeverity.WARN) == found(0)
    assert (False, dg.AssetCheckSeverity.WARN) == found(21)
    assert (False, dg.AssetCheckSeverity.ERROR) == found(30)
    hotel.host.fail_acks = 0
    poll(hotel.engine, QUEUE)
    assert found(300)[0]


def test_a_poll_is_seen_where_it_changed_something(hotel: QueueHouse, instance: dg.DagsterInstance) -> None:
    """Today's partition of the account is materialised without a run; a poll in vain leaves no event."""
    report_poll(instance, hotel.engine, QUEUE, poll(hotel.engine, QUEUE))
    key = dg.AssetKey("channel_bookings")
    assert [] == list(instance.fetch_materializations(key, limit=9).records)

    hotel.host.put("R1", (ROOMS[0], *JUNE))
    report_poll(instance, hotel.engine, QUEUE, poll(hotel.engine, QUEUE))

    (record,) = instance.fetch_materializations(key, limit=9).records
    assert f"{QUEUE}|{TODAY}" == record.partition_key
    assert "SUCCEEDED" == late_shown(instance)[0]


def test_a_late_acknowledgement_is_shown_by_a_poll_that_fails(
    hotel: QueueHouse, instance: dg.DagsterInstance
) -> None:
    """No run has to come by for it, nor for the end of it."""
    hotel.host.put("R1", (ROOMS[0], *JUNE))
    hotel.host.fail_acks = 1000
    later = replace(hotel.engine, clock=lambda: NOW + timedelta(minutes=40))

    poll(hotel.engine, QUEUE)
    report_poll(instance, later, QUEUE, poll(later, QUEUE))

    assert ("FAILED", dg.AssetCheckSeverity.ERROR) == late_shown(instance)
    hotel.host.fail_acks = 0
    hotel.execute("TRUNCATE circuit_breaker_state")  # which its faults have opened
    report_poll(instance, later, QUEUE, poll(later, QUEUE))
    assert "SUCCEEDED" == late_shown(instance)[0]


@pytest.mark.parametrize(
    ("within", "minutes"), [(None, 15), (30, 5), (60, 10), (12, 2), (45, 6), (3, 1), (600, 15)]
)
def test_bookings_are_pulled_six_times_before_a_channel_stops_waiting(
    within: int | None, minutes: int
) -> None:
    """At least: in divisors of the hour, and no oftener than every minute; calendars as ever."""
    declaration: Declaration = replace(
        QueueAdapter.declaration, acknowledge_within=None if within is None else timedelta(minutes=within)
    )

    assert minutes == every_minutes("bookings", declaration)
    assert EVERY_MINUTES == every_minutes("availability", declaration)


def test_the_schedule_comes_by_every_five_minutes(hotel: QueueHouse, instance: dg.DagsterInstance) -> None:
    """At the account's own minute of them."""
    hotel.execute("UPDATE channel_account SET enabled = false WHERE code = 'site'")
    definitions = assemble.definitions(hotel.engine)
    hour = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)

    due = [
        minute
        for minute in range(20)
        if tick(
            definitions, instance, f"bookings_every_{EVERY_MINUTES}_minutes", hour + timedelta(minutes=minute)
        )
    ]

    assert [*range(minute_of(QUEUE, 5), 20, 5)] == due
