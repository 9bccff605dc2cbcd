"""What a request to the simulated Channex asks for: pages, dates, times, values; and how it is refused."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from channel_sync.sandbox.acknowledged import Version
from channel_sync.sandbox.channex import wire
from channel_sync.sandbox.exchange import Answer, Request

MOST_IN_A_PAGE = 100
LARGEST_PUSH = 10_000_000  # bytes


class Refused(Exception):
    """A request that Channex answers with an error."""

    def __init__(self, status: int, details: object = None) -> None:
        super().__init__(str(status))
        self.answer = wire.error(status, details)


def page_of(request: Request, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """The page that is asked for: the first, and ten on a page, unless it says otherwise."""
    number = _natural(request.parameter("pagination[page]", "1"), "page")
    limit = _natural(request.parameter("pagination[limit]", "10"), "limit")
    if limit > MOST_IN_A_PAGE:
        raise Refused(400, [f"limit is at most {MOST_IN_A_PAGE}"])
    return wire.page(rows, number, limit)


def _natural(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise Refused(400, [f"{name} is invalid"])
    return int(text)


def dates_of(request: Request) -> tuple[date, date]:
    """The dates that are asked for, half-open here; on the wire the last one is included."""
    one = request.parameter("filter[date]")
    first = one or request.parameter("filter[date][gte]")
    last = one or request.parameter("filter[date][lte]")
    if not first or not last:
        raise Refused(400, ["date is required"])
    try:
        start, end = date.fromisoformat(first), date.fromisoformat(last) + timedelta(days=1)
    except ValueError:
        raise Refused(400, ["date is invalid"]) from None
    if end <= start:
        raise Refused(400, ["date is invalid"])
    return start, end


def moment_of(request: Request, name: str) -> datetime | None:
    """A time in UTC, written without an offset; None where it is not asked for."""
    text = request.parameter(name)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None
    except ValueError:
        raise Refused(400, ["inserted_at is invalid"]) from None


def ordered(request: Request, oldest_first: Iterable[Version]) -> list[Version]:
    """The versions by the time they came, newest first unless it is asked otherwise."""
    order = request.parameter("order[inserted_at]", "desc")
    if order not in ("asc", "desc"):
        raise Refused(400, ["order is invalid"])
    return sorted(oldest_first, key=lambda version: version.booking.updated_at, reverse=order == "desc")


def values_of(request: Request) -> list[dict[str, Any]]:
    """The values of a push: at least one, in JSON of at most 10 MB."""
    if len(request.body) > LARGEST_PUSH:
        raise Refused(413)
    try:
        body = json.loads(request.body)
    except ValueError:
        raise Refused(400, ["the body is not JSON"]) from None
    told = body.get("values") if isinstance(body, dict) else None
    if not isinstance(told, list) or not told:
        raise Refused(422, {"values": ["can't be blank"]})
    wrong = {place: ["is invalid"] for place, value in enumerate(told) if not isinstance(value, dict)}
    if wrong:
        raise Refused(422, {"values": wrong})
    return told
