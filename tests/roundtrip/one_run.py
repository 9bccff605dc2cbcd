"""One run of the project's jobs in a process of its own: `python -m tests.roundtrip.one_run SUBJECT ACCOUNT FIRST LAST`."""

import sys
from datetime import date

import dagster as dg

from channel_sync import bootstrap, config
from channel_sync.defs import assemble
from channel_sync.defs.partitions import ACCOUNTS, range_tags


def main(subject: str, account: str, first: str, last: str) -> int:
    """Execute the job of the subject over its partitions from the one that holds ``first`` to that of ``last``."""
    job = assemble.definitions(bootstrap.engine(config.load())).resolve_job_def(f"sync_{subject}")
    tags = range_tags(subject, account, date.fromisoformat(first), date.fromisoformat(last))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(str(ACCOUNTS[subject].name), [account])
        return 0 if job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).success else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
