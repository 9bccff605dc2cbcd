"""Read the portfolio file and name every flaw at once, each with its line, its path and its mend."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from adapters.base_adapter import Declaration
from channel_sync.portfolio.document import Flaw, Where, close_match, named, read
from channel_sync.portfolio.model import KEYS, Portfolio

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
