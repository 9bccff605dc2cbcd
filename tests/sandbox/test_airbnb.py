import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.server import Sandbox

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # where the sandbox stands still

START, LAST = date(2026, 11, 20), date(2027, 11, 19)


def sample(folder: Path, name: str) -> Any:
    """A recorded answer; every placeholder of the recording is the number 1."""
    text = (folder / "airbnb_partner_sim" / name).read_text()
    return json.loads(re.sub(r"\$\{[^}]*\}|<%.*?%>", "1", text))


def days(airbnb: httpx.Client, listing_id: str) -> list[dict[str, Any]]:
    """A year of one listing's days; numbers with a point are read as decimals."""
    answer = airbnb.get(f"/v2/calendars/{listing_id}/{START}/{LAST}").raise_for_status()
    calendar = json.loads(answer.content, parse_float=Decimal)["calendar"]
    assert (int(listing_id), listing_id) == (calendar["listing_id"], calendar["listing_id_str"])
    return list(calendar["days"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v2/users/7000001", "get_user__user.json"),
        ("/v2/listings?user_id=7000001", "get_listings__listings.json"),
        ("/v2/listings/1001", "get_listing__listing.json"),
        ("/v2/reservations?host_id=7000001", "get_reservations__reservations.json"),
    ],
)
def test_answers_have_the_keys_of_recorded_ones(
    airbnb: httpx.Client, fixtures_dir: Path, path: str, name: str
) -> None:
    """Every object has exactly the keys of its recorded sample."""
    recorded, answered = sample(fixtures_dir, name), airbnb.get(path).json()

    assert recorded.keys() == answered.keys()
    for key, value in recorded.items():
        if isinstance(value, dict):
            assert value.keys() == answered[key].keys()
        elif value:
            assert value[0].keys() == answered[key][0].keys()


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "error_auth_error.json"),
        (400, "error_invalid.json"),
        (403, "error_no_access.json"),
        (404, "error_obj_not_found.json"),
    ],
)
def test_errors_are_the_recorded_ones(sandbox: Sandbox, fixtures_dir: Path, status: int, name: str) -> None:
    """Errors say what recorded errors say, but for the id of the error."""
    recorded, answered = sample(fixtures_dir, name), json.loads(sandbox.airbnb.error(status).body)

    assert recorded | {"error_id": None} == answered | {"error_id": None}


def test_a_token_is_answered_as_recorded(
    sandbox: Sandbox, client: httpx.Client, token: Callable[[], str], fixtures_dir: Path
) -> None:
    """A refresh gives a token that the check finds valid; both in the recorded shape."""
    tokens = sandbox.airbnb.tokens
    access = token()
    checked = client.get(
        f"/airbnb/v2/oauth2/authorizations/{access}", auth=(tokens.client_id, tokens.client_secret)
    ).json()

    assert tokens.refreshes == 1
    assert access == checked["token"]
    assert sample(fixtures_dir, "oauth_check_token__valid.json").keys() == checked.keys()
    assert checked["valid"]
    assert int((NOW + timedelta(hours=24)).timestamp()) == checked["expires_at"]


def test_every_resource_asks_for_a_good_token(sandbox: Sandbox, airbnb: httpx.Client) -> None:
    """No token, another client's key or a token past its time is 401 authentication_required."""
    path = "/v2/listings/1001"

    assert airbnb.get(path).status_code == 200
    for headers in ({"X-Airbnb-OAuth-Token": ""}, {"X-Airbnb-API-Key": "other"}):
        assert airbnb.get(path, headers=headers).status_code == 401
    sandbox.clock.advance(timedelta(hours=24))
    refused = airbnb.get(path)
    assert (refused.status_code, refused.json()["error"]) == (401, "authentication_required")


def test_an_unknown_version_is_refused(airbnb: httpx.Client) -> None:
    """Without a known API version there is no answer but 400, and the error names the known ones."""
    refused = airbnb.get("/v2/listings/1001", headers={"X-AIRBNB-REQ-API-VERSION": "2019.01.01"})

    assert refused.status_code == 400
    assert "2025.06.30" in refused.json()["error_message"]


def test_tokens_can_be_revoked_rotated_and_single(
    sandbox: Sandbox, airbnb: httpx.Client, token: Callable[[], str]
) -> None:
    """Revoked tokens stop at once; a rotated refresh token replaces the old; a single token ends the last."""
    tokens = sandbox.airbnb.tokens

    def works(access: str) -> bool:
        return airbnb.get("/v2/listings/1001", headers={"X-Airbnb-OAuth-Token": access}).is_success

    first = token()
    tokens.revoke()
    second, third = token(), token()
    assert [works(first), works(second), works(third)] == [False, True, True]

    tokens.single = True
    fourth = token()
    assert [works(third), works(fourth)] == [False, True]

    old, tokens.rotate = tokens.refresh_token, True
    answer = airbnb.post(
        "/v2/oauth2/authorizations",
        data={"refresh_token": old},
        auth=(tokens.client_id, tokens.client_secret),
    )
    assert tokens.refresh_token == answer.json()["refresh_token"] != old
    again = airbnb.post(
        "/v2/oauth2/authorizations",
        json={"refresh_token": old},
        auth=(tokens.client_id, tokens.client_secret),
    )
    assert again.status_code == 400


def test_a_code_gives_both_tokens_and_a_wrong_secret_none(sandbox: Sandbox, client: httpx.Client) -> None:
    """A code is exchanged for an access and a refresh token; Basic credentials are checked first."""
    tokens, path = sandbox.airbnb.tokens, "/airbnb/v2/oauth2/authorizations"

    granted = client.post(path, json={"code": tokens.code}, auth=(tokens.client_id, tokens.client_secret))
    assert tokens.refresh_token == granted.json()["refresh_token"]
    for credentials in ((tokens.client_id, "wrong"), ("wrong", tokens.client_secret)):
        assert client.post(path, json={"code": tokens.code}, auth=credentials).status_code == 401
    assert client.post(path, json={"code": tokens.code}).status_code == 401


def test_tokens_outlive_a_restart(token: Callable[[], str]) -> None:
    """A token issued before a restart of the sandbox is good after it."""
    access = token()

    with Sandbox(listings=1) as restarted:
        assert restarted.airbnb.tokens.expires_at(access, NOW) is not None
        assert restarted.airbnb.tokens.expires_at(access[:-1] + "z", NOW) is None


@pytest.mark.parametrize("by", ["next_cursor", "next_offset"])
def test_listings_come_in_pages(airbnb: httpx.Client, by: str) -> None:
    """Following the cursor or the offset of each page gives every listing once."""
    seen: list[str] = []
    more: dict[str, Any] = {}
    while True:
        page = airbnb.get("/v2/listings", params={"user_id": "7000001", "_limit": 3, **more}).json()
        seen += [listing["id_str"] for listing in page["listings"]]
        assert (page["paging"]["total_count"], page["paging"]["limit"]) == (7, 3)
        if page["paging"][by] is None:
            break
        more = {by.replace("next", ""): page["paging"][by]}

    assert [str(1001 + index) for index in range(7)] == seen


def test_reservations_come_in_pages_and_none_is_missed(sandbox: Sandbox, airbnb: httpx.Client) -> None:
    """The pages hold every booking once, even while new ones arrive between two pages."""
    before = {booking.code for booking in sandbox.world.bookings(NOW)}
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = airbnb.get("/v2/reservations", params={"host_id": "7000001", "_limit": 50, **cursor}).json()
        seen += [reservation["confirmation_code"] for reservation in page["reservations"]]
        sandbox.clock.advance(timedelta(minutes=45))
        if page["paging"]["next_cursor"] is None:
            break
        cursor = {"_cursor": page["paging"]["next_cursor"]}

    assert len(seen) == len(set(seen))
    assert before <= set(seen)


def test_reservations_tell_the_truth(sandbox: Sandbox, airbnb: httpx.Client) -> None:
    """A reservation carries its booking's dates, money, state and times, and an invented guest."""
    page = airbnb.get("/v2/reservations?host_id=7000001&listing_id=1003&_limit=50").json()["reservations"]
    truth = sandbox.world.bookings(NOW, "1003")[:50]

    assert [facts(booking) for booking in truth] == [
        {name: wire[name] for name in facts(booking)} for wire, booking in zip(page, truth, strict=True)
    ]
    assert all(wire["guest_email"].endswith("@guest.example") for wire in page)
    single = airbnb.get(f"/v2/reservations/{truth[0].code}").json()["reservation"]
    assert page[0] == single


def facts(booking: Booking) -> dict[str, Any]:
    """What the wire must say of a booking."""
    return {
        "confirmation_code": booking.code,
        "listing_id_str": booking.listing_id,
        "start_date": str(booking.check_in),
        "end_date": str(booking.check_out),
        "nights": (booking.check_out - booking.check_in).days,
        "status_type": booking.status,
        "host_currency": "KWD",
        "expected_payout_amount_accurate": str(booking.payout),
        "booked_at": booking.booked_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "updated_at": booking.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@pytest.mark.parametrize("listing_id", ["1001", "1002", "1003"])
def test_a_calendar_tells_the_truth(sandbox: Sandbox, airbnb: httpx.Client, listing_id: str) -> None:
    """Each date from the first to the last, both inclusive, once, as the world has it."""
    told = days(airbnb, listing_id)
    truth = sandbox.world.calendar(listing_id, START, LAST + timedelta(days=1), NOW)

    assert 365 == len(told) == len(truth)
    for wire, night in zip(told, truth, strict=True):
        assert str(night.night) == wire["date"]
        assert ("available" if night.available else "unavailable") == wire["availability"]
        assert int(night.available) == wire["available_count"]
        assert str(night.terms.price) == str(wire["daily_price"])
        assert (night.terms.min_nights, night.terms.max_nights) == (wire["min_nights"], wire["max_nights"])
        assert night.terms.closed_to_arrival is wire["closed_to_arrival"]
        assert night.terms.closed_to_departure is wire["closed_to_departure"]
        held = wire["reservation"] and wire["reservation"]["confirmation_code"]
        assert (night.booking and night.booking.code) == held
        subtype = night.closure and ("OUTSIDE_RESERVATION" if night.closure.elsewhere else "BLOCKED_BY_HOST")
        assert subtype == wire["busy_subtype"]


def test_a_calendar_follows_the_clock(sandbox: Sandbox, airbnb: httpx.Client) -> None:
    """A calendar asked for again shows what happened meanwhile, and is the same bytes when nothing did."""
    path = f"/v2/calendars/1001/{START}/{LAST}"
    before = airbnb.get(path).content
    assert before == airbnb.get(path).content

    sandbox.world.block("1001", LAST, LAST + timedelta(days=1), at=NOW + timedelta(minutes=1))
    assert before == airbnb.get(path).content
    sandbox.clock.advance(timedelta(minutes=1))
    assert before != airbnb.get(path).content


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/calendars/1001/2027-01-01/2028-12-31", 200),
        ("/v2/calendars/1001/2027-01-01/2029-01-01", 400),
        ("/v2/calendars/1001/2027-01-02/2027-01-01", 400),
        ("/v2/calendars/1001/2027-01-01/2027-02-30", 400),
        ("/v2/calendars/9999/2027-01-01/2027-01-02", 404),
        ("/v2/listings/9999", 404),
        ("/v2/nothing", 404),
        ("/v2/users/7000002", 403),
        ("/v2/listings?user_id=7000002", 403),
        ("/v2/listings?user_id=7000001&_limit=51", 400),
        ("/v2/listings?user_id=7000001&_limit=many", 400),
        ("/v2/listings?user_id=7000001&_cursor=zzz", 400),
        ("/v2/reservations?host_id=7000001&_cursor=AAAA", 400),
        ("/v2/reservations/HMNOBODY00", 404),
    ],
)
def test_limits_are_kept(airbnb: httpx.Client, path: str, status: int) -> None:
    """731 dates fit into a call and 732 do not; strangers, unknown ids and nonsense are refused."""
    assert status == airbnb.get(path).status_code
