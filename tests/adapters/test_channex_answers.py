"""How pushes reach Channex and what is made of its answers: warnings, refusals, what is too large or past."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from adapters.errors import Rejected
from adapters.model import ONE_DAY, Money, Stay
from adapters.updates import AvailabilityUpdate, PricingUpdate, Verdict
from tests.adapters.channex_answers import (
    LISTING,
    TODAY,
    WINDOW,
    Quiet,
    Small,
    answering,
    paths,
    quiet_house,
    told,
)
from tests.adapters.scene import NOW


@pytest.fixture
def quiet() -> Iterator[Quiet]:
    """Three rooms in which nothing happens but what a test scripts."""
    with quiet_house() as quiet:
        yield quiet


def test_each_property_is_told_once(quiet: Quiet) -> None:
    """Updates of three properties in any order are three calls, each with all of its property."""
    sandbox, adapter, listings = quiet
    updates = [
        AvailabilityUpdate(listing, Stay(TODAY + n * ONE_DAY, TODAY + (n + 1) * ONE_DAY), 1)
        for n in (3, 5, 7)
        for listing in listings
    ]
    outcomes = list(adapter.push_availability(updates))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert paths(sandbox) == ["availability"] * 3
    assert [len(json.loads(call.body)["values"]) for call in sandbox.calls] == [3, 3, 3]


def test_a_day_ends_at_the_property(quiet: Quiet) -> None:
    """At four in the afternoon in Europe today is past in Tokyo: refused there without a call, told elsewhere."""
    sandbox, adapter, listings = quiet
    sandbox.clock.set(NOW.replace(hour=16))
    today = Stay(TODAY, TODAY + ONE_DAY)
    verdicts = {
        listing.time_zone: outcome.verdict
        for listing in listings
        for outcome in adapter.push_availability([AvailabilityUpdate(listing, today, 0)])
    }
    assert verdicts == {
        "Europe/Lisbon": Verdict.ACCEPTED,
        "Asia/Tokyo": Verdict.REJECTED,
        "Asia/Kuwait": Verdict.ACCEPTED,
    }
    assert paths(sandbox) == ["availability"] * 2


def test_a_large_push_is_cut(quiet: Quiet) -> None:
    """What does not fit into a body is several, and every value arrives."""
    sandbox, usual, listings = quiet
    adapter = Small(usual.client, usual.account, usual.tokens, usual.clock)
    updates = [
        PricingUpdate(listings[0], Stay(night, night + ONE_DAY), Money.from_minor(9_900 + number, "EUR"))
        for number, night in enumerate(Stay(TODAY, TODAY + 60 * ONE_DAY))
    ]
    outcomes = list(adapter.push_pricing(updates))
    assert [outcome.item for outcome in outcomes] == updates
    assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}
    assert len(sandbox.calls) > 3
    assert all(len(call.body) <= 2_000 for call in sandbox.calls)
    (page,) = adapter.pull_pricing(listings[0], Stay(TODAY, TODAY + 60 * ONE_DAY))
    assert [night.price for night in page.nights] == [update.price for update in updates]


def test_a_warning_in_a_success(quiet: Quiet) -> None:
    """HTTP 200 with a warning: its update is warned in Channex's words, the other is done."""
    sandbox, adapter, listings = quiet
    strange = replace(listings[0], listing_id=listings[0].listing_id[:-4] + "beef")
    good, bad = (
        PricingUpdate(each, WINDOW, Money.from_minor(9_900, "EUR")) for each in (listings[0], strange)
    )
    done, warned = adapter.push_pricing([good, bad])
    assert len(sandbox.calls) == 1
    assert (done.item, done.verdict) == (good, Verdict.ACCEPTED)
    assert (warned.item, warned.verdict) == (bad, Verdict.WARNED)
    assert warned.words == "rate_plan_id: is invalid"


def test_a_refused_call_is_repeated_without_what_it_names() -> None:
    """A 422 that names a value rejects its update; the rest is told once more, and done."""
    calls: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        values = json.loads(request.content)["values"]
        calls.append(len(values))
        if len(calls) == 1:
            details = {"values": {"1": {"rate": ["is invalid"]}}}
            return httpx.Response(422, json={"errors": {"code": "validation_error", "details": details}})
        return httpx.Response(
            200, json={"data": [{"id": "t", "type": "task"}], "meta": {"message": "Success"}}
        )

    updates = [
        PricingUpdate(LISTING, Stay(night, night + ONE_DAY), Money.from_minor(9_900 + n, "EUR"))
        for n, night in enumerate(WINDOW)
    ]
    outcomes = {outcome.item.nights: outcome for outcome in answering(answer).push_pricing(updates)}
    assert calls == [7, 6]
    assert outcomes.pop(updates[1].nights).verdict is Verdict.REJECTED
    assert {(each.verdict, each.words) for each in outcomes.values()} == {(Verdict.ACCEPTED, "task t")}


@pytest.mark.parametrize(
    ("details", "calls"), [({"values": {"0": {"rate": ["is invalid"]}}}, 2), ({"values": ["is invalid"]}, 1)]
)
def test_a_call_that_is_refused_again_is_refused(details: Any, calls: int) -> None:
    """Whatever a second refusal names, or a first that names nothing: all are rejected, and nobody asks for ever."""
    count: list[None] = []

    def answer(_: httpx.Request) -> httpx.Response:
        count.append(None)
        return httpx.Response(422, json={"errors": {"code": "validation_error", "details": details}})

    updates = [
        PricingUpdate(LISTING, Stay(night, night + ONE_DAY), Money.from_minor(9_900 + n, "EUR"))
        for n, night in enumerate(WINDOW)
    ]
    outcomes = list(answering(answer).push_pricing(updates))
    assert {(outcome.verdict, outcome.words) for outcome in outcomes} == {
        (Verdict.REJECTED, "validation_error")
    }
    assert (len(outcomes), len(count)) == (7, calls)


def test_another_refusal_is_an_error() -> None:
    """A call that Channex does not understand at all says nothing of single values."""
    adapter = answering(told({"errors": {"code": "bad_request", "title": "Bad Request"}}, 400))
    with pytest.raises(Rejected, match="bad_request"):
        list(adapter.push_availability([AvailabilityUpdate(LISTING, WINDOW, 1)]))
