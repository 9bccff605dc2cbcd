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
_NONE = "-"
_HEAD = (
    "channel",
    "can",
    "an open night is",
    "quotas",
    "horizon",
    "webhooks",
    "acknowledge within",
    "poll every",
)


def markdown(declarations: Mapping[str, Declaration]) -> str:
    """One row a channel, in order of its key."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *(_row(declarations[key]) for key in sorted(declarations))]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(declaration: Declaration) -> tuple[str, ...]:
    can = declaration.capabilities
    return (
        f"[{declaration.title}](adapters/{declaration.name}/README.md)",
        ", ".join(words for verb, words in _VERBS.items() if verb in can) or _NONE,
        _EVIDENCE[declaration.evidence] if Capability.PULL_AVAILABILITY in can else _NONE,
        "; ".join(map(_quota, declaration.quotas)) or "none published",
        f"{declaration.horizon_days} days",
        "yes" if declaration.sends_webhooks else "no",
        _span(declaration.acknowledge_within),
        _span(declaration.poll_every),
    )


def _quota(quota: Quota) -> str:
    of = f" ({', '.join(sorted(quota.endpoints))})" if quota.endpoints else ""
    return f"{quota.limit:,} in {_span(quota.window)} per {quota.scope}{of}"


def _span(span: timedelta | None) -> str:
    """A length of time in the largest unit that divides it."""
    if span is None:
        return _NONE
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
