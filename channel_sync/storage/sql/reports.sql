-- What operators read in the Dagster UI, and what the asset checks look at.

-- name: occupancy_by_week
-- The next 90 nights of some accounts' listings, week by week.
SELECT
    date_trunc('week', night)::date AS week,
    count(*) AS nights,
    count(*) FILTER (WHERE units_open = 0) AS closed,
    count(*) FILTER (WHERE closure = 'booked') AS booked,
    count(*) FILTER (WHERE held_since IS NOT NULL) AS held
FROM channel_sync.channel_availability
JOIN channel_sync.listing USING (listing_id)
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE channel_account.code = ANY (%(accounts)s::text[])
  AND listing.retired_at IS NULL
  AND night >= %(first_night)s::date
  AND night < %(first_night)s::date + 90
GROUP BY week
ORDER BY week;

-- name: overlapping_allocations
-- Two parties in one unit on one night, or a confirmed booking without the units it was sold.
SELECT first.unit_id, first.booking_id, 'in one unit with booking ' || second.booking_id AS detail
FROM channel_sync.allocation AS first
JOIN channel_sync.allocation AS second
    ON second.unit_id = first.unit_id AND second.booking_id > first.booking_id AND second.stay && first.stay
UNION ALL
SELECT NULL, conflict.booking_id, conflict.detail
FROM channel_sync.conflict
JOIN channel_sync.booking USING (booking_id)
WHERE conflict.kind = 'overbooking' AND conflict.closed_at IS NULL AND booking.check_out > %(today)s::date
ORDER BY booking_id
LIMIT 100;

-- name: prices_without_currency
-- Prices of nights to come whose currency is missing or is not the property's.
SELECT channel_account.code AS account, listing.external_id AS listing, count(*) AS nights, min(night) AS first_night
FROM channel_sync.channel_price
JOIN channel_sync.listing USING (listing_id)
JOIN channel_sync.channel_account USING (channel_account_id)
JOIN channel_sync.unit_type USING (unit_type_id)
JOIN channel_sync.property USING (property_id)
WHERE channel_price.amount IS NOT NULL
  AND channel_price.currency IS DISTINCT FROM property.currency
  AND night >= %(today)s::date
GROUP BY account, listing
ORDER BY account, listing
LIMIT 100;

-- name: unmapped_listings
-- Listings that a channel shows as bookable and the portfolio does not have.
SELECT channel_account.code AS account, channel_listing.external_id AS listing, channel_listing.first_seen_at
FROM channel_sync.channel_listing
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE channel_listing.active
  AND channel_account.retired_at IS NULL
  AND NOT EXISTS (
      SELECT FROM channel_sync.listing
      WHERE listing.channel_account_id = channel_listing.channel_account_id
        AND listing.external_id = channel_listing.external_id
        AND listing.retired_at IS NULL
  )
ORDER BY account, listing
LIMIT 100;

-- name: long_holds
-- Listings whose nights have been held for longer than a day.
SELECT
    channel_account.code AS account,
    listing.external_id AS listing,
    count(*) AS nights,
    min(held_since) AS held_since,
    string_agg(DISTINCT hold_reason, ', ') AS reasons
FROM channel_sync.channel_availability
JOIN channel_sync.listing USING (listing_id)
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE held_since < %(now)s - interval '1 day' AND listing.retired_at IS NULL AND night >= %(now)s::date
GROUP BY account, listing
ORDER BY held_since
LIMIT 100;
