-- Nights kept closed until it is proven that they are free, for the people who look after them.

-- name: holds
-- One row per listing and reason with the nights held from today on, property-local. seconds_left is time of the
-- listing's own clock: it stands still while its pulls fail.
SELECT
    channel_account.code AS account,
    listing.external_id AS listing,
    property.code || '/' || unit_type.code AS unit_type,
    availability.hold_reason AS reason,
    min(availability.held_since) AS since,
    greatest(0, max(availability.release_at_s) - coalesce(state.observed_s, 0))::double precision AS seconds_left,
    coalesce(state.release_approved, false) AS approved,
    array_agg(availability.night ORDER BY availability.night) AS nights
FROM channel_sync.channel_availability AS availability
JOIN channel_sync.listing USING (listing_id)
JOIN channel_sync.channel_account USING (channel_account_id)
JOIN channel_sync.unit_type USING (unit_type_id)
JOIN channel_sync.property USING (property_id)
LEFT JOIN channel_sync.listing_state AS state
    ON state.listing_id = listing.listing_id AND state.subject = 'availability'
WHERE availability.held_since IS NOT NULL
    AND availability.night >= (now() AT TIME ZONE property.time_zone)::date
    AND (%(account)s::text IS NULL OR channel_account.code = %(account)s)
    AND (%(listing)s::text IS NULL OR listing.external_id = %(listing)s)
GROUP BY channel_account.code, listing.external_id, property.code, unit_type.code, availability.hold_reason,
    state.observed_s, state.release_approved
ORDER BY account, listing, reason;

-- name: approve_release
-- Somebody says that what is held now is free. Locks the state, so that no pull changes what is held meanwhile.
UPDATE channel_sync.listing_state AS state SET release_approved = true
FROM channel_sync.listing
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE state.listing_id = listing.listing_id AND state.subject = 'availability'
    AND channel_account.code = %(account)s AND listing.external_id = %(listing)s;
