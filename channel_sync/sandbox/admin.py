"""The sandbox's own endpoints under /_sandbox: faults, recorded calls, the clock, the truth. JSON throughout."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.exchange import Answer, Call, Request, json_answer
from channel_sync.sandbox.faults import Faults, fault_from, fault_to_wire
from channel_sync.sandbox.guests import bookings_at_random
from channel_sync.sandbox.webhooks import DeliveryFaults, Subscription, Webhooks, delivery_to_wire
from channel_sync.sandbox.world import World

_DATES: dict[str, Callable[[str], Any]] = {
    "check_in": date.fromisoformat,
    "check_out": date.fromisoformat,
    "start": date.fromisoformat,
    "end": date.fromisoformat,
    "at": datetime.fromisoformat,
    "elsewhere": bool,
}


class Admin:
    """Steers a running sandbox from outside its process."""

    def __init__(
        self, world: World, clock: Clock, faults: Faults, calls: deque[Call], webhooks: Webhooks
    ) -> None:
        self._world = world
        self._webhooks = webhooks
        self._clock = clock
        self._faults = faults
        self._calls = calls
        self._verbs: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "health"): lambda _: {"ok": True, "now": clock.now().isoformat()},
            ("GET", "faults"): lambda _: [fault_to_wire(fault) for fault in faults.listed()],
            ("POST", "faults"): self._add_faults,
            ("DELETE", "faults"): lambda _: faults.clear(),
            ("GET", "calls"): lambda _: [_call_to_wire(call) for call in tuple(calls)],
            ("DELETE", "calls"): lambda _: calls.clear(),
            ("GET", "clock"): lambda _: {"now": clock.now().isoformat()},
            ("POST", "clock"): self._set_clock,
            ("GET", "world"): lambda _: self._truth(),
            ("POST", "world"): self._script,
            ("GET", "bookings"): lambda _: self._bookings(),
            ("GET", "webhooks"): lambda _: self._told(),
            ("POST", "webhooks"): self._subscribe,
            ("DELETE", "webhooks"): lambda _: webhooks.close(),
            ("GET", "webhooks/deliveries"): lambda _: list(map(delivery_to_wire, tuple(webhooks.deliveries))),
            ("GET", "webhooks/faults"): lambda _: asdict(webhooks.faults),
            ("POST", "webhooks/faults"): self._set_delivery_faults,
            ("DELETE", "webhooks/faults"): lambda _: self._be_reliable(),
        }

    def answer(self, request: Request) -> Answer:
        """The answer to a request under /_sandbox/; 400 names what is wrong with it."""
        verb = self._verbs.get((request.method, request.path.removeprefix("/_sandbox/").rstrip("/")))
        if verb is None:
            return json_answer(
                404, {"error": "there are " + ", ".join(sorted({name for _, name in self._verbs}))}
            )
        try:
            return json_answer(200, verb(request))
        except (ValueError, TypeError, KeyError) as wrong:
            return json_answer(400, {"error": str(wrong.args[0] if wrong.args else wrong)})

    def _add_faults(self, request: Request) -> Any:
        """One fault or a list of them."""
        told = json.loads(request.body)
        for fault in [fault_from(wire) for wire in (told if isinstance(told, list) else [told])]:
            self._faults.add(fault)
        return [fault_to_wire(fault) for fault in self._faults.listed()]

    def _set_clock(self, request: Request) -> Any:
        """{"now": ISO 8601} makes it stand still there, {"advance_hours": n} moves it."""
        told = json.loads(request.body)
        if not isinstance(told, dict) or not told.keys() & {"now", "advance_hours"}:
            raise ValueError('the clock takes {"now": an ISO 8601 time} or {"advance_hours": a number}')
        if "now" in told:
            moment = datetime.fromisoformat(told["now"])
            self._clock.set(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        self._clock.advance(timedelta(hours=told.get("advance_hours", 0)))
        return {"now": self._clock.now().isoformat()}

    def _script(self, request: Request) -> Any:
        """{"book": {"listing_id", "check_in", "check_out"}}, and move, cancel, block, unblock likewise.

        Each takes the arguments of the world's method of that name; "at" is now unless it is told.
        {"book_many": {"count", "seed", "happenings"}} makes many bookings that change: see ``guests``.
        """
        verbs: dict[str, Callable[..., Any]] = {
            "book": self._world.book,
            "move": self._world.move,
            "cancel": self._world.cancel,
            "block": self._world.block,
            "unblock": self._world.unblock,
            "book_many": self._book_many,
        }
        told = json.loads(request.body)
        if not isinstance(told, dict) or len(told) != 1 or not told.keys() <= verbs.keys():
            raise ValueError(f"one thing happens at a time, one of {', '.join(verbs)}")
        ((verb, arguments),) = told.items()
        if verb == "book_many":
            return {"codes": self._book_many(**arguments)}
        read = {name: _DATES.get(name, str)(value) for name, value in arguments.items()}
        return {"code": verbs[verb](**{"at": self._clock.now(), **read})}

    def _book_many(self, count: int, seed: int = 1, happenings: int | None = None) -> list[str]:
        return list(bookings_at_random(self._world, count, seed, self._clock.now(), happenings))

    def _subscribe(self, request: Request) -> Any:
        """{"channel", "url"}; "host_with_port": true signs the host as it is sent."""
        self._webhooks.subscribe(Subscription(**json.loads(request.body)))
        return self._told()

    def _told(self) -> Any:
        return {"subscriptions": list(map(asdict, self._webhooks.subscriptions())), **self._webhooks.report()}

    def _set_delivery_faults(self, request: Request) -> Any:
        """The fields of ``DeliveryFaults``; what is not told goes right."""
        self._webhooks.faults = DeliveryFaults(**json.loads(request.body))
        return asdict(self._webhooks.faults)

    def _be_reliable(self) -> None:
        self._webhooks.faults = DeliveryFaults()

    def _truth(self) -> Any:
        now = self._clock.now()
        return {
            "now": now.isoformat(),
            "listings": [
                {
                    "listing_id": listing.listing_id,
                    "name": listing.name,
                    "currency": listing.currency,
                    "time_zone": listing.time_zone,
                    "closed_nights": sorted(map(str, self._world.closed_nights(listing.listing_id, now))),
                }
                for listing in self._world.listings.values()
            ],
            "bookings": self._bookings(),
        }

    def _bookings(self) -> Any:
        return [
            {
                "code": booking.code,
                "listing_id": booking.listing_id,
                "check_in": str(booking.check_in),
                "check_out": str(booking.check_out),
                "status": booking.status,
                "booked_at": booking.booked_at.isoformat(),
                "updated_at": booking.updated_at.isoformat(),
                "currency": booking.currency,
                "total": str(booking.total),
                "payout": str(booking.payout),
            }
            for booking in self._world.bookings(self._clock.now())
        ]


def _call_to_wire(call: Call) -> dict[str, Any]:
    return {
        "at": call.at.isoformat(),
        "arrived": call.arrived,
        "method": call.method,
        "path": call.path,
        "query": call.query,
        "headers": call.headers,
        "body": call.body.decode("utf-8", "replace"),
        "status": call.status,
    }
