"""The circuit breaker that all processes share: one row per key, judged by the database's clock.

When the database cannot be reached, no call is let through. A call that is not guarded could be the one that keeps a
failing channel down, and its answer could not be stored anyway. What is recorded after a call never costs the call its
answer: it is dropped with a warning, and the permit of a probe expires by its time to live.

A statement whose connection broke before its answer came is executed once more, so in that moment an outcome may be
counted twice, or a probe's permit be lost until its time to live is over.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import psycopg

from adapters.errors import Unavailable
from channel_sync.resilience.circuit_breaker.policy import (
    STANDARD,
    Admission,
    BreakerPolicy,
    BreakerState,
    CircuitOpenError,
    CircuitState,
)
from channel_sync.storage.session import Session

_LOG = logging.getLogger(__name__)


class PostgresCircuitBreaker:
    """A CircuitBreaker over all processes that use the same database."""

    def __init__(self, session: Session, policy: BreakerPolicy = STANDARD) -> None:
        """``session`` may be shared with others."""
        self._session = session
        # The time is null: the database's own. Only tests put another in its place.
        self._policy: Mapping[str, Any] = {**asdict(policy), "at": None}
        self._dropping = False

    def admit(self, key: str) -> Admission:
        """See CircuitBreaker."""
        ((admitted, epoch, probe, retry_after_s, error),) = self._ask("admit_call", key)
        if not admitted:
            raise CircuitOpenError.of(key, error, retry_after_s)
        return Admission(key, epoch, probe)

    def confirm(self, admission: Admission) -> None:
        """See CircuitBreaker."""
        for holds, retry_after_s, error in self._ask(
            "confirm_admission", admission.key, epoch=admission.epoch
        ):
            if not holds:
                raise CircuitOpenError.of(admission.key, error, retry_after_s)

    def record_success(self, admission: Admission) -> None:
        """See CircuitBreaker."""
        self._record(admission, None)

    def record_failure(self, admission: Admission, error: str) -> None:
        """See CircuitBreaker."""
        self._record(admission, error)

    def abandon(self, admission: Admission) -> None:
        """See CircuitBreaker."""
        if admission.probe:
            self._tell("abandon_probe", admission.key, epoch=admission.epoch)

    def reset(self, key: str) -> None:
        """See CircuitBreaker."""
        self._ask("reset_circuit", key)

    def snapshot(self, key: str) -> BreakerState | None:
        """See CircuitBreaker."""
        for state, retry_after_s, trips in self._ask("circuit_state", key):
            return BreakerState(key, CircuitState(state), retry_after_s, trips)
        return None

    def _record(self, admission: Admission, error: str | None) -> None:
        # Only the process whose outcome changed the state is told so: a transition is logged once.
        for (transition,) in self._tell(
            "record_outcome", admission.key, epoch=admission.epoch, ok=error is None, error=error
        ):
            if transition == "opened":
                _LOG.warning("circuit %s opened after %s: calls are held back", admission.key, error)
            elif transition == "closed":
                _LOG.warning("circuit %s closed: calls are let through again", admission.key)

    def _ask(self, statement: str, key: str, **parameters: object) -> list[tuple[Any, ...]]:
        """What decides about a call: without an answer there is none."""
        try:
            return self._rows(statement, key, parameters)
        except psycopg.OperationalError as failure:
            raise Unavailable(
                f"circuit {key} cannot be read, the database is out of reach ({type(failure).__name__}): nothing was sent"
            ) from None

    def _tell(self, statement: str, key: str, **parameters: object) -> list[tuple[Any, ...]]:
        """What follows a call: of a series that cannot be kept the first is logged."""
        try:
            rows = self._rows(statement, key, parameters)
        except psycopg.Error as failure:
            if not self._dropping:
                _LOG.warning("circuit %s: outcomes are dropped (%s)", key, type(failure).__name__)
            self._dropping = True
            return []
        self._dropping = False
        return rows

    def _rows(self, statement: str, key: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
        return self._session.rows(statement, {**self._policy, "key": key, **parameters})
