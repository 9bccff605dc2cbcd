"""A circuit breaker for one process: the twin of the shared one, for tests that need no database."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from channel_sync.resilience.circuit_breaker.policy import (
    STANDARD,
    Admission,
    BreakerPolicy,
    BreakerState,
    CircuitOpenError,
    CircuitState,
)
from channel_sync.resilience.circuit_breaker.window import Counts

_POLL_S = 1.0  # while probes are under way their verdict may come at any moment


@dataclass(slots=True)
class _Circuit:
    counts: Counts
    state: CircuitState = CircuitState.CLOSED
    epoch: int = 0
    trips: int = 0
    open_until: float = 0.0
    closed_at: float | None = None
    last_error: str | None = None
    probes_left: int = 0
    probe_until: float = 0.0
    probe_successes: int = 0

    def retry_after_s(self, now: float) -> float:
        match self.state:
            case CircuitState.OPEN:
                return max(0.0, self.open_until - now)
            case CircuitState.HALF_OPEN if not self.probes_left:
                return max(0.0, min(_POLL_S, self.probe_until - now))
            case _:
                return 0.0

    def given_up(self, now: float) -> bool:
        return self.state is CircuitState.HALF_OPEN and now >= self.probe_until

    def enter(self, state: CircuitState) -> None:
        self.state = state
        self.epoch += 1


class InMemoryCircuitBreaker:
    """A CircuitBreaker of this process alone. ``monotonic`` gives the seconds that it counts in."""

    def __init__(
        self, policy: BreakerPolicy = STANDARD, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._policy = policy
        self._monotonic = monotonic
        self._lock = Lock()
        self._circuits: dict[str, _Circuit] = {}

    def admit(self, key: str) -> Admission:
        """See CircuitBreaker."""
        with self._lock:
            now = self._monotonic()
            circuit = self._circuits.get(key)
            if circuit is None:
                return Admission(key, 0)
            if circuit.state is CircuitState.CLOSED:
                return Admission(key, circuit.epoch)
            wait_s = circuit.retry_after_s(now)
            if wait_s > 0:
                raise CircuitOpenError.of(key, circuit.last_error, wait_s)
            if circuit.state is CircuitState.OPEN or circuit.given_up(now):
                circuit.enter(CircuitState.HALF_OPEN)
                circuit.probes_left = self._policy.probes
                circuit.probe_successes = 0
            circuit.probes_left -= 1
            circuit.probe_until = now + self._policy.probe_ttl_s
            return Admission(key, circuit.epoch, probe=True)

    def confirm(self, admission: Admission) -> None:
        """See CircuitBreaker."""
        with self._lock:
            now = self._monotonic()
            circuit = self._circuits.get(admission.key)
            if circuit and (circuit.epoch != admission.epoch or circuit.given_up(now)):
                raise CircuitOpenError.of(admission.key, circuit.last_error, circuit.retry_after_s(now))

    def record_success(self, admission: Admission) -> None:
        """See CircuitBreaker."""
        self._record(admission, None)

    def record_failure(self, admission: Admission, error: str) -> None:
        """See CircuitBreaker."""
        self._record(admission, error)

    def abandon(self, admission: Admission) -> None:
        """See CircuitBreaker."""
        with self._lock:
            circuit = self._circuits.get(admission.key)
            if admission.probe and circuit and circuit.epoch == admission.epoch:
                most = self._policy.probes - circuit.probe_successes
                circuit.probes_left = min(circuit.probes_left + 1, most)

    def reset(self, key: str) -> None:
        """See CircuitBreaker."""
        with self._lock:
            if circuit := self._circuits.get(key):
                self._close(circuit, self._monotonic())
                circuit.trips = 0

    def snapshot(self, key: str) -> BreakerState | None:
        """See CircuitBreaker."""
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None:
                return None
            return BreakerState(key, circuit.state, circuit.retry_after_s(self._monotonic()), circuit.trips)

    def _record(self, admission: Admission, error: str | None) -> None:
        with self._lock:
            now = self._monotonic()
            circuit = self._circuits.setdefault(admission.key, _Circuit(Counts(now)))
            if circuit.epoch != admission.epoch or circuit.given_up(now):
                return
            if error is not None:
                circuit.last_error = error
            if circuit.state is CircuitState.HALF_OPEN:
                self._judge_probe(circuit, now, failed=error is not None)
            else:
                self._count(circuit, now, failed=error is not None)

    def _judge_probe(self, circuit: _Circuit, now: float, *, failed: bool) -> None:
        if failed:
            self._open(circuit, now)
            return
        circuit.probe_successes += 1
        if circuit.probe_successes >= self._policy.successes_to_close:
            self._close(circuit, now)

    def _count(self, circuit: _Circuit, now: float, *, failed: bool) -> None:
        policy = self._policy
        circuit.counts = circuit.counts.counting(now, policy.window_s, failed=failed)
        if circuit.closed_at is not None and circuit.closed_at + policy.calm_s <= now:
            circuit.trips = 0
        calls, failures = circuit.counts.estimate(now, policy.window_s)
        if failed and failures >= policy.failures and failures >= policy.failure_ratio * calls:
            self._open(circuit, now)

    def _open(self, circuit: _Circuit, now: float) -> None:
        circuit.enter(CircuitState.OPEN)
        circuit.trips += 1
        circuit.open_until = now + self._policy.open_for_s(circuit.trips)

    def _close(self, circuit: _Circuit, now: float) -> None:
        circuit.enter(CircuitState.CLOSED)
        circuit.closed_at = now
        circuit.counts = Counts(now)
