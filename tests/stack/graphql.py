"""Dagster's pages as a person's browser uses them: GraphQL over HTTP."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

_Found = TypeVar("_Found")

_REPOSITORY = {"repositoryLocationName": "channel_sync", "repositoryName": "__repository__"}
_UNFINISHED = ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"]

_DEFINED = """
query ($repository: RepositorySelector!) { repositoryOrError(repositorySelector: $repository) { ... on Repository {
  assetNodes { assetKey { path } partitionKeysByDimension { name partitionKeys } }
  schedules { name scheduleState { status ticks(limit: 20) { status skipReason error { message } } } }
  sensors { name sensorState { status ticks(limit: 20) { status skipReason error { message } } } }
} } }
"""
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"
_CHECKS = """
{ assetNodes { assetChecksOrError { ... on AssetChecks {
  checks { name executionForLatestMaterialization { status } }
} } } }
"""
_DRY_RUN = """
mutation ($schedule: ScheduleSelector!, $at: Float) { scheduleDryRun(selectorData: $schedule, timestamp: $at) {
  __typename ... on DryRunInstigationTick {
    evaluationResult { skipReason error { message } runRequests { tags { key value } } }
} } }
"""
_LAUNCH = """
mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }
"""
_BACKFILL = """
mutation ($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
} }
"""
_BACKFILL_STATE = """
query ($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  status error { message } runs { runId status assetMaterializations { assetKey { path } partition } }
} } }
"""
_RUNS = """
query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs {
  results { runId jobName status parentRunId }
} } }
"""
_RUN = """
query ($id: ID!) { runOrError(runId: $id) { ... on Run { status assetMaterializations { partition } } } }
"""
_EVENTS = """
query ($id: ID!) { logsForRun(runId: $id, limit: 1000) { ... on EventConnection {
  events { ... on MessageEvent { message } ... on ExecutionStepFailureEvent { error { message } } }
} } }
"""


def until(what: str, look: Callable[[], _Found | None], within_s: float = 120.0) -> _Found:
    """The first thing found that is not nothing. Fails, saying what was waited for, when the time is over."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s in vain for {what}"
        time.sleep(0.25)
    return found


@dataclass(frozen=True, slots=True)
class Dagster:
    """One Dagster at ``url``."""

    url: str
    http: httpx.Client

    def ask(self, query: str, **variables: Any) -> Any:
        """The one field that is asked for."""
        response = self.http.post(f"{self.url}/graphql", json={"query": query, "variables": variables})
        answer = response.json()
        assert "errors" not in answer, answer["errors"]
        response.raise_for_status()
        (field,) = answer["data"].values()
        return field

    def defined(self) -> Any:
        """Assets with their partitions, schedules and sensors with their newest ticks."""
        return self.ask(_DEFINED, repository=_REPOSITORY)

    def sick_daemons(self) -> list[str]:
        """Daemons that are needed and not well."""
        told = self.ask(_DAEMONS)["daemonHealth"]["allDaemonStatuses"]
        assert told
        return [one["daemonType"] for one in told if one["required"] and not one["healthy"]]

    def checks(self) -> dict[str, str | None]:
        """The status of each asset check at the last materialisation of its asset."""
        checks = [check for node in self.ask(_CHECKS) for check in node["assetChecksOrError"]["checks"]]
        return {
            check["name"]: (check["executionForLatestMaterialization"] or {}).get("status")
            for check in checks
        }

    def evaluate(self, schedule: str, at: float) -> Any:
        """What a schedule would do at a moment (Unix seconds), without doing it."""
        tick = self.ask(_DRY_RUN, schedule={**_REPOSITORY, "scheduleName": schedule}, at=at)
        assert tick["__typename"] == "DryRunInstigationTick", tick
        return tick["evaluationResult"]

    def launch(self, job: str, tags: Mapping[str, str]) -> str:
        """Launch a run; its id."""
        launched = self.ask(
            _LAUNCH,
            run={
                "selector": {**_REPOSITORY, "jobName": job},
                "runConfigData": {},
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
            },
        )
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def backfill(self, asset: str, partitions: Iterable[str]) -> str:
        """Launch a backfill as the asset's page does; its id."""
        wish = {"assetSelection": [{"path": [asset]}], "partitionNames": list(partitions)}
        launched = self.ask(_BACKFILL, backfill=wish)
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["backfillId"])

    def backfill_state(self, backfill_id: str) -> Any:
        """A backfill's status, and its runs with what they materialised."""
        return self.ask(_BACKFILL_STATE, id=backfill_id)

    def runs(self, tags: Mapping[str, str] | None = None, *, unfinished: bool = False) -> list[Any]:
        """Runs with these tags."""
        wish: dict[str, object] = {}
        if tags:
            wish["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        if unfinished:
            wish["statuses"] = _UNFINISHED
        return list(self.ask(_RUNS, filter=wish)["results"])

    def status(self, run_id: str) -> str:
        """A run's status."""
        return str(self.ask(_RUN, id=run_id)["status"])

    def materialised(self, run_id: str) -> list[str]:
        """The partitions that a run materialised, in order."""
        return sorted(event["partition"] for event in self.ask(_RUN, id=run_id)["assetMaterializations"])

    def end_of(self, run_id: str, within_s: float = 120.0) -> str:
        """Wait for a run's end; its last status."""

        def ended() -> str | None:
            status = self.status(run_id)
            return status if status in ("SUCCESS", "FAILURE", "CANCELED") else None

        return until(f"the end of run {run_id}", ended, within_s)

    def events(self, run_id: str) -> str:
        """The text of all events of a run."""
        events = self.ask(_EVENTS, id=run_id)["events"]
        return "\n".join(
            f"{event.get('message', '')} {(event.get('error') or {}).get('message', '')}" for event in events
        )
