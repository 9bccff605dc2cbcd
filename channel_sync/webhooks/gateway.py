"""The gateway: a delivery is verified, stored and only then acknowledged; a question is answered at once.

Every answer but 2xx means that the channel has to send again or that nothing was meant for us. The order of checks is
that of their cost: how much a source sends, who it is for, how long it is, whether it is from the channel.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from adapters.errors import ConfigurationError, WebhookRefused
from adapters.webhook import Delivery, Question, Reply
from channel_sync.storage.webhooks import inbox_age
from channel_sync.sync import questions
from channel_sync.webhooks import answers, openapi
from channel_sync.webhooks.bodies import Bodies, TooLong, TooSlow
from channel_sync.webhooks.deliveries import arrivals
from channel_sync.webhooks.front import Front
from channel_sync.webhooks.inbox import Inbox, NotStored
from channel_sync.webhooks.limits import Limits, Rate, Seldom
from channel_sync.webhooks.receivers import KnownReceivers, Receiver, ReceiverReader
from channel_sync.webhooks.tables import Tables

log = logging.getLogger(__name__)

_Handle = Callable[[Receiver, Delivery, str], Awaitable[Response]]

_METHODS = ["GET", "HEAD", "POST", "PUT"]
_IN_THREAD = 16_384  # bytes: reading a longer body takes milliseconds, for which the others would wait
_MINUTE = 60.0
_SOURCE = Rate(per_second=200, burst=1_000)
_TOTAL = Rate(per_second=2_000, burst=5_000)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one caller, and all together, may ask of the gateway. Seconds and bytes."""

    source: Rate = _SOURCE
    total: Rate = _TOTAL
    in_flight: int = 1_000
    body: int = 1_048_576
    bodies: int = 67_108_864  # of all requests in flight
    reading_s: float = 10.0
    question_s: float = 1.5


class _Declined(Exception):
    """A request that is answered without having been looked into."""

    def __init__(self, outcome: str, response: Response) -> None:
        super().__init__(outcome)
        self.outcome, self.response = outcome, response


class Gateway:
    """``clock`` gives the present time in UTC, ``monotonic`` seconds that never go back."""

    def __init__(
        self,
        tables: Tables,
        reader: ReceiverReader,
        front: Front,
        clock: Callable[[], datetime],
        bounds: Bounds = Bounds(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tables = tables
        self._front = front
        self._clock = clock
        self._monotonic = monotonic
        self._bounds = bounds
        self._limits = Limits(bounds.source, bounds.total, monotonic())
        self._bodies = Bodies(bounds.body, bounds.bodies, bounds.reading_s)
        self._inbox = Inbox(tables.store)
        # One thread each: a question must not wait for anything else that reads.
        self._asking = ThreadPoolExecutor(1, "questions")
        self._reading = ThreadPoolExecutor(1, "accounts")
        self._receivers = KnownReceivers(lambda: tables.reading(reader.read), self._reading)
        self._in_flight = 0
        self._counts: Counter[str] = Counter()
        self._log_refusal = Seldom(_MINUTE)
        self._log_failure = Seldom(_MINUTE)
        self._health = (-1.0, answers.failed(HTTPStatus.SERVICE_UNAVAILABLE))

    def app(self) -> Starlette:
        """The ASGI application."""
        there = "/webhooks/{channel}/{account}"
        app = Starlette(
            routes=[
                Route("/health", self._say_health, methods=["GET"]),
                Route("/openapi.json", _describe, methods=["GET"]),
                Route(there, self._serve, methods=_METHODS),
                Route(f"{there}/token", self._serve_token, methods=["POST"]),
                Route(there + "/{rest:path}", self._serve, methods=_METHODS),
            ],
            exception_handlers={HTTPException: answers.of_exception},
            lifespan=self._running,
        )
        app.router.redirect_slashes = False
        return app

    @asynccontextmanager
    async def _running(self, _app: Starlette) -> AsyncIterator[None]:
        await self._receivers.refresh()
        tasks = [asyncio.create_task(self._inbox.run()), asyncio.create_task(self._receivers.keep_current())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for executor in (self._asking, self._reading):
                executor.shutdown(cancel_futures=True)
            self._tables.close()

    # One request ----------------------------------------------------------------------------------------------------

    async def _serve(self, request: Request) -> Response:
        return await self._guarded(request, self._answer)

    async def _serve_token(self, request: Request) -> Response:
        return await self._guarded(request, self._issue_token)

    async def _guarded(self, request: Request, handle: _Handle) -> Response:
        """What every request passes before its content matters, and what becomes of what it does not pass."""
        try:
            source = self._admit(request)
            self._in_flight += 1
            try:
                return await self._received(request, source, handle)
            finally:
                self._in_flight -= 1
        except _Declined as declined:
            outcome, response = declined.outcome, declined.response
        except (ClientDisconnect, TooSlow):
            outcome, response = "broken", answers.failed(HTTPStatus.REQUEST_TIMEOUT)
        except TooLong:
            outcome, response = "broken", answers.failed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        except Exception as error:  # noqa: BLE001 - whatever it is, the channel has to send again, and learns no more
            self._say_failure("a request was answered with 503", error)
            outcome, response = "failed", _unavailable()
        return self._count(outcome, response)

    def _admit(self, request: Request) -> str:
        """The address that a request came from."""
        peer = request.client.host if request.client else None
        source = self._front.source(peer, request.headers.getlist("x-forwarded-for"))
        wait = self._limits.admit(source, self._monotonic())
        if wait:
            raise _Declined("limited", answers.failed(HTTPStatus.TOO_MANY_REQUESTS, retry_after_s=wait))
        if self._in_flight >= self._bounds.in_flight:
            raise _Declined("busy", _unavailable())
        return source

    async def _received(self, request: Request, source: str, handle: _Handle) -> Response:
        receiver = self._receivers.find(request.path_params["channel"], request.path_params["account"])
        if receiver is None:
            raise _Declined("unknown", answers.failed(HTTPStatus.NOT_FOUND))
        is_probe = request.method == "GET" and not request.scope["query_string"]
        if is_probe or request.method == "HEAD":
            return answers.accepted()
        async with self._bodies.read(request) as body:
            return await handle(receiver, self._delivery(request, body), source)

    async def _answer(self, receiver: Receiver, delivery: Delivery, source: str) -> Response:
        webhook = receiver.webhook
        try:
            webhook.verify(delivery, receiver.account, self._clock())
        except WebhookRefused as refused:
            return self._refused(receiver, source, refused)
        question = webhook.question(delivery)
        if question is not None:
            free = await self._is_free(receiver, question)
            return self._count("answered", _as_response(webhook.reply(question, free=free)))
        if delivery.method == "GET":
            return answers.accepted()
        if delivery.method != "POST":
            return answers.failed(HTTPStatus.METHOD_NOT_ALLOWED, allow="GET, HEAD, POST")
        if len(delivery.body) > _IN_THREAD:
            events = await asyncio.to_thread(arrivals, receiver, delivery)
        else:
            events = arrivals(receiver, delivery)
        try:
            await self._inbox.put(events)
        except NotStored:
            return self._count("failed", _unavailable())
        return self._count("stored", answers.accepted())

    async def _issue_token(self, receiver: Receiver, delivery: Delivery, source: str) -> Response:
        try:
            reply = receiver.webhook.issue_token(delivery, receiver.account, self._clock())
        except WebhookRefused as refused:
            return self._refused(receiver, source, refused)
        if reply is None:
            raise _Declined("unknown", answers.failed(HTTPStatus.NOT_FOUND))
        return self._count("answered", _as_response(reply))

    async def _is_free(self, receiver: Receiver, question: Question) -> bool:
        """The verdict in time. What is not proven by then is not free."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._bounds.question_s):
                return await loop.run_in_executor(
                    self._asking,
                    self._tables.asking,
                    lambda connection: questions.is_free(connection, receiver.channel_account_id, question),
                )
        except Exception as error:  # noqa: BLE001 - no is the safe answer, whatever it is
            self._say_failure("a question was answered with no", error)
            return False

    def _refused(self, receiver: Receiver, source: str, why: WebhookRefused) -> Response:
        if self._log_refusal(source, self._monotonic()):
            whom = f"{receiver.channel}/{receiver.account.code}"
            log.warning("refused a delivery to %s from %s: %s", whom, source, why)
        return self._count("refused", answers.failed(HTTPStatus.UNAUTHORIZED))

    def _delivery(self, request: Request, body: bytes) -> Delivery:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        raw_path = request.scope["raw_path"].decode("latin-1")
        host, path = self._front.addressed(headers.get("host", ""), raw_path)
        return Delivery(
            request.method, host, path, request.scope["query_string"].decode("latin-1"), headers, body
        )

    def _say_failure(self, what: str, error: Exception) -> None:
        """Once a minute for each kind. Not the error's own words: they may quote what it is about."""
        kind = type(error).__name__
        if self._log_failure(f"{what}: {kind}", self._monotonic()):
            log.warning("%s: %s", what, kind)

    def _count(self, outcome: str, response: Response) -> Response:
        self._counts[outcome] += 1
        return response

    # Health ---------------------------------------------------------------------------------------------------------

    async def _say_health(self, _request: Request) -> Response:
        """Asked at most once a second, however many ask us."""
        asked_at, response = self._health
        now = self._monotonic()
        if now - asked_at < 1 and asked_at >= 0:
            return response
        self._health = (now, response)
        try:
            async with asyncio.timeout(2):
                age = await asyncio.get_running_loop().run_in_executor(
                    self._reading, self._tables.reading, inbox_age
                )
        except (TimeoutError, psycopg.Error, ConfigurationError):
            response = JSONResponse({"database": "unreachable", "answers": dict(self._counts)}, 503)
        else:
            response = JSONResponse(
                {"database": "reachable", "oldest_received_s": age, "answers": dict(self._counts)}
            )
        self._health = (now, response)
        return response


async def _describe(_request: Request) -> Response:
    return JSONResponse(openapi.DOCUMENT)


def _as_response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, media_type=reply.content_type)


def _unavailable() -> Response:
    return answers.failed(HTTPStatus.SERVICE_UNAVAILABLE, retry_after_s=5)
