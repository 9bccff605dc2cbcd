"""How the simulated Channex takes the values of a push: each on its own, the wrong ones with a warning."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from channel_sync.sandbox.bookings import nights
from channel_sync.sandbox.rentals import Listing

Warnings = dict[str, list[str]]

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,4})?")
_DAYS = ("mo", "tu", "we", "th", "fr", "sa", "su")
_LEAST = {"min_stay_arrival": 1, "min_stay_through": 1, "min_stay": 1, "max_stay": 0}
_FLAGS = ("closed_to_arrival", "closed_to_departure", "stop_sell")


def dates_of(value: Mapping[str, Any], today: date) -> tuple[list[date], Warnings]:
    """The nights that a value is about: one date, or all from one to another, both included, on some weekdays."""
    names = ("date", "date") if value.get("date") is not None else ("date_from", "date_to")
    wrong = {name: ["is invalid"] for name in names if not _is_date(value.get(name))}
    if wrong:
        return [], wrong
    first, last = (date.fromisoformat(value[name]) for name in names)
    if first < today:
        return [], {names[0]: ["past dates are not allowed"]}
    if last < first:
        return [], {"date_to": ["must be greater than or equal to date_from"]}
    days = value.get("days", _DAYS)
    if not isinstance(days, (list, tuple)) or not set(days) <= set(_DAYS):
        return [], {"days": ["is invalid"]}
    return [night for night in nights(first, last + timedelta(days=1)) if _DAYS[night.weekday()] in days], {}


def _is_date(text: object) -> bool:
    if not isinstance(text, str) or not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def units_of(value: Mapping[str, Any]) -> tuple[int, Warnings]:
    """How many units are left."""
    told = value.get("availability")
    if not isinstance(told, int) or isinstance(told, bool) or told < 0:
        return 0, {"availability": ["must be greater than or equal to 0"]}
    return told, {}


def terms_of(
    value: Mapping[str, Any], listing: Listing, min_stay_type: str
) -> tuple[dict[str, Any], Warnings]:
    """The rate and the restrictions that a value tells, by the names that the extranet has for them."""
    told = {name: value[name] for name in ("rate", *_LEAST, *_FLAGS) if name in value}
    wrong: Warnings = {
        name: ["Should be a non null value or not existed field"]
        for name, each in told.items()
        if each is None
    }
    if not told:
        wrong["rate"] = ["at least one restriction should be present"]
    for name in (name for name in _LEAST if told.get(name) is not None):
        if not isinstance(told[name], int) or isinstance(told[name], bool) or told[name] < _LEAST[name]:
            wrong[name] = [f"must be greater than or equal to {_LEAST[name]}"]
    for name in (name for name in _FLAGS if told.get(name) is not None):
        if told[name] not in (True, False):
            wrong[name] = ["is invalid"]
    if told.get("rate") is not None:
        told["price"] = _price(told.pop("rate"), listing, wrong)
    if "min_stay" in told:
        if min_stay_type == "both":
            wrong["min_stay"] = [
                "property doesn't support `min_stay` restriction, please use `min_stay_through` or `min_stay_arrival`"
            ]
        told[f"min_stay_{min_stay_type}"] = told.pop("min_stay")
    return told, wrong


def _price(rate: object, listing: Listing, wrong: Warnings) -> Decimal:
    """An integer is in minor units, a string is a decimal number; nothing else is a rate."""
    digits = listing.place.digits
    if isinstance(rate, int) and not isinstance(rate, bool):
        amount = Decimal(rate).scaleb(-digits)
    elif isinstance(rate, str) and _RATE.fullmatch(rate):
        amount = Decimal(rate)
    else:
        wrong["rate"] = ["is invalid"]
        return Decimal(0)
    if amount <= 0:
        wrong["rate"] = ["must be greater than 0"]
    elif amount != round(amount, digits):
        wrong["rate"] = ["is invalid"]
    return amount
