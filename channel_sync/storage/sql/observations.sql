-- What was pulled, how it went, and what was last observed.

-- name: reserve_observations
-- As many new numbers of observations as asked for.
SELECT nextval(pg_get_serial_sequence('channel_sync.sync_log', 'sync_log_id'))::bigint
FROM generate_series(1, %(count)s::integer);

-- name: write_sync_log
-- One line of the sync log under a number reserved before; a second time it changes nothing.
INSERT INTO channel_sync.sync_log OVERRIDING SYSTEM VALUE VALUES (
    %(sync_log_id)s, %(run_id)s, %(subject)s, %(channel_account_id)s, %(listing_id)s, %(window_start)s,
    %(window_end)s, %(started_at)s, %(finished_at)s, %(outcome)s, %(rows_read)s, %(rows_changed)s,
    %(nights_closed)s, %(nights_opened)s, %(nights_held)s, %(problems)s, %(requests)s, %(waited_s)s,
    %(error)s, %(error_message)s
)
ON CONFLICT (sync_log_id) DO NOTHING;

-- name: read_sync_log
-- Lines of the sync log by number.
SELECT sync_log_id, run_id, subject, channel_account_id, listing_id, window_start, window_end, started_at, finished_at,
    outcome, rows_read, rows_changed, nights_closed, nights_opened, nights_held, problems, requests, waited_s, error,
    error_message
FROM channel_sync.sync_log
WHERE sync_log_id = ANY (%(numbers)s::bigint[]);

-- name: stored_by_run
-- Which listings a run has stored for a window; the time is there for the index.
SELECT listing_id, sync_log_id
FROM channel_sync.sync_log
WHERE listing_id = ANY (%(listing_ids)s::bigint[])
  AND subject = %(subject)s
  AND started_at >= %(since)s
  AND run_id = %(run_id)s
  AND (window_start, window_end) = (%(window_start)s, %(window_end)s)
  AND outcome <> 'failed';

-- name: lock_listing_states
-- The newest stored observation of each listing, locked in one order so that two runs cannot deadlock.
SELECT listing_id, observed_at, observed_s, window_end, fingerprint, etag, last_modified, release_approved
FROM channel_sync.listing_state
WHERE subject = %(subject)s AND listing_id = ANY (%(listing_ids)s::bigint[])
ORDER BY listing_id
FOR UPDATE;

-- name: read_listing_states
-- The same without locking, to ask the channel "only if it changed".
SELECT listing_id, observed_at, observed_s, window_end, fingerprint, etag, last_modified, release_approved
FROM channel_sync.listing_state
WHERE subject = %(subject)s AND listing_id = ANY (%(listing_ids)s::bigint[])
ORDER BY listing_id;

-- name: lock_listings
-- Serialises the storing of these listings over all processes, also before their first state exists.
SELECT listing_id FROM channel_sync.listing
WHERE listing_id = ANY (%(listing_ids)s::bigint[])
ORDER BY listing_id
FOR NO KEY UPDATE;

-- name: write_listing_state
-- What was observed is from now on the newest.
INSERT INTO channel_sync.listing_state VALUES (
    %(listing_id)s, %(subject)s, %(observed_at)s, %(observed_s)s, %(window_end)s, %(fingerprint)s, %(etag)s,
    %(last_modified)s, false
)
ON CONFLICT (listing_id, subject) DO UPDATE SET
    observed_at = excluded.observed_at,
    observed_s = excluded.observed_s,
    window_end = excluded.window_end,
    fingerprint = excluded.fingerprint,
    etag = excluded.etag,
    last_modified = excluded.last_modified,
    release_approved = false;

-- name: keep_unread_payload
-- A part of an answer that could not be read: once, with a count.
INSERT INTO channel_sync.unread_payload AS known (
    channel_account_id, external_id, subject, part, reason, payload, payload_hash, first_seen_at, last_seen_at
) VALUES (
    %(channel_account_id)s, %(external_id)s, %(subject)s, %(part)s, %(reason)s, %(payload)s, %(payload_hash)s,
    %(seen_at)s, %(seen_at)s
)
ON CONFLICT (channel_account_id, external_id, subject, payload_hash) DO UPDATE SET
    last_seen_at = excluded.last_seen_at,
    times_seen = known.times_seen + 1;

-- name: stored_nights
-- A listing's stored nights from one on.
SELECT listing_id, night, units_open, closure, reference, held_since, release_at_s, hold_reason, sync_log_id
FROM channel_sync.channel_availability
WHERE listing_id = %(listing_id)s::bigint AND night >= %(first_night)s
ORDER BY night;

-- name: write_channel_listings
-- Remember which listings the channel shows under the account; written anew at most once a day.
INSERT INTO channel_sync.channel_listing AS known (
    channel_account_id, external_id, name, currency, active, first_seen_at, last_seen_at
) VALUES (%(channel_account_id)s, %(external_id)s, %(name)s, %(currency)s, %(active)s, %(seen_at)s, %(seen_at)s)
ON CONFLICT (channel_account_id, external_id) DO UPDATE SET
    name = excluded.name,
    currency = excluded.currency,
    active = excluded.active,
    last_seen_at = excluded.last_seen_at
WHERE (known.name, known.currency, known.active) IS DISTINCT FROM (excluded.name, excluded.currency, excluded.active)
   OR known.last_seen_at < excluded.last_seen_at - interval '20 hours';

-- name: forget_uneventful_pulls
-- Old lines of pulls that changed nothing, where a later success of the same pull is on record.
DELETE FROM channel_sync.sync_log AS old
WHERE old.finished_at < %(before)s
  AND old.rows_changed = 0
  AND EXISTS (
      SELECT FROM channel_sync.sync_log AS later
      WHERE later.channel_account_id = old.channel_account_id
        AND later.listing_id IS NOT DISTINCT FROM old.listing_id
        AND later.subject = old.subject
        AND later.outcome <> 'failed'
        AND later.started_at > old.started_at
  );

-- name: last_success
-- When a pull of this subject of the account last ended well. Bookings that were delivered, without a request, prove
-- nothing of the others; nor does what waited to be acknowledged, which is asked for without a window.
SELECT max(started_at)
FROM channel_sync.sync_log
WHERE channel_account_id = %(channel_account_id)s AND subject = %(subject)s AND outcome <> 'failed'
    AND (subject <> 'bookings' OR requests > 0 AND window_start < window_end);
