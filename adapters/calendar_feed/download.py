"""One listing's feed as one page of its availability: GET a secret URL, believe only a whole calendar.

Shared by the channels that have feeds. A feed's URL is the credential: it is in no error and goes out byte for byte.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from zoneinfo import ZoneInfo

import httpx

from adapters.accounts import Listing
from adapters.calendar_feed.feed import feed_from_wire
from adapters.calendar_feed.mapping import observation_from_feed
from adapters.errors import ConfigurationError, UnexpectedResponse
from adapters.model import AvailabilityPage, Evidence, Stay, Validators
from adapters.spending import Spend, marked
from adapters.wire import error_from_status, exchange

FEED_URL = "feed_url"  # the name of the listing's secret
MAX_BODY_BYTES = 10 * 1024 * 1024  # real feeds: up to 70 kB; 500 events are about 150 kB
MAX_REDIRECTS = 3

_SCHEMES = ("http", "https")
_TARGET = re.compile(r"[a-z]+://[^/?#]*([^#]*)", re.IGNORECASE)
_PLAIN = re.compile(r"[!-~]+")


def availability_of_feed(
    client: httpx.Client,
    listing: Listing,
    window: Stay,
    validators: Validators,
    clock: Callable[[], datetime],
) -> AvailabilityPage:
    """The feed's closed nights inside ``window``, or the word that nothing changed.

    An unchanged page (HTTP 304) has no nights, an empty fingerprint and the validators that were sent: it
    stands for the answer they came with, so send them only where that one reached as far as ``window``.
    Raises UnexpectedResponse for a body that is not one whole calendar, ConfigurationError for a feed URL
    or time zone that cannot be used, and what adapters.wire raises.
    """
    home = _zone_of(listing)
    what = f"iCal feed of listing {listing.listing_id!r}"
    response = _fetch(client, listing, validators, what, clock)
    if response.status_code == 304:
        return AvailabilityPage(
            listing.listing_id, window, Evidence.ABSENCE, (), "", validators, unchanged=True
        )
    if len(response.content) > MAX_BODY_BYTES:
        raise UnexpectedResponse(f"{what}: a body of more than {MAX_BODY_BYTES} bytes")
    seen = observation_from_feed(feed_from_wire(response.content, what), window, home)
    return AvailabilityPage(
        listing.listing_id,
        window,
        Evidence.ABSENCE,
        seen.nights,
        seen.fingerprint,
        Validators(
            etag=_repeatable(response.headers.get("ETag")),
            last_modified=_repeatable(response.headers.get("Last-Modified")),
        ),
        problems=seen.problems,
    )


def _fetch(
    client: httpx.Client,
    listing: Listing,
    validators: Validators,
    what: str,
    clock: Callable[[], datetime],
) -> httpx.Response:
    """The 200 or 304 that the feed's URL leads to. Hosts of feeds redirect; a few hops are followed."""
    conditions = {
        name: value
        for name, value in (
            ("If-None-Match", validators.etag),
            ("If-Modified-Since", validators.last_modified),
        )
        if value
    }
    request = _request(client, listing, conditions)
    for _ in range(MAX_REDIRECTS + 1):
        response = exchange(client, request, what)
        if response.next_request is None:
            break
        request = _redirected(request, response.next_request, what)
    else:
        raise UnexpectedResponse(f"{what}: more than {MAX_REDIRECTS} redirects")
    status = response.status_code
    if status == 200 or (status == 304 and conditions):
        return response
    if response.is_success or status == 304:  # no content, a part of it, or "unchanged" without a question
        raise UnexpectedResponse(f"{what}: HTTP {status} in answer to a request for the whole feed")
    raise error_from_status(response, what, clock)


def _request(client: httpx.Client, listing: Listing, headers: dict[str, str]) -> httpx.Request:
    url = listing.secret(FEED_URL)
    request = None
    with suppress(httpx.InvalidURL, ValueError):  # ours is raised below: httpx's quotes the URL
        request = client.build_request("GET", url, headers=headers)
    if request is None or not _leads_somewhere(request.url):
        raise ConfigurationError(
            f"the secret {FEED_URL!r} of listing {listing.listing_id!r} is not an address that begins with"
            " https:// and has no blanks: copy it again from the channel"
        )
    # httpx tidies a path like /a/../b. A feed's URL is a token: it goes out byte for byte.
    given = _TARGET.match(url)
    target = f"/{given[1].removeprefix('/')}" if given else ""
    if _PLAIN.fullmatch(target) and target.encode() != request.url.raw_path:
        request.extensions["target"] = target.encode()
    return marked(request, Spend("feed", listing_id=listing.listing_id))


def _redirected(before: httpx.Request, after: httpx.Request, what: str) -> httpx.Request:
    if not _leads_somewhere(after.url) or (before.url.scheme, after.url.scheme) == ("https", "http"):
        raise UnexpectedResponse(f"{what}: redirected to where a feed is not followed")
    after.extensions = {name: value for name, value in after.extensions.items() if name != "target"}
    return after


def _leads_somewhere(url: httpx.URL) -> bool:
    """Whether a connection can be tried: the socket's own refusals of ports and names are no errors of httpx."""
    return (
        url.scheme in _SCHEMES
        and (url.port or 0) <= 65_535
        and all(0 < len(label) <= 63 for label in url.raw_host.removesuffix(b".").split(b"."))
    )


def _repeatable(validator: str | None) -> str | None:
    """A validator that can be sent back in a header; None for one that cannot."""
    return validator if validator and validator.isascii() and validator.isprintable() else None


def _zone_of(listing: Listing) -> ZoneInfo:
    try:
        return ZoneInfo(listing.time_zone)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f"listing {listing.listing_id!r} has the unknown time zone {listing.time_zone!r}:"
            " give its property an IANA name like Europe/Lisbon"
        ) from None
