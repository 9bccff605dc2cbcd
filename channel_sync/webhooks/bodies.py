"""Bodies of requests, read whole and within bounds: of length, of time, and of what all hold together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

_DISCARDED = 4  # times the longest body: so much is read of a longer one, so that its sender hears the answer


class TooLong(Exception):
    """A body beyond the bound."""


class TooSlow(Exception):
    """A body that did not arrive in time."""


class NoRoom(Exception):
    """All bodies in flight hold as much as they may."""


class Bodies:
    """``longest`` and ``room`` are bytes, of one body and of all in flight; ``seconds`` is the time for reading one."""

    def __init__(self, longest: int, room: int, seconds: float) -> None:
        self._longest, self._room, self._seconds = longest, room, seconds

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, which takes room until the block ends.

        Raises TooLong, TooSlow, NoRoom, or starlette's ClientDisconnect if it breaks off.
        """
        parts: list[bytes] = []
        try:
            await self._fill(parts, request)
            yield b"".join(parts)
        finally:
            self._room += sum(map(len, parts))

    async def _fill(self, parts: list[bytes], request: Request) -> None:
        seen = 0
        try:
            async with asyncio.timeout(self._seconds):
                async for part in request.stream():
                    seen += len(part)
                    if seen > _DISCARDED * self._longest:
                        break
                    if seen > self._longest:
                        continue
                    if len(part) > self._room:
                        raise NoRoom
                    self._room -= len(part)
                    parts.append(part)
        except TimeoutError:
            raise TooSlow from None
        if seen > self._longest:
            raise TooLong
