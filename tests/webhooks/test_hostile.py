"""What comes before and instead of deliveries: too much, too long, too slow, garbage."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from channel_sync import bootstrap, config
from channel_sync.storage.database import Database, with_database
from channel_sync.storage.embedded import EmbeddedServer
from channel_sync.storage.migrate import migrate
from channel_sync.webhooks import openapi, server
from channel_sync.webhooks.limits import Rate
from tests.webhooks.inn import PLENTY, Inn, add_accounts, open_inn, signed

_MEBIBYTE = 1_048_576


def _exchange(inn: Inn, *parts: bytes, end: bool = False) -> bytes:
    """What comes back, until the gateway hangs up, for these bytes. With ``end`` it is told that no more follow."""
    address = urlsplit(inn.url)
    with closing(socket.create_connection((address.hostname, address.port), 20)) as connection:
        told = b""
        try:
            for part in parts:
                connection.sendall(part)
            if end:
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                told += more
        except ConnectionError:
            pass
        return told


def _status(told: bytes) -> int:
    return int(told.split(b" ", 2)[1]) if told else 0


def test_a_body_beyond_the_bound_is_refused(inn: Inn) -> None:
    """One byte over 1 MiB is 413, with a length and in chunks; 1 MiB is looked at; a pretended length is waited for."""

    def chunks(size: int) -> Iterator[bytes]:
        yield from (b"x" * 65_536 for _ in range(size // 65_536))
        yield b"x" * (size % 65_536)

    there = "/webhooks/house/inn"
    body = b"x" * _MEBIBYTE
    for content, headers, expected in (
        (body, {}, 401),
        (chunks(_MEBIBYTE), {}, 401),
        (body, signed(body), 200),
        (body + b"x", {}, 413),
        (chunks(_MEBIBYTE + 1), {}, 413),
        (body + b"x", signed(body + b"x"), 413),
    ):
        answer = inn.http.post(there, content=content, headers=headers)
        assert expected == answer.status_code
    assert len(inn.rows()) == 1


def test_what_arrives_too_slowly_is_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come is 408; a head that does not end is hung up on, as is one that goes on for ever."""
    monkeypatch.setattr(server, "_HEAD_S", 0.5)
    add_accounts(database)
    with open_inn(database, replace(PLENTY, reading_s=0.5)) as inn:
        head = b"POST /webhooks/house/inn HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345"
        assert 408 == _status(_exchange(inn, head))
        assert b"" == _exchange(inn)
        assert b"" == _exchange(inn, b"POST /webhooks/house/inn HTTP/1.1\r\nHost: x\r\n")
        assert 200 == inn.deliver().status_code
    monkeypatch.setattr(server, "_HEAD_S", 60)
    with open_inn(database) as inn:
        line = b"x-more: " + b"y" * 8_000 + b"\r\n"
        assert b"" == _exchange(inn, b"POST /webhooks/house/inn HTTP/1.1\r\nHost: x\r\n", *[line] * 40)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: -1",
        b"Content-Length: 1e3",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 99999999999999999999999",
        b"Transfer-Encoding: chunked, chunked",
        b"Bad Header: 1",
        b"X: \x00",
    ],
)
def test_a_request_that_is_not_http_is_turned_away(hostile_inn: Inn, lines: bytes) -> None:
    """Lengths that contradict themselves and the like never reach a channel's code, and are never a 5xx."""
    told = _exchange(
        hostile_inn, b"POST /webhooks/house/inn HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n\r\nhello", b""
    )
    assert _status(told) in (400, 401)


def test_a_source_that_sends_too_much_waits(database: Database) -> None:
    """Beyond its burst it is told for how long, before anything is looked into; its time comes again."""
    add_accounts(database)
    with open_inn(database, replace(PLENTY, source=Rate(per_second=1, burst=3))) as inn:
        answers = [inn.deliver(webhook_signature="v1,AAAA") for _ in range(4)]
        assert [401, 401, 401, 429] == [answer.status_code for answer in answers]
        assert "1" == answers[-1].headers["retry-after"]
        time.sleep(1.1)
        assert 200 == inn.deliver().status_code
    with open_inn(database, replace(PLENTY, in_flight=0)) as inn:
        assert 503 == inn.deliver().status_code
    with open_inn(database, replace(PLENTY, bodies=10)) as inn:
        assert 503 == inn.deliver().status_code
        assert 401 == inn.http.post("/webhooks/house/inn", content=b"x" * 10).status_code


def test_every_route_is_described_and_nothing_else() -> None:
    """The document has exactly the paths and methods that there are."""
    nowhere = config.load({"CHANNEL_SYNC_DATABASE_URL": "postgresql://nowhere/inn"})
    routes = {
        (route.path.replace("{rest:path}", "{rest}"), method.lower())
        for route in bootstrap.webhook_gateway(nowhere).app().routes
        if isinstance(route, Route)
        for method in route.methods or ()
    }
    described = {
        (path, method)
        for path, operations in openapi.DOCUMENT["paths"].items()
        for method in operations
        if method != "parameters"
    }
    # Starlette answers HEAD wherever it answers GET.
    assert routes - {("/health", "head"), ("/openapi.json", "head")} == described


def _json_texts() -> st.SearchStrategy[bytes]:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_WORDS, inner, max_size=5),
        max_leaves=12,
    )
    bodies = st.fixed_dictionaries({"type": st.text(max_size=20) | st.just("booking.x"), "data": values})
    return bodies.map(lambda body: json.dumps(body).encode())


_WORDS = st.sampled_from(["booking_id", "listing_id", "status", "check_in", "revised_at", "units"]) | st.text(
    max_size=9
)

_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    allow_header_conformance,
]


@cache
def _requests() -> tuple[st.SearchStrategy[Any], ...]:
    """What the document allows of each operation, and what it forbids."""
    found = []
    for each in schemathesis.openapi.from_dict(openapi.DOCUMENT).get_all_operations():
        assert isinstance(each, Ok)
        found.append(each.ok().as_strategy(generation_mode=GenerationMode.POSITIVE))
        if each.ok().path_parameters:  # nothing can be wrong with a request that has no parts
            found.append(each.ok().as_strategy(generation_mode=GenerationMode.NEGATIVE))
    return tuple(found)


@settings(max_examples=120)
@given(data=st.data())
def test_whatever_is_sent_gets_an_answer_that_is_described(hostile_inn: Inn, data: st.DataObject) -> None:
    """Requests that the document allows and that it forbids: no 5xx, no status or content that it does not name."""
    case = data.draw(data.draw(st.sampled_from(_requests())))
    if case.path_parameters and data.draw(st.booleans()):
        case.path_parameters |= {"channel": "house", "account": "inn"}
    case.call_and_validate(base_url=hostile_inn.url, checks=_CHECKS)


@settings(max_examples=100)
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), _json_texts()))
def test_whatever_the_channel_signed_is_kept(hostile_inn: Inn, body: bytes) -> None:
    """No content of a verified delivery costs its sender the answer."""
    assert 200 == hostile_inn.deliver(body).status_code


_TOKEN = st.sampled_from([b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"CONNECT", b"OPTIONS", b"\xff"])
_PATH = st.one_of(
    st.binary(max_size=60).map(lambda garbage: b"/webhooks/house/inn/" + garbage),
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"*", b"/", b"//", b"/webhooks/house/inn/../../health", b"/webhooks/house%2finn", b"/webhooks/%00/%ff",
            b"http://elsewhere/webhooks/house/inn", b"/webhooks/house/inn?" + b"a" * 5_000, b"/webhooks/house/inn/%zz",
        ]
    ),
)  # fmt: skip
_LINE = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([b"Host: x", b"Expect: 100-continue", b"Upgrade: websocket", b"Connection: upgrade", b"Content-Length: 3"]),
    st.builds(lambda name, value: name + b": " + value, st.sampled_from([b"webhook-id", b"webhook-signature", b"x-forwarded-for"]), st.binary(max_size=60)),
)  # fmt: skip


@settings(max_examples=300)
@given(method=_TOKEN, path=_PATH, lines=st.lists(_LINE, max_size=5), body=st.binary(max_size=50))
def test_bytes_that_are_hardly_http_are_no_fault_of_ours(
    hostile_inn: Inn, method: bytes, path: bytes, lines: list[bytes], body: bytes
) -> None:
    """Garbage in request lines, headers and bodies never costs a 5xx, and the gateway lives on."""
    told = _exchange(
        hostile_inn, b"\r\n".join([method + b" " + path + b" HTTP/1.1", *lines, b"", body]), end=True
    )
    assert _status(told) < 500


@pytest.fixture(scope="module")
def hostile_inn(postgres: EmbeddedServer) -> Iterator[Inn]:
    """One inn for everything that is thrown at it; it serves as ever when that is over."""
    database = Database(with_database(postgres.url, f"hostile_{os.getpid()}"))
    migrate(database.url)
    add_accounts(database)
    with open_inn(database, replace(PLENTY, reading_s=0.5)) as inn:
        yield inn
        assert 200 == inn.deliver().status_code
    with Database(postgres.url).connect(autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {database.name} WITH (FORCE)".encode())
