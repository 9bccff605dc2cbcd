import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path
from threading import enumerate as threads
from typing import Any

import httpx
import pytest

from channel_sync.sandbox import webhooks
from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.courier import Patience
from channel_sync.sandbox.demo import environment
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.webhooks import DeliveryFaults, Subscription
from channel_sync.sandbox.world import World
from tests.sandbox.listener import ACCOUNT, Heard, Listener, listening
from tests.webhooks_sent import Deliveries

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
QUICK = Patience(first_wait_s=0.02, longest_wait_s=0.08, sendings=6)
AUTHORIZATION = re.compile(
    'Signature keyId="booking_web_hooks",algorithm="rsa-sha256",'
    'headers="host url method date content-type body",delimiter="\\|",signature="([^"]+)"'
)


@contextmanager
def subscribed(
    listener: Listener, *, senders: int = 4, patience: Patience = QUICK, **faults: Any
) -> Iterator[Sandbox]:
    """A world where nothing happens but what is scripted, told to the listener."""
    with Sandbox(world=World.empty(listings=6), clock=Clock(NOW)) as sandbox:
        sandbox.webhooks.patience = patience
        sandbox.webhooks.senders = senders
        sandbox.webhooks.faults = DeliveryFaults(**faults)
        sandbox.webhooks.subscribe(Subscription(listener.url))
        yield sandbox


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Answers 204 to whatever comes."""
    with listening() as listener:
        yield listener


def revisions(sent: list[bytes]) -> list[tuple[str, str]]:
    """Which version of which booking each body holds."""
    told = [json.loads(body)["reservation"] for body in sent]
    return [(each["confirmation_code"], each["updated_at"]) for each in told]


def openssl_verifies(heard: Heard, host: str, folder: Path) -> bool:
    """What the openssl program says of a request's signature, over ``host`` and what was received."""
    found = AUTHORIZATION.fullmatch(heard.headers["authorization"])
    assert found is not None
    (folder / "key.pem").write_text(environment("http://x")["AIRBNB_DEMO_WEBHOOK_PUBLIC_KEY"])
    (folder / "sig.b64").write_text(found[1] + "\n")
    text = "|".join([host, heard.path, heard.method, heard.headers["date"], heard.headers["content-type"]])
    (folder / "text").write_bytes(text.encode() + b"|" + heard.body)
    decode = ["openssl", "base64", "-d", "-A", "-in", "sig.b64", "-out", "sig"]
    subprocess.run(decode, cwd=folder, check=True)
    verify = ["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature", "sig", "text"]
    done = subprocess.run(verify, cwd=folder, check=False, capture_output=True)
    return done.returncode == 0


def test_what_is_scripted_is_delivered_once(listener: Listener) -> None:
    """A booking made, altered and cancelled are three deliveries with the whole reservation as it then became."""
    with subscribed(listener, senders=1) as sandbox:
        world = sandbox.world
        code = world.book("1002", date(2026, 5, 1), date(2026, 5, 4), at=NOW - 2 * SECOND)
        world.move(code, date(2026, 5, 2), date(2026, 5, 6), at=NOW - SECOND)
        world.cancel(code, at=NOW, by="host")

        assert sandbox.webhooks.settle(10)
        told = [json.loads(body) for body in listener.bodies()]

        assert [
            ("reservation_acceptance_confirmation", "accept", "2026-05-01", "2026-05-04"),
            ("reservation_alteration_confirmation", "accept", "2026-05-02", "2026-05-06"),
            ("reservation_cancellation_confirmation", "cancelled_by_host", "2026-05-02", "2026-05-06"),
        ] == [
            (
                each["action"],
                *(each["reservation"][name] for name in ("status_type", "start_date", "end_date")),
            )
            for each in told
        ]
        last = sandbox.world.booking(code, NOW)
        assert last is not None
        assert last.updated_at == datetime.fromisoformat(told[-1]["reservation"]["updated_at"])
        assert {"made": 3, "answered": 3, "pending": 0, "lost": 0, "given_up": 0, "sent": 3} == {
            name: number for name, number in sandbox.webhooks.report().items() if name != "answers"
        }


def test_the_signature_is_right_for_openssl(listener: Listener, tmp_path: Path) -> None:
    """openssl verifies it with the demo's public key over the host without its port, and over nothing else."""
    with subscribed(listener) as sandbox:
        sandbox.world.book("1001", date(2026, 5, 1), date(2026, 5, 4), at=NOW)
        assert sandbox.webhooks.settle(10)
    (heard,) = listener.heard

    assert heard.path == ACCOUNT
    assert openssl_verifies(heard, "127.0.0.1", tmp_path)
    assert not openssl_verifies(heard, heard.headers["host"], tmp_path)
    assert abs(parsedate_to_datetime(heard.headers["date"]) - datetime.now(UTC)) < timedelta(minutes=2)


def test_the_port_can_be_signed_too(listener: Listener, tmp_path: Path) -> None:
    """A subscription can have the Host header signed as it is sent."""
    with Sandbox(world=World.empty(), clock=Clock(NOW)) as sandbox:
        sandbox.webhooks.subscribe(Subscription(listener.url, host_with_port=True))
        sandbox.world.book("1001", date(2026, 5, 1), date(2026, 5, 4), at=NOW)
        assert sandbox.webhooks.settle(10)

    assert openssl_verifies(listener.heard[0], listener.heard[0].headers["host"], tmp_path)


def test_what_the_clock_brings_is_delivered(listener: Listener) -> None:
    """All that the world's own life makes of its bookings while time goes on is told, each version once."""
    with Sandbox(listings=3, clock=Clock(NOW)) as sandbox:
        sandbox.webhooks.subscribe(Subscription(listener.url))
        sandbox.clock.advance(timedelta(days=20))
        assert sandbox.webhooks.settle(20)
        now = sandbox.clock.now()
        happened = [
            (history.code, revision.at)
            for listing_id in sandbox.world.listings
            for history in sandbox.world.histories(listing_id, now)
            for revision in history.revisions
            if NOW < revision.at <= now
        ]

    told = [(code, datetime.fromisoformat(at)) for code, at in revisions(listener.bodies())]
    assert len(told) > 5
    assert sorted(happened) == sorted(told)


def test_nothing_of_before_is_delivered(listener: Listener) -> None:
    """A subscription hears of what happens after it, not of the hundreds of bookings that are there."""
    with Sandbox(listings=3, clock=Clock(NOW)) as sandbox:
        sandbox.webhooks.subscribe(Subscription(listener.url))
        sandbox.webhooks.subscribe(Subscription(listener.url))
        code = sandbox.bookings_at_random(1, happenings=1)[0]

        assert sandbox.webhooks.settle(10)
        assert [code] == [told for told, _ in revisions(listener.bodies())]


def test_sent_again_until_it_is_taken(listener: Listener) -> None:
    """After no answer, 503 and 401 the same body comes again, each time signed anew, and after 2xx never again."""
    answers: list[int | None] = [None, 503, 401, 200]
    listener.answer = lambda _: answers.pop(0)
    with subscribed(listener, senders=1) as sandbox:
        sandbox.world.book("1001", date(2026, 5, 1), date(2026, 5, 4), at=NOW)

        assert sandbox.webhooks.settle(10)
        (delivery,) = sandbox.webhooks.deliveries
        assert ([None, 503, 401, 200], "answered") == (delivery.statuses, delivery.state)
        assert 1 == len(set(listener.bodies()))
        assert all(later.at - earlier.at >= 0.02 for earlier, later in pairwise(listener.heard))


def test_given_up_in_the_end(listener: Listener) -> None:
    """What is never taken is sent as often as patience says, with waits that double up to the longest, and no more."""
    listener.answer = lambda _: 500
    with subscribed(listener) as sandbox:
        sandbox.world.book("1001", date(2026, 5, 1), date(2026, 5, 4), at=NOW)

        assert sandbox.webhooks.settle(10)
        assert 1 == sandbox.webhooks.report()["given_up"]
        assert {"500": 6} == sandbox.webhooks.report()["answers"]
        assert 6 == len(listener.heard)
    assert [0.5, 1, 2, 4, 8, 16, 32, 60, 60] == [Patience().wait_s(sent) for sent in range(1, 10)]


def test_nobody_there_loses_nothing(listener: Listener) -> None:
    """What a receiver that is down does not take, it is sent once it is up."""
    down = True
    listener.answer = lambda _: None if down else 200
    with subscribed(listener, patience=Patience(0.02, 0.08, sendings=100_000)) as sandbox:
        made = sandbox.bookings_at_random(2, happenings=2)
        while len(listener.heard) < 3:
            assert not sandbox.webhooks.settle(0.05)
        down = False

        assert sandbox.webhooks.settle(10)
        assert 2 == sandbox.webhooks.report()["answered"]
        assert set(made) == {code for code, _ in revisions(listener.bodies())}


def test_without_a_fault_nothing_is_sent_twice(listener: Listener) -> None:
    """Hundreds of deliveries through the pool: each version of each booking exactly once, none left out."""
    with subscribed(listener) as sandbox:
        sandbox.bookings_at_random(60, seed=3, happenings=200)
        assert sandbox.webhooks.settle(30)
        newest = {(booking.code, booking.updated_at) for booking in sandbox.world.bookings(NOW)}

    told = [(code, datetime.fromisoformat(at)) for code, at in revisions(listener.bodies())]
    assert (len(set(told)), True) == (len(told), len(told) > 150)
    assert newest <= set(told)
    assert 60 == len(newest)


def test_lost_and_sent_twice_as_drawn(listener: Listener) -> None:
    """Shares of the deliveries are lost and duplicated; which of them depends on seed and number alone."""

    def drawn() -> tuple[list[int], list[int]]:
        listener.heard.clear()
        with subscribed(listener, lose=0.2, duplicate=0.3, seed=5) as sandbox:
            sandbox.bookings_at_random(50, happenings=100)
            assert sandbox.webhooks.settle(30)
            known = sandbox.webhooks.deliveries
            lost = [each.number for each in known if each.state == "lost"]
            twice = [each.number for each in known if each.copies]
            times = Counter(revisions(listener.bodies()))
            versions = {
                each.number: revisions([each.notice.body])[0] for each in known if each.state != "lost"
            }
            assert {version: 1 + (number in twice) for number, version in versions.items()} == times
        return lost, twice

    lost, twice = drawn()
    assert 8 < len(lost) < 35
    assert 10 < len(twice) < 45
    assert (lost, twice) == drawn()


def test_a_wrong_signature_is_sent_first(listener: Listener, tmp_path: Path) -> None:
    """A share of the deliveries comes with a signature that does not verify, and rightly signed once refused."""
    refused: set[bytes] = set()

    def refuse_once(heard: Heard) -> int:
        if heard.body in refused:
            return 200
        refused.add(heard.body)
        return 401

    listener.answer = refuse_once
    with subscribed(listener, senders=1, wrong_signature=1.0) as sandbox:
        sandbox.world.book("1001", date(2026, 5, 1), date(2026, 5, 4), at=NOW)
        assert sandbox.webhooks.settle(10)

    assert [False, True] == [openssl_verifies(heard, "127.0.0.1", tmp_path) for heard in listener.heard]


@pytest.fixture
def never_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held back waits for its number and for nothing else, however slow the machine is."""
    monkeypatch.setattr(webhooks, "_QUIET_S", 3_600.0)


@pytest.mark.usefixtures("never_quiet")
def test_another_order_within_the_window(listener: Listener) -> None:
    """With a window of five, each five deliveries come in another order than they were made, and none from further."""
    with subscribed(listener, senders=1, reorder=5) as sandbox:
        sandbox.bookings_at_random(30, happenings=30)
        assert sandbox.webhooks.settle(20)
        made = [revisions([each.notice.body])[0] for each in sandbox.webhooks.deliveries]

    came = [made.index(version) for version in revisions(listener.bodies())]
    assert came != sorted(came)
    assert [number // 5 for number in sorted(came)] == [number // 5 for number in came]


@pytest.mark.usefixtures("never_quiet")
def test_a_burst_is_held_back_until_it_is_full(listener: Listener) -> None:
    """Of a burst of four nothing is sent before the fourth."""
    with subscribed(listener, burst=4) as sandbox:
        sandbox.bookings_at_random(3, seed=1, happenings=3)
        assert not sandbox.webhooks.settle(0.3)
        assert [] == listener.heard
        sandbox.bookings_at_random(1, seed=2, happenings=1)

        assert sandbox.webhooks.settle(20)
        assert 4 == len(listener.heard)


def test_what_fills_no_burst_goes_when_all_is_quiet(listener: Listener) -> None:
    """Nothing is held back for good: without more news it goes out a moment later."""
    with subscribed(listener, burst=100, reorder=10) as sandbox:
        sandbox.bookings_at_random(3, happenings=3)

        assert sandbox.webhooks.settle(20)
        assert 3 == len(listener.heard)


def test_a_delay_keeps_a_delivery_back(listener: Listener) -> None:
    """Each delivery waits for its own share of the delay."""
    with subscribed(listener, delay_s=1.0) as sandbox:
        sandbox.bookings_at_random(8, happenings=8)
        assert sandbox.webhooks.settle(20)
        waited = [heard.at - sandbox.webhooks.deliveries[0].made_at for heard in listener.heard]

    assert max(waited) > 0.4


def test_the_end_of_the_sandbox_ends_what_is_under_way(listener: Listener) -> None:
    """Leaving ends every thread at once, also those that wait for an answer or for their next try."""
    before = set(threads())
    listener.silent.set()
    with Sandbox(world=World.empty(listings=6), clock=Clock(NOW)) as sandbox:
        sandbox.webhooks.senders = 2
        sandbox.webhooks.subscribe(Subscription(listener.url))
        sandbox.bookings_at_random(5, happenings=5)
        assert not sandbox.webhooks.settle(0.3)
        left_at = datetime.now(UTC)

    assert datetime.now(UTC) - left_at < timedelta(seconds=8)  # an answer is waited for longer
    assert not [
        thread for thread in set(threads()) - before if thread.name.startswith(("courier", "webhooks"))
    ]
    assert sandbox.webhooks.subscriptions() == ()


def test_steered_from_outside(listener: Listener) -> None:
    """Subscribing, faults, many bookings at once, what was sent and the truth: all by HTTP."""
    with (
        Sandbox(world=World.empty(listings=6), clock=Clock(NOW)) as sandbox,
        httpx.Client(base_url=f"{sandbox.url}/_sandbox", timeout=10) as admin,
    ):
        admin.post("/webhooks", json={"channel": "airbnb", "url": listener.url}).raise_for_status()
        faults = admin.post("/webhooks/faults", json={"lose": 0.5, "seed": 2}).json()
        codes = admin.post("/world", json={"book_many": {"count": 8, "seed": 4, "happenings": 20}}).json()[
            "codes"
        ]
        assert sandbox.webhooks.settle(10)
        report = admin.get("/webhooks").json()
        deliveries = admin.get("/webhooks/deliveries").json()
        truth = admin.get("/bookings").json()

        assert (0.5, 2) == (faults["lose"], faults["seed"])
        assert listener.url == report["subscriptions"][0]["url"]
        assert report["made"] == report["answered"] + report["lost"] == len(deliveries)
        assert report["lost"] > 0
        assert sorted(codes) == sorted(booking["code"] for booking in truth)
        assert {"code", "listing_id", "status", "check_in", "check_out", "updated_at"} <= truth[0].keys()
        admin.delete("/webhooks/faults").raise_for_status()
        assert sandbox.webhooks.faults == DeliveryFaults()
        admin.delete("/webhooks").raise_for_status()
        assert [] == admin.get("/webhooks").json()["subscriptions"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/webhooks", {"channel": "ical", "url": "http://127.0.0.1/x"}),
        ("/webhooks", {"channel": "airbnb", "url": "ftp://127.0.0.1/x"}),
        ("/webhooks", {"url": "http://127.0.0.1"}),
        ("/webhooks/faults", {"lose": 2}),
        ("/webhooks/faults", {"reorder": 0}),
        ("/webhooks/faults", {"loose": 0.5}),
        ("/world", {"book_many": {"count": "many"}}),
    ],
)
def test_nonsense_is_named(client: httpx.Client, path: str, told: dict[str, Any]) -> None:
    """What cannot be done is answered 400 with a reason."""
    answer = client.post(f"/_sandbox{path}", json=told)

    assert 400 == answer.status_code
    assert answer.json()["error"]


def test_subscribed_from_the_command_line(listener: Listener) -> None:
    """`channel-sync sandbox --webhooks URL` delivers what is scripted into it, and ends when it is told to."""
    command = [sys.executable, "-m", "channel_sync.cli", "sandbox", "--webhooks", listener.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            admin = process.stdout.readline().split()[-1] + "/_sandbox"
            script = {"book_many": {"count": 1, "happenings": 1}}
            made = httpx.post(f"{admin}/world", json=script).json()["codes"]
            for _ in range(200):
                if made[0] in {code for code, _ in revisions(listener.bodies())}:
                    break
                time.sleep(0.05)
            else:
                raise AssertionError("nothing was delivered")
        finally:
            process.terminate()
        assert 0 == process.wait(20)


def test_bookings_at_random_are_the_same_for_a_seed() -> None:
    """The same seed makes the same bookings, altered and cancelled alike; no night is sold twice."""

    def made(seed: int) -> list[Any]:
        sandbox = Sandbox(world=World.empty(listings=6), clock=Clock(NOW))
        sandbox.bookings_at_random(80, seed, happenings=240)
        return list(sandbox.world.bookings(NOW))

    first = made(7)
    sold = Counter(
        (booking.listing_id, booking.check_in + timedelta(days=night))
        for booking in first
        if booking.confirmed
        for night in range(booking.nights)
    )
    assert first == made(7)
    assert first != made(8)
    assert {1} == set(sold.values())
    assert 10 < sum(not booking.confirmed for booking in first) < 60
    assert sum(booking.updated_at != booking.booked_at for booking in first) > 40


def test_deliveries_in_the_own_hands(listener: Listener, tmp_path: Path) -> None:
    """A test can have the signed requests without anything being sent, and send them as often as it likes."""
    with Sandbox(world=World.empty(), clock=Clock(NOW)) as sandbox:
        deliveries = Deliveries(sandbox, listener.url)
        sandbox.world.book("1001", date(2026, 5, 1), date(2026, 5, 4), at=NOW)
        (request,) = deliveries.since_last()

        assert ([], []) == (deliveries.since_last(), listener.heard)
        with httpx.Client() as client:
            assert [204, 204] == [client.send(request).status_code for _ in range(2)]
        assert all(openssl_verifies(heard, "127.0.0.1", tmp_path) for heard in listener.heard)
