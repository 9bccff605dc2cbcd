"""The table of channels as README.md shows it, made from what the channels declare of themselves."""

from collections.abc import Mapping
from datetime import timedelta

from adapters.base_adapter import Capability, Declaration, Quota
from adapters.model import Evidence

_VERBS = {
    Capability.LIST_LISTINGS: "listings",
    Capability.PULL_AVAILABILITY: "availability",
    Capability.PULL_PRICING: "prices",
    Capability.PULL_BOOKINGS: "bookings",
    Capability.ACKNOWLEDGE_BOOKINGS: "acknowledgement",
    Capability.PUSH_AVAILABILITY: "availability (push)",
    Capability.PUSH_PRICING: "prices (push)",
}
_EVIDENCE = {
    Evidence.EXPLICIT: "stated",
    Evidence.ABSENCE: "not mentioned: passes the release rule",
}
_HEAD = ("channel", "can", "an open night is", "horizon", "quotas", "webhooks", "acknowledge within")


def markdown(declarations: Mapping[str, Declaration]) -> str:
    """One row a channel, in order of its key."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(_row(declarations[key]) for key in sorted(declarations))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(declaration: Declaration) -> tuple[str, ...]:
    return (
        f"[{declaration.title}](adapters/{declaration.name}/README.md)",
        ", ".join(words for verb, words in _VERBS.items() if verb in declaration.capabilities),
        _EVIDENCE[declaration.evidence],
        f"{declaration.horizon_days} days",
        "; ".join(map(_quota, declaration.quotas)) or "none published",
        "yes" if declaration.sends_webhooks else "no",
        _span(declaration.acknowledge_within) if declaration.acknowledge_within else "-",
    )


def _quota(quota: Quota) -> str:
    return f"{quota.limit:,} in {_span(quota.window)} per {quota.scope}"


def _span(span: timedelta) -> str:
    """A length of time in the largest unit that divides it."""
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
