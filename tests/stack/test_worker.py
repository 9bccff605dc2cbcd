"""The worker as a process: it applies what is delivered at once, as runs, and survives what it depends on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from channel_sync import config
from channel_sync.cli import main
from channel_sync.defs.inbox import INBOX, WORKER, apply_webhooks, run_config, run_tags
from channel_sync.storage import inbox_watch
from channel_sync.storage.database import create_database
from tests.defs.test_webhook_sensors import ACCOUNT, deliver
from tests.house import House

_STARTED = "applying what arrives"
_STANDS_BY = "another worker lives"


@dataclass(frozen=True, slots=True)
class Workshop:
    """A house, a Dagster instance as `up` makes one, and the environment of both."""

    house: House
    instance: dg.DagsterInstance
    environment: dict[str, str]
    folder: Path

    @contextmanager
    def worker(self, name: str, says: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that has said so; killed at the end if it still lives."""
        screen = self.folder / name
        with screen.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "channel_sync.cli", "worker"],
                cwd=config.project_root(),
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self.said(name, says)
            yield process
        finally:
            process.kill()
            process.wait()

    def said(self, name: str, what: str, times: int = 1) -> None:
        """Wait until a worker has said something so often."""
        until(
            f"{name} to say {what!r}: {(self.folder / name).read_text()}",
            lambda: (self.folder / name).read_text().count(what) >= times,
        )

    def applied(self) -> None:
        """One event more is applied before a sensor would be allowed to look for it."""
        deliver(self.house)
        until(
            "the event applied",
            lambda: not self.house.rows("SELECT FROM webhook_event WHERE state = 'received'"),
        )

    def runs(self) -> list[dg.DagsterRun]:
        """The runs of the account's inbox, newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(tags={INBOX: ACCOUNT})))


def until(what: str, holds: Callable[[], object], within_s: float = 60.0) -> None:
    """Wait for something."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture
def workshop(quiet_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    """A house with Dagster's own database beside it."""
    url = quiet_house.database.url
    name = config.dagster_database_name(url)
    create_database(url, name)
    folder = tmp_path / "dagster"
    folder.mkdir()
    (folder / "dagster.yaml").symlink_to(config.project_root() / "dagster.yaml")
    additions = {
        **quiet_house.environ,
        "DAGSTER_HOME": str(folder),
        config.ENABLED: "true",
        config.DAGSTER_DATABASE_URL: config.dagster_url_beside(url),
    }
    for variable, value in additions.items():
        monkeypatch.setenv(variable, value)
    with ExitStack() as opened:
        opened.callback(_drop, quiet_house, name)
        instance = opened.enter_context(dg.DagsterInstance.get())
        yield Workshop(quiet_house, instance, {**os.environ, **additions}, tmp_path)


def _drop(house: House, name: str) -> None:
    with house.database.connect(autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _lives(workshop: Workshop) -> bool:
    with workshop.house.database.connect() as connection:
        return inbox_watch.worker_lives(connection)


def test_a_worker_at_work(workshop: Workshop) -> None:
    """Events become runs; a lost database is come back to; one worker at a time; a killed one is followed by another."""
    deliver(workshop.house)
    with workshop.worker("first", _STARTED) as first:
        until("what lay there to be applied", lambda: workshop.runs() and workshop.runs()[0].is_finished)
        assert _lives(workshop)
        workshop.applied()
        (run, *_) = until_finished(workshop)
        assert dg.DagsterRunStatus.SUCCESS is run.status
        assert {**run_tags(ACCOUNT), WORKER: "resident"}.items() <= run.tags.items()
        assert [{"run_id": run.run_id}] == workshop.house.rows(
            "SELECT run_id FROM webhook_event ORDER BY webhook_event_id DESC LIMIT 1"
        )

        lose_the_database(workshop)
        workshop.said("first", _STARTED, times=2)
        workshop.applied()

        with workshop.worker("second", _STANDS_BY) as second:
            lost = workshop.instance.create_run_for_job(
                apply_webhooks,
                run_config=run_config(ACCOUNT),
                status=dg.DagsterRunStatus.STARTED,
                tags={**run_tags(ACCOUNT), WORKER: "resident"},
            )
            first.kill()
            workshop.said("second", _STARTED)
            found = workshop.instance.get_run_by_id(lost.run_id)
            assert found is not None
            assert dg.DagsterRunStatus.FAILURE is found.status
            workshop.applied()

            second.send_signal(signal.SIGTERM)
            assert 0 == second.wait(30)
            until_finished(workshop)
    assert not _lives(workshop)


def until_finished(workshop: Workshop) -> list[dg.DagsterRun]:
    """All runs, once they have ended."""
    until("the end of all runs", lambda: all(run.is_finished for run in workshop.runs()))
    return workshop.runs()


def lose_the_database(workshop: Workshop) -> None:
    """Every connection of every process is cut, as by a restart of the server."""
    with workshop.house.database.connect(autocommit=True) as connection:
        for name in (workshop.house.database.name, config.dagster_database_name(workshop.house.database.url)):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [name],
            )


@pytest.mark.usefixtures("workshop")
def test_without_a_place_for_runs_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the variable, and exit code 1."""
    monkeypatch.delenv("DAGSTER_HOME")
    assert main(["worker"]) == 1
    assert "DAGSTER_HOME is not set" in capsys.readouterr().err


def test_switched_off_it_does_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so and ends well, without a database."""
    monkeypatch.setenv(config.ENABLED, "false")
    assert main(["worker"]) == 0
    assert "switched off" in capsys.readouterr().out
