"""Bring the portfolio into the tables and say what changed.

The file is the only place where properties, unit types, accounts and listings are made. What is no longer in it is
retired, never deleted: bookings and observed nights go on pointing at it. Back in the file, it is restored.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from channel_sync.portfolio.model import Portfolio
from channel_sync.storage.database import Database
from channel_sync.storage.portfolio import (
    CHANNEL_ACCOUNT,
    LISTING,
    PROPERTY,
    RATE_PLAN,
    UNIT,
    UNIT_TYPE,
    Agreement,
    Change,
)


def apply(database: Database, portfolio: Portfolio) -> list[Change]:
    """Make the tables agree with the portfolio, in one transaction, and say what changed.

    Two processes that apply at once wait for one another. Applying the same portfolio again changes nothing and
    returns []. Raises ConfigurationError, and changes nothing, if an account of which nights or bookings are stored
    would become one of another channel or environment, or the database server does not know a time zone.
    """
    with database.connect() as connection:
        agreement = Agreement(connection)
        agreement.check_time_zones({place.time_zone for place in portfolio.properties})
        properties = agreement.make(
            PROPERTY,
            {
                (place.code,): {
                    "name": place.name,
                    "time_zone": place.time_zone,
                    "currency": place.currency,
                }
                for place in portfolio.properties
            },
        )
        unit_types, rate_plans = _make_unit_types(agreement, portfolio, properties)
        _make_accounts(agreement, portfolio, unit_types, rate_plans)
        return agreement.changes


def render(changes: Sequence[Change]) -> str:
    """The changes for a terminal, one a line."""
    if not changes:
        return "nothing to change: the tables agree with the portfolio"
    return "\n".join(
        f"{change.kind:<9}{change.what}" + (f" ({change.detail})" if change.detail else "")
        for change in changes
    )


def _make_unit_types(
    agreement: Agreement, portfolio: Portfolio, properties: Mapping[tuple[Any, ...], int]
) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    """The keys of unit types by "property/unit_type", and of rate plans by that and their own code."""
    kinds = {
        f"{place.code}/{kind.code}": (properties[place.code,], kind)
        for place in portfolio.properties
        for kind in place.unit_types
    }
    made = agreement.make(
        UNIT_TYPE, {(property_id, kind.code): {"name": kind.name} for property_id, kind in kinds.values()}
    )
    ids = {reference: made[property_id, kind.code] for reference, (property_id, kind) in kinds.items()}
    agreement.make(
        UNIT, {(ids[reference], unit): {} for reference, (_, kind) in kinds.items() for unit in kind.units}
    )
    plans = {
        (reference, plan.code): plan for reference, (_, kind) in kinds.items() for plan in kind.rate_plans
    }
    made = agreement.make(
        RATE_PLAN,
        {(ids[reference], code): {"name": plan.name} for (reference, code), plan in plans.items()},
    )
    return ids, {(reference, code): made[ids[reference], code] for reference, code in plans}


def _make_accounts(
    agreement: Agreement,
    portfolio: Portfolio,
    unit_types: Mapping[str, int],
    rate_plans: Mapping[tuple[str, str], int],
) -> None:
    made = agreement.make(
        CHANNEL_ACCOUNT,
        {
            (account.code,): {
                "channel": account.channel,
                "environment": account.environment,
                "settings": account.settings,
                "secrets": account.secrets,
                "enabled": account.enabled,
                "quotas": [quota.model_dump(mode="json") for quota in account.quotas],
            }
            for account in portfolio.channel_accounts
        },
    )
    agreement.make(
        LISTING,
        {
            (made[account.code,], listing.listing_id): {
                "unit_type_id": unit_types[listing.unit_type],
                "rate_plan_id": rate_plans[listing.unit_type, listing.rate_plan]
                if listing.rate_plan
                else None,
                "patience_hours": Decimal(repr(listing.patience_hours).removesuffix(".0")),
                "settings": listing.settings,
                "secrets": listing.secrets,
                "enabled": listing.enabled,
            }
            for account in portfolio.channel_accounts
            for listing in account.listings
        },
    )
