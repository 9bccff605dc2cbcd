"""Runs of the jobs: what they materialise, what they say, and how they fail."""

from datetime import date

import dagster as dg
import pytest

from adapters.model import Stay
from channel_sync.defs.partitions import range_tags
from channel_sync.sandbox.faults import Fault
from channel_sync.sync import plan
from tests.house import NOW, House


def run(
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    subject: str,
    account: str,
    first: date,
    last: date,
) -> dg.ExecuteInProcessResult:
    """Run a subject's job for the partitions of one account from first to last."""
    return definitions.resolve_job_def(f"sync_{subject}").execute_in_process(
        instance=instance, tags=range_tags(subject, account, first, last), raise_on_error=False
    )


@pytest.mark.parametrize(
    ("subject", "table"),
    [("availability", "channel_availability"), ("pricing", "channel_price"), ("bookings", "booking")],
)
def test_a_run_fills_the_table_and_materialises_its_partitions(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance, subject: str, table: str
) -> None:
    """One run covers a range of partitions, each of which is materialised."""
    first, last = (
        (date(2026, 2, 1), date(2026, 3, 10))
        if subject == "bookings"
        else (date(2026, 3, 1), date(2026, 5, 1))
    )

    result = run(definitions, instance, subject, "airbnb-demo", first, last)

    assert result.success
    (found,) = house.rows(f"SELECT count(*) FROM {table}")
    assert found["count"] > 0
    partitions = instance.get_materialized_partitions(dg.AssetKey(f"channel_{subject}"))
    assert partitions == set(
        [f"airbnb-demo|{month}" for month in ("2026-03-01", "2026-04-01", "2026-05-01")]
        if subject != "bookings"
        else [
            f"airbnb-demo|{date.fromordinal(day)}" for day in range(first.toordinal(), last.toordinal() + 1)
        ]
    )


def test_checks_run_with_the_pull_and_pass(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    """A sound world passes every check."""
    for subject, first in (("availability", NOW.date()), ("pricing", NOW.date()), ("bookings", NOW.date())):
        result = run(definitions, instance, subject, "airbnb-demo", first, first)
        evaluations = result.get_asset_check_evaluations()
        assert evaluations
        assert [] == [evaluation.check_name for evaluation in evaluations if not evaluation.passed]


@pytest.mark.parametrize(
    ("check", "subject", "damage"),
    [
        (
            "no_overlapping_allocation",
            "bookings",
            """
            INSERT INTO conflict (kind, booking_id, detail, opened_at, sync_log_id)
            SELECT 'overbooking', booking_id, 'by hand', now(), 0 FROM booking ORDER BY check_out DESC LIMIT 1
            """,
        ),
        (
            "no_price_without_currency",
            "pricing",
            "UPDATE channel_price SET currency = NULL WHERE night = '2026-04-05'",
        ),
        (
            "no_listing_without_mapping",
            "availability",
            "UPDATE listing SET retired_at = now() WHERE external_id = '1003'",
        ),
        (
            "no_feed_held_longer_than_a_day",
            "availability",
            """
            UPDATE channel_availability
            SET units_open = 0, closure = 'unknown', held_since = '2026-03-01', release_at_s = 0, hold_reason = 'absent'
            WHERE night = '2026-04-05'
            """,
        ),
    ],
)
def test_a_check_fails_on_what_it_is_for(
    house: House,
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    check: str,
    subject: str,
    damage: str,
) -> None:
    """Each check finds its own kind of damage."""
    house.pull("airbnb-demo")
    house.pull("airbnb-demo", "pricing")
    house.pull_bookings("airbnb-demo", Stay(date(2026, 1, 1), date(2026, 4, 1)))
    plan.discover(house.engine, "run", "airbnb-demo")
    house.execute(damage)
    key = dg.AssetCheckKey(dg.AssetKey(f"channel_{subject}"), check)

    job = dg.Definitions(
        assets=definitions.assets,
        asset_checks=definitions.asset_checks,
        resources={"engine": house.engine},
        jobs=[dg.define_asset_job("only_check", selection=dg.AssetSelection.checks(key))],
    ).resolve_job_def("only_check")
    (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()

    assert not evaluation.passed
    assert evaluation.metadata["findings"].value


def test_a_partial_failure_stores_the_rest_and_fails_visibly(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """The run is red, names the listing, materialises nothing, and five listings are stored."""
    house.sandbox.faults.add(Fault("html", path="*/calendars/1003/*"))

    result = run(definitions, instance, "availability", "airbnb-demo", date(2026, 4, 1), date(2026, 4, 1))

    assert not result.success
    (found,) = house.rows("SELECT count(DISTINCT listing_id) FROM channel_availability")
    assert 5 == found["count"]
    failure = result.failure_data_for_node("channel_availability.collect_availability")
    assert failure is not None
    assert "1 of 6 pulls failed" in str(
        failure.user_failure_data.description if failure.user_failure_data else ""
    )
    assert set() == instance.get_materialized_partitions(dg.AssetKey("channel_availability"))


def test_metadata_tells_operators_what_happened(
    definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """Rows, changes, holds, waits, requests, window, listings and a chart of the next 90 days."""
    result = run(definitions, instance, "availability", "feeds-demo", date(2026, 3, 1), date(2026, 8, 1))

    by_partition = {
        event.step_materialization_data.materialization.partition: event.step_materialization_data.materialization
        for event in result.get_asset_materialization_events()
    }
    assert 6 == len(by_partition)
    assert "listings" not in by_partition["feeds-demo|2026-04-01"].metadata
    metadata = by_partition["feeds-demo|2026-03-01"].metadata
    assert {
        "window",
        "pulled",
        "rows read",
        "rows changed",
        "nights closed",
        "nights opened",
        "nights held",
        "requests",
        "seconds waited",
        "listings",
        "occupancy of the next 90 days",
    } <= set(metadata)
    assert 4 == metadata["requests"].value
    assert len(metadata["occupancy of the next 90 days"].records) >= 13  # type: ignore[attr-defined]


def test_no_secret_reaches_the_event_log(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A failing feed's URL and an account's credentials are in no event of the run."""
    house.sandbox.faults.add(Fault("status", path="/ical/*", code=403))
    results = [
        run(definitions, instance, "availability", account, date(2026, 4, 1), date(2026, 4, 1))
        for account in ("feeds-demo", "airbnb-demo")
    ]

    text = "\n".join(str(event) for result in results for event in result.all_events)
    logs = "\n".join(str(record) for result in results for record in instance.all_logs(result.run_id))
    secrets = [value for name, value in house.environ.items() if name.endswith(("_URL", "_SECRET", "_TOKEN"))]
    assert "feeds-demo" in text
    assert [] == [secret for secret in secrets if "ical" in secret and (secret in text or secret in logs)]
    assert [] == [value for value in secrets if "://" not in value and (value in text or value in logs)]
