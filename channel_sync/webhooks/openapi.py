"""What the gateway offers, as an OpenAPI document. Signatures and bodies are each channel's own: see its README."""

from typing import Any

_NAME = {"type": "string", "minLength": 1, "pattern": "^[^/?#]+$"}
_ACCOUNT: list[dict[str, Any]] = [
    {
        "name": "channel",
        "in": "path",
        "required": True,
        "schema": _NAME,
        "description": "Key of the channel: house, airbnb.",
    },
    {
        "name": "account",
        "in": "path",
        "required": True,
        "schema": _NAME,
        "description": "Code of the account in the portfolio.",
    },
]
_REST = {
    "name": "rest",
    "in": "path",
    "required": True,
    "schema": _NAME,
    "description": "What the channel adds to the address that it was given, such as the code of a booking.",
}
_BODY = {"required": False, "content": {"*/*": {"schema": {}}}}


def _error(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _late(description: str) -> dict[str, Any]:
    seconds = {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}
    return {**_error(description), "headers": {"Retry-After": seconds}}


_OTHERWISE = {
    "404": _error("No such channel or account, or it is switched off."),
    "408": _error("The body did not arrive in time."),
    "413": _error("The body is longer than 1 MiB."),
    "429": _late("Too many requests from this address, or in all."),
    "503": _late("Not stored, through no fault of the sender: send it again."),
}
_REFUSED = {"401": _error("Not from the channel, or not provably so.")}
_ACCEPTED = {
    "description": "Committed, or already known.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}
_ANSWERED = {
    "description": "The verdict, in the channel's words; {} for a probe.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}
_PROBED = {"description": "There is such an account."}


def _operations(suffix: str, *more: dict[str, Any]) -> dict[str, Any]:
    return {
        "parameters": [*_ACCOUNT, *more],
        "get": {
            "operationId": f"ask{suffix}",
            "summary": "A probe without a query; with one, a signed question that is answered at once.",
            "responses": {"200": _ANSWERED, **_REFUSED, **_OTHERWISE},
        },
        "head": {
            "operationId": f"probe{suffix}",
            "summary": "Whether there is such an account.",
            "responses": {"200": _PROBED, **_OTHERWISE},
        },
        "post": {
            "operationId": f"deliver{suffix}",
            "summary": "A signed delivery: 2xx means that it is committed. A signed question is answered at once.",
            "requestBody": _BODY,
            "responses": {"200": _ACCEPTED, **_REFUSED, **_OTHERWISE},
        },
        "put": {
            "operationId": f"alter{suffix}",
            "summary": "A signed question about a booking that is to be altered.",
            "requestBody": _BODY,
            "responses": {
                "200": _ANSWERED,
                **_REFUSED,
                "405": _error("Signed, but not a question of this channel."),
                **_OTHERWISE,
            },
        },
    }


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "channel-sync webhooks", "version": "1"},
    "paths": {
        "/health": {
            "get": {
                "operationId": "health",
                "summary": "Whether deliveries can be stored, and how long the oldest unsettled one waits.",
                "responses": {
                    status: {
                        "description": description,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Health"}}},
                    }
                    for status, description in (
                        ("200", "They can."),
                        ("503", "The database cannot be reached."),
                    )
                },
            }
        },
        "/openapi.json": {
            "get": {
                "operationId": "describe",
                "summary": "This document.",
                "responses": {
                    "200": {
                        "description": "OpenAPI 3.1.",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    }
                },
            }
        },
        "/webhooks/{channel}/{account}": _operations(""),
        "/webhooks/{channel}/{account}/token": {
            "parameters": _ACCOUNT,
            "post": {
                "operationId": "issueToken",
                "summary": "A token for a channel whose deliveries carry one of ours.",
                "requestBody": _BODY,
                "responses": {
                    "200": {
                        "description": "The token, in the channel's words.",
                        "content": {"application/json": {"schema": {"type": "object"}}},
                    },
                    **_REFUSED,
                    **_OTHERWISE,
                },
            },
        },
        "/webhooks/{channel}/{account}/{rest}": _operations("Below", _REST),
    },
    "components": {
        "schemas": {
            "Error": {
                "type": "object",
                "required": ["error"],
                "additionalProperties": False,
                "properties": {"error": {"type": "string"}},
            },
            "Health": {
                "type": "object",
                "required": ["database", "answers"],
                "additionalProperties": False,
                "properties": {
                    "database": {"enum": ["reachable", "unreachable"]},
                    "oldest_received_s": {"type": ["number", "null"], "minimum": 0},
                    "answers": {
                        "type": "object",
                        "description": "How many answers of each kind were given since the start.",
                        "additionalProperties": {"type": "integer", "minimum": 1},
                    },
                },
            },
        }
    },
}
