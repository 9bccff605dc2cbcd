"""Schedules and the sensor: which accounts run when, and for which partitions."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from adapters.model import Stay
from channel_sync.defs.partitions import ACCOUNTS, PARTITIONS, slices
from channel_sync.defs.pools import pool_of
from channel_sync.defs.schedules import EVERY_MINUTES, minute_at_night, minute_of
from tests.house import House

HOUR = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def tick(
    definitions: dg.Definitions, instance: dg.DagsterInstance, name: str, at: datetime
) -> list[dg.RunRequest]:
    """The runs that a schedule asks for at a moment."""
    repository = definitions.get_repository_def()
    schedule = repository.get_schedule_def(name)
    with dg.build_schedule_context(
        instance=instance,
        scheduled_execution_time=at,
        repository_def=repository,
        resources=dict(definitions.resources or {}),
    ) as context:
        return list(schedule.evaluate_tick(context).run_requests or ())


@pytest.mark.parametrize(
    ("subject", "accounts"),
    [
        ("availability", ["airbnb-demo", "feeds-demo"]),
        ("pricing", ["airbnb-demo"]),
        ("bookings", ["airbnb-demo"]),
    ],
)
def test_each_account_runs_once_a_quarter_of_an_hour_at_its_own_minute(
    definitions: dg.Definitions, instance: dg.DagsterInstance, subject: str, accounts: list[str]
) -> None:
    """In any half hour each account that can be pulled is asked twice, always at its own minute."""
    runs: Counter[str] = Counter()
    for minute in range(30):
        at = HOUR + timedelta(minutes=minute)
        for request in tick(definitions, instance, f"{subject}_every_{EVERY_MINUTES}_minutes", at):
            account = request.tags["channel_sync/account"]
            runs[account] += 1
            assert minute_of(account) == minute % EVERY_MINUTES

    assert dict.fromkeys(accounts, 2) == dict(runs)


def test_a_feed_is_pulled_to_its_horizon_and_a_calendar_near(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A feed is always whole; an explicit calendar is asked for half a year by day and whole by night."""

    def last_month(name: str, account: str, at: datetime) -> str:
        (request,) = (
            request
            for request in tick(definitions, instance, name, at)
            if request.tags["channel_sync/account"] == account
        )
        return request.tags["dagster/asset_partition_range_end"]

    feeds = HOUR.replace(minute=minute_of("feeds-demo"))
    airbnb = HOUR.replace(minute=minute_of("airbnb-demo"))
    night = HOUR.replace(hour=3, minute=minute_at_night("airbnb-demo"))
    assert "feeds-demo|2028-03-01" == last_month("availability_every_15_minutes", "feeds-demo", feeds)
    assert "airbnb-demo|2026-09-01" == last_month("availability_every_15_minutes", "airbnb-demo", airbnb)
    assert "airbnb-demo|2028-03-01" == last_month("availability_nightly", "airbnb-demo", night)


def test_a_requested_run_succeeds(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """What a schedule asks for is what the job can run: partitions, config and tags fit."""
    for name, account in (
        ("availability_nightly", "airbnb-demo"),
        ("availability_nightly", "feeds-demo"),
        ("pricing_nightly", "airbnb-demo"),
        ("bookings_nightly", "airbnb-demo"),
    ):
        at = house.sandbox.clock.now().replace(hour=3, minute=minute_at_night(account))
        (request,) = tick(definitions, instance, name, at)
        job = definitions.resolve_job_def(f"sync_{name.removesuffix('_nightly')}")
        assert job.execute_in_process(
            instance=instance, run_config=request.run_config, tags=request.tags
        ).success


def test_a_paused_account_is_not_launched(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """An account whose pool an operator has set to 0 is left out, and comes back with its slot."""
    at = HOUR.replace(minute=minute_of("airbnb-demo"))

    def launched() -> list[str]:
        found = tick(definitions, instance, "pricing_every_15_minutes", at)
        return [request.tags["channel_sync/account"] for request in found]

    instance.event_log_storage.set_concurrency_slots(pool_of("airbnb-demo"), 0)
    assert [] == launched()
    instance.event_log_storage.set_concurrency_slots(pool_of("airbnb-demo"), 1)
    assert ["airbnb-demo"] == launched()


def test_bookings_are_pulled_from_the_day_before_the_last_success(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """An outage of five days is caught up by the first run after it."""
    today = house.sandbox.clock.now().date()
    house.pull_bookings("airbnb-demo", Stay(today, today + timedelta(days=1)))
    later = house.sandbox.clock.now() + timedelta(days=5)

    (request,) = tick(
        definitions, instance, "bookings_every_15_minutes", later.replace(minute=minute_of("airbnb-demo"))
    )

    assert f"airbnb-demo|{today - timedelta(days=1)}" == request.tags["dagster/asset_partition_range_start"]
    assert f"airbnb-demo|{later.date()}" == request.tags["dagster/asset_partition_range_end"]


def test_the_sensor_keeps_partitions_equal_to_the_portfolio(
    house: House, definitions: dg.Definitions
) -> None:
    """Accounts get partitions, pool and a first pull when they come, and lose partitions and pool when they go."""
    house.execute(
        "UPDATE channel_account SET retired_at = now() WHERE code NOT IN ('airbnb-demo', 'feeds-demo')"
    )
    sensor = next(
        one for one in definitions.get_repository_def().sensor_defs if one.name == "portfolio_accounts"
    )

    runs: list[tuple[str | None, str]] = []

    def requests(instance: dg.DagsterInstance) -> list[tuple[str, str, list[str]]]:
        with dg.build_sensor_context(
            instance=instance,
            repository_def=definitions.get_repository_def(),
            resources=dict(definitions.resources or {}),
        ) as context:
            result = sensor.evaluate_tick(context)
        found = result.dynamic_partitions_requests or ()
        runs.extend((run.job_name, run.tags["channel_sync/account"]) for run in result.run_requests or ())
        return [(type(one).__name__, one.partitions_def_name, list(one.partition_keys)) for one in found]

    def pools(instance: dg.DagsterInstance) -> dict[str, int]:
        return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}

    with dg.DagsterInstance.local_temp() as instance:
        instance.event_log_storage.set_concurrency_slots("account_feeds-demo", 2)
        instance.event_log_storage.set_concurrency_slots("account_gone", 1)
        instance.event_log_storage.set_concurrency_slots("account_of_somebody_else", 1)
        assert [
            ("AddDynamicPartitionsRequest", "availability_account", ["airbnb-demo", "feeds-demo"]),
            ("AddDynamicPartitionsRequest", "pricing_account", ["airbnb-demo"]),
            ("AddDynamicPartitionsRequest", "bookings_account", ["airbnb-demo"]),
        ] == requests(instance)
        assert [
            ("sync_availability", "airbnb-demo"),
            ("sync_availability", "feeds-demo"),
            ("sync_pricing", "airbnb-demo"),
            ("sync_bookings", "airbnb-demo"),
        ] == runs
        for subject, keys in {
            "availability": ["airbnb-demo", "feeds-demo", "gone"],
            "pricing": ["airbnb-demo"],
            "bookings": ["airbnb-demo"],
        }.items():
            instance.add_dynamic_partitions(str(ACCOUNTS[subject].name), keys)
        assert [("DeleteDynamicPartitionsRequest", "availability_account", ["gone"])] == requests(instance)
        assert {
            "account_airbnb-demo": 1,
            "account_feeds-demo": 2,
            "account_of_somebody_else": 1,
        } == pools(instance)


def test_partitions_become_few_unbroken_windows() -> None:
    """Months that touch are one window; a gap makes two."""
    keys = ["a|2026-03-01", "a|2026-04-01", "a|2026-06-01", "b|2026-03-01"]

    assert ["a [2026-03-01, 2026-05-01)", "a [2026-06-01, 2026-07-01)", "b [2026-03-01, 2026-04-01)"] == [
        f"{piece.account} {piece.window}" for piece in slices("availability", keys)
    ]
    assert PARTITIONS["availability"].partition_dimension_names == ["account", "window"]
