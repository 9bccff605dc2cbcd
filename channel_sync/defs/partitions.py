"""How pulls are cut: by channel account, and by a window of days. Never by listing and night.

Calendars are cut into months of nights, bookings into days (UTC) on which they last changed. The accounts of each
subject are those whose channel declares that it can be pulled; the sensor ``portfolio_accounts`` keeps them equal
to the portfolio.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from adapters.base_adapter import Capability, Declaration
from adapters.model import Stay, spans

HISTORY_STARTS = "2025-01-01"
MONTHS_AHEAD = 24  # the farthest horizon that any channel declares is two years

CAPABILITY = {
    "availability": Capability.PULL_AVAILABILITY,
    "pricing": Capability.PULL_PRICING,
    "bookings": Capability.PULL_BOOKINGS,
}

_MONTHS = dg.MonthlyPartitionsDefinition(start_date=HISTORY_STARTS, end_offset=MONTHS_AHEAD + 1)
_DAYS = dg.DailyPartitionsDefinition(start_date=HISTORY_STARTS, end_offset=1)

ACCOUNTS = {subject: dg.DynamicPartitionsDefinition(name=f"{subject}_account") for subject in CAPABILITY}
PARTITIONS = {
    subject: dg.MultiPartitionsDefinition(
        {"account": ACCOUNTS[subject], "window": _DAYS if subject == "bookings" else _MONTHS}
    )
    for subject in CAPABILITY
}


@dataclass(frozen=True, slots=True)
class Slice:
    """What a run has to pull of one account: the nights (or days of change) of one unbroken window."""

    account: str
    window: Stay


def slices(subject: str, partition_keys: Iterable[str]) -> list[Slice]:
    """The partitions of a run as few unbroken windows per account, in order."""
    by_account: dict[str, list[date]] = {}
    for key in partition_keys:
        dimensions = PARTITIONS[subject].get_partition_key_from_str(key).keys_by_dimension
        by_account.setdefault(dimensions["account"], []).extend(_days(subject, dimensions["window"]))
    return [Slice(account, window) for account in sorted(by_account) for window in spans(by_account[account])]


def range_tags(subject: str, account: str, first: date, last: date) -> dict[str, str]:
    """Run tags for all partitions of the account from the one that holds ``first`` to the one that holds ``last``."""
    return {
        "dagster/asset_partition_range_start": f"{account}|{_key(subject, first)}",
        "dagster/asset_partition_range_end": f"{account}|{_key(subject, last)}",
    }


def accounts_of(subject: str, channels: Iterable[tuple[str, Declaration]]) -> list[str]:
    """The codes of those accounts whose channel can be pulled for this subject."""
    return sorted(code for code, declaration in channels if CAPABILITY[subject] in declaration.capabilities)


def booking_partitions(
    instance: dg.DagsterInstance, account: str, days: Iterable[date]
) -> list[dg.MultiPartitionKey]:
    """The partitions of bookings that hold changes of these days; none for an account that cannot be pulled."""
    if not instance.has_dynamic_partition(str(ACCOUNTS["bookings"].name), account):
        return []
    return [
        dg.MultiPartitionKey({"account": account, "window": day.isoformat()})
        for day in sorted(days)
        if _DAYS.has_partition_key(day.isoformat())
    ]


def _key(subject: str, day: date) -> str:
    return (day if subject == "bookings" else day.replace(day=1)).isoformat()


def _days(subject: str, window_key: str) -> Stay:
    first = date.fromisoformat(window_key)
    if subject == "bookings":
        return Stay(first, first + timedelta(days=1))
    return Stay(first, (first + timedelta(days=31)).replace(day=1))
