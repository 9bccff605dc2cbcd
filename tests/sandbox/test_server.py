import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import enumerate as threads

import httpx
import pytest

from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.feeds import DIALECTS
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.world import World

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def answers(seed: int) -> list[bytes]:
    """What a sandbox of a seed says at one moment, of everything there is to read."""
    with Sandbox(seed=seed, listings=2, clock=Clock(NOW)) as sandbox:
        tokens = sandbox.airbnb.tokens
        granted = httpx.post(
            f"{sandbox.url}/airbnb/v2/oauth2/authorizations",
            json={"refresh_token": tokens.refresh_token},
            auth=(tokens.client_id, tokens.client_secret),
        )
        headers = {
            "X-Airbnb-API-Key": tokens.client_id,
            "X-Airbnb-OAuth-Token": granted.json()["access_token"],
            "X-AIRBNB-REQ-API-VERSION": "2025.06.30",
        }
        paths = [
            "/v2/users/7000001",
            "/v2/listings?user_id=7000001",
            "/v2/calendars/1001/2026-11-23/2027-11-22",
            "/v2/reservations?host_id=7000001",
        ]
        with httpx.Client(base_url=f"{sandbox.url}/airbnb", headers=headers) as client:
            found = [granted.content, *(client.get(path).raise_for_status().content for path in paths)]
        return found + [httpx.get(sandbox.feed_url(dialect, "1002")).content for dialect in DIALECTS]


def test_the_same_seed_says_the_same_bytes() -> None:
    """Two sandboxes of one seed answer alike byte for byte, also after a restart; another seed does not."""
    first = answers(1)

    assert first == answers(1)
    assert first[2:] != answers(2)[2:]


def test_a_connection_is_kept_and_every_call_recorded(sandbox: Sandbox) -> None:
    """Several requests go over one connection; each is recorded with all that was sent."""
    with httpx.Client(base_url=sandbox.url, timeout=5) as client:
        client.get("/airbnb/v2/listings?user_id=7", headers={"X-Told": "yes"})
        stream = client.post("/airbnb/v2/oauth2/authorizations", content=b"body").extensions["network_stream"]
        again = client.get("/nowhere").extensions["network_stream"]

        assert stream.get_extra_info("client_addr") == again.get_extra_info("client_addr")

    first, second, third = sandbox.calls
    assert (first.method, first.path, first.query) == ("GET", "/airbnb/v2/listings", "user_id=7")
    assert (first.headers["x-told"], first.status, first.at) == ("yes", 401, NOW)
    assert (second.body, second.status) == (b"body", 401)
    assert (third.status, first.arrived <= second.arrived <= third.arrived) == (404, True)


def test_only_the_newest_calls_are_remembered() -> None:
    """A sandbox that runs for ever does not grow for ever."""
    with Sandbox(listings=1, remembered=2) as sandbox:
        for path in ("/1", "/2", "/3"):
            httpx.get(f"{sandbox.url}{path}")

        assert [call.path for call in sandbox.calls] == ["/2", "/3"]


def test_many_clients_at_once_hear_the_truth(sandbox: Sandbox) -> None:
    """Eight threads that read every feed read what one alone reads."""
    urls = [sandbox.feed_url(dialect, listing_id) for dialect in DIALECTS for listing_id in ("1001", "1002")]

    with httpx.Client(timeout=10) as client, ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda url: client.get(url).content, urls * 4))
        assert [client.get(url).content for url in urls] * 4 == together


def test_no_thread_outlives_its_sandbox() -> None:
    """Leaving ends every thread and connection, idle and busy ones."""
    before = set(threads())
    with httpx.Client() as client:
        with Sandbox(listings=1) as sandbox:
            client.get(f"{sandbox.url}/_sandbox/health")
            port = int(sandbox.url.rpartition(":")[2])
            idle = socket.create_connection(("127.0.0.1", port), timeout=5)
            httpx.get(
                f"{sandbox.url}/_sandbox/health"
            )  # accepted after the idle one, which so is accepted too
        with idle:
            assert idle.recv(1) == b""
        with pytest.raises(RuntimeError, match="does not run"):
            _ = sandbox.url

    assert before >= set(threads())


def test_a_bad_request_does_not_end_the_server(sandbox: Sandbox) -> None:
    """Garbage, an absurd length and a client that hangs up cost only their own connection."""
    host, port = "127.0.0.1", int(sandbox.url.rpartition(":")[2])
    for garbage in (b"\x00\xff\r\n\r\n", b"POST /airbnb HTTP/1.1\r\nContent-Length: many\r\n\r\n", b"GET"):
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(garbage)

    assert httpx.get(f"{sandbox.url}/_sandbox/health").json()["ok"]


def test_the_clock_runs_until_it_is_set() -> None:
    """A clock keeps wall time, can be moved while it runs, and stands still once it is set."""
    clock = Clock()
    assert abs(datetime.now(UTC) - clock.now()) < timedelta(seconds=5)
    clock.advance(timedelta(days=10))
    assert timedelta(days=9) < clock.now() - datetime.now(UTC) < timedelta(days=11)
    clock.set(NOW)
    clock.advance(timedelta(hours=1))
    assert clock.now() == NOW + timedelta(hours=1)
    with pytest.raises(ValueError, match="zone"):
        clock.set(NOW.replace(tzinfo=None))


def test_faults_clock_and_calls_are_steered_from_outside(sandbox: Sandbox) -> None:
    """The endpoints under /_sandbox do what the object does."""
    with httpx.Client(base_url=sandbox.url) as client:
        client.post("/_sandbox/faults", json=[{"kind": "html", "path": "/ical/*"}, {"kind": "drop"}])
        assert [fault["kind"] for fault in client.get("/_sandbox/faults").json()] == ["html", "drop"]
        assert httpx.get(sandbox.feed_url("vrbo", "1001")).headers["Content-Type"].startswith("text/html")
        client.delete("/_sandbox/faults")
        assert sandbox.faults.listed() == []

        assert [call["status"] for call in client.get("/_sandbox/calls").json()] == [200]
        client.delete("/_sandbox/calls")
        assert not sandbox.calls

        client.post("/_sandbox/clock", json={"now": "2027-01-01T00:00:00Z"})
        told = client.post("/_sandbox/clock", json={"advance_hours": 1.5}).json()
        assert told == client.get("/_sandbox/clock").json() == {"now": "2027-01-01T01:30:00+00:00"}


def test_the_truth_can_be_read_and_scripted_from_outside() -> None:
    """A booking told to /_sandbox/world is in the truth that it tells, and in the world."""
    with (
        Sandbox(world=World.empty(2), clock=Clock(NOW)) as sandbox,
        httpx.Client(base_url=sandbox.url) as client,
    ):
        stay = {"listing_id": "1001", "check_in": "2027-01-01", "check_out": "2027-01-03"}
        code = client.post("/_sandbox/world", json={"book": stay}).json()["code"]
        truth = client.get("/_sandbox/world").json()

        assert [booking["code"] for booking in truth["bookings"]] == [code]
        assert truth["listings"][0]["closed_nights"] == ["2027-01-01", "2027-01-02"]
        assert sandbox.world.closed_nights("1001", NOW) == {date(2027, 1, 1), date(2027, 1, 2)}

        sandbox.clock.advance(timedelta(hours=1))
        assert client.post("/_sandbox/world", json={"cancel": {"code": code}}).is_success
        assert not sandbox.world.closed_nights("1001", sandbox.clock.now())


def test_each_channels_world_is_scripted_by_its_name() -> None:
    """What happens on one channel is in its world alone, is known by the channel's own id, and waits there."""
    stay = {"check_in": "2027-01-01", "check_out": "2027-01-03"}
    with (
        Sandbox(world=World.empty(2), lively=False, clock=Clock(NOW)) as sandbox,
        httpx.Client(base_url=sandbox.url) as client,
    ):
        rooms = {listing: own for own, listing in sandbox.channex.world_ids.items()}
        for listing_id in ("1001", rooms["1002"]):
            told = {"book": {**stay, "channel": "channex", "listing_id": listing_id}}
            made = client.post("/_sandbox/world", json=told).json()
            assert made["reservation_id"] == sandbox.channex.reservation_id(made["code"])
        first = sandbox.channex.acknowledged.waiting()[0]
        sandbox.clock.advance(timedelta(minutes=1))
        client.post("/_sandbox/world", json={"cancel": {"channel": "channex", "code": first.code}})
        sandbox.channex.acknowledged.add(first)

        truth = client.get("/_sandbox/bookings", params={"channel": "channex"}).json()
        assert {booking["listing_id"] for booking in truth} == {"1001", "1002"}
        assert client.get("/_sandbox/bookings").json() == []
        assert len(sandbox.worlds["vrbo"].bookings(NOW)) == 0
        counted = client.get("/_sandbox/acknowledged").json()
        assert counted["channex"] == {"waiting": 2, "acknowledged": 1}
        assert counted.keys() >= {"booking_com", "channex", "expedia", "vrbo"}
        assert client.get("/_sandbox/acknowledged", params={"channel": "vrbo"}).json() == {
            "vrbo": {"waiting": 0, "acknowledged": 0}
        }


def test_many_bookings_on_one_channel() -> None:
    """A crowd of guests can be sent to any channel."""
    with Sandbox(world=World.empty(2), lively=False, clock=Clock(NOW)) as sandbox:
        told = {"book_many": {"channel": "channex", "count": 6, "seed": 3, "happenings": 9}}
        codes = httpx.post(f"{sandbox.url}/_sandbox/world", json=told).json()["codes"]

        assert len(codes) == len(sandbox.worlds["channex"].bookings(NOW)) == 6
        assert sandbox.world.bookings(NOW) == ()


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/_sandbox/faults", {"kind": "flood"}, "flood"),
        ("/_sandbox/clock", {"time": 1}, "advance_hours"),
        ("/_sandbox/world", {"paint": {}}, "unblock"),
        ("/_sandbox/world", {"book": {"channel": "fax"}}, "booking_com"),
        (
            "/_sandbox/world",
            {"book": {"listing_id": "1", "check_in": "2027-01-01", "check_out": "2027-01-02"}},
            "'1'",
        ),
    ],
)
def test_steering_wrongly_is_refused_by_name(
    sandbox: Sandbox, path: str, body: dict[str, object], named: str
) -> None:
    """400 says what was wrong and what there is."""
    answer = httpx.post(f"{sandbox.url}{path}", json=body)

    assert answer.status_code == 400
    assert named in answer.json()["error"]


def test_it_serves_until_it_is_told_to_stop() -> None:
    """As a process it says its address, answers, and ends cleanly on SIGTERM."""
    code = "from channel_sync.sandbox.server import serve; serve(say=lambda text: print(text, flush=True))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ}
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            assert httpx.get(f"{url}/_sandbox/health").json()["ok"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0
        finally:
            process.kill()
