"""How many deliveries a second the gateway takes, beside the two things that bound it.

    python -m tests.benchmarks.webhook_ingest [--seconds 6] [--connections 64]

In one run, on one Postgres that waits for the disk (fsync on): a bare loop of INSERTs, one row a commit, over as many
connections as the gateway writes with (one), and over eight for comparison; the gateway's own web server with an
application that does nothing; the gateway: signature checked, stored durably, answered after the commit. The load comes
from a process of its own: plain sockets that are kept alive, every request made and signed beforehand. The last line is
JSON.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from channel_sync import bootstrap, config
from channel_sync.storage import embedded
from channel_sync.storage.database import Database, with_database
from channel_sync.storage.migrate import migrate
from channel_sync.webhooks import server
from tests.webhooks.inn import PLENTY, add_accounts, environment, event, signed

_PREPARED = 60_000
_INSERT = """
    INSERT INTO webhook_event (channel_account_id, delivery_key, method, path, query, headers, body, times_received, kind,
        name, booking_external_id, listing_external_ids, revised_at)
    VALUES (%s, %s, 'POST', '/webhooks/house/inn', '', '{}', %s, 1, 'booking', 'booking.confirmed', 'B-1', '{studio}', now())
"""


def main() -> None:
    """Play the part that the command line names: the whole run, a server, or the load."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="?", default="run", choices=["run", "nothing", "gateway", "load"])
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--port", type=int, default=0)
    chosen = parser.parse_args()
    match chosen.part:
        case "run":
            run(chosen.seconds, chosen.connections)
        case "load":
            print(json.dumps(uvloop.run(load(chosen.port, chosen.seconds, chosen.connections))))
        case "nothing":
            server.serve(_nothing, "127.0.0.1", 0, _say)
        case "gateway":
            gateway = bootstrap.webhook_gateway(config.load(), bounds=PLENTY)
            server.serve(gateway.app(), "127.0.0.1", 0, _say)


def run(seconds: float, connections: int) -> None:
    """All in one go, and the comparison."""
    with _durable_database() as database:
        add_accounts(database)
        environ = environment(database)
        alone = inserts(database, seconds, 1)
        eight = inserts(database, seconds, 8)
        nothing = _served("nothing", environ, seconds, connections)
        gateway = _served("gateway", environ, seconds, connections)
        with database.connect() as connection:
            ((rows,),) = connection.execute(
                "SELECT count(*) FROM webhook_event WHERE delivery_key LIKE 'msg-%'"
            ).fetchall()
    figures = {
        "connections": connections,
        "seconds": seconds,
        "inserts_per_second": {"connections_1": round(alone), "connections_8": round(eight)},
        "server_doing_nothing": nothing,
        "gateway": gateway,
        "rows_stored": rows,
        "of_the_slower_limit": {
            "with_connections_1": round(gateway["per_second"] / min(alone, nothing["per_second"]), 2),
            "with_connections_8": round(gateway["per_second"] / min(eight, nothing["per_second"]), 2),
        },
    }
    for name, value in figures.items():
        print(f"{name:22} {value}")
    assert set(gateway["statuses"]) == {"200"}
    assert rows == gateway["requests"]
    print(json.dumps(figures))


def inserts(database: Database, seconds: float, connections: int) -> float:
    """Rows a second, one a commit."""
    body = event()

    def insert(worker: int) -> int:
        with database.open(autocommit=True, settings={"synchronous_commit": "on"}) as connection:
            ((account,),) = connection.execute(
                "SELECT channel_account_id FROM channel_account WHERE code = 'inn'"
            ).fetchall()
            count, end = 0, time.monotonic() + seconds
            while time.monotonic() < end:
                connection.execute(_INSERT, [account, f"insert-{connections}-{worker}-{count}", body])
                count += 1
            return count

    with ThreadPoolExecutor(connections) as threads:
        return sum(threads.map(insert, range(connections))) / seconds


async def load(port: int, seconds: float, connections: int) -> dict[str, Any]:
    """Send what was prepared, on each connection one after the other, and measure each answer."""
    requests = iter([_request(number) for number in range(_PREPARED)])
    latencies: list[float] = []
    statuses: dict[str, int] = {}
    begin, cpu = time.perf_counter(), time.process_time()
    end = begin + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request in requests:
            sent = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            now = time.perf_counter()
            latencies.append(now - sent)
            status = head[9:12].decode()
            statuses[status] = statuses.get(status, 0) + 1
            if now > end:
                break
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    took = time.perf_counter() - begin
    latencies.sort()
    return {
        "per_second": round(len(latencies) / took),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 2),
        "p99_ms": round(latencies[len(latencies) * 99 // 100] * 1000, 2),
        "requests": len(latencies),
        "statuses": statuses,
        "load_cpu": round((time.process_time() - cpu) / took, 2),
    }


def _request(number: int) -> bytes:
    body = event(number=number)
    lines = [f"{name}: {value}" for name, value in signed(body).items()]
    head = ["POST /webhooks/house/inn HTTP/1.1", "host: x", f"content-length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def _served(part: str, environ: dict[str, str], seconds: float, connections: int) -> dict[str, Any]:
    """What the load measures against one server."""
    me = [sys.executable, "-m", __spec__.name]
    process = subprocess.Popen(
        [*me, part], env=config.child_environment(environ), stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip().rpartition(":")[2]
        options = ["--port", port, "--seconds", str(seconds), "--connections", str(connections)]
        ended = subprocess.run([*me, "load", *options], check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(ended.stdout)
        return found
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def _nothing(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        headers = [(b"content-length", b"2"), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{}"})


def _say(line: str) -> None:
    print(line, flush=True)


@contextmanager
def _durable_database() -> Iterator[Database]:
    """A migrated database on a server of its own that waits for the disk."""
    # As root the server runs as another user, who has to find his way into the folder.
    with tempfile.TemporaryDirectory(prefix=f"pg-{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        data_dir = Path(folder).resolve() / "data"
        try:
            database = Database(with_database(embedded.start(data_dir).url, "ingest"))
            migrate(database.url)
            yield database
        finally:
            embedded.stop(data_dir)


if __name__ == "__main__":
    main()
