"""Everything that goes wrong with channels, on demand.

A fault either changes the answer (a status, an empty body, a shrunken feed) or mistreats the socket (latency, a
dropped connection, a body cut short). Which requests it meets and how often is part of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Literal, get_args

from channel_sync.sandbox.exchange import Answer, json_answer

Kind = Literal[
    "latency",  # answer truly, but late
    "status",  # another status, with the channel's own error body unless one is given
    "drop",  # close the connection without an answer, or after the headers of one
    "truncate",  # announce the whole length, send a part, close
    "html",  # 200 with a page for people
    "empty_body",  # 200 with nothing
    "wrong_shape",  # 200 with JSON or XML of another shape, or a calendar whose event does not end
    "expired_token",  # 401 authentication_required
    "empty_feed",  # a valid calendar without events
    "shrunken_feed",  # a valid calendar with the first few events only
    "cut_feed",  # a calendar that ends in the middle of an event, with an honest Content-Length
]
Truth = Callable[[], Answer]
OwnError = Callable[[int], Answer]  # the channel's own body for a status

KINDS: tuple[str, ...] = get_args(Kind)

_PAGE = (
    b"<!doctype html><html><head><title>Oops</title></head><body><h1>Something went wrong</h1></body></html>"
)
_OTHER_XML = b'<?xml version="1.0" encoding="UTF-8"?><banner xmlns="urn:banner"><text>Hello</text></banner>'
_EVENT = b"BEGIN:VEVENT"
_END = b"END:VCALENDAR"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    ``path`` is an fnmatch pattern on the request's whole path ("/airbnb/v2/calendars/*") without its query;
    ``every``: of those it is the n-th, the 2n-th and so on that go wrong. ``times`` is how often that happens, None
    for always. Each field below belongs to the kind it is commented with.
    """

    kind: Kind
    path: str = "*"
    times: int | None = None
    method: str = "*"
    every: int = 1
    seconds: float = 0.0  # latency
    code: int = 500  # status
    retry_after: str | None = None  # status: the header as it goes out, "2" or an HTTP date
    body: str | None = None  # status
    content_type: str | None = None  # status
    after: Literal["request", "headers"] = "request"  # drop: before any answer, or after its headers
    bytes: int = 0  # truncate: how much of the body is sent
    keep: int = 1  # shrunken_feed: how many events are left

    def __post_init__(self) -> None:
        """Refuse a kind that does not exist, naming those that do."""
        if self.kind not in KINDS:
            raise ValueError(f"no fault {self.kind!r}: there are {', '.join(KINDS)}")
        if self.after not in ("request", "headers"):
            raise ValueError(f"a connection drops after 'request' or 'headers', not {self.after!r}")
        if self.times is not None and self.times < 1:
            raise ValueError(f"a fault meets one request or more, or None for all; not {self.times}")
        if self.every < 1:
            raise ValueError(f"a fault meets every request or every n-th, not every {self.every}")

    def meets(self, method: str, path: str) -> bool:
        """Whether a request is one of those that can go wrong."""
        return fnmatchcase(path, self.path) and fnmatchcase(method, self.method)

    def applied(self, truth: Truth, own_error: OwnError) -> Answer:
        """What is sent instead of the true answer; faults of the socket change nothing here.

        ``truth`` does what was asked and gives the true answer. A refusal does not call it: nothing was done.
        """
        change = _CHANGES.get(self.kind)
        return change(self, truth, own_error) if change else truth()


class Faults:
    """The faults in force, oldest first. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._faults: list[
            tuple[Fault, int]
        ] = []  # with the number of requests that it could have met so far

    def add(self, fault: Fault) -> None:
        """Put one more fault in force, behind those that are."""
        with self._lock:
            self._faults.append((fault, 0))

    def clear(self) -> None:
        """Everything goes right again."""
        with self._lock:
            self._faults.clear()

    def listed(self) -> list[Fault]:
        """The faults in force, with the times they have left."""
        with self._lock:
            return [fault for fault, _ in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault that this request meets, and one of its times used up. All of them count the request."""
        taken: Fault | None = None
        with self._lock:
            left: list[tuple[Fault, int]] = []
            for fault, seen in self._faults:
                count = seen + fault.meets(method, path)
                if taken is not None or count == seen or count % fault.every:
                    left.append((fault, count))
                    continue
                taken = fault
                if fault.times is None:
                    left.append((fault, count))
                elif fault.times > 1:
                    left.append((replace(fault, times=fault.times - 1), count))
            self._faults = left
        return taken


def fault_from(wire: Mapping[str, Any]) -> Fault:
    """A fault from its JSON object. Raises ValueError that names what is wrong."""
    known = Fault.__dataclass_fields__
    unknown = sorted(set(wire) - set(known))
    if unknown or "kind" not in wire:
        raise ValueError(
            f"a fault has a kind and of {', '.join(known)} what it needs; not {', '.join(unknown) or 'none'}"
        )
    return Fault(**wire)


def fault_to_wire(fault: Fault) -> dict[str, Any]:
    """The JSON object of a fault."""
    return asdict(fault)


def _status(fault: Fault, _truth: Truth, own_error: OwnError) -> Answer:
    answer = own_error(fault.code)
    if fault.body is not None:
        answer = Answer(fault.code, fault.body.encode(), fault.content_type or "text/plain; charset=utf-8")
    elif fault.content_type is not None:
        answer = replace(answer, content_type=fault.content_type)
    return answer.with_headers(("Retry-After", fault.retry_after)) if fault.retry_after else answer


def _wrong_shape(_fault: Fault, truth: Truth, _own_error: OwnError) -> Answer:
    answer = truth()
    if "xml" in answer.content_type:
        return replace(answer, status=200, body=_OTHER_XML)
    if not answer.content_type.startswith("text/calendar"):
        return json_answer(200, {"data": {"type": "banner", "attributes": []}, "meta": {"ok": True}})
    start = b"BEGIN:VEVENT\r\nUID:without-end\r\nDTSTART;VALUE=DATE:20260101\r\n"
    return replace(answer, status=200, body=_calendar(answer.body, 0).replace(_END, start + _END))


def _cut(_fault: Fault, truth: Truth, _own_error: OwnError) -> Answer:
    answer = truth()
    last = answer.body.rfind(_EVENT)
    end = answer.body.find(b"DTEND", last) if last >= 0 else answer.body.rfind(_END)
    return replace(answer, status=200, body=answer.body[: max(0, end)])


def _shrunken(fault: Fault, truth: Truth, _own_error: OwnError) -> Answer:
    answer = truth()
    return replace(answer, status=200, body=_calendar(answer.body, fault.keep))


def _calendar(body: bytes, keep: int) -> bytes:
    """The calendar with its first ``keep`` events only."""
    head, *events = body.split(_EVENT)
    if len(events) <= keep:
        return body
    return head + b"".join(_EVENT + event for event in events[:keep]) + body[body.rfind(_END) :]


_CHANGES: Mapping[str, Callable[[Fault, Truth, OwnError], Answer]] = {
    "status": _status,
    "expired_token": lambda _fault, _truth, own_error: own_error(401),
    "html": lambda _fault, _truth, _own_error: Answer(200, _PAGE, "text/html; charset=utf-8"),
    "empty_body": lambda _fault, truth, _own_error: replace(truth(), status=200, body=b""),
    "wrong_shape": _wrong_shape,
    "empty_feed": lambda fault, truth, own_error: _shrunken(replace(fault, keep=0), truth, own_error),
    "shrunken_feed": _shrunken,
    "cut_feed": _cut,
}
