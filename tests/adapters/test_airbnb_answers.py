"""Airbnb's paging, errors and listings, held against a partner's recorded samples."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.airbnb import mapping, reservations
from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from adapters.model import (
    Stay,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)

hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(hostile, st.sampled_from(["calendar", "reservations", "listings", "paging"]))
def test_no_shape_raises_anything_else(shape: Any, name: str) -> None:
    """An answer of any shape is read or refused as unexpected; any other error fails this test."""
    readers: list[Callable[[dict[str, Any]], object]] = [
        lambda body: mapping.calendar_from_wire(body, "42", Stay(NOW.date(), date(2026, 1, 3)), "EUR", "x"),
        lambda body: reservations.bookings_from_wire(body, NOW, NOW, "x"),
        lambda body: [mapping.listing_from_wire(raw, "x") for raw in mapping.rows(body, "listings", "x")],
        lambda body: mapping.next_page(body, "x"),
    ]
    for reader in readers:
        with suppress(UnexpectedResponse):
            reader({name: shape})


# Paging and errors.


@pytest.mark.parametrize(
    ("paging", "query"),
    [
        ({"limit": 50, "next_cursor": None}, {}),
        ({"limit": 50, "next_cursor": ""}, {}),
        ({"next_cursor": "abc", "next_offset": 50}, {"_cursor": "abc"}),
        ({"next_offset": 50}, {"_offset": "50"}),
        ({"next_offset": None}, {}),
    ],
)
def test_the_next_page(paging: dict[str, Any], query: dict[str, str]) -> None:
    """A cursor comes before an offset; neither means the end."""
    assert mapping.next_page({"paging": paging}, "x") == query


@pytest.mark.parametrize(
    "paging", [None, [], {"next_cursor": 7}, {"next_offset": "50"}, {"next_offset": True}]
)
def test_paging_that_cannot_be_followed(paging: Any) -> None:
    """Without readable paging a page may not be the last one, so nothing is proven."""
    with pytest.raises(UnexpectedResponse):
        mapping.next_page({"paging": paging}, "x")


@pytest.mark.parametrize(
    ("status", "sample", "error", "words"),
    [
        (401, "error_auth_error", AuthenticationFailed, "authentication_required"),
        (403, "error_no_access", AuthenticationFailed, "no_access, ServiceRequestAuthorizationError"),
        (404, "error_not_found", Rejected, "record_not_found"),
        (404, "error_obj_not_found", Rejected, "record_not_found, RecordNotFoundError"),
        (400, "error_invalid", Rejected, ""),
    ],
)
def test_errors_carry_airbnbs_words(
    fixtures_dir: Path, status: int, sample: str, error: type[ChannelError], words: str
) -> None:
    """A sampled error body gives its classes of error, and neither its sentence nor its id."""
    body = _sample(fixtures_dir, sample)
    raised = mapping.error_from_answer(httpx.Response(status, json=body), "airbnb x", _no_clock)
    assert type(raised) is error
    assert str(raised) == f"airbnb x ({words}): HTTP {status}" if words else f"airbnb x: HTTP {status}"


def test_reasons_of_an_error_are_words_only() -> None:
    """Of an error's details only plain words are repeated; a sentence may hold a guest."""
    body = {
        "error_class": "ConcurrencyLimitError",
        "error": "call +351 911",
        "error_details": [
            {"error_reason": "date_taken", "error_message": "Ann has it"},
            "x",
            {"error_reason": 5},
        ],
    }
    raised = mapping.error_from_answer(httpx.Response(429, json=body), "airbnb x", _no_clock)
    assert isinstance(raised, RateLimited)
    assert str(raised) == "airbnb x (ConcurrencyLimitError, date_taken): HTTP 429"


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"error_details": 7}'])
def test_an_error_without_words_is_still_one(content: bytes) -> None:
    """The status alone decides what an error is."""
    answer = httpx.Response(502, content=content, request=httpx.Request("GET", "https://airbnb.example/"))
    raised = mapping.error_from_answer(answer, "airbnb x", _no_clock)
    assert type(raised) is Unavailable


def test_the_sampled_listing(fixtures_dir: Path) -> None:
    """A listing as a partner recorded it: id, name, currency, for sale."""
    (raw,) = _sample(fixtures_dir, "get_listings__listings")["listings"]
    listing = mapping.listing_from_wire(raw, "x")
    assert (listing.listing_id, listing.name) == ("12345678", "Room 2 Full Glamping")
    assert (listing.currency, listing.active) == ("EUR", True)


@pytest.mark.parametrize(
    "sample", ["get_listings__listings", "get_listings__listings_empty", "get_reservations__reservations"]
)
def test_the_sampled_paging_ends(fixtures_dir: Path, sample: str) -> None:
    """Each sampled page is the last of its list."""
    assert mapping.next_page(_sample(fixtures_dir, sample), "x") == {}


@pytest.mark.parametrize(
    "raw", [None, [], {}, {"name": "x"}, {"id": "4 2"}, {"id": 1, "listing_currency": 5}]
)
def test_a_listing_without_an_id(raw: Any) -> None:
    """What cannot be named cannot be mapped: the page is refused."""
    with pytest.raises(UnexpectedResponse):
        mapping.listing_from_wire(raw, "x")


def _no_clock() -> datetime:
    return NOW


def _sample(folder: Path, name: str) -> dict[str, Any]:
    """A partner's recorded answer; its placeholders are filled in with a number."""
    text = (folder / "airbnb_partner_sim" / f"{name}.json").read_text(encoding="utf-8")
    filled = re.sub(r"<%.*?%>", "12345678", re.sub(r"\$\{.*?\}", "12345678", text))
    sample: dict[str, Any] = json.loads(filled, parse_float=Decimal)
    return sample
