"""What a portfolio is: the parts of the file, each checked on its own. What they say of each other is not checked here."""

import re
from functools import cache
from typing import Annotated, Self, TypeVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from adapters.base_adapter import QuotaScope
from channel_sync.portfolio.document import did_you_mean

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_ENDPOINT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MOST_UNITS = 5000
_MOST_CALLS = 1_000_000_000
_SHORTEST_WINDOW_S, _LONGEST_WINDOW_S = 0.1, 31 * 86_400

Entry = TypeVar("Entry")


def _code(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise ValueError("is not a code: use letters, digits, '-', '_' and '.', at most 63 of them")
    return code


def _reference(reference: str) -> str:
    if not all(_CODE.fullmatch(code) for code in reference.split("/")) or reference.count("/") != 1:
        raise ValueError("does not name a unit type: write property/unit_type")
    return reference


def _external_id(external_id: str) -> str:
    if not external_id or "://" in external_id or len(external_id) > 200 or re.search(r"\s", external_id):
        raise ValueError(
            "is not a listing's id: write the channel's own id, or a name for the feed"
            " (a feed's address belongs in the environment variable that secrets.feed_url names)"
        )
    return external_id


def _name(name: str) -> str:
    if not name.strip():
        raise ValueError("is empty: write the name as people say it")
    return name.strip()


def _time_zone(time_zone: str) -> str:
    if time_zone not in _zones():
        hint = did_you_mean(time_zone, _zones()) or "write one such as Europe/Lisbon"
        raise ValueError(f"is not an IANA time zone: {hint}")
    return time_zone


@cache
def _zones() -> frozenset[str]:
    """Names with a place; the few others (EST, localtime) are leftovers that mean different things to machines."""
    return frozenset(zone for zone in available_timezones() if "/" in zone) | {"UTC"}


def _currency(currency: str) -> str:
    if not re.fullmatch("[A-Z]{3}", currency):
        raise ValueError("is not an ISO 4217 currency: write its three capital letters, such as EUR")
    return currency


def _variable(variable: str) -> str:
    # A long word without a break is a token that happens to be written in capitals.
    if not _VARIABLE.fullmatch(variable) or ("_" not in variable and len(variable) >= 16):
        raise ValueError(
            "is not the name of an environment variable but perhaps the secret itself: put the value in an"
            " environment variable and write that variable's name here, such as AIRBNB_CLIENT_ID"
        )
    return variable


def _setting(name: str) -> str:
    if not re.fullmatch("[a-z][a-z0-9_]{0,39}", name):
        raise ValueError("is not the name of a setting or secret: use small letters, digits and '_'")
    return name


def _filled(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if not entries:
        raise ValueError("is an empty list: add at least one entry")
    return entries


def _unit_names(units: object) -> object:
    if isinstance(units, int) and not isinstance(units, bool):
        if not 1 <= units <= _MOST_UNITS:
            raise ValueError(f"is not a number of units from 1 to {_MOST_UNITS}")
        return tuple(str(number) for number in range(1, units + 1))
    return units


def _calls(calls: object) -> object:
    if type(calls) is not int or not 1 <= calls <= _MOST_CALLS:
        raise ValueError(f"is not a number of calls: write a whole number from 1 to {_MOST_CALLS:,}")
    return calls


def _window_s(seconds: object) -> object:
    number = seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) else 0
    if not _SHORTEST_WINDOW_S <= number <= _LONGEST_WINDOW_S:
        raise ValueError(
            f"is not a window: write seconds from {_SHORTEST_WINDOW_S} to {_LONGEST_WINDOW_S:,}, such as 1 or 3600"
        )
    return seconds


def _scope(scope: object) -> object:
    if not isinstance(scope, str) or scope not in set(QuotaScope):
        known = ", ".join(QuotaScope)
        raise ValueError(f"is nothing that a channel counts calls by: write one of {known}")
    return scope


def _endpoints(endpoints: tuple[str, ...]) -> tuple[str, ...]:
    if not all(map(_ENDPOINT.fullmatch, endpoints)):
        raise ValueError(
            "are not names of endpoints: write those of the channel's README, such as [calendars]"
        )
    return tuple(sorted(set(endpoints)))


Code = Annotated[str, AfterValidator(_code)]
Name = Annotated[str, AfterValidator(_name)]
Settings = dict[Annotated[str, AfterValidator(_setting)], str]
Secrets = dict[Annotated[str, AfterValidator(_setting)], Annotated[str, AfterValidator(_variable)]]


class _Part(BaseModel):
    """Part of the file: nothing is guessed (no text from numbers), nothing unknown is passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class RatePlan(_Part):
    """A named price of a unit type."""

    code: Code
    name: Name


class UnitType(_Part):
    """An interchangeable kind of unit. ``units`` are their names; a number in the file means "1", "2" and so on."""

    code: Code
    name: Name
    units: Annotated[
        tuple[Code, ...], BeforeValidator(_unit_names), Field(strict=False), AfterValidator(_filled)
    ]
    rate_plans: Annotated[tuple[RatePlan, ...], Field(strict=False)] = ()


class Property(_Part):
    """A building or home."""

    code: Code
    name: Name
    time_zone: Annotated[str, AfterValidator(_time_zone)]
    currency: Annotated[str, AfterValidator(_currency)]
    unit_types: Annotated[tuple[UnitType, ...], Field(strict=False), AfterValidator(_filled)]


class Listing(_Part):
    """What a channel account sells: the channel's own id, and the unit type (and rate plan) behind it."""

    listing_id: Annotated[str, AfterValidator(_external_id)]
    unit_type: Annotated[str, AfterValidator(_reference)]
    rate_plan: Code | None = None
    patience_hours: Annotated[float, Field(ge=0, le=168, allow_inf_nan=False)] = 2
    enabled: bool = True
    settings: Settings = {}
    secrets: Secrets = {}


class Quota(_Part):
    """At most ``limit`` calls in any ``window_s`` seconds: see adapters.base_adapter.Quota. ``per`` is its scope."""

    limit: Annotated[int, BeforeValidator(_calls)]
    window_s: Annotated[float, BeforeValidator(_window_s)]
    per: Annotated[str, BeforeValidator(_scope)]
    burst: Annotated[int, BeforeValidator(_calls)] = 1
    endpoints: Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_endpoints)] = ()

    @model_validator(mode="after")
    def _burst_within_limit(self) -> Self:
        if self.burst > self.limit:
            raise ValueError("has a burst above its limit: lower the burst, it counts towards the limit")
        return self


def _different(quotas: tuple[Quota, ...]) -> tuple[Quota, ...]:
    if len({(quota.window_s, quota.per, quota.endpoints) for quota in quotas}) != len(quotas):
        raise ValueError("counts the same calls in the same window twice: keep the lower limit")
    return quotas


class ChannelAccount(_Part):
    """One login on a channel. ``secrets`` are names of environment variables, by the channel's name of the secret.

    ``quotas`` are those of the account's own contract, in place of those that the channel declares.
    """

    code: Code
    channel: Code
    environment: Code = "production"
    enabled: bool = True
    settings: Settings = {}
    secrets: Secrets = {}
    quotas: Annotated[tuple[Quota, ...], Field(strict=False), AfterValidator(_different)] = ()
    listings: Annotated[tuple[Listing, ...], Field(strict=False)] = ()


class Portfolio(_Part):
    """Everything that is managed."""

    properties: Annotated[tuple[Property, ...], Field(strict=False), AfterValidator(_filled)]
    channel_accounts: Annotated[tuple[ChannelAccount, ...], Field(strict=False)]


# Every key that a portfolio file can have.
KEYS = frozenset(
    key
    for part in (Portfolio, Property, UnitType, RatePlan, ChannelAccount, Quota, Listing)
    for key in part.model_fields
)
