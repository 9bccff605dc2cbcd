-- The portfolio as the engine reads it, and what hangs on the parts that leave it.

-- name: portfolio_accounts
-- Accounts in the portfolio: all, those that schedules pull, or one by its code.
SELECT channel_account_id, code, channel, environment, settings, secrets, enabled, quotas
FROM channel_sync.channel_account
WHERE retired_at IS NULL
    AND (enabled OR NOT %(enabled_only)s)
    AND code = coalesce(%(code)s::text, code)
ORDER BY code;

-- name: portfolio_listings
-- Listings of one account that are pulled.
SELECT
    listing.listing_id,
    listing.external_id,
    property.code AS property_code,
    unit_type.unit_type_id,
    unit_type.code AS unit_type_code,
    rate_plan.code AS rate_plan_code,
    property.time_zone,
    property.currency,
    (
        SELECT count(*) FROM channel_sync.unit
        WHERE unit.unit_type_id = unit_type.unit_type_id AND unit.retired_at IS NULL
    )::integer AS units,
    listing.patience_hours::double precision AS patience_hours,
    listing.settings,
    listing.secrets
FROM channel_sync.listing
JOIN channel_sync.unit_type USING (unit_type_id)
JOIN channel_sync.property USING (property_id)
LEFT JOIN channel_sync.rate_plan USING (rate_plan_id)
WHERE listing.channel_account_id = %s AND listing.enabled AND listing.retired_at IS NULL
ORDER BY listing.external_id;

-- name: portfolio_lock
-- One process at a time changes the portfolio; released at the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended('channel_sync.portfolio', 0));

-- name: portfolio_time_zones
-- Fails with invalid_parameter_value if the server does not know one of them: nights could not be reckoned.
SELECT now() AT TIME ZONE name FROM unnest(%s::text[]) AS name;

-- name: portfolio_stays_in_units
-- Stays not yet over (property-local) that are allocated to these units.
SELECT allocation.unit_id, count(*)
FROM channel_sync.allocation
JOIN channel_sync.unit USING (unit_id)
JOIN channel_sync.unit_type USING (unit_type_id)
JOIN channel_sync.property USING (property_id)
WHERE allocation.unit_id = ANY(%s) AND upper(allocation.stay) > (now() AT TIME ZONE property.time_zone)::date
GROUP BY allocation.unit_id;

-- name: portfolio_stays_on_listings
-- Confirmed stays not yet over (property-local) that were sold on these listings.
SELECT booking.listing_id, count(*)
FROM channel_sync.booking
JOIN channel_sync.listing USING (listing_id)
JOIN channel_sync.unit_type USING (unit_type_id)
JOIN channel_sync.property USING (property_id)
WHERE booking.listing_id = ANY(%s) AND booking.status = 'confirmed'
    AND booking.check_out > (now() AT TIME ZONE property.time_zone)::date
GROUP BY booking.listing_id;

-- name: portfolio_facts
-- One row if anything that a channel said through this account is stored.
SELECT FROM channel_sync.channel_account
WHERE EXISTS (SELECT FROM channel_sync.booking WHERE booking.channel_account_id = %(account)s)
    OR EXISTS (
        SELECT FROM channel_sync.listing_state JOIN channel_sync.listing USING (listing_id)
        WHERE listing.channel_account_id = %(account)s
    )
LIMIT 1;
