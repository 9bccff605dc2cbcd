"""The gateway as a process of its own: killed, and switched off."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx

from channel_sync import config
from channel_sync.storage.database import Database
from tests.webhooks.inn import Inn, add_accounts, environment, event, signed

_LOADED = "import sys; print([name for name in sys.modules if name.split('.')[0] == 'adapters'])"


@contextmanager
def _process(
    environ: Mapping[str, str], said: list[str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A gateway in a process, and its address. What it says before that goes into ``said``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "channel_sync.cli", "webhooks", "--port", "0"],
        cwd=config.project_root(),
        env=config.child_environment(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("webhooks at "):
                yield process, line.split()[-1]
                break
            if said is not None:
                said.append(line)
        else:
            raise AssertionError(f"it ended with {process.wait()}")
    finally:
        process.kill()
        process.communicate()


def test_killed_it_has_lost_nothing_that_it_acknowledged(database: Database) -> None:
    """kill -9 in the middle of a stream of deliveries: what was answered 200 is there, and another takes the rest."""
    add_accounts(database)
    acknowledged: list[str] = []
    enough, stop = Event(), Event()

    def send(url: str, sender: int) -> None:
        with httpx.Client(base_url=url, timeout=20) as http:
            for number in range(10_000):
                message_id = f"k-{sender}-{number}"
                body = event(number=number)
                try:
                    answer = http.post(
                        "/webhooks/house/inn", content=body, headers=signed(body, message_id=message_id)
                    )
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    acknowledged.append(message_id)
                if len(acknowledged) >= 150:
                    enough.set()
                if stop.is_set():
                    return

    with ThreadPoolExecutor(8) as threads:
        with _process(environment(database)) as (process, url):
            senders = [threads.submit(send, url, sender) for sender in range(8)]
            assert enough.wait(60)
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        stop.set()
        for sender in senders:
            sender.result(60)
    with Database(database.url).connect() as connection:
        stored = {key for (key,) in connection.execute("SELECT delivery_key FROM webhook_event").fetchall()}
    assert set(acknowledged) - stored == set()
    with _process(environment(database)) as (_, url), httpx.Client(base_url=url, timeout=20) as http:
        assert 200 == Inn(url, database, http).deliver().status_code


def test_switched_off_it_takes_nothing_and_says_so(tmp_path: Path) -> None:
    """Without the switch every path is 404, and nothing of the adapters is loaded."""
    said: list[str] = []
    off = {config.ENABLED: "", config.STATE_DIR: str(tmp_path)}
    with _process(off, said) as (_, url), httpx.Client(base_url=url, timeout=20) as http:
        answers = [http.get(path) for path in ("/health", "/webhooks/house/inn", "/openapi.json", "/")]
    assert {(404, b'{"error": "Not Found"}')} == {(answer.status_code, answer.content) for answer in answers}
    assert [
        "the channel manager is switched off, nothing is taken: set CHANNEL_MANAGER_ENABLED=true\n"
    ] == said
    imports = f"from channel_sync import cli\nfrom channel_sync.webhooks import answers, server\n{_LOADED}"
    ended = subprocess.run(
        [sys.executable, "-c", imports],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath},
        cwd=config.project_root(),
    )
    assert "[]" == ended.stdout.strip()
