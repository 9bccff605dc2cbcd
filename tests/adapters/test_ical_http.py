"""The feed's URL on a real wire: what is sent byte for byte, what is believed, and what never leaks."""

import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from adapters.accounts import Account, Listing
from adapters.calendar_feed.download import MAX_BODY_BYTES
from adapters.errors import (
    AuthenticationFailed,
    ChannelError,
    ConfigurationError,
    RateLimited,
    Rejected,
    Unavailable,
    UnexpectedResponse,
)
from adapters.ical.adapter import ICalAdapter
from adapters.model import AvailabilityPage, Evidence, Secret, Stay, Validators
from adapters.spending import Spend, spend_of
from tests.adapters.ical_rendering import calendar, event
from tests.adapters.token_stores import TokensInMemory

WINDOW = Stay(date(2026, 8, 1), date(2026, 9, 1))
SECRETS = ("s3cret", "t0ken")  # held here: a trace shows the lines of the tests themselves
FEED = event("DTSTART:20260801", "DTEND:20260803", "UID:1-1@airbnb.com", "SUMMARY:Reserved")


@dataclass
class Answer:
    """What the host answers on one path."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = FEED
    length: int | None = None  # announced, where it differs from the body's


@dataclass
class Host:
    """A host of feeds on this machine. ``targets`` is every request target as it arrived, still in bytes' form."""

    url: str
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    targets: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture
def host() -> Iterator[Host]:
    """A threaded HTTP server. It gives its answers in turn, the last one again and again."""
    known = Host("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.targets.append(self.requestline.split(" ")[1])
            known.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = known.answers.pop(0) if len(known.answers) > 1 else known.answers[0]
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 304:
                self.send_header(
                    "Content-Length", str(len(answer.body) if answer.length is None else answer.length)
                )
            self.end_headers()
            if answer.status != 304:
                self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def adapter(transport: httpx.BaseTransport | None = None) -> Iterator[ICalAdapter]:
    """The adapter of an account of feeds, with a client of its own."""
    with httpx.Client(transport=transport, timeout=5, trust_env=False) as client:
        yield ICalAdapter(
            client, Account("feeds"), TokensInMemory(), lambda: datetime(2026, 8, 1, tzinfo=UTC)
        )


def pull(url: str, validators: Validators | None = None) -> AvailabilityPage:
    """The one page of the feed at that address."""
    with adapter() as feeds:
        (page,) = feeds.pull_availability(listing(url), WINDOW, validators or Validators())
    return page


def listing(url: str, zone: str = "Europe/Lisbon") -> Listing:
    """The listing of that feed."""
    return Listing("studio-vrbo", zone, "EUR", secrets={"feed_url": Secret(url)})


def test_one_page_tells_the_closed_nights(host: Host) -> None:
    """A pull is one page of closed nights with ABSENCE evidence, the host's validators and a fingerprint."""
    host.answers = [
        Answer(headers={"ETag": 'W/"a,b"', "Last-Modified": "Sat, 01 Aug 2026 00:00:00 GMT"}),
    ]

    page = pull(f"{host.url}/feed.ics")

    assert (
        page.evidence,
        page.window,
        page.listing_id,
        page.unchanged,
    ) == (Evidence.ABSENCE, WINDOW, "studio-vrbo", False)
    assert [str(night.night) for night in page.nights] == ["2026-08-01", "2026-08-02"]
    assert Validators('W/"a,b"', "Sat, 01 Aug 2026 00:00:00 GMT") == page.validators
    assert page.fingerprint


@pytest.mark.parametrize(
    "target",
    [
        "/icalendar/0123456789abcdef0123456789abcdef.ics?nonTentative",
        "/icalendar/a.ics?nonTentative&t=",
        "/icalendar/a.ics?&&t==x&",
        "/v1/export?t=%7e%2F%2f~/?",
        "/a/../b//c/./d.ics",
        "/calendar/ical/1.ics?t=a+b;c,d:e@f[0]|{}^`\\",
        "/?",
    ],
)
def test_the_url_goes_out_byte_for_byte(host: Host, target: str) -> None:
    """Vrbo's key-only query stays key-only, and nothing else of path or query is tidied; a fragment is not sent."""
    pull(f"{host.url}{target}#part")

    assert [target] == host.targets


def test_a_bare_host_asks_for_its_root(host: Host) -> None:
    """An address without a path asks for "/"."""
    pull(host.url)
    pull(f"{host.url}?nonTentative")

    assert host.targets == ["/", "/?nonTentative"]


def test_asks_only_if_it_changed(host: Host) -> None:
    """Validators are sent as they were given, and a 304 is an unchanged page with the same validators."""
    host.answers = [Answer(status=304, headers={"ETag": '"new"'})]
    validators = Validators('"v1"', "Sat, 01 Aug 2026 00:00:00 GMT")

    page = pull(f"{host.url}/feed.ics", validators)

    assert (
        host.headers[0]["if-none-match"],
        host.headers[0]["if-modified-since"],
    ) == ('"v1"', "Sat, 01 Aug 2026 00:00:00 GMT")
    assert (True, (), "", validators) == (page.unchanged, page.nights, page.fingerprint, page.validators)


def test_asks_for_all_of_it_the_first_time(host: Host) -> None:
    """Without validators no condition is sent, and a 304 is then no answer."""
    pull(f"{host.url}/feed.ics")
    host.answers = [Answer(status=304)]
    with pytest.raises(UnexpectedResponse):
        pull(f"{host.url}/feed.ics")

    assert not {"if-none-match", "if-modified-since"} & host.headers[0].keys()


def test_a_validator_that_cannot_be_sent_back_is_dropped(host: Host) -> None:
    """An ETag outside ASCII would break the next request: it is not kept."""
    host.answers = [Answer(headers={"ETag": '"é"'})]

    assert Validators() == pull(f"{host.url}/feed.ics").validators


def test_follows_a_few_redirects(host: Host) -> None:
    """Three hops lead to the feed, conditions and key-only queries included; a fourth is refused."""
    hops = [Answer(status, {"Location": f"/hop{status}?nonTentative"}) for status in (301, 302, 307)]
    host.answers = [*hops, Answer()]

    page = pull(f"{host.url}/a/../b", Validators('"v1"'))

    assert len(page.nights) == 2
    assert ["/a/../b", *(f"/hop{status}?nonTentative" for status in (301, 302, 307))] == host.targets
    assert {'"v1"'} == {headers["if-none-match"] for headers in host.headers}
    host.answers = [Answer(308, {"Location": "/again"})]
    with pytest.raises(UnexpectedResponse, match="more than 3 redirects"):
        pull(f"{host.url}/feed.ics")


def test_a_followed_redirect_says_what_it_spends() -> None:
    """Each hop is marked as a call for the feed, so that the new host's own limits count it."""
    asked: list[tuple[str, Spend | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.host, spend_of(request)))
        if len(asked) < 3:
            return httpx.Response(302, headers={"Location": f"https://host-{len(asked)}.example/f.ics"})
        return httpx.Response(200, content=FEED)

    with adapter(httpx.MockTransport(answer)) as feeds:
        list(feeds.pull_availability(listing("https://host-0.example/f.ics"), WINDOW, Validators()))

    spend = Spend("feed", listing_id="studio-vrbo")
    assert [("host-0.example", spend), ("host-1.example", spend), ("host-2.example", spend)] == asked


@pytest.mark.parametrize(
    "location", ["http://feeds.example/f.ics", "ftp://feeds.example/f.ics", "file:///etc/passwd"]
)
def test_never_follows_to_a_weaker_scheme(location: str) -> None:
    """From https a feed is never followed to http, nor to anything that is not the web."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.scheme)
        return httpx.Response(302, headers={"Location": location})

    with adapter(httpx.MockTransport(answer)) as feeds, pytest.raises(UnexpectedResponse, match="redirected"):
        list(feeds.pull_availability(listing("https://feeds.example/f.ics"), WINDOW, Validators()))

    assert asked == ["https"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(body=b""), UnexpectedResponse),
        (Answer(body=b"<html>Sign in</html>"), UnexpectedResponse),
        (Answer(body=FEED[:-20]), UnexpectedResponse),
        (Answer(status=204, body=b""), UnexpectedResponse),
        (Answer(status=206), UnexpectedResponse),
        (Answer(status=301), UnexpectedResponse),
        (Answer(headers={"Content-Encoding": "gzip"}), UnexpectedResponse),
        (Answer(body=b" " * (MAX_BODY_BYTES + 1)), UnexpectedResponse),
        (Answer(length=len(FEED) + 10), Unavailable),
        (Answer(status=302, headers={"Location": "http://[bad"}), ChannelError),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), Unavailable),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:99999/"}), UnexpectedResponse),
        (Answer(status=302, headers={"Location": f"http://{'x' * 64}.example/"}), UnexpectedResponse),
        (Answer(status=401), AuthenticationFailed),
        (Answer(status=403), AuthenticationFailed),
        (Answer(status=404), Rejected),
        (Answer(status=410), Rejected),
        (Answer(status=429, headers={"Retry-After": "7"}), RateLimited),
        (Answer(status=500), Unavailable),
        (Answer(status=503), Unavailable),
    ],
)
def test_what_is_no_feed_raises_and_tells_no_url(host: Host, answer: Answer, error: type[Exception]) -> None:
    """Every bad answer is an error that names the listing; no part of the URL is in it, in its cause or its trace."""
    host.answers = [answer]

    with pytest.raises(error) as caught:
        pull("{}/{}.ics?t={}".format(host.url, *SECRETS))

    assert "studio-vrbo" in str(caught.value)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert not [secret for secret in SECRETS if secret in told]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_host_that_is_not_there_is_unavailable() -> None:
    """No connection is Unavailable, without the address."""
    with pytest.raises(Unavailable) as caught:
        pull("http://127.0.0.1:1/{}?{}".format(*SECRETS))

    assert SECRETS[0] not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    ["", "s3cret.ics", "webcal://h/s3cret.ics", "https:///s3cret.ics", "https://h/s3cret.ics\n", "http://127.0.0.1:99999/s3cret", "https://a..b/s3cret", "https://" + "s3cret" * 11 + ".com/", "https://h:s3cret/"],
)  # fmt: skip
def test_an_unusable_address_is_a_matter_of_configuration(url: str) -> None:
    """A malformed secret is refused before any call, by the name of its listing and not by its value."""
    with pytest.raises(ConfigurationError, match=r"'studio-vrbo'.*https://") as caught:
        pull(url)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_missing_settings_are_named() -> None:
    """A listing without a feed URL, or with a time zone nobody knows, is told so before any call."""
    with adapter() as feeds:
        with pytest.raises(ConfigurationError, match="'feed_url'"):
            list(feeds.pull_availability(Listing("a", "UTC", "EUR"), WINDOW, Validators()))
        with pytest.raises(ConfigurationError, match="'Europe/Atlantis'"):
            list(feeds.pull_availability(listing("http://h/", "Europe/Atlantis"), WINDOW, Validators()))


def test_credentials_are_not_verified(host: Host) -> None:
    """An account of feeds has nothing to verify: no call is made."""
    with adapter() as feeds:
        feeds.verify_credentials()

    assert host.targets == []


def test_one_bad_event_is_a_problem_of_the_page(host: Host) -> None:
    """The page carries what could not be read beside what could."""
    host.answers = [
        Answer(
            body=calendar(
                *("BEGIN:VEVENT", "DTSTART:x", "UID:bad", "END:VEVENT"),
                *("BEGIN:VEVENT", "DTSTART:20260802", "UID:good", "END:VEVENT"),
            )
        )
    ]

    page = pull(f"{host.url}/feed.ics")

    assert (
        [problem.where for problem in page.problems],
        [night.reference for night in page.nights],
    ) == (["bad"], ["good"])
