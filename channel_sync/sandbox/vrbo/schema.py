"""Expedia Group's published GraphQL, as far as a channel manager uses it on Vrbo.

A part of the official schema in its own words: the same types, fields, arguments and nullability.
"""

SCHEMA = """
scalar CurrencyCode
scalar Currency
scalar DateTime
scalar Decimal
scalar EmailAddress
scalar JSON
scalar LocalDate
scalar LocalDateTime
scalar Url
scalar ZoneDateTime

enum IdSource { EXPEDIA SUPPLIER VRBO }
enum ReservationIdSource { EXPEDIA VRBO SUPPLIER }
enum DistributionChannel { VRBO EXPEDIA_INTEGRATED }
enum RangeOperator { INCLUSIVE EXCLUSIVE }
enum ReservationStatus {
  BOOKED CANCELLED COMPLETE CONFIRMED CREATED DECLINED IN_PROGRESS INVALID RESERVED
  BUILDING UNCONFIRMED STAY_IN_PROGRESS CANCELLED_BY_HOMEAWAY CANCELLED_BY_OWNER CANCELLED_BY_TRAVELER
  CANCELLED_BY_SYSTEM DECLINED_BY_OWNER DECLINED_BY_SYSTEM DECLINED_BY_TRAVELER_PAY_FAILURE
  UNCONFIRMED_BY_OWNER UNCONFIRMED_BY_TRAVELER RAVELER_CANCEL_PENDING_BOOKING
}
enum ReservationVrboAmountTransactionType { PAYMENT REFUND REFUND_CANCEL CHARGEBACK CHARGEBACK_REVERSAL }
enum ReservationVrboAmountTransactionPaymentStatus { CANCELLED PAID PARTIALLY_SETTLED PENDING REMITTED SETTLED }
enum ReservationVrboAmountTransactionDistributionType {
  REFUNDABLE_DAMAGE_DEPOSIT PAYMENT_PROCESSING PAYMENT_PROCESSING_REFUNDABLE_DAMAGE_DEPOSIT TRAVELER_SERVICE_FEE
  SUPPLIER_INCOME COMMISSION EG_REMITTED_TAX PROPERTY_DAMAGE_PROTECTION
}
enum VrboCancellationReason {
  DATES_BOOKED_ANOTHER_PLATFORM EXTENUATING_CIRCUMSTANCE GUEST_REQUESTED_CANCEL HOUSE_RULES_CONFLICT
  PAYMENT_NOT_RECEIVED PROPERTY_SOLD_OWNERSHIP_CHANGE
}
enum VrboCancellationSecondaryReason {
  CHANGED_DESTINATION BOOKING_MISTAKE CHANGE_OF_PLANS CHANGE_DATES CHANGE_GUESTS OWNER_REQUEST
  AMENITY_NOT_AVAILABLE OWNER_DISAGREE PAYMENT OTHER
}

type Money { amount: Decimal! currencyCode: CurrencyCode! }
type IdNode { id: ID idSource: IdSource! }
type ActiveStatus { active: Boolean! }
type PageInfo { hasNextPage: Boolean! endCursor: String }

type GuestContactPhoneNumber { areaCode: String! countryCode: String! fullPhoneNumber: String! number: String! }
type Guest {
  emailAddress: EmailAddress
  firstName: String!
  lastName: String!
  phoneNumbers: [GuestContactPhoneNumber!]
}

type ReservationPerStayAmount { type: String! description: String amount: Money! percent: Float }
type ReservationDailyAmount { type: String! description: String date: LocalDate! amount: Money! percent: Float }
type ReservationNightlyPayments { dailyAmounts: [ReservationDailyAmount!]! }
type ReservationAmounts { summary: [ReservationPerStayAmount!]! nightlyPayments: ReservationNightlyPayments! }
type ReservationVrboAmountTransactionDistribution {
  type: ReservationVrboAmountTransactionDistributionType!
  amount: Money!
}
type ReservationVrboAmountTransaction {
  type: ReservationVrboAmountTransactionType!
  applicableDate: LocalDate!
  amount: Money!
  paymentStatus: ReservationVrboAmountTransactionPaymentStatus!
  paymentInstallmentId: ID!
  distributions: [ReservationVrboAmountTransactionDistribution!]!
}
type VrboAmounts { transactions: [ReservationVrboAmountTransaction!]! }

type Reservation {
  id: ID!
  reservationIds: [IdNode!]!
  status: ReservationStatus!
  checkInDate: LocalDate!
  checkOutDate: LocalDate!
  creationDateTime: String!
  lastUpdatedDateTime: String!
  adultCount: Int!
  childCount: Int!
  totalGuestCount: Int!
  primaryGuest: Guest!
  distributionChannel: DistributionChannel!
  vrboAmounts: VrboAmounts
  amounts: ReservationAmounts
}
type ReservationEdge { cursor: String! node: Reservation! }
type ReservationsConnection { totalCount: Int pageInfo: PageInfo edges: [ReservationEdge]! }

input IdNodeInput { id: ID! idSource: ReservationIdSource! }
input LastUpdatedDateTimeFilter { from: ZoneDateTime! to: ZoneDateTime! }
input ReservationFilterInput {
  reservationIds: [IdNodeInput!]
  ids: [ID!]
  status: [ReservationStatus]
  lastUpdatedDateTime: LastUpdatedDateTimeFilter
}

type Property {
  id: ID!
  ids: [IdNode!]!
  name: String!
  currency: Currency!
  timeZone: String!
  activeStatus: ActiveStatus
  reservations(filter: ReservationFilterInput, pageSize: Int!, after: String): ReservationsConnection!
}
type PropertiesByAdvertiserResponse { cursor: String elements: [Property!]! totalCount: Int! }

type Notification { eventType: String! creationDateTime: DateTime! notificationId: String! payload: JSON! }
type NotificationError { code: String! message: String! }
type UndeliveredNotification { notification: Notification! error: NotificationError }
type UndeliveredNotificationsResponse { totalCount: Int! cursor: String elements: [UndeliveredNotification]! }
input DateTimeRangeFilterInput { from: DateTime! to: DateTime! operator: RangeOperator = INCLUSIVE }
input UndeliveredNotificationsFiltersInput { eventType: String creationDateTime: DateTimeRangeFilterInput }

type NotificationCallbackConfig {
  id: ID!
  callbackUrl: Url!
  secretExpirationDateTime: LocalDateTime!
  previousSecretExpirationDateTime: LocalDateTime
  requestTimeoutSeconds: Int!
  contactEmail: EmailAddress
}
type CreateNotificationCallbackConfigPayload { callbackConfig: NotificationCallbackConfig! secret: String! }
type RefreshNotificationCallbackConfigSecretPayload {
  callbackConfigId: ID!
  secret: String!
  secretExpirationDateTime: LocalDateTime!
  previousSecretExpirationDateTime: LocalDateTime
}
type SubscribeNotificationEventTypePayload { eventType: String! callbackConfig: NotificationCallbackConfig! }
input CreateNotificationCallbackConfigInput {
  callbackUrl: Url!
  apiKey: String!
  requestTimeoutSeconds: Int
  contactEmail: EmailAddress!
}
input RefreshNotificationCallbackConfigSecretInput {
  callbackConfigId: ID!
  keepExistingSecretActive: Boolean! = false
}
input SubscribeNotificationEventTypeInput { eventType: String! callbackConfigId: ID! }

type ConfirmReservationNotificationPayload { clientMutationId: String reservation: Reservation }
type CancelVrboReservationPayload { clientMutationId: String reservation: Reservation }
input ConfirmReservationNotificationInput {
  clientMutationId: String
  propertyId: ID!
  reservationId: ID!
  confirmationToken: String!
  actionType: String!
  confirmationCode: String!
}
input CancelVrboReservationInput {
  clientMutationId: String
  propertyId: ID!
  reservationId: ID!
  primaryReason: VrboCancellationReason!
  secondaryReason: VrboCancellationSecondaryReason
}

type Query {
  property(id: String!, idSource: IdSource): Property
  propertiesByAdvertiser(cursor: String, id: ID!, idSource: IdSource!, pageSize: Int): PropertiesByAdvertiserResponse
  undeliveredNotifications(
    limit: Int = 10
    cursor: String
    filters: UndeliveredNotificationsFiltersInput!
  ): UndeliveredNotificationsResponse
}
type Mutation {
  createNotificationCallbackConfig(input: CreateNotificationCallbackConfigInput!): CreateNotificationCallbackConfigPayload
  refreshNotificationCallbackConfigSecret(
    input: RefreshNotificationCallbackConfigSecretInput!
  ): RefreshNotificationCallbackConfigSecretPayload
  subscribeNotificationEventType(input: SubscribeNotificationEventTypeInput!): SubscribeNotificationEventTypePayload
  confirmReservationNotification(input: ConfirmReservationNotificationInput!): ConfirmReservationNotificationPayload!
  cancelVrboReservation(input: CancelVrboReservationInput!): CancelVrboReservationPayload!
}
"""
