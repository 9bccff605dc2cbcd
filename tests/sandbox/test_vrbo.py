"""The simulated Vrbo is as strict as the real one: credentials, documents, pages, tokens and callbacks."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.demo import environment
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.vrbo import wire
from channel_sync.sandbox.vrbo.channel import Vrbo

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
TOKEN, GRAPHQL = "/vrbo/identity/oauth2/v3/token", "/vrbo/supply/lodging/graphql"
PROPERTY = wire.vrbo_id("1001")

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Three lively rooms on the morning of 10 March 2026."""
    with Sandbox(clock=Clock(NOW)) as sandbox:
        sandbox.clock.set(NOW)
        yield sandbox


@pytest.fixture
def vrbo(sandbox: Sandbox) -> Vrbo:
    """The channel's own side."""
    assert isinstance(sandbox.vrbo, Vrbo)
    return sandbox.vrbo


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """An HTTP client without credentials."""
    with httpx.Client(base_url=sandbox.url, timeout=20) as client:
        yield client


def grant(client: httpx.Client, vrbo: Vrbo) -> str:
    answer = client.post(
        TOKEN,
        data={"grant_type": "client_credentials"},
        auth=(vrbo.tokens.client_id, vrbo.tokens.client_secret),
    )
    return str(answer.raise_for_status().json()["access_token"])


@pytest.fixture
def ask(client: httpx.Client, vrbo: Vrbo) -> Ask:
    """Asks GraphQL with a good token."""
    token = grant(client, vrbo)

    def asked(query: str, **variables: Any) -> dict[str, Any]:
        answer = client.post(
            GRAPHQL,
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {token}"},
        )
        told: dict[str, Any] = answer.json()
        return told

    return asked


def code_of(told: dict[str, Any]) -> str:
    return str(told["errors"][0]["extensions"]["code"])


RESERVATIONS = """query($id: String!, $source: IdSource, $size: Int!, $after: String, $filter: ReservationFilterInput) {
  property(id: $id, idSource: $source) {
    id
    reservations(pageSize: $size, after: $after, filter: $filter) {
      totalCount pageInfo { hasNextPage endCursor }
      edges { node { id status primaryGuest { lastName emailAddress phoneNumbers { fullPhoneNumber } } } }
    }
  }
}"""
UNDELIVERED = """query($filters: UndeliveredNotificationsFiltersInput!, $limit: Int, $cursor: String) {
  undeliveredNotifications(filters: $filters, limit: $limit, cursor: $cursor) {
    totalCount cursor elements { notification { notificationId payload } error { code } }
  }
}"""
CONFIRM = """mutation($input: ConfirmReservationNotificationInput!) {
  confirmReservationNotification(input: $input) { reservation { id } }
}"""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", GRAPHQL, 405), ("POST", GRAPHQL, 401), ("POST", "/vrbo/graphql", 404), ("POST", TOKEN, 401)],
)
def test_wrong_addresses_and_no_credentials(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    """Another method, another path and a call without a token are refused."""
    assert client.request(method, path).status_code == status


@pytest.mark.parametrize(
    ("auth", "form"),
    [
        (("somebody", "else"), {"grant_type": "client_credentials"}),
        (("", ""), {"grant_type": "client_credentials"}),
        (None, {"grant_type": "refresh_token"}),
        (None, {}),
    ],
    ids=["wrong", "none", "other-grant", "no-grant"],
)
def test_a_token_is_for_the_client_alone(
    client: httpx.Client, vrbo: Vrbo, auth: tuple[str, str] | None, form: dict[str, str]
) -> None:
    """Wrong credentials get no token, and right ones none by another kind of grant."""
    own = (vrbo.tokens.client_id, vrbo.tokens.client_secret)
    assert client.post(TOKEN, data=form, auth=auth or own).status_code == 401


def test_a_token_ends(sandbox: Sandbox, client: httpx.Client, vrbo: Vrbo) -> None:
    """It is good for half an hour, or until it is revoked, and as a bearer's only."""
    token = grant(client, vrbo)
    body = {"query": "{ __typename }"}
    for scheme, status in (("Bearer", 200), ("Basic", 401)):
        answer = client.post(GRAPHQL, json=body, headers={"Authorization": f"{scheme} {token}"})
        assert answer.status_code == status
    sandbox.clock.set(NOW + timedelta(minutes=30))
    headers = {"Authorization": f"Bearer {token}"}
    assert client.post(GRAPHQL, json=body, headers=headers).status_code == 401
    headers = {"Authorization": f"Bearer {grant(client, vrbo)}"}
    vrbo.tokens.revoke()
    assert client.post(GRAPHQL, json=body, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "{",
        "{ nothing }",
        "{ property { id } }",
        'query { property(id: "1") { reservations { totalCount } } }',
    ],
)
def test_a_document_that_the_schema_forbids(ask: Ask, query: str) -> None:
    """Unknown fields and missing arguments are refused whole."""
    told = ask(query)
    assert "data" not in told
    assert code_of(told) == "GRAPHQL_VALIDATION_FAILED"


def test_a_body_that_is_no_question(client: httpx.Client, vrbo: Vrbo) -> None:
    """Another type, no JSON, no query: refused."""
    headers = {"Authorization": f"Bearer {grant(client, vrbo)}"}
    for content, kind in ((b"{}", "application/json"), (b"{", "application/json"), (b"{}", "text/plain")):
        answer = client.post(GRAPHQL, content=content, headers={**headers, "Content-Type": kind})
        assert answer.status_code == 400


def test_reservations_are_the_worlds(ask: Ask, vrbo: Vrbo) -> None:
    """Page by page every reservation of a property, and its guest to whoever asks for one."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        told = ask(RESERVATIONS, id=PROPERTY, source="VRBO", size=7, after=after)
        page = told["data"]["property"]["reservations"]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    true = vrbo.world.bookings(NOW, "1001")
    assert [node["id"] for node in found] == [vrbo.reservation_id(booking.code) for booking in true] != []
    assert [node["primaryGuest"]["emailAddress"] for node in found] == [
        booking.guest.email for booking in true
    ]
    assert page["totalCount"] == len(true)


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"size": 0}, "BAD_USER_INPUT"),
        ({"size": 26}, "BAD_USER_INPUT"),
        ({"after": "mine"}, "BAD_USER_INPUT"),
        ({"filter": {"lastUpdatedDateTime": {"from": "2026-01-01", "to": "2026-02-01"}}}, "BAD_USER_INPUT"),
        (
            {
                "filter": {
                    "lastUpdatedDateTime": {
                        "from": "2026-01-01T00:00:00.5Z",
                        "to": "2026-02-01T00:00:00Z",
                    }
                }
            },
            "BAD_USER_INPUT",
        ),
    ],
    ids=["none", "too-many", "cursor", "dates", "fractions"],
)
def test_questions_that_are_refused(ask: Ask, variables: dict[str, Any], code: str) -> None:
    """Pages are of 1 to 25, cursors are the channel's own, and times are written in one way."""
    assert code_of(ask(RESERVATIONS, **{"id": PROPERTY, "source": "VRBO", "size": 5, **variables})) == code


@pytest.mark.parametrize(
    ("known", "source"), [(PROPERTY, "VRBO"), (wire.expedia_id("1001"), "EXPEDIA"), ("PM/300100/1001", "SUPPLIER")]
)  # fmt: skip
def test_a_property_under_each_of_its_ids(ask: Ask, known: str, source: str) -> None:
    """One id of each source; under another source the same id is nothing."""
    assert ask(RESERVATIONS, id=known, source=source, size=1)["data"]["property"]["id"] == "901001"
    for other in {"VRBO", "EXPEDIA", "SUPPLIER"} - {source}:
        assert ask(RESERVATIONS, id=known, source=other, size=1)["data"]["property"] is None


def test_another_partners_properties(ask: Ask) -> None:
    """They are nobody else's business."""
    query = 'query { propertiesByAdvertiser(id: "1", idSource: VRBO) { totalCount } }'
    assert code_of(ask(query)) == "FORBIDDEN"


def test_a_confirmation_takes_a_notification_off_the_queue(ask: Ask, vrbo: Vrbo) -> None:
    """Each version waits until it is confirmed with its own token; twice is no different from once."""
    first, second, *_ = vrbo.desk.notifications()
    told = {
        **{name: first["payload"][name] for name in ("propertyId", "reservationId", "confirmationToken")},
        "actionType": first["payload"]["actionType"],
        "confirmationCode": "ours-1",
    }
    wrong = {
        "confirmationToken": second["payload"]["confirmationToken"],
        "propertyId": "1",
        "actionType": "DONE",
        "confirmationCode": " ",
    }
    for name, value in wrong.items():
        assert "errors" in ask(CONFIRM, input=told | {name: value})
    before = len(vrbo.acknowledged.waiting())
    for _ in range(2):
        assert "errors" not in ask(CONFIRM, input=told)
    assert len(vrbo.acknowledged.waiting()) == before - 1
    assert first["notificationId"] not in {each["notificationId"] for each in vrbo.desk.notifications()}


def test_the_queue_comes_in_pages_of_ten(ask: Ask, vrbo: Vrbo) -> None:
    """No more than ten at once, within the span that is asked for, and what was delivered is not in it."""
    filters = {"eventType": wire.EVENT_TYPE}
    assert code_of(ask(UNDELIVERED, filters=filters, limit=11)) == "BAD_USER_INPUT"
    assert code_of(ask(UNDELIVERED, filters={"eventType": "Other"}, limit=1)) == "BAD_USER_INPUT"
    vrbo.desk.delivered.add(vrbo.desk.notifications()[0]["notificationId"])
    told = ask(UNDELIVERED, filters=filters, limit=10)["data"]["undeliveredNotifications"]
    assert told["totalCount"] == len(vrbo.desk.notifications()) - 1
    assert len(told["elements"]) == 10
    assert "4111111111111111" in json.dumps(told)
    never = {"creationDateTime": {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}}
    assert ask(UNDELIVERED, filters=filters | never)["data"]["undeliveredNotifications"]["elements"] == []


def test_a_code_comes_back_from_a_reservations_id(vrbo: Vrbo) -> None:
    """Each reservation has an id of its own, and the world's booking is found by it."""
    codes = {booking.code for booking in vrbo.world.bookings(NOW)}
    assert {vrbo.reservation_id(code).replace("HA-", "HM", 1) for code in codes} == codes


def test_each_property_has_its_feed(sandbox: Sandbox, client: httpx.Client, vrbo: Vrbo) -> None:
    """The addresses that the sample portfolio names lead to the calendars of these rooms, with their secret only."""
    urls = environment(sandbox.url)
    for place, listing_id in (("HARBOUR", "1001"), ("LANTERN", "1002"), ("GULF", "1003")):
        url = urls[f"VRBO_DEMO_{place}_FEED_URL"]
        body = client.get(url).raise_for_status().text
        stays = [
            stay
            for stay in vrbo.world.stays(listing_id, NOW)
            if stay.check_out > vrbo.world.today(listing_id, NOW)
        ]
        assert body.count("SUMMARY:Reserved - ") == len(stays) != 0
        assert client.get(url.partition("?")[0]).status_code == 400
        assert client.get(url.replace("/icalendar/", "/icalendar/0")).status_code == 404
