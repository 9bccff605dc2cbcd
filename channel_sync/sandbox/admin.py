"""The sandbox's own endpoints under /_sandbox: faults, recorded calls, the clock, the truth. JSON throughout."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from channel_sync.sandbox.clock import Clock
from channel_sync.sandbox.exchange import Answer, Call, Request, json_answer
from channel_sync.sandbox.faults import Faults, fault_from, fault_to_wire
from channel_sync.sandbox.guests import bookings_at_random
from channel_sync.sandbox.simulated import SimulatedChannel, SimulatedHotels
from channel_sync.sandbox.webhooks import DeliveryFaults, Subscription, Webhooks, delivery_to_wire
from channel_sync.sandbox.world import World

_READ: dict[str, Callable[[str], Any]] = {
    "check_in": date.fromisoformat,
    "check_out": date.fromisoformat,
    "start": date.fromisoformat,
    "end": date.fromisoformat,
    "at": datetime.fromisoformat,
    "elsewhere": bool,
}
_SCRIPTED: dict[str, Callable[..., str | None]] = {
    "book": World.book,
    "move": World.move,
    "cancel": World.cancel,
    "block": World.block,
    "unblock": World.unblock,
}


class Admin:
    """Steers a running sandbox from outside its process."""

    def __init__(
        self,
        worlds: Mapping[str, World],
        channels: Mapping[str, SimulatedChannel],
        clock: Clock,
        faults: Faults,
        calls: deque[Call],
        webhooks: Webhooks,
    ) -> None:
        self._worlds = worlds
        self._channels = channels
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
            ("GET", "world"): lambda request: self._truth(self._world(request.parameter("channel"))),
            ("POST", "world"): self._script,
            ("GET", "bookings"): lambda request: self._bookings(self._world(request.parameter("channel"))),
            ("GET", "acknowledged"): self._acknowledged,
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

        Each takes the arguments of the world's method of that name; "at" is now unless it is told, and "channel" says
        in which channel's world it happens ("airbnb"). A listing goes by the world's id or by the channel's.
        {"book_many": {"count", "seed", "happenings"}} makes many bookings that change: see ``guests``.
        """
        told = json.loads(request.body)
        if not isinstance(told, dict) or len(told) != 1 or not told.keys() <= {*_SCRIPTED, "book_many"}:
            raise ValueError(f"one thing happens at a time, one of {', '.join(_SCRIPTED)}, book_many")
        ((verb, arguments),) = told.items()
        channel = arguments.pop("channel", "")
        world = self._world(channel)
        if verb == "book_many":
            return {"codes": _book_many(world, self._clock.now(), **arguments)}
        read = {name: _READ.get(name, str)(value) for name, value in arguments.items()}
        hotels = self._channels.get(channel)
        if isinstance(hotels, SimulatedHotels) and "listing_id" in read:
            read["listing_id"] = hotels.world_ids.get(read["listing_id"], read["listing_id"])
        code = _SCRIPTED[verb](world, **{"at": self._clock.now(), **read})
        if code is not None and isinstance(hotels, SimulatedHotels):
            return {"code": code, "reservation_id": hotels.reservation_id(code)}
        return {"code": code}

    def _acknowledged(self, request: Request) -> Any:
        """How many versions of reservations wait and were acknowledged, of each channel that counts them or of one."""
        asked = request.parameter("channel")
        if asked:
            self._world(asked)
        return {
            name: {
                "waiting": len(channel.acknowledged.waiting()),
                "acknowledged": len(list(channel.acknowledged.versions()))
                - len(channel.acknowledged.waiting()),
            }
            for name, channel in self._channels.items()
            if asked in ("", name) and isinstance(channel, SimulatedHotels)
        }

    def _world(self, channel: str) -> World:
        """The truth behind a channel; behind Airbnb and the feeds unless one is named."""
        try:
            return self._worlds[channel or "airbnb"]
        except KeyError:
            raise ValueError(
                f"no simulated channel {channel!r}: there are {', '.join(self._worlds)}"
            ) from None

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

    def _truth(self, world: World) -> Any:
        now = self._clock.now()
        return {
            "now": now.isoformat(),
            "listings": [
                {
                    "listing_id": listing.listing_id,
                    "name": listing.name,
                    "currency": listing.currency,
                    "time_zone": listing.time_zone,
                    "closed_nights": sorted(map(str, world.closed_nights(listing.listing_id, now))),
                }
                for listing in world.listings.values()
            ],
            "bookings": self._bookings(world),
        }

    def _bookings(self, world: World) -> Any:
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
            for booking in world.bookings(self._clock.now())
        ]


def _book_many(
    world: World, now: datetime, count: int, seed: int = 1, happenings: int | None = None
) -> list[str]:
    return list(bookings_at_random(world, count, seed, now, happenings))


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
