-- The inbox of deliveries, and the question whether a stay is free.

-- name: store_deliveries
-- Many events at once; whoever listens to channel_sync_webhook is told the accounts when this commits. A repeated
-- delivery is counted. One that is known by its body alone and carries no time of its own may be a new event
-- that reads like a former one: if that one is settled, it is due again.
WITH arrived AS (
    SELECT *
    FROM unnest(
        %(channel_account_id)b::bigint[], %(account)b::text[], %(delivery_key)b::text[], %(method)b::text[],
        %(path)b::text[], %(query)b::text[], %(headers)b::jsonb[], %(body)b::bytea[], %(kind)b::text[], %(name)b::text[],
        %(booking_external_id)b::text[], %(listing_external_ids)b::jsonb[], %(revised_at)b::timestamptz[],
        %(reason)b::text[], %(times_received)b::integer[]
    ) AS arrived (
        channel_account_id, account, delivery_key, method, path, query, headers, body, kind, name, booking_external_id,
        listing_external_ids, revised_at, reason, times_received
    )
), stored AS (
    INSERT INTO channel_sync.webhook_event AS event (
        channel_account_id, delivery_key, method, path, query, headers, body, kind, name, booking_external_id,
        listing_external_ids, revised_at, reason, times_received
    )
    SELECT channel_account_id, delivery_key, method, path, query, headers, body, kind, name, booking_external_id,
        ARRAY(SELECT jsonb_array_elements_text(listing_external_ids)), revised_at, reason, times_received
    FROM arrived
    -- Two gateways that store the same deliveries lock them in the same order.
    ORDER BY channel_account_id, delivery_key
    ON CONFLICT (channel_account_id, delivery_key) DO UPDATE SET
        times_received = event.times_received + excluded.times_received,
        last_received_at = clock_timestamp(),
        state = CASE WHEN event.revised_at IS NULL AND event.delivery_key LIKE 'sha256:%%' THEN 'received' ELSE event.state END,
        settled_at = CASE WHEN event.revised_at IS NULL AND event.delivery_key LIKE 'sha256:%%' THEN NULL ELSE event.settled_at END
    RETURNING channel_account_id, xmax = 0 AS is_new, state
), told AS (
    SELECT count(pg_notify('channel_sync_webhook', account))
    FROM (
        SELECT DISTINCT arrived.account
        FROM stored JOIN arrived USING (channel_account_id)
        WHERE stored.state = 'received'
    ) AS accounts
)
SELECT count(*) FILTER (WHERE is_new)::integer AS new_events, (SELECT count FROM told) AS accounts_told FROM stored;

-- name: due_events
-- Events of an account that may be applied now, in order of arrival, locked until the transaction ends; those that
-- another process is at are left out.
SELECT webhook_event_id, delivery_key, method, path, query, headers, body, received_at, times_received, kind, name,
    booking_external_id, listing_external_ids, revised_at, attempts
FROM channel_sync.webhook_event
WHERE channel_account_id = %(channel_account_id)s AND state = 'received' AND next_attempt_at <= clock_timestamp()
ORDER BY webhook_event_id
LIMIT %(limit)s
FOR NO KEY UPDATE SKIP LOCKED;

-- name: events_between
-- Events of an account that arrived in this time, whatever became of them, the oldest revision first.
SELECT webhook_event_id FROM channel_sync.webhook_event
WHERE channel_account_id = %(channel_account_id)s AND received_at >= %(since)s AND received_at < %(until)s
ORDER BY revised_at NULLS LAST, webhook_event_id;

-- name: lock_event
-- One event as it is now, unless another process is at it.
SELECT webhook_event_id, delivery_key, method, path, query, headers, body, received_at, times_received, kind, name,
    booking_external_id, listing_external_ids, revised_at, attempts, state
FROM channel_sync.webhook_event
WHERE webhook_event_id = %(webhook_event_id)s
FOR NO KEY UPDATE SKIP LOCKED;

-- name: present
-- The time by which events are due.
SELECT clock_timestamp();

-- name: settle_event
-- What became of an event, for good.
UPDATE channel_sync.webhook_event SET
    state = %(state)s,
    reason = %(reason)s,
    run_id = %(run_id)s,
    attempts = attempts + 1,
    settled_at = clock_timestamp()
WHERE webhook_event_id = %(webhook_event_id)s AND state = %(was)s
RETURNING webhook_event_id;

-- name: postpone_event
-- It could not be applied now.
UPDATE channel_sync.webhook_event SET
    reason = %(reason)s,
    attempts = attempts + 1,
    next_attempt_at = %(next_attempt_at)s
WHERE webhook_event_id = %(webhook_event_id)s AND state = 'received'
RETURNING webhook_event_id;

-- name: inbox_age
-- Seconds since the oldest event arrived that is not settled; null where there is none.
SELECT extract(epoch FROM clock_timestamp() - min(received_at))::double precision
FROM channel_sync.webhook_event
WHERE state = 'received';

-- name: stay_is_free
-- Whether one unit of the listing's type is free for all nights of the stay; no row where the listing is not sold.
-- A booking that asks about itself (booking_external_id) does not stand in its own way.
WITH asked AS (
    SELECT listing.listing_id, listing.unit_type_id, listing.channel_account_id,
        daterange(%(check_in)s, %(check_out)s) AS stay
    FROM channel_sync.listing
    JOIN channel_sync.channel_account USING (channel_account_id)
    WHERE listing.channel_account_id = %(channel_account_id)s AND listing.external_id = %(listing_external_id)s
        AND listing.enabled AND listing.retired_at IS NULL
        AND channel_account.enabled AND channel_account.retired_at IS NULL
), own AS (
    -- The booking that asks: its nights are the listing's own, wherever they show as closed.
    SELECT booking.booking_id, daterange(booking.check_in, booking.check_out) AS stay
    FROM channel_sync.booking
    JOIN asked USING (channel_account_id, listing_id)
    WHERE booking.external_id = %(booking_external_id)s AND booking.status = 'confirmed'
), free_units AS (
    SELECT count(*) AS units
    FROM channel_sync.unit JOIN asked USING (unit_type_id)
    WHERE unit.retired_at IS NULL
        AND NOT EXISTS (
            SELECT FROM channel_sync.allocation
            WHERE allocation.unit_id = unit.unit_id AND allocation.stay && asked.stay
                AND allocation.booking_id NOT IN (SELECT booking_id FROM own)
        )
), homeless AS (
    -- Confirmed bookings that have fewer units than they need want the next one that is free.
    SELECT coalesce(sum(booking.units - held.units), 0) AS units
    FROM asked
    JOIN channel_sync.listing USING (unit_type_id)
    JOIN channel_sync.booking ON booking.listing_id = listing.listing_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS units FROM channel_sync.allocation WHERE allocation.booking_id = booking.booking_id
    ) AS held
    WHERE booking.status = 'confirmed' AND booking.units > held.units
        AND daterange(booking.check_in, booking.check_out) && asked.stay
        AND booking.booking_id NOT IN (SELECT booking_id FROM own)
), others AS (
    SELECT listing.listing_id, listing.external_id, listing.channel_account_id,
        listing.enabled AND channel_account.enabled AS is_pulled
    FROM asked
    JOIN channel_sync.listing ON listing.unit_type_id = asked.unit_type_id AND listing.listing_id <> asked.listing_id
    JOIN channel_sync.channel_account ON channel_account.channel_account_id = listing.channel_account_id
    WHERE listing.retired_at IS NULL AND channel_account.retired_at IS NULL
)
SELECT
    free_units.units > homeless.units
    -- Closed on another channel.
    AND NOT EXISTS (
        SELECT FROM others JOIN channel_sync.channel_availability AS availability USING (listing_id)
        WHERE availability.night >= %(check_in)s AND availability.night < %(check_out)s AND availability.units_open = 0
            AND NOT EXISTS (SELECT FROM own WHERE own.stay @> availability.night)
    )
    -- Another channel that was never seen may have sold anything.
    AND NOT EXISTS (
        SELECT FROM others
        WHERE others.is_pulled AND NOT EXISTS (
            SELECT FROM channel_sync.listing_state AS state
            WHERE state.listing_id = others.listing_id AND state.subject = 'availability'
        )
    )
    -- A booking that lies in the inbox is not in the tables yet, and its nights are not known.
    AND NOT EXISTS (
        SELECT FROM channel_sync.webhook_event AS event
        JOIN channel_sync.listing AS sold
            ON sold.channel_account_id = event.channel_account_id AND sold.external_id = ANY(event.listing_external_ids)
        WHERE event.state = 'received' AND event.kind = 'booking' AND sold.unit_type_id = asked.unit_type_id
            AND (event.channel_account_id <> asked.channel_account_id
                OR event.booking_external_id IS DISTINCT FROM %(booking_external_id)s)
    ) AS is_free
FROM asked, free_units, homeless;
