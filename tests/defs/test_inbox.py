"""A delivery seen in Dagster: from the channel's signature to the run that applied it."""

import dagster as dg
import httpx

from channel_sync import bootstrap, config
from channel_sync.defs.inbox import apply_webhooks, run_config, run_tags
from channel_sync.webhooks.server import serving
from tests.defs.test_webhook_sensors import ACCOUNT, tick
from tests.house import NOW, House
from tests.webhooks_sent import Deliveries

BOOKINGS = dg.AssetKey("channel_bookings")
OVERLAPS = dg.AssetCheckKey(BOOKINGS, "no_overlapping_allocation")


def bookings_happen(house: House, number: int) -> None:
    """Guests book; the gateway takes what the simulated channel delivers of it."""
    app = bootstrap.webhook_gateway(config.load(house.environ), environ=house.environ).app()
    with serving(app) as url, httpx.Client() as http:
        deliveries = Deliveries(house.sandbox, f"{url}/webhooks/airbnb/{ACCOUNT}")
        house.sandbox.bookings_at_random(number, happenings=number)
        assert {200} == {http.send(request).status_code for request in deliveries.since_last()}


def test_deliveries_become_bookings_of_a_run(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """The run that the sensor asks for fills the table, materialises the day, makes the check, and leaves nothing due."""
    bookings_happen(house, 3)
    ((request,), _) = tick(definitions, instance)

    result = definitions.resolve_job_def("apply_webhooks").execute_in_process(
        instance=instance, run_config=request.run_config, tags=request.tags
    )

    assert [{"count": 3}] == house.rows("SELECT count(*) FROM booking")
    assert [{"state": "applied", "run_id": result.run_id}] == house.rows(
        "SELECT DISTINCT state, run_id FROM webhook_event"
    )
    (event,) = [event for event in result.all_events if event.is_step_materialization]
    materialisation = event.step_materialization_data.materialization
    assert f"{ACCOUNT}|{NOW.date()}" == materialisation.partition
    assert 3 == materialisation.metadata["applied"].value
    assert 3 == materialisation.metadata["bookings changed"].value
    assert {f"{ACCOUNT}|{NOW.date()}"} == instance.get_materialized_partitions(BOOKINGS)
    made = instance.get_latest_asset_check_evaluation_record(OVERLAPS)
    assert made is not None
    assert "SUCCEEDED" == made.status.value
    logged = [record.user_message for record in instance.all_logs(result.run_id)]
    assert [f"{ACCOUNT}: events: 3 applied; 3 bookings changed, asked the channel for 0"] == [
        line for line in logged if line.startswith(ACCOUNT)
    ]
    assert [] == tick(definitions, instance)[0]


def test_a_run_without_anything_due_says_so(house: House, instance: dg.DagsterInstance) -> None:
    """What the worker and the sensor both wanted to apply is applied by one; the other's run is empty and well."""
    result = apply_webhooks.execute_in_process(
        instance=instance,
        run_config=run_config(ACCOUNT),
        tags=run_tags(ACCOUNT),
        resources={"engine": house.engine},
    )

    assert result.success
    assert [] == [event for event in result.all_events if event.is_step_materialization]
    assert f"{ACCOUNT}: events: none due" in "\n".join(
        record.user_message for record in instance.all_logs(result.run_id)
    )
