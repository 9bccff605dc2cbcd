"""What the gateway takes, what it refuses, and in which words."""

import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from channel_sync.storage.database import Database
from tests.webhooks.inn import CLIENT_SECRET, GUEST, Inn, airbnb_headers, event, open_inn, signed

_CANARIES = (GUEST, "Canary Guest", "Never-", "v1,", "whsec_", CLIENT_SECRET)


def _until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_delivery_is_stored_without_its_guest(inn: Inn) -> None:
    """A verified delivery is answered 200 and lies in the inbox, scrubbed, with what it is about."""
    answer = inn.deliver(event(), **signed_as("m1"))
    assert (200, b"{}") == (answer.status_code, answer.content)
    (row,) = inn.rows()
    expected = {
        "delivery_key": "m1",
        "method": "POST",
        "path": "/webhooks/house/inn",
        "kind": "booking",
        "name": "booking.confirmed",
        "booking_external_id": "B-1",
        "listing_external_ids": ["studio"],
        "revised_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
        "state": "received",
        "times_received": 1,
    }
    assert expected == {name: row[name] for name in expected}
    assert b"B-1" in row["body"]
    stored = json.dumps(row, default=repr)
    assert [canary for canary in _CANARIES if canary in stored] == []


def signed_as(message_id: str, body: bytes | None = None) -> dict[str, str]:
    """The headers of a delivery with this id, as keywords."""
    return {
        name.replace("-", "_"): value
        for name, value in signed(body or event(), message_id=message_id).items()
    }


def test_every_refusal_is_the_same(inn: Inn) -> None:
    """Bad, missing, malformed, stale: one 401 in the same words, and nothing is stored."""
    body = event()
    good = signed(body)
    stale = signed(body, at=datetime.now(UTC) - timedelta(minutes=6))
    bad = [
        {},
        {**good, "webhook-signature": ""},
        {**good, "webhook-signature": "v1"},
        {**good, "webhook-signature": "v1,\xff"},
        {**good, "webhook-signature": good["webhook-signature"][:-4] + "AAA="},
        {**good, "webhook-timestamp": "1e400"},
        {**good, "webhook-id": ""},
        signed(body, key=b"another"),
        signed(body + b" "),
        stale,
    ]
    answers = [inn.http.post("/webhooks/house/inn", content=body, headers=_raw(headers)) for headers in bad]
    answers.append(inn.deliver(to="house/bare"))
    assert {(401, b'{"error": "Unauthorized"}')} == {(one.status_code, one.content) for one in answers}
    assert inn.rows() == []
    assert 11 == inn.http.get("/health").json()["answers"]["refused"]


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def test_the_same_header_twice_is_no_signature(inn: Inn) -> None:
    """Which of two would count is not for the sender to choose."""
    body = event()
    headers = [*_raw(signed(body)), (b"webhook-signature", b"v1,AAAA")]
    assert 401 == inn.http.post("/webhooks/house/inn", content=body, headers=headers).status_code


def test_what_is_not_there_is_not_told_apart(inn: Inn) -> None:
    """Unknown, retired, disabled, of a channel without webhooks or without tokens: one 404 in the same words."""
    for where in (
        "house/nobody",
        "nothing/inn",
        "house/gone",
        "house/off",
        "ical/inn-feeds",
        "airbnb/inn",
        "house/inn/token",
    ):
        answer = inn.deliver(to=where)
        assert (404, b'{"error": "Not Found"}') == (answer.status_code, answer.content)


def test_an_account_that_is_retired_now_is_refused_soon(inn: Inn) -> None:
    """The accounts are not read for every delivery, and yet never old."""
    assert 200 == inn.deliver().status_code
    with inn.database.connect() as connection:
        connection.execute("UPDATE channel_account SET retired_at = now() WHERE code = 'inn'")
    _until(lambda: inn.deliver().status_code == 404)


def test_what_is_not_understood_is_kept(inn: Inn) -> None:
    """Unknown kinds, bodies that are no JSON, and NUL are stored as unknown and answered 200."""
    bodies = [
        event("dance.begun"), b"", b"\xff\x00 not JSON", b"[1]", b'{"type": "\\u0000\\ud800"}', b'{"type": 7}', b"[" * 50_000,
    ]  # fmt: skip
    assert {200} == {inn.deliver(body).status_code for body in bodies}
    assert {"unknown"} == {row["kind"] for row in inn.rows()}
    assert len(bodies) == len(inn.rows())


def test_probes_and_methods(inn: Inn) -> None:
    """HEAD and GET find an account; a GET with a query has to be signed; what nobody sends is 405."""
    there = "/webhooks/house/inn"
    assert 200 == inn.http.head(there).status_code
    assert 200 == inn.http.get(there).status_code
    assert 401 == inn.http.get(f"{there}?action=x").status_code
    assert 404 == inn.http.head("/webhooks/house/nobody").status_code
    for method in ("DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        answer = inn.http.request(method, there)
        assert 405 == answer.status_code
        assert {"GET", "HEAD", "POST", "PUT"} == set(answer.headers["allow"].split(", "))
    body = event()
    assert 405 == inn.http.put(there, content=body, headers=signed(body)).status_code


def test_repeated_deliveries_at_once_are_one(inn: Inn) -> None:
    """The same delivery many times at the same moment: each answered 200, one row that counts them."""
    body = event()
    headers = signed(body)
    with ThreadPoolExecutor(16) as threads:
        answers = list(
            threads.map(
                lambda _: inn.http.post("/webhooks/house/inn", content=body, headers=headers), range(48)
            )
        )
    assert {200} == {answer.status_code for answer in answers}
    assert [48] == [row["times_received"] for row in inn.rows()]


def test_five_hundred_at_once(inn: Inn) -> None:
    """A burst of different deliveries is stored whole."""
    bodies = [event(number=number) for number in range(500)]
    limits = httpx.Limits(max_connections=100)
    with (
        httpx.Client(base_url=inn.url, timeout=60, limits=limits) as http,
        ThreadPoolExecutor(100) as threads,
    ):
        answers = list(
            threads.map(
                lambda body: http.post("/webhooks/house/inn", content=body, headers=signed(body)), bodies
            )
        )
    assert {200} == {answer.status_code for answer in answers}
    assert {f"B-{number}" for number in range(500)} == {row["booking_external_id"] for row in inn.rows()}


def test_while_the_database_is_away_nothing_is_acknowledged(inn: Inn) -> None:
    """Deliveries are answered 503, forgeries 401 as ever, questions with no; afterwards all is well by itself."""
    question = f"{inn.url}/webhooks/airbnb/inn-airbnb?action=check_availability&listing_id=1&start_date=2026-05-01&nights=2"
    assert 200 == inn.deliver().status_code
    _switch(inn.database, "false")
    away = inn.deliver()
    assert (503, b'{"error": "Service Unavailable"}') == (away.status_code, away.content)
    assert "retry-after" in away.headers
    assert 401 == inn.deliver(webhook_signature="v1,AAAA").status_code
    told = inn.http.get(question, headers=airbnb_headers("GET", question))
    assert (200, False) == (told.status_code, told.json()["available"])
    _until(lambda: inn.http.get("/health").status_code == 503)
    _switch(inn.database, "true")
    assert 200 == inn.deliver().status_code
    assert len(inn.rows()) == 2
    _until(lambda: inn.http.get("/health").status_code == 200)


_LISTING = """
    INSERT INTO property (code, name, time_zone, currency) VALUES ('inn', 'Inn', 'UTC', 'EUR');
    INSERT INTO unit_type (property_id, code, name) SELECT property_id, 'room', 'Room' FROM property;
    INSERT INTO unit (unit_type_id, code) SELECT unit_type_id, '1' FROM unit_type;
    INSERT INTO listing (channel_account_id, external_id, unit_type_id)
        SELECT channel_account_id, '1', unit_type_id FROM channel_account, unit_type WHERE channel_account.code = 'inn-airbnb';
"""


def test_a_question_is_answered_in_time(inn: Inn) -> None:
    """Yes from the tables; no, and soon, while they cannot be read; a question is nothing for the inbox."""
    asked = f"{inn.url}/webhooks/airbnb/inn-airbnb?action=check_availability&listing_id=1&start_date=2026-05-01&nights=2"
    with inn.database.connect() as connection:
        connection.execute(_LISTING.encode())

    def answer() -> tuple[int, bool]:
        told = inn.http.get(asked, headers=airbnb_headers("GET", asked))
        return told.status_code, told.json()["available"]

    assert (200, True) == answer()
    with inn.database.connect() as connection:
        connection.execute("LOCK TABLE allocation")
        began = time.monotonic()
        assert (200, False) == answer()
        assert time.monotonic() - began < 8  # the lock is held for as long as it takes
    assert (200, True) == answer()
    assert inn.rows() == []


def _switch(database: Database, allowed: str) -> None:
    """Let nobody into the database, and put out who is in; or let everybody in again."""
    name = database.name
    server = Database(database.url.replace(f"/{name}?", "/postgres?"))
    with server.connect(autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}".encode())
        if allowed == "false":
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )


def test_a_token_for_the_channel_that_is_given_them_by_us(inn: Inn) -> None:
    """The right client gets a token that its delivery is taken with; another gets what every refusal gets."""
    form = {"grant_type": "client_credentials"}
    there = "/webhooks/booking_com/inn-booking"
    assert 401 == inn.http.post(f"{there}/token", data=form, auth=("booking", "wrong")).status_code
    granted = inn.http.post(f"{there}/token", data=form, auth=("booking", CLIENT_SECRET))
    token = granted.json()["access_token"]
    body = json.dumps(
        {"metadata": {"uuid": "u-1", "type": "PAYOUT_UPDATE", "payloadVersion": "1.0"}, "payload": {}}
    )
    for given, expected in (("x" + token[1:], 401), (token, 200)):
        headers = {"authorization": f"Bearer {given}", "content-type": "application/json"}
        assert expected == inn.http.post(there, content=body, headers=headers).status_code
    assert ["u-1"] == [row["delivery_key"] for row in inn.rows()]


def test_a_signature_is_over_what_the_channel_addressed(inn: Inn) -> None:
    """Behind a proxy the public URL gives host and path; what the proxy made of them is not looked at."""
    question = "?action=check_availability&listing_id=0&start_date=2026-05-01&nights=2"
    there = f"/webhooks/airbnb/inn-airbnb{question}"
    public = "https://hooks.example.com/cs"
    headers = airbnb_headers("GET", public + there)
    assert 401 == inn.http.get(there, headers=headers).status_code
    with open_inn(inn.database, CHANNEL_SYNC_WEBHOOK_PUBLIC_URL=public) as behind:
        assert 200 == behind.http.get(there, headers=headers).status_code


def test_nothing_that_is_told_holds_a_secret(
    inn: Inn, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A source that is refused over and over is one line in the log, without bodies, headers, queries or secrets."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    for number in range(20):
        inn.http.post(
            f"/webhooks/house/inn?canary=query-{number}",
            content=event(),
            headers={**signed(event(), key=b"other"), "x-canary": "header"},
        )
    inn.deliver()
    inn.deliver(b"\xff" + GUEST.encode())
    lines = [
        record.getMessage() for record in caplog.records if record.name.startswith("channel_sync.webhooks")
    ]
    assert ["refused a delivery to house/inn from 127.0.0.1: no signature is of our secret"] == lines
    told = caplog.text + "".join(capfd.readouterr())
    assert [word for word in (*_CANARIES, "query-", "canary") if word in told] == []


def test_an_account_without_secret_is_named_once(inn: Inn, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever forgot the secret is told, and not every two seconds."""
    with open_inn(inn.database) as another:
        time.sleep(2.5)
        assert 401 == another.deliver(to="house/bare").status_code
    said = [record.getMessage() for record in caplog.records if record.name.endswith("receivers")]
    assert ["account 'bare' has no secret 'webhook_secret': its deliveries are refused"] == said
