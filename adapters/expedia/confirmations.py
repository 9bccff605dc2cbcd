"""Which bookings one confirmation message is about, and what its answer says of each: pure functions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from adapters.errors import UnexpectedResponse
from adapters.expedia.fields import child, children, text
from adapters.expedia.reservations import confirmation_of
from adapters.model import Receipt
from adapters.updates import Outcome, Verdict
from adapters.xml_body import Element

MOST_IN_ONE = 10  # confirmations in a message

_NOT_APPLIED = range(10_000, 11_001)
_TRY_AGAIN = 10_105  # an error of Expedia's own; the number may not have been stored

Ending = tuple[Verdict, str]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One version of a booking that is known here. Several receipts may be of it."""

    hotel: str
    booking_id: str
    kind: str


def sorted_out(
    receipts: Iterable[Receipt],
) -> tuple[dict[Confirmation, list[Receipt]], list[Outcome[Receipt]]]:
    """What is to be told with its receipts, in order, and the outcomes of the receipts that are not ours."""
    told: dict[Confirmation, list[Receipt]] = {}
    refused = []
    for receipt in receipts:
        names = confirmation_of(receipt.reference)
        if names is None:
            refused.append(Outcome(receipt, Verdict.REJECTED, "the receipt cannot be read"))
        else:
            told.setdefault(Confirmation(*names), []).append(receipt)
    return told, refused


def batches(told: Iterable[Confirmation]) -> list[list[Confirmation]]:
    """One for each message: of one hotel, ten at most."""
    of_hotel: dict[str, list[Confirmation]] = {}
    for each in told:
        of_hotel.setdefault(each.hotel, []).append(each)
    return [
        each[start : start + MOST_IN_ONE]
        for each in of_hotel.values()
        for start in range(0, len(each), MOST_IN_ONE)
    ]


def endings(root: Element, batch: Sequence[Confirmation], what: str) -> Mapping[Confirmation, Ending]:
    """How each of a message ended. Success with a warning is none for what the warning is about."""
    success = child(root, "Success")
    if success is None:
        raise UnexpectedResponse(f"{what}: neither success nor an error")
    found: dict[Confirmation, Ending] = dict.fromkeys(batch, (Verdict.ACCEPTED, ""))
    astray: Ending | None = None
    for warning in children(success, "Warning"):
        ending = _of_warning(text(warning, "code") or "")
        about = [
            each
            for each in batch
            if each.booking_id == text(warning, "bookingID")
            and text(warning, "bookingType") in (None, each.kind)
        ]
        if not about and len(batch) > 1:
            astray = Verdict.UNKNOWN, f"{ending[1]} about one of the message's bookings"
        found.update(dict.fromkeys(about or (batch if len(batch) == 1 else ()), ending))
    if astray is not None:
        found = {each: astray if end[0] is Verdict.ACCEPTED else end for each, end in found.items()}
    return found


def _of_warning(code: str) -> Ending:
    number = int(code) if code.isascii() and code.isdecimal() and len(code) < 7 else 0
    if number == _TRY_AGAIN:
        return Verdict.UNKNOWN, f"warning {number}"
    return Verdict.REJECTED if number in _NOT_APPLIED else Verdict.WARNED, f"warning {number}"
