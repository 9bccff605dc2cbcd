"""Under which keys the calls to a channel are counted. Pure; every process gives the same call the same keys.

    airbnb/api.airbnb.com                              the circuit, and the limiter where no quota counts the call
    airbnb/api.airbnb.com/ip                           a quota per IP address
    airbnb/api.airbnb.com/account/north                per account
    airbnb/api.airbnb.com/account/north/listing/42     per listing; also /property/<id>, /endpoint/<name>
    airbnb/api.airbnb.com/ip/calendars+listings        a quota that counts some endpoints only

All processes that share the database count as one IP address. From several addresses a channel would bear more, but
which of them a call leaves by is not known here.
"""

from collections.abc import Iterable
from urllib.parse import quote

from adapters.base_adapter import Quota, QuotaScope
from adapters.spending import Spend
from channel_sync.resilience.rate_limiter.limits import RateLimitPolicy

_WIDEST_FIRST = (
    QuotaScope.IP,
    QuotaScope.ACCOUNT,
    QuotaScope.PROPERTY,
    QuotaScope.LISTING,
    QuotaScope.ENDPOINT,
)


def host_key(channel: str, host: str) -> str:
    """The circuit of a channel's host: what fails there fails for every account."""
    return f"{channel}/{host}"


def in_flight_key(channel: str, host: str, account: str, one_at_a_time: str) -> str:
    """What calls of an account that must not overlap wait for."""
    return f"{channel}/{host}/account/{_part(account)}/{_part(one_at_a_time)}"


def policies(
    channel: str, quotas: Iterable[Quota], account: str, host: str, spend: Spend
) -> tuple[RateLimitPolicy, ...]:
    """The counters that a call moves, from the widest to the narrowest. ``quotas`` are those in force.

    Quotas of one scope and the same endpoints are windows of one key. A call that no quota counts has the host's
    key without windows: there a penalty still stops it. Raises ValueError where a quota counts by something that the
    call was not marked with.
    """
    windows: dict[tuple[QuotaScope, frozenset[str]], list[Quota]] = {}
    for quota in quotas:
        if not quota.endpoints or spend.endpoint in quota.endpoints:
            windows.setdefault((quota.scope, quota.endpoints), []).append(quota)
    if not windows:
        return (RateLimitPolicy(host_key(channel, host)),)
    return tuple(
        RateLimitPolicy(_key(channel, account, host, spend, *counter), tuple(windows[counter]))
        for counter in sorted(windows, key=_width)
    )


def _width(counter: tuple[QuotaScope, frozenset[str]]) -> tuple[int, bool, list[str]]:
    """Sorts wide before narrow, and always alike: a quota of all endpoints is wider than one of some."""
    scope, endpoints = counter
    return _WIDEST_FIRST.index(scope), bool(endpoints), sorted(endpoints)


def _key(
    channel: str, account: str, host: str, spend: Spend, scope: QuotaScope, endpoints: frozenset[str]
) -> str:
    parts = [host_key(channel, host)]
    if scope is QuotaScope.IP:
        parts.append(scope)
    else:
        parts += [QuotaScope.ACCOUNT, _part(account)]
    if scope not in (QuotaScope.IP, QuotaScope.ACCOUNT):
        parts += [scope, _part(_counted_by(channel, spend, scope))]
    if endpoints:
        parts.append("+".join(map(_part, sorted(endpoints))))
    return "/".join(parts)


def _counted_by(channel: str, spend: Spend, scope: QuotaScope) -> str:
    if scope is QuotaScope.ENDPOINT:
        return spend.endpoint
    told = spend.property_id if scope is QuotaScope.PROPERTY else spend.listing_id
    if told is None:
        raise ValueError(
            f"{channel}: a quota per {scope} counts calls to {spend.endpoint!r}, and these are not marked with a "
            f"{scope}: mark them in the adapter, or name the endpoints that the quota counts"
        )
    return told


def _part(name: str) -> str:
    """A name as one part of a key, whatever a channel puts into its ids."""
    return quote(name, safe="")
