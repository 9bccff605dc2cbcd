"""Reservations that nobody acknowledged in time, as Booking.com's recovery lists them: ids alone."""

from collections.abc import Mapping
from typing import Any

from adapters.booking_com import fields
from adapters.errors import UnexpectedResponse
from adapters.model import Problem

PATH = "/reservations-flow-control/missed-reservations"


def missed_from_wire(body: Mapping[str, Any], what: str) -> tuple[list[str], list[Problem]]:
    """The ids, each once. Raises UnexpectedResponse where there is no list."""
    rows = body.get("data")
    if not isinstance(rows, list) or body.get("errors"):
        raise UnexpectedResponse(f"{what}: no list of reservations, or an error")
    found: dict[str, None] = {}
    problems = []
    for place, row in enumerate(rows, start=1):
        value = row.get("reservation_id") if isinstance(row, dict) else None
        try:
            told = fields.reference(str(value), "reservation_id") if isinstance(value, (int, str)) else None
        except ValueError:
            told = None
        if told is None or isinstance(value, bool):
            problems.append(Problem(f"missed reservation {place}", "it has no reservation_id", ""))
        else:
            found[told] = None
    return list(found), problems
