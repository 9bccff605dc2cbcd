"""Vrbo, simulated from its wire: Expedia Group's tokens and GraphQL, and the calendar feed of each property."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, build_schema, execute_sync, parse, validate

from channel_sync.sandbox.acknowledged import Acknowledged
from channel_sync.sandbox.exchange import Answer, Request, json_answer
from channel_sync.sandbox.extranet import Extranet
from channel_sync.sandbox.feeds import Feeds, feed_path
from channel_sync.sandbox.tokens import invented
from channel_sync.sandbox.vrbo import wire
from channel_sync.sandbox.vrbo.desk import Desk
from channel_sync.sandbox.vrbo.schema import SCHEMA
from channel_sync.sandbox.vrbo.tokens import Bearers
from channel_sync.sandbox.world import World

_TOKEN_PATH = re.compile("/identity/oauth2/v3/token/?")
_GRAPHQL_PATH = "/supply/lodging/graphql"
_FEEDS = "/feeds"
_CODES = {
    400: "BAD_USER_INPUT",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
}


def error(status: int) -> Answer:
    """An error with a status, in the words of the GraphQL service."""
    code = _CODES.get(status, "INTERNAL_SERVER_ERROR")
    return json_answer(status, {"errors": [{"message": "Simulated.", "extensions": {"code": code}}]})


class Vrbo:
    """One partner's properties. ``tokens`` can be revoked; ``desk`` is what is done there and how it fails."""

    error = staticmethod(error)

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self.extranet = Extranet(world, now)
        self.acknowledged = Acknowledged(world, now)
        self.tokens = Bearers()
        self.world_ids: Mapping[str, str] = {wire.vrbo_id(known): known for known in world.listings}
        self.desk = Desk(world, self.acknowledged, now)
        self._now = now
        self._feeds = Feeds(world, now)

    def reservation_id(self, code: str) -> str:
        """The channel's own id of the world's booking."""
        return wire.reservation_id(code)

    def notifications(self) -> tuple[dict[str, Any], ...]:
        """What is posted to the partner: of every version that is not confirmed yet, oldest first."""
        return self.desk.notifications()

    def answer(self, request: Request) -> Answer:
        """The answer to a request whose path begins behind the channel's name."""
        if request.path.startswith(_FEEDS):
            return self._feeds.answer(replace(request, path=request.path.removeprefix(_FEEDS)))
        if request.method != "POST":
            return error(405)
        if _TOKEN_PATH.fullmatch(request.path):
            granted = self.tokens.grant(request, self._now())
            return (
                json_answer(401, {"error": "invalid_client"})
                if granted is None
                else json_answer(200, granted)
            )
        if request.path != _GRAPHQL_PATH:
            return error(404)
        if not self.tokens.is_good(request, self._now()):
            return error(401)
        return self._executed(request)

    def _executed(self, request: Request) -> Answer:
        """An operation, or several of which one is named, done as the schema allows."""
        asked = _asked(request)
        if asked is None:
            return error(400)
        document, mistakes = _read(asked["query"])
        if document is None:
            failed = [
                {"message": each, "extensions": {"code": "GRAPHQL_VALIDATION_FAILED"}} for each in mistakes
            ]
            return json_answer(400, {"errors": failed})
        done = execute_sync(
            _schema(),
            document,
            self.desk.operations(),
            variable_values=asked.get("variables"),
            operation_name=asked.get("operationName"),
        )
        told: dict[str, Any] = {"data": done.data}
        if done.errors:
            told["errors"] = [
                {"extensions": {"code": "BAD_USER_INPUT"}, **each.formatted} for each in done.errors
            ]
        return json_answer(200, told)


def environment(url: str) -> dict[str, str]:
    """The variables that the sample portfolio names for this channel's account, for a sandbox at ``url``; invented."""
    tokens = Bearers()
    feeds = f"{url.rstrip('/')}/vrbo{_FEEDS}"
    return {
        "VRBO_DEMO_CLIENT_ID": tokens.client_id,
        "VRBO_DEMO_CLIENT_SECRET": tokens.client_secret,
        "VRBO_DEMO_WEBHOOK_SECRET": invented("vrbo webhook secret"),
        **{
            f"VRBO_DEMO_{place}_FEED_URL": feeds + feed_path("vrbo", listing_id)
            for place, listing_id in (("HARBOUR", "1001"), ("LANTERN", "1002"), ("GULF", "1003"))
        },
    }


@cache
def _schema() -> GraphQLSchema:
    return build_schema(SCHEMA)


@lru_cache(maxsize=64)
def _read(query: str) -> tuple[DocumentNode | None, tuple[str, ...]]:
    """A document that the schema allows; None and what is wrong with it for another."""
    try:
        document = parse(query)
        mistakes = validate(_schema(), document)
    except GraphQLError as unreadable:
        return None, (unreadable.message,)
    return (None, tuple(each.message for each in mistakes)) if mistakes else (document, ())


def _asked(request: Request) -> dict[str, Any] | None:
    """The body of a GraphQL request; None for anything else."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return None
    try:
        body = json.loads(request.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) and isinstance(body.get("query"), str) else None
