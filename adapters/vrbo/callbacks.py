"""Where notifications go and the secret they are signed with, as Vrbo tells them once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters import json_fields
from adapters.errors import UnexpectedResponse
from adapters.model import Secret


@dataclass(frozen=True, slots=True)
class CallbackSecret:
    """The secret of a callback, told in this answer and never again.

    ``previous_until`` is when the one before it ends, where that is still good: until then both sign. Both moments are
    told without a zone and read as UTC.
    """

    config_id: str
    secret: Secret
    expires_at: datetime
    previous_until: datetime | None = None


def created_from_wire(data: Mapping[str, Any], what: str) -> CallbackSecret:
    """The answer to making a callback."""
    payload = _payload(data, "createNotificationCallbackConfig", what)
    config = payload.get("callbackConfig")
    return _secret(payload, config if isinstance(config, dict) else {}, "id", what)


def refreshed_from_wire(data: Mapping[str, Any], what: str) -> CallbackSecret:
    """The answer to asking for a new secret."""
    payload = _payload(data, "refreshNotificationCallbackConfigSecret", what)
    return _secret(payload, payload, "callbackConfigId", what)


def _payload(data: Mapping[str, Any], name: str, what: str) -> Mapping[str, Any]:
    payload = data.get(name)
    if not isinstance(payload, dict):
        raise UnexpectedResponse(f"{what}: no answer to {name}")
    return payload


def _secret(payload: Mapping[str, Any], config: Mapping[str, Any], id_name: str, what: str) -> CallbackSecret:
    secret = payload.get("secret")
    expires_at = _moment(config.get("secretExpirationDateTime"))
    try:
        config_id = json_fields.code(config, id_name)
    except ValueError:
        config_id = None
    if not isinstance(secret, str) or not secret.strip() or config_id is None or expires_at is None:
        raise UnexpectedResponse(f"{what}: the answer lacks the secret, its end or the callback's id")
    previous = _moment(config.get("previousSecretExpirationDateTime"))
    return CallbackSecret(config_id, Secret(secret), expires_at, previous)


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
