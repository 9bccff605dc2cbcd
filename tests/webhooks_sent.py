"""Signed deliveries of the simulated Airbnb in the caller's own hands: nothing is sent by itself."""

from email.utils import formatdate

import httpx

from channel_sync.sandbox.news import News
from channel_sync.sandbox.server import Sandbox
from channel_sync.sandbox.signing import signed_headers


class Deliveries:
    """What happens to the sandbox's bookings from now on, for a gateway at ``url``: its whole address of an account."""

    def __init__(self, sandbox: Sandbox, url: str) -> None:
        self.url = url
        self._sandbox = sandbox
        self._news = News(sandbox.world, sandbox.clock.now())

    def since_last(self, date: str | None = None) -> list[httpx.Request]:
        """A signed request for each thing that happened since it was asked last, oldest first.

        ``date`` is the HTTP date that is signed, by default that of the wall clock. Each can be sent as often as wanted
        with ``httpx.Client.send``, or read: ``headers`` and ``content``.
        """
        told = self._news.since_last(self._sandbox.clock.now())
        signed_at = date or formatdate(usegmt=True)
        return [
            httpx.Request(
                "POST",
                self.url,
                content=notice.body,
                headers=dict(signed_headers(self.url, signed_at, notice.body)),
            )
            for notice in told
        ]
