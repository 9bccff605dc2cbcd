"""Under which keys a call is counted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base_adapter import Quota, QuotaScope
from adapters.spending import Spend
from channel_sync.resilience.quota_keys import host_key, in_flight_key, policies
from channel_sync.resilience.rate_limiter.limits import RateLimitPolicy

HOST = "api.example"
SPEND = Spend("calendars", property_id="p1", listing_id="42")

scopes = st.sampled_from(list(QuotaScope))
endpoints = st.frozensets(st.sampled_from(["calendars", "listings", "prices"]), max_size=3)
quotas = st.builds(
    Quota, st.integers(1, 99), st.sampled_from([timedelta(seconds=1), timedelta(hours=1)]), scopes
)
some = st.builds(replace, quotas, endpoints=endpoints)


def per(scope: QuotaScope, *endpoints: str, limit: int = 5, window_s: float = 1) -> Quota:
    """A quota."""
    return Quota(limit, timedelta(seconds=window_s), scope, endpoints=frozenset(endpoints))


def keys(*quotas: Quota, spend: Spend = SPEND) -> list[str]:
    """What a call is counted under."""
    return [policy.key for policy in policies("nest", quotas, "north", HOST, spend)]


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (QuotaScope.IP, "nest/api.example/ip"),
        (QuotaScope.ACCOUNT, "nest/api.example/account/north"),
        (QuotaScope.PROPERTY, "nest/api.example/account/north/property/p1"),
        (QuotaScope.LISTING, "nest/api.example/account/north/listing/42"),
        (QuotaScope.ENDPOINT, "nest/api.example/account/north/endpoint/calendars"),
    ],
)
def test_each_scope_has_its_key(scope: QuotaScope, key: str) -> None:
    """A quota counts by what it says; one of some endpoints counts these together, apart from the rest."""
    assert [key] == keys(per(scope))
    assert [f"{key}/calendars+prices"] == keys(per(scope, "prices", "calendars"))
    assert ["nest/api.example"] == keys(per(scope, "prices"))


def test_wide_keys_come_before_narrow_ones() -> None:
    """The order is that of the scopes, whatever order the quotas were declared in."""
    backwards = [per(scope) for scope in reversed(QuotaScope)]
    assert [
        "nest/api.example/ip",
        "nest/api.example/account/north",
        "nest/api.example/account/north/property/p1",
        "nest/api.example/account/north/listing/42",
        "nest/api.example/account/north/endpoint/calendars",
    ] == keys(*backwards)
    assert ["nest/api.example/ip", "nest/api.example/ip/calendars"] == keys(
        per(QuotaScope.IP, "calendars"), per(QuotaScope.IP)
    )


def test_windows_of_one_scope_share_a_key() -> None:
    """Several windows of the same count are one key."""
    second, hour = per(QuotaScope.IP), per(QuotaScope.IP, limit=100, window_s=3600)
    assert (RateLimitPolicy("nest/api.example/ip", (second, hour)),) == policies(
        "nest", [second, hour], "north", HOST, SPEND
    )


def test_without_a_quota_the_host_is_the_key() -> None:
    """Where nothing is declared, or nothing counts the call, there still is a key that a penalty can stop."""
    alone = (RateLimitPolicy("nest/api.example"),)
    assert alone == policies("nest", (), "north", HOST, SPEND)
    assert alone == policies("nest", [per(QuotaScope.IP, "prices")], "north", HOST, SPEND)


@pytest.mark.parametrize(
    ("scope", "spend"),
    [(QuotaScope.PROPERTY, Spend("prices", listing_id="1")), (QuotaScope.LISTING, Spend("prices", "1"))],
)
def test_a_mark_that_lacks_what_a_quota_counts_by(scope: QuotaScope, spend: Spend) -> None:
    """The error names the channel, the kind of call and what is missing."""
    with pytest.raises(ValueError, match=f"nest.*'prices'.*{scope}"):
        keys(per(scope), spend=spend)
    assert ["nest/api.example"] == keys(per(scope, "calendars"), spend=spend)


def test_ids_with_slashes_stay_apart() -> None:
    """Whatever a channel puts into its ids, two of them never make one key."""
    both = [
        keys(per(QuotaScope.LISTING), spend=Spend("calendars", listing_id=listing))
        for listing in ("1/calendars", "1%2Fcalendars", "1 calendars", "1+calendars")
    ]
    assert 4 == len({key for (key,) in both})
    assert all(key.count("/") == 5 for (key,) in both)


def test_circuit_and_in_flight_keys() -> None:
    """A circuit is the host's, a call that must not overlap is the account's."""
    assert "nest/api.example" == host_key("nest", HOST)
    assert "nest/api.example/account/north/push" == in_flight_key("nest", HOST, "north", "push")


@given(st.lists(some, max_size=8), st.sampled_from(["calendars", "listings", "oauth"]))
def test_every_quota_that_counts_a_call_is_kept(declared: list[Quota], endpoint: str) -> None:
    """Each quota of the call's endpoint stands under exactly one key, no other does, and no key comes twice."""
    spend = Spend(endpoint, property_id="p1", listing_id="42")
    found = policies("nest", declared, "north", HOST, spend)
    kept = [quota for policy in found for quota in policy.quotas]
    counted = [quota for quota in declared if not quota.endpoints or endpoint in quota.endpoints]
    assert sorted(map(repr, counted)) == sorted(map(repr, kept))
    assert len(found) == len({policy.key for policy in found}) >= 1
    assert found == policies("nest", declared, "north", HOST, spend)
    again = policies("nest", list(reversed(declared)), "north", HOST, spend)
    assert [policy.key for policy in found] == [policy.key for policy in again]
