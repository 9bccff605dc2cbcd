"""What is managed: the portfolio file, read, checked and brought into the tables.

The file is the only place where properties, unit types, accounts and listings are made. ``load`` reads it and
names every flaw at once, each with its line and its mend; ``apply`` makes the tables agree with it. What is no
longer in the file is retired, never deleted: bookings and observed nights go on pointing at it. Back in the
file, it is restored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.base_adapter import Declaration
from channel_sync.portfolio_file import Flaw, PortfolioError, Where, close_match, named, read
from channel_sync.portfolio_model import KEYS, Portfolio
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

__all__ = ["Change", "Portfolio", "PortfolioError", "apply", "load", "render"]

_Entry = Mapping[str, Any]

# What pydantic found, by its error type; the rest is said in pydantic's own words, which repeat no value.
_SENTENCES = {
    "missing": "is missing: add it",
    "string_type": "is not text: put it in quotes",
    "bool_type": "is neither true nor false: write one of them",
    "float_type": "is not a number: write hours, such as 2 or 0.5",
    "tuple_type": "is not a list: begin each entry with '-'",
    "dict_type": "is not a group of keys: write 'key: value' lines below it",
    "model_type": "is not a group of keys: write 'key: value' lines below it",
    "invalid_key": "is not text: put the key in quotes",
    "greater_than_equal": "is out of range: write hours from 0 (quick) to 168 (cautious)",
    "less_than_equal": "is out of range: write hours from 0 (quick) to 168 (cautious)",
    "finite_number": "is out of range: write hours from 0 (quick) to 168 (cautious)",
}


def load(path: Path, channels: Mapping[str, Declaration]) -> Portfolio:
    """The portfolio that the YAML file describes.

    ``channels`` are the declarations of the channels there are, by their key. Raises PortfolioError with every
    flaw of the file, not the first one only.
    """
    document = read(path)
    flaws = list(_contradictions(document.values, channels))
    try:
        portfolio = Portfolio.model_validate(document.values)
    except ValidationError as error:
        flaws += [_flaw(found) for found in error.errors(include_url=False)]
        raise document.refusal(flaws) from None
    if flaws:
        raise document.refusal(flaws)
    return portfolio


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


def _flaw(found: ErrorDetails) -> Flaw:
    where, kind = found["loc"], found["type"]
    if kind == "extra_forbidden":
        return Flaw(
            where, f"is no key of a portfolio here: remove it or mend it ({close_match(where[-1], KEYS)})"
        )
    if kind == "value_error":
        return Flaw(where, str(found["ctx"]["error"]))
    if kind.endswith("_type") and found["input"] is None:
        return Flaw(where, "has no value: write one or remove the key")
    return Flaw(where, _SENTENCES.get(kind, found["msg"]))


def _contradictions(values: object, channels: Mapping[str, Declaration]) -> Iterator[Flaw]:
    """What the parts of the file say against each other or the channels. Parts of a wrong shape are passed over."""
    properties = list(_entries(values, "properties", ()))
    accounts = list(_entries(values, "channel_accounts", ()))
    yield from _repeated(properties, "code")
    yield from _repeated(accounts, "code")
    plans_of: dict[str, set[str]] = {}
    for where, place in properties:
        kinds = list(_entries(place, "unit_types", where))
        yield from _repeated(kinds, "code")
        for inner, kind in kinds:
            plans = list(_entries(kind, "rate_plans", inner))
            yield from _repeated(plans, "code")
            yield from _repeated_units(kind, inner)
            plans_of[f"{place.get('code')}/{kind.get('code')}"] = {str(plan.get("code")) for _, plan in plans}
    for where, account in accounts:
        listings = list(_entries(account, "listings", where))
        yield from _repeated(listings, "listing_id")
        for inner, listing in listings:
            yield from _dangling(listing, inner, plans_of)
        yield from _unlike_channel(account, where, listings, channels)


def _entries(parent: object, key: str, where: Where) -> Iterator[tuple[Where, _Entry]]:
    found = parent.get(key) if isinstance(parent, Mapping) else None
    for place, entry in enumerate(found if isinstance(found, list) else ()):
        if isinstance(entry, Mapping):
            yield (*where, key, place), entry


def _repeated(entries: Iterable[tuple[Where, _Entry]], key: str) -> Iterator[Flaw]:
    seen: set[str] = set()
    for where, entry in entries:
        code = entry.get(key)
        if isinstance(code, str) and code in seen:
            yield Flaw(
                (*where, key), f"{named(code)} is taken by an entry above: choose another or remove one"
            )
        elif isinstance(code, str):
            seen.add(code)


def _repeated_units(kind: _Entry, where: Where) -> Iterator[Flaw]:
    units = kind.get("units")
    names = [unit for unit in units if isinstance(unit, str)] if isinstance(units, list) else []
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Flaw((*where, "units"), f"has the unit {named(name)} twice: remove one")


def _dangling(listing: _Entry, where: Where, plans_of: Mapping[str, set[str]]) -> Iterator[Flaw]:
    reference, plan = listing.get("unit_type"), listing.get("rate_plan")
    if not isinstance(reference, str) or reference.count("/") != 1:
        return  # said by the model
    if reference not in plans_of:
        yield Flaw(
            (*where, "unit_type"),
            f"no property has the unit type {named(reference)}: {close_match(reference, plans_of)}",
        )
    elif isinstance(plan, str) and plan not in plans_of[reference]:
        hint = close_match(plan, plans_of[reference])
        yield Flaw((*where, "rate_plan"), f"{reference} has no rate plan {named(plan)}: {hint}")


def _unlike_channel(
    account: _Entry,
    where: Where,
    listings: Iterable[tuple[Where, _Entry]],
    channels: Mapping[str, Declaration],
) -> Iterator[Flaw]:
    channel = account.get("channel")
    if not isinstance(channel, str):
        return  # said by the model
    if channel not in channels:
        hint = close_match(channel, channels)
        yield Flaw((*where, "channel"), f"there is no channel {named(channel)}: {hint}")
        return
    declared = channels[channel]
    environment = account.get("environment", "production")
    known = {"sandbox", *(declared.base_urls or {"production"})}
    if isinstance(environment, str) and environment not in known:
        hint = close_match(environment, known)
        yield Flaw(
            (*where, "environment"), f"{declared.title} has no environment {named(environment)}: {hint}"
        )
    yield from _missing_secrets(account, where, declared.account_secrets)
    for inner, listing in listings:
        yield from _missing_secrets(listing, inner, declared.listing_secrets)


def _missing_secrets(entry: _Entry, where: Where, required: Iterable[str]) -> Iterator[Flaw]:
    secrets = entry.get("secrets", {})
    if isinstance(secrets, Mapping):
        for name in sorted(set(required) - set(secrets)):
            yield Flaw(
                (*where, "secrets", name),
                "is missing: add it with the name of the environment variable that holds it",
            )
