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
-- Staged revisions that the account does not have yet, oldest first, the parts of one revision of a whole together.
SELECT staged.revision
FROM channel_sync_staging.{name} AS staged
WHERE NOT EXISTS (
    SELECT FROM channel_sync.booking
    JOIN channel_sync.booking_revision USING (booking_id)
    WHERE booking.channel_account_id = %(channel_account_id)s
      AND booking.external_id = staged.external_id
      AND booking_revision.revised_at = staged.revised_at
      AND booking_revision.content_hash = staged.content_hash
)
ORDER BY staged.revised_at, staged.revision ->> 'whole', staged.external_id COLLATE "C", staged.ordinal;

-- name: plan_once
-- From now on the connection plans each statement once and not for each booking: a sixth of the time of a large batch.
SELECT set_config('plan_cache_mode', 'force_generic_plan', false);

-- name: open_booking
-- The booking's row, made if it is new. A new one is cancelled and as old as time until its first revision is applied.
INSERT INTO channel_sync.booking (
    channel_account_id, external_id, listing_external_id, status, units, revised_at, first_seen_at, sync_log_id
) VALUES (
    %(channel_account_id)s, %(external_id)s, %(listing_external_id)s, 'cancelled', 1, 'epoch', %(seen_at)s,
    %(sync_log_id)s
)
ON CONFLICT (channel_account_id, external_id) DO NOTHING
RETURNING booking_id;

-- name: lock_booking
-- The booking as it stands, locked. Not FOR UPDATE: whoever holds the unit type may be giving this booking a unit,
-- which looks at its key, and would wait for us while we wait for the unit type.
SELECT booking_id, external_id, listing_id, status, check_in, check_out, units, revised_at, whole
FROM channel_sync.booking
WHERE channel_account_id = %(channel_account_id)s AND external_id = %(external_id)s
FOR NO KEY UPDATE;

-- name: lock_whole
-- The parts of a reservation as they stand, locked in the order in which everybody locks them.
SELECT booking_id, external_id, listing_id, status, check_in, check_out, units, revised_at, whole
FROM channel_sync.booking
WHERE channel_account_id = %(channel_account_id)s AND whole = %(whole)s
ORDER BY booking_id
FOR NO KEY UPDATE;

-- name: left_whole_at
-- When the reservation went on without this part: the first of its revisions after the part's own last one, at which
-- it no longer names the part. A cancellation of the whole names the first part at most, and goes before another
-- revision of the same moment.
SELECT min(newer.revised_at)
FROM channel_sync.booking AS other
JOIN channel_sync.booking_revision AS newer USING (booking_id)
WHERE other.channel_account_id = %(channel_account_id)s AND other.whole = %(whole)s
    AND other.booking_id <> %(booking_id)s
    AND (
        newer.revised_at > %(revised_at)s
        OR newer.revised_at = %(revised_at)s AND other.external_id = other.whole
            AND newer.revision ->> 'status' = 'cancelled'
    );

-- name: keep_revision
-- Append the revision; nothing if it is already there.
INSERT INTO channel_sync.booking_revision
VALUES (%(booking_id)s, %(revised_at)s, %(content_hash)s, %(revision)s, %(seen_at)s, %(sync_log_id)s)
ON CONFLICT DO NOTHING;

-- name: revisions_of_booking
-- All revisions of a booking, the one that stands last: by the channel's own time; of the same moment a cancellation is
-- the later one, and between two others anything decides but the order of arrival.
SELECT revised_at, content_hash, revision
FROM channel_sync.booking_revision
WHERE booking_id = %(booking_id)s
ORDER BY revised_at, revision ->> 'status' = 'cancelled', content_hash COLLATE "C";

-- name: write_booking
-- The revision that stands becomes the booking.
UPDATE channel_sync.booking SET
    listing_id = %(listing_id)s,
    listing_external_id = %(listing_external_id)s,
    status = %(status)s,
    check_in = %(check_in)s,
    check_out = %(check_out)s,
    units = %(units)s,
    guests = %(guests)s,
    total_amount = %(total_amount)s,
    total_currency = %(total_currency)s,
    payout_amount = %(payout_amount)s,
    payout_currency = %(payout_currency)s,
    booked_at = %(booked_at)s,
    revised_at = %(revised_at)s,
    sync_log_id = %(sync_log_id)s,
    whole = %(whole)s
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

-- name: lock_unit_types
-- The types of these listings, and of the units that the bookings hold, in one order: the bookings of a type are
-- decided one at a time.
SELECT unit_type_id,
    ARRAY(
        SELECT listing_id FROM channel_sync.listing
        WHERE listing.unit_type_id = unit_type.unit_type_id AND listing_id = ANY (%(listing_ids)s::bigint[])
    ) AS listing_ids
FROM channel_sync.unit_type
WHERE unit_type_id IN (
    SELECT unit_type_id FROM channel_sync.listing WHERE listing_id = ANY (%(listing_ids)s::bigint[])
    UNION ALL
    SELECT unit.unit_type_id FROM channel_sync.allocation JOIN channel_sync.unit USING (unit_id)
    WHERE allocation.booking_id = ANY (%(booking_ids)s::bigint[])
)
ORDER BY unit_type_id
FOR NO KEY UPDATE;

-- name: drop_allocations
-- The booking gives its units back.
DELETE FROM channel_sync.allocation WHERE booking_id = %(booking_id)s RETURNING unit_id;

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

-- name: stays_between
-- Confirmed bookings of the type that stay on one of these nights, with the units they hold: those that were booked
-- first come first, whenever we learnt of them.
SELECT booking.booking_id, booking.check_in, booking.check_out, booking.units,
    ARRAY(
        SELECT allocation.unit_id FROM channel_sync.allocation
        WHERE allocation.booking_id = booking.booking_id ORDER BY allocation.unit_id
    ) AS held
FROM channel_sync.listing
JOIN channel_sync.booking USING (listing_id)
WHERE listing.unit_type_id = %(unit_type_id)s AND booking.status = 'confirmed'
    AND booking.check_out > %(first)s AND booking.check_in < %(end)s
ORDER BY
    coalesce(booking.booked_at, (SELECT min(known.revised_at) FROM channel_sync.booking_revision AS known
        WHERE known.booking_id = booking.booking_id)),
    booking.channel_account_id, booking.external_id COLLATE "C";

-- name: units_of_type
-- Units of the type in the portfolio.
SELECT unit_id FROM channel_sync.unit WHERE unit_type_id = %(unit_type_id)s AND retired_at IS NULL ORDER BY unit_id;

-- name: allocations_between
-- Who occupies the type's units in the portfolio on one of these nights.
SELECT allocation.unit_id, allocation.booking_id, lower(allocation.stay) AS check_in, upper(allocation.stay) AS check_out
FROM channel_sync.unit
JOIN channel_sync.allocation USING (unit_id)
WHERE unit.unit_type_id = %(unit_type_id)s AND unit.retired_at IS NULL
    AND allocation.stay && daterange(%(first)s, %(end)s);

-- name: leave_unit
-- The party moves out of this unit.
DELETE FROM channel_sync.allocation WHERE unit_id = %(unit_id)s AND booking_id = %(booking_id)s;

-- name: enter_unit
-- The party moves into this unit.
INSERT INTO channel_sync.allocation VALUES (%(unit_id)s, %(booking_id)s, daterange(%(check_in)s, %(check_out)s));

-- name: open_conflict
-- Say that the booking needs a decision; once while it stands.
INSERT INTO channel_sync.conflict AS known (kind, booking_id, detail, opened_at, sync_log_id)
VALUES (%(kind)s, %(booking_id)s, %(detail)s, %(seen_at)s, %(sync_log_id)s)
ON CONFLICT (booking_id, kind) WHERE closed_at IS NULL DO UPDATE SET detail = excluded.detail
WHERE known.detail <> excluded.detail;

-- name: close_conflict
-- It no longer holds.
UPDATE channel_sync.conflict SET closed_at = %(seen_at)s
WHERE booking_id = %(booking_id)s AND kind = %(kind)s AND closed_at IS NULL;

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
