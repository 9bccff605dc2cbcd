"""A clock that a test turns, for both twins of the circuit breaker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channel_sync.resilience.circuit_breaker.policy import (
    Admission,
    BreakerPolicy,
    BreakerState,
    CircuitBreaker,
    CircuitOpenError,
)
from channel_sync.storage.database import Database
from channel_sync.storage.session import Session

_ZERO = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


@dataclass(slots=True)
class Clock:
    """Seconds since the test began. Steps that are multiples of 1/8 are exact in both twins."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


class DrivenSession(Session):
    """A session whose statements are told the time of the test's clock."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database)
        self._clock = clock

    def rows(self, name: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """As if executed at the clock's time."""
        return super().rows(name, {**parameters, "at": _ZERO + timedelta(seconds=self._clock.seconds)})


@dataclass(frozen=True, slots=True)
class Scene:
    """A breaker, its policy and its clock."""

    breaker: CircuitBreaker
    policy: BreakerPolicy
    clock: Clock
    key: str = "airbnb/api.airbnb.com"

    def admit(self) -> Admission:
        """Leave to call now."""
        return self.breaker.admit(self.key)

    def refused(self) -> float:
        """The Retry-After of the refusal that there must be now."""
        with pytest.raises(CircuitOpenError) as refusal:
            self.admit()
        assert refusal.value.retry_after is not None
        return refusal.value.retry_after

    def succeed(self, admission: Admission | None = None) -> None:
        """A call ends well."""
        self.breaker.record_success(admission or self.admit())

    def fail(self, admission: Admission | None = None) -> None:
        """A call ends badly."""
        self.breaker.record_failure(admission or self.admit(), "ConnectError")

    def trip(self) -> None:
        """Enough failures to open it."""
        for _ in range(self.policy.failures):
            self.fail()

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.seconds += seconds

    def state(self) -> BreakerState:
        """The circuit as it stands."""
        found = self.breaker.snapshot(self.key)
        assert found is not None
        return found
