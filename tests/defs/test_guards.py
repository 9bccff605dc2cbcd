"""Open circuits and exhausted quotas in the UI: checks of a pull, and a sensor for the time between pulls."""

from datetime import date
from typing import Any

import dagster as dg
import pytest

from channel_sync.defs.checks import GUARDED_ASSET, GUARDS
from channel_sync.defs.partitions import range_tags
from channel_sync.sandbox.faults import Fault
from tests.house import House

CIRCUIT = "airbnb/api.airbnb.com"
QUOTA = "airbnb/api.airbnb.com/account/airbnb-demo"
OPEN_CIRCUIT = f"""
    INSERT INTO circuit_breaker_state (key, state, opened_at, open_until, trips, last_error, window_started_at)
    VALUES ('{CIRCUIT}', 'open', now() - interval '1 minute', now() + interval '1 minute', 2, 'ConnectError', now())
"""
CLOSED_CIRCUIT = f"""
    INSERT INTO circuit_breaker_state (key, closed_at, window_started_at) VALUES ('{CIRCUIT}', now(), now())
"""


def quota(blocked_s: float, next_permit_s: float, slack_s: float = 0.0) -> str:
    """A counter of 10 calls a second that is so far from its next permit."""
    return f"""
        INSERT INTO rate_limit_state
            (key, limits, windows_us, intervals_us, slacks_us, tats_us, blocked_until_us, penalties, penalized_at)
        SELECT '{QUOTA}', '{{10}}', '{{1000000}}', '{{100000}}', ARRAY[({slack_s} * 1e6)::bigint],
            ARRAY[now_us + ({next_permit_s + slack_s} * 1e6)::bigint], now_us + ({blocked_s} * 1e6)::bigint, 1, now()
        FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint AS now_us) AS clock
    """


@pytest.mark.parametrize(
    ("check", "states"),
    [
        (
            "no_open_circuit",
            {
                OPEN_CIRCUIT: CIRCUIT,
                OPEN_CIRCUIT.replace("'open'", "'half_open'"): CIRCUIT,
                CLOSED_CIRCUIT: None,
            },
        ),
        (
            "no_exhausted_quota",
            {
                quota(blocked_s=60, next_permit_s=0): QUOTA,
                quota(blocked_s=-5, next_permit_s=90): QUOTA,
                quota(blocked_s=-5, next_permit_s=50): None,
                quota(blocked_s=-5, next_permit_s=0, slack_s=300): None,
            },
        ),
    ],
)
def test_the_checks_find_what_holds_calls_back(
    house: House, definitions: dg.Definitions, check: str, states: dict[str, str | None]
) -> None:
    """A circuit that is not closed, a penalty that runs, a permit more than a minute away; a used burst is none."""
    key = dg.AssetCheckKey(dg.AssetKey(GUARDED_ASSET), check)
    job = dg.Definitions(
        assets=definitions.assets,
        asset_checks=definitions.asset_checks,
        resources={"engine": house.engine},
        jobs=[dg.define_asset_job("only_check", selection=dg.AssetSelection.checks(key))],
    ).resolve_job_def("only_check")
    for state, found in states.items():
        house.execute("TRUNCATE circuit_breaker_state, rate_limit_state")
        house.execute(state)

        (evaluation,) = job.execute_in_process().get_asset_check_evaluations()

        rows: Any = evaluation.metadata["findings"].value
        assert (found is None) == evaluation.passed
        assert dg.AssetCheckSeverity.WARN == evaluation.severity
        assert ([] if found is None else [found]) == [row["key"] for row in rows]


class Sensor:
    """The sensor with the cursor of its last tick."""

    def __init__(self, definitions: dg.Definitions) -> None:
        self._repository = definitions.get_repository_def()
        self._resources = dict(definitions.resources or {})
        self.cursor: str | None = None
        self.skip_message = ""

    def tick(self, instance: dg.DagsterInstance) -> dict[str, bool]:
        """The checks it evaluated, and whether they passed; recorded as the daemon does."""
        sensor = self._repository.get_sensor_def("channel_guards")
        with dg.build_sensor_context(
            instance=instance,
            cursor=self.cursor,
            repository_def=self._repository,
            resources=self._resources,
        ) as context:
            result = sensor.evaluate_tick(context)
        assert [] == list(result.run_requests or ())
        self.cursor, self.skip_message = result.cursor, result.skip_message or ""
        events = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
        assert len(events) == len(result.asset_events)
        for event in events:
            instance.report_runless_asset_event(event)
        return {event.check_name: event.passed for event in events}


def shown(instance: dg.DagsterInstance) -> dict[str, str]:
    """What the UI shows of the checks: the newest evaluation of each."""
    keys = {name: dg.AssetCheckKey(dg.AssetKey(GUARDED_ASSET), name) for name in GUARDS}
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([*keys.values()])
    return {name: records[key].status.value for name, key in keys.items() if key in records}


def test_the_sensor_speaks_when_something_changed_and_only_then(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """Each edge is one evaluation that the UI shows; while nothing changes there is none."""
    sensor = Sensor(definitions)

    assert {"no_open_circuit": True, "no_exhausted_quota": True} == sensor.tick(instance)
    assert {} == sensor.tick(instance)

    house.execute(OPEN_CIRCUIT)
    assert {"no_open_circuit": False} == sensor.tick(instance)
    assert {"no_open_circuit": "FAILED", "no_exhausted_quota": "SUCCEEDED"} == shown(instance)
    assert f"open circuits: {CIRCUIT}; exhausted quotas: none" == sensor.skip_message
    house.execute("UPDATE circuit_breaker_state SET state = 'half_open', trips = 5")
    assert {} == sensor.tick(instance)

    house.execute(quota(blocked_s=60, next_permit_s=0))
    house.execute("UPDATE circuit_breaker_state SET state = 'closed'")
    assert {"no_open_circuit": True, "no_exhausted_quota": False} == sensor.tick(instance)
    assert {"no_open_circuit": "SUCCEEDED", "no_exhausted_quota": "FAILED"} == shown(instance)
    assert f"open circuits: none; exhausted quotas: {QUOTA}" == sensor.skip_message


def test_another_finding_of_the_same_check_is_told_too(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A second circuit that opens is not hidden by the first."""
    sensor = Sensor(definitions)
    house.execute(OPEN_CIRCUIT)
    assert not sensor.tick(instance)["no_open_circuit"]

    house.execute(OPEN_CIRCUIT.replace(CIRCUIT, "ical/feeds.example"))

    assert {"no_open_circuit": False} == sensor.tick(instance)


def test_a_pull_that_fails_does_not_hide_what_the_sensor_found(
    house: House, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    """A failed run leaves its checks as not made: the sensor says again what holds, once."""
    sensor = Sensor(definitions)
    house.execute(quota(blocked_s=600, next_permit_s=0).replace(QUOTA, "ical/feeds.example"))
    assert not sensor.tick(instance)["no_exhausted_quota"]
    house.sandbox.faults.add(Fault("html", path="*/calendars/1003/*"))

    day = date(2026, 4, 1)
    job = definitions.resolve_job_def("sync_availability")
    tags = range_tags("availability", "airbnb-demo", day, day)
    assert not job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).success

    assert {"no_open_circuit": "PLANNED", "no_exhausted_quota": "PLANNED"} == shown(instance)
    assert {"no_open_circuit": True, "no_exhausted_quota": False} == sensor.tick(instance)
    assert {"no_open_circuit": "SUCCEEDED", "no_exhausted_quota": "FAILED"} == shown(instance)
    assert {} == sensor.tick(instance)
