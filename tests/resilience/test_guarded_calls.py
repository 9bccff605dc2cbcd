"""Every way a call can end, and what limiter, circuit and counters are told of it."""

import ast
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Event

import httpx
import pytest

import adapters
from adapters.base_adapter import Quota, QuotaScope
from adapters.errors import Unavailable
from adapters.spending import Spend, marked
from channel_sync.resilience.circuit_breaker.policy import BreakerPolicy, CircuitOpenError
from channel_sync.resilience.circuit_breaker.postgres import PostgresCircuitBreaker
from channel_sync.resilience.rate_limiter.limits import RateLimitTimeout
from channel_sync.resilience.rate_limiter.postgres import PostgresRateLimiter
from channel_sync.resilience.transport import GuardedClient
from channel_sync.sandbox.faults import Fault
from channel_sync.sandbox.server import Sandbox
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session
from tests.house import House
from tests.resilience.guarded_scene import PAUSE_S, SPEND, Scene, ask, caller, scene

WIDE = Quota(1000, timedelta(seconds=1), QuotaScope.IP, burst=100)
PER_LISTING = Quota(1000, timedelta(seconds=1), QuotaScope.LISTING, burst=100)
ONE_AN_HOUR = Quota(1, timedelta(hours=1), QuotaScope.IP)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Something real to call."""
    with Sandbox() as sandbox:
        yield sandbox


def target(sandbox: Sandbox) -> str:
    """A path that the sandbox counts the calls of."""
    return f"{sandbox.url}/airbnb/v2/listings"


def still_free(guarded: Scene, sandbox: Sandbox) -> bool:
    """Whether nothing is left of the calls before: no held key, no admission without an end."""
    host = sandbox.url.removeprefix("http://")
    with guarded.in_flight.hold(f"nest/{host}/account/north/calendars", timeout_s=0):
        pass
    return [admission for admission, _ in guarded.breaker.settled] == guarded.breaker.admitted


@pytest.mark.parametrize(
    ("fault", "outcome", "verdict", "pause_s"),
    [
        (Fault("html"), "200", "success", None),
        (Fault("status", code=304), "304", "success", None),
        (Fault("status", code=302), "302", "success", None),
        (Fault("status", code=401), "401", "success", None),
        (Fault("status", code=404), "404", "success", None),
        (Fault("status", code=429, retry_after="3"), "429", "success", 3.0),
        (Fault("status", code=429), "429", "success", PAUSE_S),
        (Fault("status", code=429, retry_after="0"), "429", "success", PAUSE_S),
        (Fault("status", code=503, retry_after="7"), "503", "success", 7.0),
        (Fault("status", code=503), "503", "HTTP 503", None),
        (Fault("status", code=500, retry_after="7"), "500", "HTTP 500", None),
        (Fault("status", code=502), "502", "HTTP 502", None),
        (Fault("status", code=408), "408", "HTTP 408", None),
        (Fault("drop"), "RemoteProtocolError", "RemoteProtocolError", None),
        (Fault("drop", after="headers"), "RemoteProtocolError", "RemoteProtocolError", None),
        (Fault("truncate", bytes=20), "RemoteProtocolError", "RemoteProtocolError", None),
        (Fault("latency", seconds=20.0), "ReadTimeout", "ReadTimeout", None),
    ],
    ids=lambda value: (
        f"{value.kind}-{value.code}-{value.retry_after}-{value.after}" if isinstance(value, Fault) else ""
    ),
)
def test_what_everybody_is_told(
    sandbox: Sandbox, fault: Fault, outcome: str, verdict: str, pause_s: float | None
) -> None:
    """A limit penalises every key of the call and is no fault; only faults of the channel are the circuit's."""
    guarded = scene()
    sandbox.faults.add(fault)
    with guarded.client(quotas=[WIDE, PER_LISTING]) as client:
        client.timeout = httpx.Timeout(20.0, read=0.2 if fault.kind == "latency" else 20.0)
        if outcome.isdecimal():
            assert outcome == str(ask(client, target(sandbox)).status_code)
        else:
            with pytest.raises(getattr(httpx, outcome)):
                ask(client, target(sandbox))
    host = sandbox.url.removeprefix("http://")
    keys = (f"nest/{host}/ip", f"nest/{host}/account/north/listing/42")
    assert [(keys, pause_s)] * (pause_s is not None) == guarded.limiter.penalties
    assert [verdict] == guarded.breaker.verdicts()
    assert {outcome: 1} == guarded.outcomes()
    assert still_free(guarded, sandbox)


def test_nobody_there_is_a_fault(sandbox: Sandbox) -> None:
    """A refused connection is counted and told to the circuit."""
    guarded = scene()
    url = target(sandbox)
    sandbox.__exit__(None, None, None)
    with guarded.client() as client, pytest.raises(httpx.ConnectError):
        ask(client, url)
    assert ["ConnectError"] == guarded.breaker.verdicts()
    assert {"ConnectError": 1} == guarded.outcomes()


def test_a_header_that_cannot_be_sent_is_no_fault_of_the_channel(sandbox: Sandbox) -> None:
    """What never left for a defect of ours is not held against the channel."""
    guarded = scene()
    with guarded.client() as client:
        request = client.build_request("GET", target(sandbox), headers={"X-Bad": "a\nb"})
        with pytest.raises(httpx.LocalProtocolError):
            client.send(marked(request, SPEND))
    assert ["abandoned"] == guarded.breaker.verdicts()
    assert [] == list(sandbox.calls)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError, httpx.DecodingError("gzip")])
def test_whatever_ends_a_call_leaves_nothing_behind(
    sandbox: Sandbox, error: BaseException | type[BaseException]
) -> None:
    """An interrupt or a defect lets go of the in-flight key and settles the admission."""
    guarded = scene()

    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with (
        guarded.over(httpx.MockTransport(fail)) as client,
        pytest.raises(error if isinstance(error, type) else type(error)),
    ):
        ask(client, target(sandbox))
    assert still_free(guarded, sandbox)
    assert [
        "success" if isinstance(error, httpx.DecodingError) else "abandoned"
    ] == guarded.breaker.verdicts()


def test_a_probe_that_could_not_be_made_gives_its_permit_back(sandbox: Sandbox) -> None:
    """A probe refused by the rate limit leaves the circuit as it was for the next one."""
    guarded = scene(BreakerPolicy(failures=1, open_s=0.05))
    sandbox.faults.add(Fault("status", code=500, times=1))
    with guarded.client("one", [ONE_AN_HOUR]) as limited, guarded.client("two") as free:
        ask(limited, target(sandbox))
        time.sleep(0.1)
        with pytest.raises(RateLimitTimeout):
            ask(limited, target(sandbox))
        assert guarded.breaker.admitted[-1].probe
        ask(free, target(sandbox))
    assert guarded.breaker.admitted[-1].probe
    assert ["HTTP 500", "abandoned", "success"] == guarded.breaker.verdicts()
    assert {"500": 1, "refused: rate limit": 1, "401": 1} == guarded.outcomes()
    assert 2 == len(sandbox.calls)


def test_a_limit_seen_by_one_is_kept_by_all(sandbox: Sandbox) -> None:
    """After one account's 429 with Retry-After: 1, no call of another reaches the channel within that second."""
    guarded = scene()
    sandbox.faults.add(Fault("status", code=429, retry_after="1", times=1))
    with guarded.client("north") as north, guarded.client("south") as south:
        ask(north, target(sandbox))
        ask(south, target(sandbox), Spend("feed"))
        assert south.waited_of_this_thread() > 0.2
    first, second = sandbox.calls
    assert second.arrived - first.arrived >= 1.0


def test_an_open_circuit_costs_no_call_and_no_permit(sandbox: Sandbox) -> None:
    """From the opening on nothing reaches the channel, and no permit is taken."""
    guarded = scene(BreakerPolicy(failures=3, open_s=60.0))
    sandbox.faults.add(Fault("status", code=500))
    with guarded.client(quotas=[WIDE]) as client:
        for _ in range(3):
            ask(client, target(sandbox))
        permits = list(guarded.limiter.permits)
        for _ in range(5):
            with pytest.raises(CircuitOpenError) as caught:
                ask(client, target(sandbox))
        assert 3 == client.requests_of_this_thread()
    assert caught.value.retry_after is not None
    assert 3 == len(sandbox.calls)
    assert permits == guarded.limiter.permits
    assert {"500": 3, "refused: circuit open": 5} == guarded.outcomes()


def test_a_circuit_that_opened_while_a_call_waited_is_asked_again(sandbox: Sandbox) -> None:
    """A call that was admitted and then waited for its permit is not sent into an open circuit."""
    guarded = scene(BreakerPolicy(failures=1, open_s=60.0))
    busy = Quota(1, timedelta(seconds=1), QuotaScope.IP)
    with guarded.client(quotas=[busy]) as client:
        ask(client, target(sandbox))
        earlier = guarded.breaker.admit(guarded.breaker.admitted[0].key)
        guarded.limiter.before_permit = lambda: guarded.breaker.record_failure(earlier, "ConnectError")
        with pytest.raises(CircuitOpenError):
            ask(client, target(sandbox))
    assert 1 == len(sandbox.calls)
    assert {"401": 1, "refused: circuit open": 1} == guarded.outcomes()


def test_a_permit_too_far_away_is_not_waited_for(sandbox: Sandbox) -> None:
    """What would wait longer than the transport does is refused at once, and says how long it would have been."""
    guarded = scene()
    with guarded.client(quotas=[ONE_AN_HOUR]) as client:
        ask(client, target(sandbox))
        with pytest.raises(RateLimitTimeout) as caught:
            ask(client, target(sandbox))
        assert 3000 < (caught.value.retry_after or 0) < 3700
    assert 1 == len(sandbox.calls)
    assert still_free(guarded, sandbox)


def test_waits_and_requests_are_counted_by_thread(sandbox: Sandbox) -> None:
    """Each listing's pull runs in one thread: its requests and its waits are its own."""
    guarded = scene()
    pace = Quota(5, timedelta(seconds=1), QuotaScope.IP)
    spend = Spend("calendars")
    with guarded.client(quotas=[pace]) as client, ThreadPoolExecutor(2) as threads:
        both = Barrier(2)

        def work(times: int) -> tuple[int, float]:
            both.wait(timeout=20)
            for _ in range(times):
                ask(client, target(sandbox), spend)
            return client.requests_of_this_thread(), client.waited_of_this_thread()

        (three, waited_three), (five, waited_five) = threads.map(work, [3, 5])
        assert (0, 0.0) == (client.requests_of_this_thread(), client.waited_of_this_thread())
    assert (3, 5) == (three, five)
    assert waited_three + waited_five > 0.3
    guarded.counts.flush()
    assert waited_three + waited_five == pytest.approx(sum(row.waited_s for row in guarded.rows))
    assert all(row.longest_s <= row.took_s for row in guarded.rows)


def test_calls_one_at_a_time_do_not_overlap(sandbox: Sandbox) -> None:
    """Calls with the same word are sent one after another, also by several clients of the account; others are not held."""
    guarded = scene()
    sandbox.faults.add(Fault("latency", seconds=0.2, times=3))
    arrived = Event()

    def slow(_: int) -> None:
        with guarded.client() as client:
            ask(client, target(sandbox))
            arrived.set()

    with ThreadPoolExecutor(3) as threads, guarded.client() as other:
        running = [threads.submit(slow, number) for number in range(3)]
        arrived.wait(timeout=20)
        ask(other, target(sandbox), Spend("listings"))
        for each in running:
            each.result(timeout=20)
    times = sorted(call.arrived for call in sandbox.calls)
    assert 4 == len(times)
    assert times[-1] - times[0] > 0.35


def test_an_unmarked_request_is_refused(sandbox: Sandbox) -> None:
    """The error names the method and the host; a path can be a secret. Nothing is sent, held or counted."""
    guarded = scene()
    with (
        guarded.client() as client,
        pytest.raises(RuntimeError, match=r"GET to 127\.0\.0\.1:\d+ is not marked") as caught,
    ):
        client.get(f"{sandbox.url}/ical/s3cret.ics?t=s3cret")
    assert "s3cret" not in str(caught.value)
    assert [] == list(sandbox.calls)
    assert ({}, []) == (guarded.outcomes(), guarded.breaker.admitted)


def test_a_mark_that_lacks_what_is_counted_by_is_refused(sandbox: Sandbox) -> None:
    """A quota per listing and a call without one is a defect that is told before anything is sent."""
    guarded = scene()
    with (
        guarded.client(quotas=[PER_LISTING]) as client,
        pytest.raises(ValueError, match=r"nest.*'feed'.*listing"),
    ):
        ask(client, target(sandbox), Spend("feed"))
    assert ([], []) == (list(sandbox.calls), guarded.breaker.admitted)


@pytest.mark.parametrize(
    "option",
    [{"mounts": {}}, {"transport": httpx.HTTPTransport}, {"proxy": "http://x"}, {"trust_env": True}],
    ids=lambda option: next(iter(option)),
)
def test_a_client_takes_no_way_around(option: dict[str, object]) -> None:
    """The client that an adapter is handed cannot be built with another transport, a mount or a proxy."""
    with pytest.raises(TypeError):
        GuardedClient(scene().guards(), caller(), **option)


def test_no_adapter_builds_a_way_around() -> None:
    """No channel's code makes a client or a connection of its own: it has the one that it is handed."""
    ways = {
        "Client",
        "AsyncClient",
        "HTTPTransport",
        "get",
        "post",
        "put",
        "patch",
        "delete",
        "request",
        "stream",
    }
    modules = {"socket", "http.client", "urllib.request", "urllib3", "requests", "httpcore", "aiohttp"}
    files = sorted(Path(adapters.__path__[0]).rglob("*.py"))
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="httpx"), attr=name)):
                    assert name not in ways, f"{file.name}: httpx.{name}"
                case ast.Import(names=names):
                    assert modules.isdisjoint(each.name for each in names), file.name
                case ast.ImportFrom(module=str(module), names=names):
                    assert module not in modules, file.name
                    assert module != "httpx" or ways.isdisjoint(each.name for each in names), file.name


def test_a_redirect_passes_the_guards_like_any_call() -> None:
    """What httpx follows by itself, with cookies and all, is admitted, permitted and counted hop by hop, by host."""
    guarded = scene()
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.host == "one.example":
            return httpx.Response(302, headers={"Location": "http://two.example/", "Set-Cookie": "a=b"})
        return httpx.Response(200)

    with guarded.over(httpx.MockTransport(answer), [WIDE], follow_redirects=True) as client:
        response = ask(client, "http://one.example/")
        assert 200 == response.status_code
        assert "trace" not in response.request.extensions
        ask(client, "http://one.example/")
    assert ["nest/one.example", "nest/two.example"] * 2 == [each.key for each in guarded.breaker.admitted]
    assert ["nest/one.example/ip", "nest/two.example/ip"] * 2 == [
        permit.keys[0] for permit in guarded.limiter.permits
    ]
    assert {"302": 2, "200": 2} == guarded.outcomes()
    assert all("trace" in request.extensions for request in seen)


def test_a_login_of_httpx_passes_the_guards_too() -> None:
    """The second request of a challenge is a call like the first."""
    guarded = scene()

    def answer(request: httpx.Request) -> httpx.Response:
        if "Authorization" in request.headers:
            return httpx.Response(200)
        return httpx.Response(401, headers={"WWW-Authenticate": 'Digest realm="x", nonce="y"'})

    with guarded.over(httpx.MockTransport(answer), [WIDE]) as client:
        request = marked(client.build_request("GET", "http://one.example/"), SPEND)
        assert 200 == client.send(request, auth=httpx.DigestAuth("a", "b")).status_code
    assert 2 == len(guarded.limiter.permits)
    assert {"401": 1, "200": 1} == guarded.outcomes()


def test_a_permit_that_lapsed_before_the_call_left_is_renewed(sandbox: Sandbox) -> None:
    """A slow connection, or a thread that was kept waiting, takes its permit when it can send; others need no second."""
    guarded = scene()
    with guarded.client(quotas=[WIDE]) as client:
        guarded.limiter.spare_s = -1.0  # nothing leaves in time
        ask(client, target(sandbox))
        assert 2 == len(guarded.limiter.permits)
        guarded.limiter.spare_s = 60.0
        ask(client, target(sandbox))
        assert 3 == len(guarded.limiter.permits)
    assert 2 == len(sandbox.calls)


def test_a_renewed_permit_that_is_refused_sends_nothing(sandbox: Sandbox) -> None:
    """Where the second permit is too far away the connection is given up, with nothing sent and nothing held."""
    guarded = scene()
    guarded.limiter.spare_s = -1.0
    with guarded.client(quotas=[ONE_AN_HOUR]) as client, pytest.raises(RateLimitTimeout):
        ask(client, target(sandbox))
    assert [] == list(sandbox.calls)
    assert ["abandoned"] == guarded.breaker.verdicts()
    assert still_free(guarded, sandbox)


def test_the_counters_are_what_the_channel_saw(sandbox: Sandbox) -> None:
    """Calls by status are those that arrived, whatever was answered, from eight threads at once."""
    guarded = scene()
    for code, times in ((500, 7), (429, 0), (404, 5)):
        if times:
            sandbox.faults.add(Fault("status", code=code, times=times))
    with guarded.client(quotas=[WIDE]) as client, ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: ask(client, target(sandbox), Spend("listings")), range(40)))
    assert {"500": 7, "404": 5, "401": 28} == guarded.outcomes()
    seen = [str(call.status) for call in sandbox.calls]
    assert {status: seen.count(status) for status in seen} == guarded.outcomes()


def test_without_the_database_nothing_is_sent(sandbox: Sandbox) -> None:
    """What cannot be counted or guarded is not sent, whichever of the guards cannot reach the database."""
    guarded = scene()
    with Session(Database("postgresql://nobody@127.0.0.1:1/nowhere")) as lost:
        for client in (
            guarded.client(quotas=[WIDE], limiter=PostgresRateLimiter(lost)),
            guarded.client(breaker=PostgresCircuitBreaker(lost)),
        ):
            with client, pytest.raises(Unavailable):
                ask(client, target(sandbox))
    assert [] == list(sandbox.calls)
    assert {"refused: no database": 2} == guarded.outcomes()
    assert still_free(guarded, sandbox)


def test_a_pull_is_guarded_through_the_database(house: House) -> None:
    """A house's pull spends permits, feeds the circuit, tells its waits and is counted call by call."""
    faults = house.sandbox.faults
    faults.add(Fault("status", path="*/calendars/1001/*", code=429, retry_after="1", times=1))
    faults.add(Fault("status", path="*/calendars/1002/*", code=500, times=1))

    results = house.pull("airbnb-demo")

    assert {"stored"} == {result.entry.outcome for result in results}
    # All eight threads were held back by the one 429, but for those whose call was on the way already.
    assert sum(result.entry.waited_s for result in results) >= 1.0
    counted = house.rows(
        "SELECT endpoint, outcome, sum(calls)::int AS calls FROM api_call"
        " WHERE account = 'airbnb-demo' GROUP BY 1, 2 ORDER BY 1, 2"
    )
    assert [
        {"endpoint": "calendars", "outcome": "200", "calls": 6},
        {"endpoint": "calendars", "outcome": "429", "calls": 1},
        {"endpoint": "calendars", "outcome": "500", "calls": 1},
        {"endpoint": "oauth2", "outcome": "200", "calls": 1},
    ] == counted
    assert len(house.sandbox.calls) == sum(row["calls"] for row in counted)
    host = house.sandbox.url.removeprefix("http://")
    (limits,) = house.rows("SELECT key, granted >= 9 AS enough, penalties FROM rate_limit_state")
    assert {"key": f"airbnb/{host}/ip", "enough": True, "penalties": 1} == limits
    (circuit,) = house.rows("SELECT key, state FROM circuit_breaker_state")
    assert {"key": f"airbnb/{host}", "state": "closed"} == circuit
