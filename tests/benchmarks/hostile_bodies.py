"""Hostile bodies at every channel's reading: what was read, what was refused, how long the worst took and what it weighed.

    python -m tests.benchmarks.hostile_bodies --mutations 10000

Each channel has a process of its own, fed with changed good bodies, then with bodies made to exhaust whoever reads them, each
of these in another process still so that its memory can be told. At last a body of 100 MB comes over HTTP, plain and packed,
through the transport that every call goes through. The last line is the result as JSON. Ends with 1 if anything but an
error of ours came, or something took more than a second of processor time.
"""

import argparse
import gzip
import itertools
import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import httpx

from adapters import wire
from adapters.errors import ChannelError
from channel_sync.resilience.bounds import BoundedTransport
from tests.adapters import hostile, mutations

Result = TypeVar("Result")

BIG = 100_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Extreme:
    """How one body that was made to exhaust ended."""

    channel: str
    name: str
    size: int
    ended: str
    seconds: float  # of processor time
    grown_mb: float  # of the process's peak memory, with the body itself held


def mutated(channel: str, count: int, seed: int) -> tuple[hostile.Tally, float]:
    """A channel's tally, and by how many MB the process's peak memory grew meanwhile."""
    cases = hostile.channels()[channel]
    before = _peak_mb(afresh=True)
    tally = hostile.tallied(channel, cases, count, seed)
    return tally, _peak_mb() - before


def extreme(channel: str, format_number: int, number: int) -> Extreme:
    """One of the bodies made to exhaust, read."""
    good, read = hostile.first_of_each_format(hostile.channels()[channel])[format_number]
    name, body = next(itertools.islice(mutations.extremes(good), number, None))
    before = _peak_mb(afresh=True)
    began = time.process_time()
    tally = hostile.Tally(channel)
    hostile.judge(tally, name, body, read)
    ended = tally.foreign[0] if tally.foreign else next(iter(tally.refused), "read")
    return Extreme(channel, name, len(body), ended, time.process_time() - began, _peak_mb() - before)


def over_http(path: str) -> Extreme:
    """A body of 100 MB on its way in."""
    _Big.packed = gzip.compress(_Big.piece * (BIG // len(_Big.piece)), 9)
    server = HTTPServer(("127.0.0.1", 0), _Big)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    before, began = _peak_mb(afresh=True), time.process_time()
    try:
        with httpx.Client(transport=BoundedTransport(httpx.HTTPTransport(trust_env=False))) as client:
            request = client.build_request("GET", f"http://127.0.0.1:{server.server_port}{path}")
            try:
                wire.send(client, request, "a big answer", lambda: datetime.now(UTC))
                ended = "read"
            except ChannelError as error:
                ended = type(error).__name__
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    took = time.process_time() - began
    return Extreme("any", f"100 MB over HTTP, {path[1:]}", BIG, ended, took, _peak_mb() - before)


class _Big(BaseHTTPRequestHandler):
    """BIG bytes, in pieces; packed they are a hundred kilobytes."""

    protocol_version = "HTTP/1.1"
    piece: ClassVar[bytes] = b"<b/>" * 2_500
    packed: ClassVar[bytes] = b""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's own name
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        if self.path == "/packed":
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(self.packed) if self.path == "/packed" else BIG))
        self.end_headers()
        self.close_connection = True
        try:
            if self.path == "/packed":
                self.wfile.write(self.packed)
            else:
                for _ in range(BIG // len(self.piece)):
                    self.wfile.write(self.piece)
        except ConnectionError:
            return  # the client had enough


def _peak_mb(*, afresh: bool = False) -> float:
    """The most memory that this process held so far, on Linux since it was last asked ``afresh``."""
    try:
        if afresh:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _alone(work: Callable[..., Result], *arguments: object) -> Result:
    """Done in a process of its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def main() -> int:
    """Feed every channel and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutations", type=int, default=10_000, help="of each channel's bodies")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--channel", action="append", help="only this one")
    told = parser.parse_args()
    began = time.monotonic()
    found, wrong = [], []
    chosen = [name for name in hostile.channels() if not told.channel or name in told.channel]
    for channel in chosen:
        tally, grown = _alone(mutated, channel, told.mutations, told.seed)
        wrong += tally.foreign
        found.append(
            {
                "channel": channel,
                "mutations": tally.mutations,
                "read": tally.read,
                "read_in_part": tally.read_in_part,
                "refused": dict(tally.refused),
                "foreign": len(tally.foreign),
                "slowest_s": round(tally.slowest_s, 3),
                "peak_grown_mb": round(grown, 1),
            }
        )
        print(
            f"{channel}: {tally.mutations} mutations, {tally.read} read, {tally.read_in_part} in part, refused "
            f"{dict(tally.refused)}, foreign {len(tally.foreign)}, slowest {tally.slowest_s * 1000:.0f} ms "
            f"({tally.slowest}), peak memory +{grown:.0f} MB"
        )
    extremes = [_alone(extreme, channel, *place) for channel in chosen for place in _places(channel)]
    extremes += [_alone(over_http, path) for path in ("/plain", "/packed")]
    for each in extremes:
        print(
            f"{each.channel}: {each.name} ({each.size:,} bytes): {each.ended}, "
            f"{each.seconds * 1000:.0f} ms, +{each.grown_mb:.0f} MB"
        )
        if each.ended not in ("UnexpectedResponse", "Rejected", "read"):
            wrong.append(f"{each.channel}, {each.name}: {each.ended}")
    for words in wrong:
        print(f"WRONG {words}")
    result = {"seed": told.seed, "seconds": round(time.monotonic() - began, 1), "wrong": len(wrong)}
    print(json.dumps({**result, "channels": found, "extremes": [asdict(each) for each in extremes]}))
    return 1 if wrong else 0


def _places(channel: str) -> list[tuple[int, int]]:
    return [
        (number, place)
        for number, (good, _) in enumerate(hostile.first_of_each_format(hostile.channels()[channel]))
        for place in range(sum(1 for _ in mutations.extremes(good)))
    ]


if __name__ == "__main__":
    sys.exit(main())
