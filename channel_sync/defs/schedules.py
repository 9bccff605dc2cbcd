"""When pulls run by themselves: each account every 15 minutes at a minute of its own, and everything at night.

Bookings of a channel that waits for acknowledgements are pulled more often: six times before it stops waiting. The
worker polls such a channel oftener still; without a worker this has to be enough.

The schedules tick every minute and launch only the accounts whose minute it is: accounts come and go with the
portfolio, and a schedule per account would have to be redeployed with it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from zlib import crc32

import dagster as dg

from adapters.base_adapter import Declaration
from channel_sync.defs.jobs import JOBS, housekeeping
from channel_sync.defs.pools import paused
from channel_sync.defs.requests import pull_request, pulled_accounts, under_way
from channel_sync.storage.portfolio import AccountRow
from channel_sync.sync.engine import Engine

EVERY_MINUTES = 15
_CHANCES = 6
NIGHTLY_HOUR = 3  # UTC


def every_minutes(subject: str, declaration: Declaration) -> int:
    """How often accounts of a channel are pulled, in minutes: a divisor of 60, so that the hour makes no difference."""
    within = declaration.acknowledge_within
    if subject != "bookings" or within is None:
        return EVERY_MINUTES
    at_most = min(EVERY_MINUTES, within / _CHANCES / timedelta(minutes=1))
    return max(
        minutes for minutes in range(1, EVERY_MINUTES + 1) if 60 % minutes == 0 and minutes <= max(1, at_most)
    )


def minute_of(account: str, every: int = EVERY_MINUTES) -> int:
    """The minute, of every so many, at which the account is pulled: the same on every machine."""
    return crc32(account.encode()) % every


def minute_at_night(account: str) -> int:
    """The minute of NIGHTLY_HOUR at which the account is pulled whole."""
    return crc32(account.encode()) % 60


def _schedule(
    subject: str,
    *,
    name: str,
    cron: str,
    is_due: Callable[[AccountRow, Declaration, datetime], bool],
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
            if is_due(account, engine.declaration_of(account), now)
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
    def is_due(account: AccountRow, declaration: Declaration, now: datetime) -> bool:
        every = every_minutes(subject, declaration)
        return minute_of(account.code, every) == now.minute % every

    return _schedule(
        subject,
        name=f"{subject}_every_{EVERY_MINUTES}_minutes",
        cron="* * * * *",
        is_due=is_due,
        everything=False,
        description=f"Pull {subject} of each account every {EVERY_MINUTES} minutes, at the account's own minute"
        + ("; oftener where the channel waits for acknowledgements." if subject == "bookings" else "."),
    )


def _nightly(subject: str) -> dg.ScheduleDefinition:
    return _schedule(
        subject,
        name=f"{subject}_nightly",
        cron=f"* {NIGHTLY_HOUR} * * *",
        is_due=lambda account, _, now: minute_at_night(account.code) == now.minute,
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
