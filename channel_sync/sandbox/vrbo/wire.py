"""The world in Vrbo's words: properties, reservations and notifications, as the objects that GraphQL picks from."""

from datetime import UTC, datetime
from typing import Any

from channel_sync.sandbox.acknowledged import Version
from channel_sync.sandbox.bookings import Booking
from channel_sync.sandbox.rentals import Listing
from channel_sync.sandbox.tokens import invented

ADVERTISER_ID = "300100"
EVENT_TYPE = "ReservationNotificationEvent"
CARD_NUMBER = "4111111111111111"  # a test card: on the wire so that a test can prove that it goes no further

_STATUSES = {
    "accept": "BOOKED",
    "cancelled_by_guest": "CANCELLED_BY_TRAVELER",
    "cancelled_by_host": "CANCELLED_BY_OWNER",
    "cancelled_by_admin": "CANCELLED",
}


def vrbo_id(listing_id: str) -> str:
    """A property's id on Vrbo."""
    return f"321.{listing_id}.{listing_id}7"


def expedia_id(listing_id: str) -> str:
    """Expedia Group's own id of the same property: that of notifications."""
    return f"90{listing_id}"


def reservation_id(code: str) -> str:
    """A reservation's id: HA- and eight of A-Z0-9."""
    return f"HA-{code.removeprefix('HM')}"


def action_of(version: Version) -> str:
    """What this version of a reservation did, in the word that its confirmation repeats."""
    if not version.booking.confirmed:
        return "CANCELLED"
    return "BOOKED" if version.number == 1 else "MODIFIED"


def confirmation_token(version: Version) -> str:
    """The token of the notification of one version."""
    return invented(f"vrbo confirmation {version.code}/{version.number}")


def stamp(moment: datetime) -> str:
    """A moment in whole seconds of UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def property_to_wire(listing: Listing) -> dict[str, Any]:
    """A property, without its reservations."""
    ours = expedia_id(listing.listing_id)
    return {
        "id": ours,
        "ids": [
            {"id": ours, "idSource": "EXPEDIA"},
            {"id": vrbo_id(listing.listing_id), "idSource": "VRBO"},
            {"id": f"PM/{ADVERTISER_ID}/{listing.listing_id}", "idSource": "SUPPLIER"},
        ],
        "name": listing.name,
        "currency": listing.currency,
        "timeZone": listing.time_zone,
        "activeStatus": {"active": True},
    }


def reservation_to_wire(booking: Booking) -> dict[str, Any]:
    """A reservation with its guest; GraphQL hands out what is asked for."""
    told = reservation_id(booking.code)
    return {
        "id": told,
        "reservationIds": [{"id": told, "idSource": "VRBO"}],
        "status": _STATUSES[booking.status],
        "checkInDate": booking.check_in.isoformat(),
        "checkOutDate": booking.check_out.isoformat(),
        "creationDateTime": stamp(booking.booked_at),
        "lastUpdatedDateTime": stamp(booking.updated_at),
        "adultCount": booking.guests,
        "childCount": 0,
        "totalGuestCount": booking.guests,
        "primaryGuest": guest_to_wire(booking),
        "distributionChannel": "VRBO",
        "vrboAmounts": {"transactions": [_payment(booking)]},
        "amounts": None,
    }


def guest_to_wire(booking: Booking) -> dict[str, Any]:
    """The guest."""
    guest = booking.guest
    return {
        "firstName": guest.first_name,
        "lastName": guest.last_name,
        "emailAddress": guest.email,
        "phoneNumbers": [
            {
                "areaCode": "",
                "countryCode": "351",
                "number": guest.phone.split(" ")[-1],
                "fullPhoneNumber": guest.phone,
            }
        ],
    }


def notification_to_wire(version: Version) -> dict[str, Any]:
    """The notification of one version of a reservation, as it is posted."""
    booking = version.booking
    return {
        "notificationId": invented(f"vrbo notification {version.code}/{version.number}"),
        "eventType": EVENT_TYPE,
        "creationDateTime": stamp(booking.updated_at),
        "payload": {
            "propertyId": expedia_id(booking.listing_id),
            "reservationId": reservation_id(version.code),
            "confirmationToken": confirmation_token(version),
            "actionType": action_of(version),
            "primaryGuest": guest_to_wire(booking),
            "paymentCard": {"number": CARD_NUMBER, "cvv": "737"},
        },
    }


def _payment(booking: Booking) -> dict[str, Any]:
    """The one payment of a guest, and where it goes."""

    def money(amount: Any) -> dict[str, Any]:
        return {"amount": float(amount), "currencyCode": booking.currency}

    return {
        "type": "PAYMENT",
        "applicableDate": booking.booked_at.date().isoformat(),
        "amount": money(booking.total),
        "paymentStatus": "PAID",
        "paymentInstallmentId": invented(f"vrbo payment {booking.code}"),
        "distributions": [
            {"type": "SUPPLIER_INCOME", "amount": money(booking.payout)},
            {"type": "COMMISSION", "amount": money(booking.total - booking.payout)},
        ],
    }
