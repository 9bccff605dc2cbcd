"""Many deliveries in one commit: what arrives while one commit is under way goes into the next."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from channel_sync.storage.webhooks import Arrival

log = logging.getLogger(__name__)

_MOST_DELIVERIES = 500
_MOST_BYTES = 8_000_000
_PATIENCE_S = 15.0


class NotStored(Exception):
    """A delivery that is not committed, as far as we know: the channel has to send it again."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrivals: tuple[Arrival, ...]
    stored: asyncio.Future[None]

    @property
    def size(self) -> int:
        return sum(len(arrival.body) for arrival in self.arrivals)


class Inbox:
    """Stores deliveries with ``write``, which commits the events that it is given or raises. One loop uses it."""

    def __init__(self, write: Callable[[Sequence[Arrival]], None]) -> None:
        self._write = write
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._failing = False

    async def put(self, arrivals: tuple[Arrival, ...]) -> None:
        """Return when all events of a delivery are committed. Raises NotStored."""
        waiting = _Waiting(arrivals, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._arrived.set()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await waiting.stored
        except TimeoutError:
            raise NotStored from None

    async def run(self) -> None:
        """Store what arrives until cancelled."""
        with ThreadPoolExecutor(1, "inbox") as thread:
            while True:
                await self._arrived.wait()
                batch = self._next()
                if batch:
                    await self._store(batch, thread)

    def _next(self) -> list[_Waiting]:
        """The oldest that fit into one statement, without those that nobody waits for any more."""
        living = [one for one in self._waiting if not one.stored.done()]
        count = size = 0
        for one in living[:_MOST_DELIVERIES]:
            size += one.size
            if count and size > _MOST_BYTES:
                break
            count += 1
        self._waiting = living[count:]
        if not self._waiting:
            self._arrived.clear()
        return living[:count]

    async def _store(self, batch: list[_Waiting], thread: ThreadPoolExecutor) -> None:
        arrivals = [arrival for one in batch for arrival in one.arrivals]
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._write, arrivals)
        except psycopg.OperationalError as error:
            self._answer(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are told
            # One that the database does not take must not take the others with it.
            if len(batch) == 1:
                self._answer(batch, error)
            else:
                for one in batch:
                    await self._store([one], thread)
        else:
            self._answer(batch, None)

    def _answer(self, batch: list[_Waiting], error: Exception | None) -> None:
        self._tell_change(error)
        for one in batch:
            if one.stored.done():
                continue
            if error is None:
                one.stored.set_result(None)
            else:
                one.stored.set_exception(NotStored())

    def _tell_change(self, error: Exception | None) -> None:
        """Once when storing begins to fail and once when it works again: in an outage every delivery fails."""
        if (error is not None) is self._failing:
            return
        self._failing = error is not None
        if error is None:
            log.warning("deliveries are stored again")
        else:
            # Not its message: the database quotes the row that it did not take.
            log.warning("deliveries cannot be stored: %s", type(error).__name__)
