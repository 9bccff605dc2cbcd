"""What Vrbo is asked and told, as GraphQL documents. Each asks for what is read here and no more: never for a guest.

A test holds every one of them against Expedia Group's published schema.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    """One document with one operation in it.

    ``endpoint`` is its kind in counters. ``changes``: it must not be sent twice without asking what became of it.
    """

    name: str
    endpoint: str
    document: str
    changes: bool = False

    @property
    def is_mutation(self) -> bool:
        """Whether it does something: what its answer then shows of it may fail and it is done all the same."""
        return self.document.lstrip().startswith("mutation")


_RESERVATION = """
fragment Stay on Reservation {
  id
  status
  checkInDate
  checkOutDate
  creationDateTime
  lastUpdatedDateTime
  totalGuestCount
  vrboAmounts {
    transactions {
      type
      paymentStatus
      amount { amount currencyCode }
      distributions { type amount { amount currencyCode } }
    }
  }
  amounts {
    summary { type amount { amount currencyCode } }
    nightlyPayments { dailyAmounts { type date amount { amount currencyCode } } }
  }
}
"""

PROPERTIES = Operation(
    "Properties",
    "properties",
    """
query Properties($advertiserId: ID!, $idSource: IdSource!, $cursor: String, $pageSize: Int) {
  propertiesByAdvertiser(id: $advertiserId, idSource: $idSource, cursor: $cursor, pageSize: $pageSize) {
    cursor
    totalCount
    elements {
      id
      ids { id idSource }
      name
      currency
      activeStatus { active }
    }
  }
}
""",
)

RESERVATIONS = Operation(
    "Reservations",
    "reservations",
    """
query Reservations(
  $propertyId: String!
  $idSource: IdSource!
  $pageSize: Int!
  $cursor: String
  $filter: ReservationFilterInput!
) {
  property(id: $propertyId, idSource: $idSource) {
    id
    ids { id idSource }
    reservations(pageSize: $pageSize, after: $cursor, filter: $filter) {
      pageInfo { hasNextPage endCursor }
      edges { node { ...Stay } }
    }
  }
}
"""
    + _RESERVATION,
)

UNDELIVERED = Operation(
    "Undelivered",
    "notifications",
    """
query Undelivered($filters: UndeliveredNotificationsFiltersInput!, $cursor: String, $pageSize: Int) {
  undeliveredNotifications(filters: $filters, cursor: $cursor, limit: $pageSize) {
    cursor
    elements {
      notification { notificationId eventType creationDateTime payload }
    }
  }
}
""",
)

CONFIRM = Operation(
    "Confirm",
    "confirmations",
    """
mutation Confirm($input: ConfirmReservationNotificationInput!) {
  confirmReservationNotification(input: $input) {
    reservation { id }
  }
}
""",
)

CANCEL = Operation(
    "Cancel",
    "cancellations",
    """
mutation Cancel($input: CancelVrboReservationInput!) {
  cancelVrboReservation(input: $input) {
    reservation { ...Stay }
  }
}
"""
    + _RESERVATION,
    changes=True,
)

CREATE_CALLBACK = Operation(
    "CreateCallback",
    "callbacks",
    """
mutation CreateCallback($input: CreateNotificationCallbackConfigInput!) {
  createNotificationCallbackConfig(input: $input) {
    callbackConfig { id secretExpirationDateTime }
    secret
  }
}
""",
    changes=True,
)

REFRESH_CALLBACK = Operation(
    "RefreshCallback",
    "callbacks",
    """
mutation RefreshCallback($input: RefreshNotificationCallbackConfigSecretInput!) {
  refreshNotificationCallbackConfigSecret(input: $input) {
    callbackConfigId
    secret
    secretExpirationDateTime
    previousSecretExpirationDateTime
  }
}
""",
    changes=True,
)

SUBSCRIBE = Operation(
    "Subscribe",
    "callbacks",
    """
mutation Subscribe($input: SubscribeNotificationEventTypeInput!) {
  subscribeNotificationEventType(input: $input) {
    eventType
  }
}
""",
)

OPERATIONS = (
    PROPERTIES,
    RESERVATIONS,
    UNDELIVERED,
    CONFIRM,
    CANCEL,
    CREATE_CALLBACK,
    REFRESH_CALLBACK,
    SUBSCRIBE,
)
