import json
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime
from time import monotonic, sleep

import httpx
import icalendar
import pytest

from channel_sync.sandbox.exchange import Answer
from channel_sync.sandbox.faults import KINDS, Fault, Faults, fault_from, fault_to_wire
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.world import World

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
IMPATIENT = httpx.Timeout(5, read=0.05)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One listing with three stays."""
    world = World.empty(1)
    for month in (1, 2, 3):
        world.book("1001", date(2027, month, 1), date(2027, month, 4), at=NOW)
    with Sandbox(world=world) as sandbox:
        sandbox.clock.set(NOW)
        yield sandbox


@pytest.fixture
def feed(sandbox: Sandbox) -> str:
    """The URL of its feed on Vrbo, which sends validators."""
    return sandbox.feed_url("vrbo", "1001")


def raw(url: str) -> bytes:
    """Everything that arrives until the other side hangs up, without any HTTP library in between."""
    target = httpx.URL(url)
    with socket.create_connection((target.host, target.port), timeout=5) as connection:
        connection.sendall(
            b"GET " + target.raw_path + b" HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n"
        )
        found = b""
        while chunk := connection.recv(65_536):
            found += chunk
        return found


def starts(body: bytes) -> list[date]:
    """Where the events of a calendar start."""
    return [event.decoded("DTSTART") for event in icalendar.Calendar.from_ical(body).walk("VEVENT")]


def test_a_late_answer_is_a_true_one(sandbox: Sandbox, feed: str) -> None:
    """Latency holds the answer back and changes nothing else; a call is known while it waits."""
    sandbox.faults.add(Fault("latency", seconds=0.15))
    began = monotonic()

    assert len(starts(httpx.get(feed).content)) == 3
    assert monotonic() - began >= 0.15
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(feed, timeout=IMPATIENT)
    arrived = monotonic()
    while len(sandbox.calls) < 2 and monotonic() - arrived < 5:
        sleep(0.01)
    assert len(sandbox.calls) == 2


def test_leaving_does_not_wait_for_a_late_answer(sandbox: Sandbox, feed: str) -> None:
    """A sandbox that closes does not sit out its own latency."""
    sandbox.faults.add(Fault("latency", seconds=60))
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(feed, timeout=IMPATIENT)
    began = monotonic()
    sandbox.__exit__(None, None, None)

    assert monotonic() - began < 5


@pytest.mark.parametrize("retry_after", [None, "2", "Mon, 23 Nov 2026 12:00:30 GMT"])
def test_a_status_speaks_the_channels_words(sandbox: Sandbox, feed: str, retry_after: str | None) -> None:
    """A status comes with Airbnb's error body on Airbnb, plain text on a feed, and Retry-After as told."""
    sandbox.faults.add(Fault("status", code=429, retry_after=retry_after))
    ours, theirs = httpx.get(feed), httpx.get(f"{sandbox.url}/airbnb/v2/listings")

    assert (ours.status_code, theirs.status_code) == (429, 429)
    assert ours.headers["Content-Type"].startswith("text/plain")
    assert theirs.json()["error_class"] == "ConcurrencyLimitError"
    assert retry_after == ours.headers.get("Retry-After") == theirs.headers.get("Retry-After")


def test_a_status_can_have_any_body(sandbox: Sandbox, feed: str) -> None:
    """The body, its type and even a status that is not in the books are as told."""
    sandbox.faults.add(Fault("status", code=522, body="<h1>gone</h1>", content_type="text/html"))
    answer = httpx.get(feed)

    assert (answer.status_code, answer.text, answer.headers["Content-Type"]) == (
        522,
        "<h1>gone</h1>",
        "text/html",
    )


def test_a_dropped_connection_gives_no_answer(sandbox: Sandbox, feed: str) -> None:
    """Not one byte arrives; the call is recorded without a status."""
    sandbox.faults.add(Fault("drop"))

    assert raw(feed) == b""
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(feed)
    assert [call.status for call in sandbox.calls] == [None, None]


def test_a_connection_can_drop_after_the_headers(sandbox: Sandbox, feed: str) -> None:
    """The headers announce a body of which nothing comes."""
    sandbox.faults.add(Fault("drop", after="headers"))
    head, _, body = raw(feed).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == b""
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(feed)


def test_a_body_is_cut_short(sandbox: Sandbox, feed: str) -> None:
    """The whole length is announced, a part is sent, the connection ends."""
    whole = httpx.get(feed).content
    sandbox.faults.add(Fault("truncate", bytes=100))
    head, _, body = raw(feed).partition(b"\r\n\r\n")

    assert f"Content-Length: {len(whole)}".encode() in head
    assert whole[:100] == body
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(feed)


def test_success_without_sense(sandbox: Sandbox, feed: str) -> None:
    """A page for people, nothing at all and another shape all come as 200."""
    found = {}
    for kind in ("html", "empty_body", "wrong_shape"):
        sandbox.faults.add(fault_from({"kind": kind, "times": 2}))
        found[kind] = httpx.get(feed), httpx.get(f"{sandbox.url}/airbnb/v2/listings/1001")

    assert {200} == {answer.status_code for pair in found.values() for answer in pair}
    assert all(answer.headers["Content-Type"].startswith("text/html") for answer in found["html"])
    assert [answer.content for answer in found["empty_body"]] == [b"", b""]
    calendar, shape = found["wrong_shape"]
    assert {"data", "meta"} == shape.json().keys()
    assert (calendar.text.count("BEGIN:VEVENT"), calendar.text.count("END:VEVENT")) == (1, 0)
    assert calendar.text.endswith("END:VCALENDAR\r\n")


def test_another_shape_is_of_the_same_format() -> None:
    """XML stays XML, of no message that any channel has."""
    truth = Answer(200, b"<reservations/>", "application/xml; charset=utf-8")
    answer = Fault("wrong_shape").applied(lambda: truth, Answer)

    assert (answer.status, answer.content_type) == (200, truth.content_type)
    assert b"<banner" in answer.body


def test_an_expired_token_is_airbnbs_401(sandbox: Sandbox) -> None:
    """authentication_required, whatever token was sent."""
    sandbox.faults.add(Fault("expired_token"))
    answer = httpx.get(f"{sandbox.url}/airbnb/v2/listings/1001")

    assert (answer.status_code, answer.json()["error"]) == (401, "authentication_required")


def test_a_refused_refresh_was_not_done_and_a_lost_one_was(sandbox: Sandbox) -> None:
    """An error leaves the refresh token as it was; an answer lost on its way does not."""
    tokens = sandbox.airbnb.tokens
    tokens.rotate, first = True, tokens.refresh_token
    path = f"{sandbox.url}/airbnb/v2/oauth2/authorizations"
    credentials = tokens.client_id, tokens.client_secret

    sandbox.faults.add(Fault("status", code=503, times=1))
    assert httpx.post(path, json={"refresh_token": first}, auth=credentials).status_code == 503
    assert first == tokens.refresh_token
    sandbox.faults.add(Fault("drop", after="headers", times=1))
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(path, json={"refresh_token": first}, auth=credentials)
    assert first != tokens.refresh_token


def test_a_feed_loses_its_events(sandbox: Sandbox, feed: str) -> None:
    """An empty and a shrunken feed are valid calendars that lack events, without the true one's validators."""
    whole = httpx.get(feed)
    sandbox.faults.add(Fault("empty_feed", times=1))
    sandbox.faults.add(Fault("shrunken_feed", keep=2, times=1))
    empty, shrunken = (httpx.get(feed, headers={"If-None-Match": whole.headers["ETag"]}) for _ in range(2))

    assert (empty.status_code, shrunken.status_code) == (200, 200)
    assert starts(empty.content) == []
    assert starts(whole.content)[:2] == starts(shrunken.content)
    assert "ETag" not in empty.headers
    assert whole.content == httpx.get(feed).content


def test_a_feed_ends_in_the_middle(sandbox: Sandbox, feed: str) -> None:
    """The length is honest, the last event has no end and the calendar neither."""
    whole = httpx.get(feed).text
    sandbox.faults.add(Fault("cut_feed"))
    cut = httpx.get(feed)

    assert whole.startswith(cut.text)
    assert cut.text.count("BEGIN:VEVENT") == cut.text.count("END:VEVENT") + 1
    assert "END:VCALENDAR" not in cut.text


def test_an_empty_feed_is_cut_too() -> None:
    """A calendar without events is cut before its end."""
    with Sandbox(world=World.empty(1)) as sandbox:
        sandbox.faults.add(Fault("cut_feed"))
        body = httpx.get(sandbox.feed_url("airbnb", "1001")).text

    assert body.startswith("BEGIN:VCALENDAR\r\n")
    assert "END:VCALENDAR" not in body


def test_the_first_fault_with_times_left_applies() -> None:
    """Faults wait their turn, each for the paths and methods it is meant for."""
    faults = Faults()
    faults.add(Fault("html", path="/airbnb/v2/calendars/*", times=2))
    faults.add(Fault("drop", times=1))
    faults.add(Fault("status", method="POST"))

    def met(method: str, path: str) -> str | None:
        fault = faults.take(method, path)
        return None if fault is None else fault.kind

    calendar = "/airbnb/v2/calendars/1001/2027-01-01/2027-01-02"
    assert [met("GET", calendar), met("GET", calendar), met("GET", calendar), met("GET", calendar)] == [
        "html",
        "html",
        "drop",
        None,
    ]
    assert met("POST", calendar) == "status"
    faults.clear()
    assert met("POST", calendar) is None


def test_every_nth_request_goes_wrong() -> None:
    """A fault counts the requests that it could meet, also those that another one took, and uses up its times."""
    faults = Faults()
    faults.add(Fault("drop", path="/airbnb/*", every=2, times=2))
    faults.add(Fault("status", path="/airbnb/*", every=3))
    faults.add(Fault("html", path="/ical/*"))

    met = [faults.take("GET", "/airbnb/v2/listings") for _ in range(9)]

    assert [None, "drop", "status", "drop", None, "status", None, None, "status"] == [
        fault.kind if fault else None for fault in met
    ]
    assert ["status", "html"] == [fault.kind for fault in faults.listed()]


def test_faults_cross_the_wire_whole() -> None:
    """Every kind of fault survives the way to JSON and back."""
    for kind in KINDS:
        fault = fault_from({"kind": kind, "path": "/ical/*", "times": 3})
        assert fault == fault_from(json.loads(json.dumps(fault_to_wire(fault))))


@pytest.mark.parametrize(
    ("wire", "named"),
    [
        ({"kind": "flood"}, "flood"),
        ({"path": "*"}, "kind"),
        ({"kind": "status", "status": 500}, "status"),
        ({"kind": "drop", "times": 0}, "0"),
        ({"kind": "drop", "every": 0}, "every 0"),
        ({"kind": "drop", "after": "lunch"}, "lunch"),
    ],
)
def test_a_fault_that_is_none_is_refused(wire: dict[str, object], named: str) -> None:
    """An unknown kind or field is refused by name."""
    with pytest.raises(ValueError, match=named):
        fault_from(wire)
