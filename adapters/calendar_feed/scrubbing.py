"""An unreadable part of a feed as it may be stored and shown: without guests' names, phones and e-mails."""

import re

from adapters.calendar_feed.feed import Component, Property

MAX_RAW = 4_000  # characters, as Problem.raw promises

_NAMES = frozenset(
    {
        "ATTENDEE", "CATEGORIES", "CLASS", "COMMENT", "CONTACT", "CREATED", "DESCRIPTION", "DTEND", "DTSTAMP",
        "DTSTART", "DURATION", "EXDATE", "LAST-MODIFIED", "LOCATION", "METHOD", "ORGANIZER", "PRIORITY", "RDATE",
        "RECURRENCE-ID", "RRULE", "SEQUENCE", "STATUS", "SUMMARY", "TRANSP", "UID", "URL",
    }
)  # fmt: skip

_DATE = r"[12]\d{3}-?\d\d-?\d\d(?:[T ]\d\d:?\d\d(?::?\d\d)?Z?)?"
_DATES = re.compile(rf"{_DATE}(?:[,/]{_DATE})*", re.ASCII)
_WORD = re.compile(r"[A-Z-]{1,20}")
_SPAN = re.compile(r"[+-]?P[0-9DWTHMS]{1,12}")
_RULE = re.compile(r"FREQ=[A-Z]+(?:;[A-Z]+=[A-Z0-9,+-]{1,40})*")
_UID = re.compile(r"[A-Za-z0-9_.:{}@-]{1,200}")

# Which values are shown, and only in exactly this shape: anything else may be a guest's line that slipped.
_SHOWN = {
    "DTSTART": _DATES, "DTEND": _DATES, "DTSTAMP": _DATES, "CREATED": _DATES, "LAST-MODIFIED": _DATES,
    "RECURRENCE-ID": _DATES, "RDATE": _DATES, "EXDATE": _DATES,
    "DURATION": _SPAN, "RRULE": _RULE, "STATUS": _WORD, "TRANSP": _WORD, "UID": _UID,
}  # fmt: skip
_PARAMETERS = re.compile(r"VALUE=(?:DATE|DATE-TIME|PERIOD)|TZID=[A-Z][a-z]+/[A-Z][A-Za-z_]+", re.ASCII)


def scrubbed(component: Component) -> str:
    """The component's known properties, values outside the list of harmless shapes as "…", at most MAX_RAW long."""
    lines = [_line(line) for line in component.properties if line.name in _NAMES]
    hidden = len(component.properties) - len(lines)
    tail = [f"({hidden} other lines)"] if hidden else []
    return "\n".join([f"BEGIN:{_component(component)}", *lines, *tail])[:MAX_RAW]


def shown_uid(component: Component) -> str:
    """The component's UID where it has the shape of one; else empty: with blanks it may be anything."""
    uid = component.text("UID")
    return uid if _UID.fullmatch(uid) else ""


def _component(component: Component) -> str:
    return component.name if component.name in ("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY") else "…"


def _line(line: Property) -> str:
    told = [f"{key}={value}" for key, value in line.parameters.items()]
    parameters = "".join(f";{each}" if _PARAMETERS.fullmatch(each) else ";…" for each in told)
    shape = _SHOWN.get(line.name)
    value = line.value.strip()
    return f"{line.name}{parameters}:{value if shape and shape.fullmatch(value) else '…'}"
