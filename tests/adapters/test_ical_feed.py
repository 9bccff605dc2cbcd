"""What counts as a whole feed, and that everything else is refused instead of read as "all open"."""

import pytest

from adapters.calendar_feed.feed import feed_from_wire
from adapters.errors import UnexpectedResponse
from tests.adapters.ical_rendering import calendar, closed, event, observe

SMALL = (
    b"BEGIN:VCALENDAR\r\nPRODID:-//x//EN\r\nVERSION:2.0\r\n"
    b"BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260801\r\nDTEND;VALUE=DATE:20260804\r\nUID:a@airbnb.com\r\n"
    b"SUMMARY:Reser\r\n ved\r\nEND:VEVENT\r\n"
    b"BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260901\r\nUID:b\r\nEND:VEVENT\r\n"
    b"END:VCALENDAR\r\n"
)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n\r\n",
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"<html>BEGIN:VCALENDAR\nEND:VCALENDAR\n</html>",
        b'{"error": "gone"}',
        b"BEGIN:VCALENDAR",
        b"END:VCALENDAR\r\n",
        b"BEGIN:VEVENT\r\nDTSTART:20260801\r\nEND:VEVENT\r\n",
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:20260801\r\nEND:VCALENDAR\r\n",
        b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
        calendar() + b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n",
        calendar() + b"<!-- took 3 ms -->",
        b"\xff\xfe" + "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".encode("utf-16-le"),
        b"\x1f\x8b\x08\x00garbage",
    ],
)
def test_refuses_what_is_not_a_whole_calendar(body: bytes) -> None:
    """A body that is not a whole calendar is no evidence: it raises and names the feed, not its content."""
    with pytest.raises(UnexpectedResponse, match=r"^feed of 7: ") as caught:
        feed_from_wire(body, "feed of 7")

    assert "Sign in" not in str(caught.value)


def test_truncation_never_opens_a_night() -> None:
    """Cut at every offset, a feed is refused, or nothing but its last line end is missing."""
    whole = closed(SMALL)

    for offset in range(len(SMALL)):
        try:
            nights = closed(SMALL[:offset])
        except UnexpectedResponse:
            continue
        assert (SMALL.rstrip(), whole) == (SMALL[:offset].rstrip(), nights)

    assert whole == ["2026-08-01", "2026-08-02", "2026-08-03", "2026-09-01"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n", "\r\n\r\n", "\n\n\n", "\n \n"])
def test_reads_every_line_end(end: str) -> None:
    """LF, CRLF, CR, doubled CR and blank lines between lines all mean a new line."""
    body = calendar(
        "BEGIN:VEVENT", "DTSTART;VALUE=DATE:20260801", "DTEND;VALUE=DATE:20260803", "END:VEVENT", end=end
    )

    assert closed(body) == ["2026-08-01", "2026-08-02"]


def test_unfolds_bytes_before_decoding() -> None:
    """A fold inside a character, inside a reservation code and inside a date is no damage."""
    body = (
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:2026\n 0801\n"
        b"SUMMARY:Reserved - Andr\xc3\n \xa9\nUID:u@airbnb.com\n"
        b"DESCRIPTION:Reservation URL: https://www.airbnb.com/hosting/reservations/details/HMAB\r\n\tCD2345\\nPhone\n"
        b"END:VEVENT\nEND:VCALENDAR"
    )

    (night,) = observe(body).nights

    assert (str(night.night), night.reference) == ("2026-08-01", "HMABCD2345")


def test_reads_names_in_any_case() -> None:
    """Property and component names are read without regard to case (RFC 5545, 2)."""
    body = (
        b"begin:vcalendar\nBegin:VEvent\ndtstart;value=date:20260801\n"
        b"DtEnd;Value=Date:20260803\nEnd:VEvent\nend:vcalendar"
    )

    assert closed(body) == ["2026-08-01", "2026-08-02"]


def test_reads_a_quoted_colon_in_a_parameter() -> None:
    """A colon inside a quoted parameter does not end the name."""
    assert closed(event('DTSTART;X-NOTE="a:b";VALUE=DATE:20260801')) == ["2026-08-01"]


def test_a_guests_note_is_no_end() -> None:
    """Lines behind an unescaped line break in a description cost nothing, even "End: Monday" and one without colon."""
    body = event(
        "DTSTART:20260801", "DESCRIPTION:Begin: Friday", "End: Monday", "see you", "DTEND:20260803", "UID:u"
    )

    assert (closed(body), observe(body).problems) == (["2026-08-01", "2026-08-02"], ())


def test_reads_merged_and_concatenated_feeds() -> None:
    """Several PRODIDs, a parameter on PRODID, and several calendars in one body are one feed."""
    merged = calendar(
        "PRODID;X-RICAL-TZSOURCE=TZINFO:-//Airbnb Inc//Hosting Calendar 0.8.8//EN",
        "VERSION:2.0",
        "BEGIN:VEVENT",
        "DTSTART;VALUE=DATE:20260801",
        "END:VEVENT",
    )
    nested = calendar("BEGIN:VCALENDAR", "BEGIN:VEVENT", "DTSTART:20260805", "END:VEVENT", "END:VCALENDAR")

    assert closed(merged + nested) == ["2026-08-01", "2026-08-05"]


def test_an_alarm_inside_an_event_is_not_the_event() -> None:
    """A VALARM's DURATION and DTSTART do not change its event; a VTIMEZONE's DTSTART closes nothing."""
    body = calendar(
        *("BEGIN:VTIMEZONE", "TZID:X", "BEGIN:STANDARD", "DTSTART:19981025T030000", "END:STANDARD", "END:VTIMEZONE"),
        *("BEGIN:VEVENT", "DTSTART:20260801", "BEGIN:VALARM", "DURATION:P9D", "END:VALARM", "END:VEVENT"),
    )  # fmt: skip

    assert (closed(body), observe(body).problems) == (["2026-08-01"], ())


def test_a_part_that_is_no_event_is_a_problem() -> None:
    """VFREEBUSY, or an event whose name is damaged at both ends, is reported and not dropped in silence."""
    body = calendar("BEGIN:VEVANT", "DTSTART:20260801", "SUMMARY:Ada Lovelace", "END:VEVANT")

    (problem,) = observe(body).problems

    assert problem.reason == "only events are read"
    assert "DTSTART:20260801" in problem.raw
    assert "Ada" not in problem.raw


def test_an_empty_calendar_is_an_answer() -> None:
    """A whole calendar without events is read as such: what it proves is the engine's to judge."""
    assert (closed(calendar()), observe(calendar()).problems) == ([], ())
