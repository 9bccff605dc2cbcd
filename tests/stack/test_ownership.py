"""A state folder belongs to one living process at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.errors import ConfigurationError
from channel_sync import config
from channel_sync.stack.ownership import living_owner, sole_owner

_HOLDER = """
import pathlib, sys, time
from channel_sync.stack.ownership import sole_owner
with sole_owner(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    """While one process holds the folder another is told which; kill -9 of the holder frees it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], cwd=config.project_root(), stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        owner = living_owner(tmp_path)
        with (
            pytest.raises(ConfigurationError, match=f"process {holder.pid} already runs in .*down"),
            sole_owner(tmp_path),
        ):
            pytest.fail("the folder was given to two")
    finally:
        holder.kill()
        holder.communicate()

    assert owner is not None
    assert owner.pid == holder.pid
    assert living_owner(tmp_path) is None
    with sole_owner(tmp_path):
        mine = living_owner(tmp_path)
        assert mine is not None
        assert mine.pid == os.getpid()
    assert living_owner(tmp_path) is None


def test_another_process_of_the_same_number_is_no_owner(tmp_path: Path) -> None:
    """A note of a process that began at another time names nobody."""
    (tmp_path / "up.lock").write_text(f'{{"pid": {os.getpid()}, "created": 1.0}}')

    assert living_owner(tmp_path) is None


def test_a_folder_without_owner_has_none(tmp_path: Path) -> None:
    """A folder that nobody ever held, and one whose note is not readable, belong to nobody."""
    assert living_owner(tmp_path) is None

    (tmp_path / "up.lock").write_text("{")

    assert living_owner(tmp_path) is None
