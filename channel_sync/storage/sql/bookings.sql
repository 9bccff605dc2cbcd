-- Bookings: revisions in, the newest one stands, units are allocated.

-- name: create_booking_staging
-- One batch of bookings on its way from the channel to the tables, in order of arrival.
CREATE UNLOGGED TABLE IF NOT EXISTS channel_sync_staging.{name} (
    ordinal      bigint GENERATED ALWAYS AS IDENTITY,
    external_id  text NOT NULL,
    revised_at   timestamptz NOT NULL,
    content_hash text NOT NULL,
    revision     jsonb NOT NULL
);

-- name: new_revisions
-- Staged revisions that the account does not have yet, oldest first.
SELECT staged.revision, staged.content_hash
FROM channel_sync_staging.{name} AS staged
WHERE NOT EXISTS (
    SELECT FROM channel_sync.booking
    JOIN channel_sync.booking_revision USING (booking_id)
    WHERE booking.channel_account_id = %(channel_account_id)s
      AND booking.external_id = staged.external_id
      AND booking_revision.revised_at = staged.revised_at
      AND booking_revision.content_hash = staged.content_hash
)
ORDER BY staged.revised_at, staged.ordinal;

-- name: open_booking
-- The booking's row, made if it is new. A new one is cancelled and as old as time until its first revision is applied.
INSERT INTO channel_sync.booking (
    channel_account_id, external_id, listing_external_id, status, units, revised_at, first_seen_at, sync_log_id
) VALUES (
    %(channel_account_id)s, %(external_id)s, %(listing_external_id)s, 'cancelled', 1, 'epoch', %(seen_at)s,
    %(sync_log_id)s
)
ON CONFLICT (channel_account_id, external_id) DO NOTHING;

-- name: lock_booking
-- The booking as it stands, locked. Not FOR UPDATE: whoever holds the unit type may be giving this booking a unit,
-- which looks at its key, and would wait for us while we wait for the unit type.
SELECT booking_id, listing_id, status, check_in, check_out, revised_at
FROM channel_sync.booking
WHERE channel_account_id = %(channel_account_id)s AND external_id = %(external_id)s
FOR NO KEY UPDATE;

-- name: keep_revision
-- Append the revision; nothing if it is already there.
INSERT INTO channel_sync.booking_revision
VALUES (%(booking_id)s, %(revised_at)s, %(content_hash)s, %(revision)s, %(seen_at)s, %(sync_log_id)s)
ON CONFLICT DO NOTHING;

-- name: write_booking
-- The newest revision becomes the booking. A cancellation without dates keeps the dates that were known.
UPDATE channel_sync.booking SET
    listing_id = %(listing_id)s,
    listing_external_id = %(listing_external_id)s,
    status = %(status)s,
    check_in = coalesce(%(check_in)s, check_in),
    check_out = coalesce(%(check_out)s, check_out),
    units = %(units)s,
    guests = coalesce(%(guests)s, guests),
    total_amount = coalesce(%(total_amount)s, total_amount),
    total_currency = coalesce(%(total_currency)s, total_currency),
    payout_amount = coalesce(%(payout_amount)s, payout_amount),
    payout_currency = coalesce(%(payout_currency)s, payout_currency),
    booked_at = coalesce(%(booked_at)s, booked_at),
    revised_at = %(revised_at)s,
    sync_log_id = %(sync_log_id)s
WHERE booking_id = %(booking_id)s;

-- name: drop_booking_nights
-- Nights that the booking no longer has.
DELETE FROM channel_sync.booking_night
WHERE booking_id = %(booking_id)s AND night <> ALL (%(nights)s::date[]);

-- name: write_booking_night
-- A night of the booking, rewritten only if its price differs.
INSERT INTO channel_sync.booking_night AS known VALUES (%(booking_id)s, %(night)s, %(amount)s, %(currency)s)
ON CONFLICT (booking_id, night) DO UPDATE SET amount = excluded.amount, currency = excluded.currency
WHERE (known.amount, known.currency) IS DISTINCT FROM (excluded.amount, excluded.currency);

-- name: lock_unit_type_of_listing
-- Allocations of one unit type are decided one at a time.
SELECT unit_type_id FROM channel_sync.unit_type
WHERE unit_type_id = (SELECT unit_type_id FROM channel_sync.listing WHERE listing_id = %(listing_id)s)
FOR NO KEY UPDATE;

-- name: drop_allocations
-- The booking gives its units back.
DELETE FROM channel_sync.allocation WHERE booking_id = %(booking_id)s;

-- name: allocate
-- Units of the type that are free for the whole stay, those the booking held before first.
INSERT INTO channel_sync.allocation (unit_id, booking_id, stay)
SELECT unit.unit_id, %(booking_id)s, daterange(%(check_in)s, %(check_out)s)
FROM channel_sync.unit
WHERE unit.unit_type_id = %(unit_type_id)s
  AND unit.retired_at IS NULL
  AND NOT EXISTS (
      SELECT FROM channel_sync.allocation AS taken
      WHERE taken.unit_id = unit.unit_id AND taken.stay && daterange(%(check_in)s, %(check_out)s)
  )
ORDER BY unit.unit_id <> ALL (%(held_before)s::bigint[]), unit.unit_id
LIMIT %(units)s::integer
RETURNING unit_id;

-- name: units_held
-- The units that the booking occupies.
SELECT unit_id FROM channel_sync.allocation WHERE booking_id = %(booking_id)s ORDER BY unit_id;

-- name: open_conflict
-- Say that the booking needs a decision; once while it stands.
INSERT INTO channel_sync.conflict (kind, booking_id, detail, opened_at, sync_log_id)
VALUES (%(kind)s, %(booking_id)s, %(detail)s, %(seen_at)s, %(sync_log_id)s)
ON CONFLICT (booking_id, kind) WHERE closed_at IS NULL DO NOTHING;

-- name: close_conflict
-- It no longer holds.
UPDATE channel_sync.conflict SET closed_at = %(seen_at)s
WHERE booking_id = %(booking_id)s AND kind = %(kind)s AND closed_at IS NULL;

-- name: overbooked_of_unit_type
-- Confirmed bookings of the type that found no unit, the first booked first.
SELECT booking.booking_id, booking.check_in, booking.check_out, booking.units
FROM channel_sync.booking
JOIN channel_sync.listing USING (listing_id)
JOIN channel_sync.conflict USING (booking_id)
WHERE listing.unit_type_id = %(unit_type_id)s
  AND conflict.kind = 'overbooking'
  AND conflict.closed_at IS NULL
  AND booking.status = 'confirmed'
ORDER BY coalesce(booking.booked_at, booking.first_seen_at), booking.booking_id;

-- name: newly_mapped
-- Bookings stored while their listing was not mapped, which it is now.
SELECT booking.booking_id, booking.status, booking.check_in, booking.check_out, booking.units, listing.listing_id
FROM channel_sync.booking
JOIN channel_sync.listing
    ON listing.channel_account_id = booking.channel_account_id
    AND listing.external_id = booking.listing_external_id
    AND listing.retired_at IS NULL
WHERE booking.channel_account_id = %(channel_account_id)s AND booking.listing_id IS NULL
ORDER BY booking.booking_id
FOR NO KEY UPDATE OF booking;

-- name: map_booking
-- The booking's listing is known from now on.
UPDATE channel_sync.booking SET listing_id = %(listing_id)s WHERE booking_id = %(booking_id)s;

-- name: listings_of_account
-- Our keys of an account's listings, retired ones too, by the channel's ids.
SELECT external_id, listing_id FROM channel_sync.listing WHERE channel_account_id = %(channel_account_id)s;
