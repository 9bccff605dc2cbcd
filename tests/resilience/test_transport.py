"""What comes back is bounded in size and time, and read to its end before it is handed on."""

import gzip
from collections.abc import Iterator
from types import MappingProxyType

import httpx
import pytest

from adapters.errors import UnexpectedResponse
from adapters.wire import exchange
from channel_sync.resilience import bounds
from channel_sync.resilience.bounds import TIMEOUT, BodyTooLarge, BoundedTransport

URL = "http://channel.test/"


class Body(httpx.SyncByteStream):
    """A body in pieces, that knows how many were read and whether it was closed."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.read = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.read += 1
            yield piece

    def close(self) -> None:
        """Note it."""
        self.closed = True


def bounded(body: Body, most: int = 10_000, headers: dict[str, str] | None = None) -> httpx.Client:
    """A client whose every answer has this body."""
    answering = httpx.MockTransport(lambda _: httpx.Response(200, stream=body, headers=headers))
    return httpx.Client(transport=BoundedTransport(answering, max_body_bytes=most))


def endless(piece: bytes) -> Iterator[bytes]:
    """The same again and again."""
    while True:
        yield piece


def test_a_body_without_end_is_cut_off_and_is_no_answer() -> None:
    """An answer larger than the bound is refused while it is read, not after, and lets go of its connection."""
    body = Body(endless(b"x" * 1024))
    with bounded(body) as client, pytest.raises(UnexpectedResponse):
        exchange(client, client.build_request("GET", URL), "a test")
    assert (10, True) == (body.read, body.closed)


def test_a_few_bytes_that_unpack_to_many_are_refused() -> None:
    """The bound holds for what a body is when it is unpacked."""
    packed = gzip.compress(b"0" * 1_000_000)
    body = Body(iter([packed[:600], packed[600:]]))
    assert len(packed) < 10_000
    with bounded(body, headers={"Content-Encoding": "gzip"}) as client, pytest.raises(BodyTooLarge):
        client.get(URL)
    assert body.closed


def test_a_slow_drip_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that keeps coming byte by byte is cut off when the answer's time is over."""
    monkeypatch.setattr(bounds, "WHOLE_ANSWER_S", 0.0)
    body = Body(endless(b"x"))
    with bounded(body) as client, pytest.raises(httpx.ReadTimeout):
        client.get(URL)
    assert (True, True) == (body.closed, body.read < 10_000)


def test_what_is_handed_on_was_read_to_its_end() -> None:
    """The answer is whole, unpacked and closed, with the headers that still are true of it."""
    packed = Body(iter([gzip.compress(b'{"a": 1}')]))
    headers = {"Content-Encoding": "gzip", "ETag": '"7"', "Content-Type": "application/json"}
    with (
        bounded(packed, headers=headers) as client,
        client.stream("GET", URL) as answer,  # also where the caller wants to read it by himself
    ):
        assert packed.closed
        assert answer.read() == b'{"a": 1}'
        assert ('"7"', "application/json") == (answer.headers["ETag"], answer.headers["Content-Type"])
        assert "Content-Encoding" not in answer.headers


@pytest.mark.parametrize(
    ("given", "used"),
    [
        (None, TIMEOUT.as_dict()),
        ({}, TIMEOUT.as_dict()),
        (httpx.Timeout(None).as_dict(), TIMEOUT.as_dict()),
        (httpx.Timeout(None, read=0.5).as_dict(), {**TIMEOUT.as_dict(), "read": 0.5}),
    ],
)
def test_no_request_waits_for_ever(
    given: dict[str, float | None] | None, used: dict[str, float | None]
) -> None:
    """A request without timeouts, or with "none", gets ours; its own are kept."""
    seen: list[dict[str, float | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200)

    extensions = MappingProxyType({} if given is None else {"timeout": given})
    with BoundedTransport(httpx.MockTransport(answer)) as transport:
        transport.handle_request(httpx.Request("GET", URL, extensions=dict(extensions)))
    assert [used] == seen
