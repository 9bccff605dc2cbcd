"""Whether the processes on this machine serve, asked from outside with nothing but the standard library.

The process that asks lives as long as the stack: it must stay small.
"""

import json
import socket
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from typing import Any

_PATIENCE_S = 5.0
_LOCATIONS = (
    """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"""
)
_DAEMONS = """{ instance { daemonHealth { allDaemonStatuses { required healthy lastHeartbeatTime } } } }"""


def free_ports(host: str, count: int) -> list[int]:
    """Different ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server((host, 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def is_taken(host: str, port: int) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection((host, port), _PATIENCE_S).close()
    except OSError:
        return False
    return True


def answers(host: str, port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    return _ask(host, port, "GET", path) is not None


def location_loaded(host: str, port: int) -> bool:
    """Whether the web server has every code location."""
    match _graphql(host, port, _LOCATIONS):
        case {"data": {"workspaceOrError": {"locationEntries": [_, *_] as entries}}}:
            return all(
                (entry["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
                for entry in entries
            )
    return False


def daemons_beat(host: str, port: int, *, since: float) -> bool:
    """Whether each daemon thread that the instance needs is well and has said so after ``since`` (Unix seconds)."""
    match _graphql(host, port, _DAEMONS):
        case {"data": {"instance": {"daemonHealth": {"allDaemonStatuses": [_, *_] as daemons}}}}:
            return all(
                daemon["healthy"] and (daemon["lastHeartbeatTime"] or 0) > since
                for daemon in daemons
                if daemon["required"]
            )
    return False


def _graphql(host: str, port: int, query: str) -> Any:
    body = _ask(host, port, "POST", "/graphql", json.dumps({"query": query}).encode())
    try:
        return json.loads(body or b"null")
    except ValueError:
        return None


def _ask(host: str, port: int, method: str, path: str, body: bytes | None = None) -> bytes | None:
    """The body of an answer 200, None for everything else."""
    connection = HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException):
        return None
    else:
        return content if response.status == 200 else None
    finally:
        connection.close()
