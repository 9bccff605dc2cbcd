"""Airbnb's partner API, simulated from its wire: tokens, user, listings, calendars, reservations. Read only."""

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Any

from channel_sync.sandbox.airbnb_wire import (
    calendar_to_wire,
    listing_to_wire,
    reservation_to_wire,
    user_to_wire,
)
from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.exchange import Answer, Request, json_answer
from channel_sync.sandbox.tokens import USER_ID, Tokens, invented
from channel_sync.sandbox.world import World

API_VERSIONS = frozenset({"2023.06.30", "2024.06.30", "2024.12.31", "2025.06.30"})
MOST_DATES = 731  # in one calendar
DEFAULT_LIMIT, MOST_LIMIT = 20, 50
_CACHED_BYTES = 128 * 1024 * 1024

# error_type, error_class, error_message by status, as seen in answers of the API.
_ERRORS: Mapping[int, tuple[str, str, str]] = {
    403: (
        "no_access",
        "ServiceRequestAuthorizationError",
        "You do not have permission to access this resource.",
    ),
    404: ("record_not_found", "RecordNotFoundError", "Unfortunately, this is no longer available."),
    429: ("rate_limit_exceeded", "ConcurrencyLimitError", "Too many requests at once. Try again later."),
}


def error(status: int, message: str | None = None) -> Answer:
    """An error in Airbnb's own body."""
    if status == 401:
        return json_answer(
            401,
            {
                "error_code": 401,
                "error": "authentication_required",
                "error_message": "Please login to continue.",
            },
        )
    if status == 400 and message is None:
        return json_answer(400, {"status": 400, "error": "Invalid Request"})
    kind, class_name, usual = _ERRORS.get(status, ("unknown_error", "ApiError", "Something went wrong."))
    return json_answer(
        status,
        {
            "error_code": status,
            "error_type": "invalid_params" if status == 400 else kind,
            "error_message": message or usual,
            "error_id": f"api_frwrk_{invented(f'error {status}')}",
            "error_class": "ValidationError" if status == 400 else class_name,
            "error_title": None,
        },
    )


class Refused(Exception):
    """A request that Airbnb answers with an error."""

    def __init__(self, status: int, message: str | None = None) -> None:
        super().__init__(f"{status} {message or ''}")
        self.answer = error(status, message)


class Airbnb:
    """The API of one simulated host. ``tokens`` can be steered: rotation, lifetime, revocation."""

    error = staticmethod(error)

    def __init__(self, world: World, now: Callable[[], datetime]) -> None:
        self.world = world
        self.tokens = Tokens()
        self._now = now
        self._calendars: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._calendar_bytes = 0
        self._lock = Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to a request whose path begins behind the channel's name: "/v2/listings"."""
        for method, pattern, verb in _ROUTES:
            found = pattern.fullmatch(request.path)
            if found and method == request.method:
                try:
                    if verb not in _OPEN:
                        self._check_headers(request)
                    return verb(self, request, *found.groups())
                except Refused as refused:
                    return refused.answer
        return error(404)

    # Tokens.

    def grant(self, request: Request) -> Answer:
        """An access token for a code or a refresh token."""
        if not self.tokens.knows(request):
            raise Refused(401)
        granted = self.tokens.grant(request, self._now())
        if granted is None:
            raise Refused(400)
        return json_answer(200, granted)

    def check_token(self, request: Request, token: str) -> Answer:
        """What a token is good for."""
        if not (
            self.tokens.knows(request) or request.headers.get("x-airbnb-api-key") == self.tokens.client_id
        ):
            raise Refused(401)
        expires = self.tokens.expires_at(token, self._now())
        if expires is None:
            raise Refused(404)
        return json_answer(
            200,
            {
                "expires_at": expires,
                "token": token,
                "token_type": "access_token",
                "user_id": USER_ID,
                "user_id_str": str(USER_ID),
                "valid": True,
            },
        )

    def _check_headers(self, request: Request) -> None:
        if request.headers.get("x-airbnb-api-key") != self.tokens.client_id:
            raise Refused(401)
        if self.tokens.expires_at(request.headers.get("x-airbnb-oauth-token", ""), self._now()) is None:
            raise Refused(401)
        version = request.headers.get("x-airbnb-req-api-version", "")
        if version not in API_VERSIONS:
            raise Refused(400, f"X-AIRBNB-REQ-API-VERSION is one of {', '.join(sorted(API_VERSIONS))}")

    # What there is to read.

    def user(self, _request: Request, user_id: str) -> Answer:
        """The host."""
        _own(user_id)
        return json_answer(200, {"user": user_to_wire()})

    def listings(self, request: Request) -> Answer:
        """One page of the host's listings, by offset or by the cursor of the page before."""
        _own(request.parameter("user_id"))
        limit = _limit(request)
        cursor = request.parameter("_cursor")
        offset = _natural(_opened(cursor)[0] if cursor else request.parameter("_offset", "0"), "_offset")
        known = list(self.world.listings.values())
        following = offset + limit if offset + limit < len(known) else None
        return json_answer(
            200,
            {
                "listings": [listing_to_wire(listing) for listing in known[offset : offset + limit]],
                "paging": {
                    "total_count": len(known),
                    "limit": limit,
                    "prev_offset": max(0, offset - limit) if offset else None,
                    "next_offset": following,
                    "next_cursor": None if following is None else _sealed(str(following)),
                },
            },
        )

    def listing(self, _request: Request, listing_id: str) -> Answer:
        """One listing."""
        self._known(listing_id)
        return json_answer(200, {"listing": listing_to_wire(self.world.listings[listing_id])})

    def calendar(self, _request: Request, listing_id: str, first: str, last: str) -> Answer:
        """Each night from the first to the last date, both inclusive."""
        self._known(listing_id)
        start, end = _date(first), _date(last) + timedelta(days=1)
        if not 0 < (end - start).days <= MOST_DATES:
            raise Refused(400, f"A calendar has 1 to {MOST_DATES} dates, the first before the last.")
        now = self._now()
        # The version is asked for first: what a script changes in between makes another version, never this one.
        key = (listing_id, start, end, self.world.version(listing_id, now))
        with self._lock:
            body = self._calendars.get(key)
        if body is None:
            listing = self.world.listings[listing_id]
            body = calendar_to_wire(listing, self.world.calendar(listing_id, start, end, now))
            self._keep(key, body)
        return Answer(200, body)

    def reservations(self, request: Request) -> Answer:
        """One page of reservations in the order they were booked, cancelled ones too."""
        _own(request.parameter("host_id") or request.parameter("user_id"))
        listing_id = request.parameter("listing_id") or None
        if listing_id is not None:
            self._known(listing_id)
        limit, cursor = _limit(request), request.parameter("_cursor")
        after = None
        if cursor:
            booked_at, code = _opened(cursor, parts=2)
            after = _moment(booked_at), code
        page: list[Booking] = []
        more = False
        for booking in self.world.bookings_after(after, self._now(), listing_id):
            if len(page) == limit:
                more = True
                break
            page.append(booking)
        next_cursor = _sealed(page[-1].booked_at.isoformat(), page[-1].code) if more else None
        return json_answer(
            200,
            {
                "reservations": [
                    reservation_to_wire(booking, self.world.listings[booking.listing_id]) for booking in page
                ],
                "paging": {"limit": limit, "next_cursor": next_cursor},
            },
        )

    def reservation(self, _request: Request, code: str) -> Answer:
        """One reservation."""
        booking = self.world.booking(code, self._now())
        if booking is None:
            raise Refused(404)
        wire = reservation_to_wire(booking, self.world.listings[booking.listing_id])
        return json_answer(200, {"reservation": wire})

    def _known(self, listing_id: str) -> None:
        if listing_id not in self.world.listings:
            raise Refused(404)

    def _keep(self, key: tuple[object, ...], body: bytes) -> None:
        with self._lock:
            if key not in self._calendars:
                self._calendars[key] = body
                self._calendar_bytes += len(body)
            while self._calendar_bytes > _CACHED_BYTES:
                self._calendar_bytes -= len(self._calendars.popitem(last=False)[1])


_Verb = Callable[..., Answer]
_ROUTES: tuple[tuple[str, re.Pattern[str], _Verb], ...] = (
    ("POST", re.compile("/v2/oauth2/authorizations/?"), Airbnb.grant),
    ("GET", re.compile("/v2/oauth2/authorizations/([^/]+)"), Airbnb.check_token),
    ("GET", re.compile("/v2/users/([^/]+)"), Airbnb.user),
    ("GET", re.compile("/v2/listings/?"), Airbnb.listings),
    ("GET", re.compile("/v2/listings/([^/]+)"), Airbnb.listing),
    ("GET", re.compile("/v2/calendars/([^/]+)/([^/]+)/([^/]+)"), Airbnb.calendar),
    ("GET", re.compile("/v2/reservations/?"), Airbnb.reservations),
    ("GET", re.compile("/v2/reservations/([^/]+)"), Airbnb.reservation),
)
_OPEN: frozenset[_Verb] = frozenset({Airbnb.grant, Airbnb.check_token})


def _own(user_id: str) -> None:
    if user_id != str(USER_ID):
        raise Refused(403)


def _limit(request: Request) -> int:
    limit = _natural(request.parameter("_limit", str(DEFAULT_LIMIT)), "_limit")
    if not 1 <= limit <= MOST_LIMIT:
        raise Refused(400, f"_limit is 1 to {MOST_LIMIT}")
    return limit


def _natural(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise Refused(400, f"{name} is a number")
    return int(text)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(400, "A date is written YYYY-MM-DD.") from None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, "_cursor is none of ours") from None


def _sealed(*parts: str) -> str:
    """A cursor that tells a client nothing."""
    return base64.urlsafe_b64encode("|".join(parts).encode()).decode()


def _opened(cursor: str, parts: int = 1) -> list[Any]:
    try:
        found = base64.urlsafe_b64decode(cursor.encode()).decode().split("|")
    except (binascii.Error, UnicodeError):
        raise Refused(400, "_cursor is none of ours") from None
    if len(found) != parts:
        raise Refused(400, "_cursor is none of ours")
    return found
