"""Counting over a sliding window with two slices: cheap, and right to within how unevenly the earlier slice is filled."""

from dataclasses import dataclass, replace


def windowed_count(counted: int, earlier: int, elapsed_s: float, window_s: float) -> float:
    """How many of the last ``window_s`` seconds, when the present slice is ``elapsed_s`` old.

    What the slice before holds is taken as spread evenly over it.
    """
    return counted + earlier * max(0.0, min(1.0, 1 - elapsed_s / window_s))


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls and failures of the slice that began at ``started``, and of the slice before."""

    started: float
    calls: int = 0
    failures: int = 0
    earlier_calls: int = 0
    earlier_failures: int = 0

    def counting(self, now: float, window_s: float, *, failed: bool) -> "Counts":
        """These, slid on to ``now``, with one call more."""
        slid = self._slid(now, window_s)
        return replace(slid, calls=slid.calls + 1, failures=slid.failures + failed)

    def estimate(self, now: float, window_s: float) -> tuple[float, float]:
        """Calls and failures of the last ``window_s`` seconds."""
        elapsed_s = now - self.started
        return (
            windowed_count(self.calls, self.earlier_calls, elapsed_s, window_s),
            windowed_count(self.failures, self.earlier_failures, elapsed_s, window_s),
        )

    def _slid(self, now: float, window_s: float) -> "Counts":
        elapsed_s = now - self.started
        if elapsed_s >= 2 * window_s:
            return Counts(now)
        if elapsed_s >= window_s:
            return Counts(self.started + window_s, earlier_calls=self.calls, earlier_failures=self.failures)
        return self
