"""Whose a state folder is: at most one living process's.

The lock is the kernel's and goes with the process that holds it, however that ends. What is written in the locked file
only says whom to talk to.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from adapters.errors import ConfigurationError
from channel_sync import config

_LOCK = "up.lock"


@contextmanager
def sole_owner(state_dir: Path) -> Iterator[None]:
    """Hold the state folder until the block ends. Raises ConfigurationError naming the process that holds it."""
    with (state_dir / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = living_owner(state_dir)
            name = f"process {owner.pid}" if owner else "another process"
            raise ConfigurationError(
                f"{name} already runs in {state_dir}: stop it with `channel-sync down`, "
                f"or set {config.STATE_DIR} to another folder"
            ) from None
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "created": psutil.Process().create_time()}))
        lock.flush()
        yield
        lock.truncate(0)


def living_owner(state_dir: Path) -> psutil.Process | None:
    """The process that holds the state folder. A pid alone proves nothing: it may by now be somebody else's."""
    try:
        noted = json.loads((state_dir / _LOCK).read_text())
        process = psutil.Process(noted["pid"])
        return process if process.create_time() == noted["created"] else None
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return None
