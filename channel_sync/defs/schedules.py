"""When pulls run by themselves: each account every 15 minutes at a minute of its own, and everything at night.

The schedules tick every minute and launch only the accounts whose minute it is: accounts come and go with the
portfolio, and a schedule per account would have to be redeployed with it.
"""

from collections.abc import Callable
from datetime import datetime
from zlib import crc32

import dagster as dg

from channel_sync.defs.jobs import JOBS, housekeeping
from channel_sync.defs.pools import paused
from channel_sync.defs.requests import pull_request, pulled_accounts, under_way
from channel_sync.sync.engine import Engine

EVERY_MINUTES = 15
NIGHTLY_HOUR = 3  # UTC


def minute_of(account: str) -> int:
    """The minute of every quarter of an hour at which the account is pulled: the same on every machine."""
    return crc32(account.encode()) % EVERY_MINUTES


def minute_at_night(account: str) -> int:
    """The minute of NIGHTLY_HOUR at which the account is pulled whole."""
    return crc32(account.encode()) % 60


def _schedule(
    subject: str,
    *,
    name: str,
    cron: str,
    is_due: Callable[[str, datetime], bool],
    everything: bool,
    description: str,
) -> dg.ScheduleDefinition:
    """A schedule that at each tick launches the accounts that are due and not still under way."""

    @dg.schedule(
        name=name,
        job=JOBS[subject],
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, engine: dg.ResourceParam[Engine]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        now = context.scheduled_execution_time
        due = [
            account
            for account in pulled_accounts(context.instance, engine, subject)
            if is_due(account.code, now)
        ]
        held = paused(context.instance, [account.code for account in due])
        requests = [
            pull_request(
                engine,
                subject,
                account,
                now,
                run_key=f"{name}:{account.code}:{now.isoformat()}",
                everything=everything,
            )
            for account in due
            # A run of a paused account would only wait for a slot, in a place that others need; a second one of an
            # account whose last pull has not ended yet would only queue.
            if account.code not in held
            and not under_way(context.instance, f"sync_{subject}", {"channel_sync/account": account.code})
        ]
        return requests or dg.SkipReason(
            f"{len(due)} due, all of them under way or paused" if due else "no account is due this minute"
        )

    return schedule


def _quarter_hourly(subject: str) -> dg.ScheduleDefinition:
    return _schedule(
        subject,
        name=f"{subject}_every_{EVERY_MINUTES}_minutes",
        cron="* * * * *",
        is_due=lambda account, now: minute_of(account) == now.minute % EVERY_MINUTES,
        everything=False,
        description=f"Pull {subject} of each account every {EVERY_MINUTES} minutes, at the account's own minute.",
    )


def _nightly(subject: str) -> dg.ScheduleDefinition:
    return _schedule(
        subject,
        name=f"{subject}_nightly",
        cron=f"* {NIGHTLY_HOUR} * * *",
        is_due=lambda account, now: minute_at_night(account) == now.minute,
        everything=True,
        description=(
            f"Pull {subject} of each account whole, once a night: the whole horizon, and whole answers even where the "
            "channel could say that nothing changed."
        ),
    )


@dg.schedule(
    job=housekeeping,
    cron_schedule="20 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def housekeeping_nightly() -> dg.RunRequest:
    """Tidy up once a night."""
    return dg.RunRequest()


SCHEDULES = [
    *(_quarter_hourly(subject) for subject in JOBS),
    *(_nightly(subject) for subject in JOBS),
    housekeeping_nightly,
]
