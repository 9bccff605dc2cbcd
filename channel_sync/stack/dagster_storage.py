"""Dagster's own storage, made ready before Dagster's processes start.

    python -m channel_sync.stack.dagster_storage [HOST:PORT]

Makes the tables of the instance in DAGSTER_HOME, so that several processes that start together need not race for it.
With the address of a code server that is gone, ends the runs it had launched: their processes are gone too, and
nothing else would ever say so. Dagster's run monitoring cannot ask after a process of the default launcher; such a
run would hold its account's place in the queue until the longest run time is over.
"""

import json
import sys

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

# Where Dagster's default launcher notes the code server it gave a run to.
_LAUNCHED_AT = ".dagster/grpc_info"
_LOST = "The process of this run is gone: the code server that started it was stopped or killed."


def end_orphaned_runs(instance: DagsterInstance, address: str) -> list[str]:
    """End the unfinished runs that the code server at ``address`` (host:port) launched; their ids.

    Only to be called when neither that server nor its run processes live. Runs of other code servers on the same
    storage are left alone.
    """
    unfinished = RunsFilter(
        statuses=[DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
    )
    orphans = [run for run in instance.get_runs(unfinished) if _launched_at(run) == address]
    for run in orphans:
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _LOST)
        else:
            instance.report_run_failed(run, _LOST)
    return [run.run_id for run in orphans]


def main() -> None:
    """Prepare the instance in DAGSTER_HOME."""
    with DagsterInstance.get() as instance:
        for address in sys.argv[1:]:
            for run_id in end_orphaned_runs(instance, address):
                sys.stdout.write(f"run {run_id} had lost its process: ended\n")


def _launched_at(run: DagsterRun) -> str | None:
    noted = run.tags.get(_LAUNCHED_AT)
    if noted is None:
        return None
    server = json.loads(noted)
    return f"{server.get('host')}:{server.get('port')}"


if __name__ == "__main__":
    main()
