"""Which queue a message was taken from, and telling Booking.com that it is ours.

A message is acknowledged where it was retrieved; the wire names it by its reservation's id alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lxml import etree

from adapters.booking_com import fields
from adapters.json_body import json_object
from adapters.xml_body import written_xml

OTA = "http://www.opentravel.org/OTA/2003/05"
VERSION = "2.001"  # of Booking.com's reservation messages
MOST_AT_ONCE = 100  # acknowledged in one request: our choice


class Queue(StrEnum):
    """New reservations, and those that changed after they were acknowledged as new."""

    NEW = "new"
    CHANGED = "changed"

    @property
    def message(self) -> str:
        """The name of its messages without the RQ and RS: that of its path, too."""
        return "OTA_HotelResNotif" if self is Queue.NEW else "OTA_HotelResModifyNotif"

    @property
    def list_name(self) -> str:
        """What its reservations stand in."""
        return "HotelReservations" if self is Queue.NEW else "HotelResModifies"

    @property
    def item_name(self) -> str:
        """What one of them is called."""
        return "HotelReservation" if self is Queue.NEW else "HotelResModify"


@dataclass(frozen=True, slots=True)
class Taken:
    """A message as it was taken: from which queue, and of which reservation."""

    queue: Queue
    reservation_id: str


def reference_of(queue: Queue, reservation_id: str, revised_at: datetime) -> str:
    """What a receipt keeps. The version is in it so that those of two versions are not equal; it is never sent."""
    return json.dumps({"queue": queue, "id": reservation_id, "revised_at": revised_at.isoformat()})


def taken_from(reference: str) -> Taken | None:
    """What a receipt's reference says; None for one that is not ours."""
    told = json_object(reference.encode("utf-8", "replace")) or {}
    try:
        reservation_id = fields.reference(str(told["id"]), "id") if isinstance(told["id"], str) else None
        return Taken(Queue(told["queue"]), reservation_id) if reservation_id else None
    except (KeyError, ValueError):
        return None


def acknowledgement(queue: Queue, reservation_ids: Sequence[str], now: datetime) -> bytes:
    """The message that says these were processed."""
    root = etree.Element(f"{{{OTA}}}{queue.message}RS", nsmap={None: OTA})
    root.set("TimeStamp", now.strftime("%Y-%m-%dT%H:%M:%S+00:00"))
    root.set("Target", "Production")
    root.set("Version", VERSION)
    etree.SubElement(root, f"{{{OTA}}}Success")
    parent = root
    for name in (queue.list_name, queue.item_name, "ResGlobalInfo", "HotelReservationIDs"):
        parent = etree.SubElement(parent, f"{{{OTA}}}{name}")
    for reservation_id in reservation_ids:
        each = etree.SubElement(parent, f"{{{OTA}}}HotelReservationID")
        each.set("ResID_Type", "14")  # a reservation
        each.set("ResID_Value", reservation_id)
    return written_xml(root)
