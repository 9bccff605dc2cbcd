"""What a portfolio is: the parts of the file, each checked on its own. What they say of each other is not checked here."""

import re
from functools import cache
from typing import Annotated, TypeVar
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from channel_sync.portfolio.document import did_you_mean

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_MOST_UNITS = 5000

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


class ChannelAccount(_Part):
    """One login on a channel. ``secrets`` are names of environment variables, by the channel's name of the secret."""

    code: Code
    channel: Code
    environment: Code = "production"
    enabled: bool = True
    settings: Settings = {}
    secrets: Secrets = {}
    listings: Annotated[tuple[Listing, ...], Field(strict=False)] = ()


class Portfolio(_Part):
    """Everything that is managed."""

    properties: Annotated[tuple[Property, ...], Field(strict=False), AfterValidator(_filled)]
    channel_accounts: Annotated[tuple[ChannelAccount, ...], Field(strict=False)]


# Every key that a portfolio file can have.
KEYS = frozenset(
    key
    for part in (Portfolio, Property, UnitType, RatePlan, ChannelAccount, Listing)
    for key in part.model_fields
)
