"""The time of the simulated world: the wall clock until somebody sets it."""

from datetime import UTC, datetime, timedelta
from threading import Lock


class Clock:
    """Aware UTC time for one sandbox. Runs with the wall clock; ``set`` makes it stand still.

    A clock that stands still makes every answer a pure function of what was asked.
    """

    def __init__(self, now: datetime | None = None) -> None:
        self._lock = Lock()
        self._standing: datetime | None = None
        self._ahead = timedelta(0)
        if now is not None:
            self.set(now)

    def now(self) -> datetime:
        """The simulated moment, in UTC."""
        with self._lock:
            if self._standing is not None:
                return self._standing
            return datetime.now(UTC) + self._ahead  # noqa: TID251 - the edge: the demo lives in real time

    def set(self, moment: datetime) -> None:
        """Stand still at ``moment``. Raises ValueError for a time without zone."""
        if moment.tzinfo is None:
            raise ValueError(f"the sandbox clock needs a time with a zone, not {moment!r}")
        with self._lock:
            self._standing = moment.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Move forward (or back) by ``by``; a running clock goes on running from there."""
        with self._lock:
            if self._standing is None:
                self._ahead += by
            else:
                self._standing += by
