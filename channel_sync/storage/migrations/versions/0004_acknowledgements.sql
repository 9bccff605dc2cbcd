-- The schema of 2026-11-23, in addition to 0003.

SET LOCAL search_path = channel_sync, public;

ALTER TABLE booking ADD COLUMN whole text;
COMMENT ON COLUMN booking.whole IS 'The channel''s own id of the reservation it is a part of; null where the channel sells no reservation of several parts.';
CREATE INDEX booking_whole ON booking (channel_account_id, whole) WHERE whole IS NOT NULL;

-- What channels wait to be told: that a version of a booking is committed here.

CREATE TABLE booking_receipt (
    booking_receipt_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_account_id  bigint NOT NULL REFERENCES channel_account,
    reference           text NOT NULL,
    booking_external_id text NOT NULL,
    received_at         timestamptz NOT NULL,
    due_at              timestamptz,
    acknowledged_at     timestamptz,
    verdict             text CHECK (verdict IN ('accepted', 'warned', 'rejected')),
    words               text,
    attempts            integer NOT NULL DEFAULT 0,
    last_attempt_at     timestamptz,
    run_id              text,
    CHECK (acknowledged_at IS NULL OR verdict IN ('accepted', 'warned'))
);
-- By its hash: a reference may be longer than an index takes.
CREATE UNIQUE INDEX booking_receipt_reference ON booking_receipt (channel_account_id, md5(reference));
CREATE INDEX booking_receipt_pending ON booking_receipt (channel_account_id, due_at) WHERE verdict IS NULL;
COMMENT ON TABLE booking_receipt IS 'One row per version of a booking that its channel wants acknowledged. A row is here only once that version is committed.';
COMMENT ON COLUMN booking_receipt.booking_receipt_id IS 'Our own key.';
COMMENT ON COLUMN booking_receipt.channel_account_id IS 'The account it was sold through.';
COMMENT ON COLUMN booking_receipt.reference IS 'What the acknowledgement repeats; only the channel''s adapter reads it. It may hold a token: granted to nobody, shown nowhere.';
COMMENT ON COLUMN booking_receipt.booking_external_id IS 'The channel''s own id of the whole reservation.';
COMMENT ON COLUMN booking_receipt.received_at IS 'Just before the channel was first asked for it.';
COMMENT ON COLUMN booking_receipt.due_at IS 'Until when the channel waits before it tells people instead; null where it waits for ever.';
COMMENT ON COLUMN booking_receipt.acknowledged_at IS 'When the channel took the acknowledgement; null again when it shows the version once more.';
COMMENT ON COLUMN booking_receipt.verdict IS 'What the channel said: accepted, warned (accepted with a warning), rejected (it no longer waits, or never did); null while it waits to be told.';
COMMENT ON COLUMN booking_receipt.words IS 'The channel''s codes and our reading of them, or why the last attempt failed.';
COMMENT ON COLUMN booking_receipt.attempts IS 'How often it was tried to tell the channel.';
COMMENT ON COLUMN booking_receipt.last_attempt_at IS 'When that was last tried.';
COMMENT ON COLUMN booking_receipt.run_id IS 'The Dagster run that last tried; "poll" where the worker asked.';

CREATE TABLE booking_queue (
    channel_account_id bigint PRIMARY KEY REFERENCES channel_account,
    asked              bigint NOT NULL,
    committed          bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE booking_queue IS 'One row per account whose channel takes an acknowledgement for the version it last gave: whether all that it gave is committed here.';
COMMENT ON COLUMN booking_queue.channel_account_id IS 'The account.';
COMMENT ON COLUMN booking_queue.asked IS 'Number in the sync log of the newest pull that set out: it may have been given versions that are nowhere here yet.';
COMMENT ON COLUMN booking_queue.committed IS 'Number in the sync log of the newest pull of which all that it was given is committed.';

-- A poll of what waits to be acknowledged is no pull.
CREATE OR REPLACE VIEW analytics.sync_health AS
WITH pulled AS (
    SELECT
        listing.property, listing.unit_type, listing.channel, listing.channel_account, listing.listing,
        subject.name AS subject, listing.is_enabled, state.observed_at, last.started_at, last.outcome,
        last.error, last.problems, success.started_at AS success_at,
        CASE WHEN subject.name = 'availability' THEN held.nights END AS nights_held, held.oldest
    FROM analytics.listing
    CROSS JOIN (VALUES ('availability'), ('pricing')) AS subject (name)
    LEFT JOIN channel_sync.listing_state AS state
        ON state.listing_id = listing.listing_id AND state.subject = subject.name
    LEFT JOIN LATERAL (
        SELECT * FROM channel_sync.sync_log
        WHERE sync_log.listing_id = listing.listing_id AND sync_log.subject = subject.name
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT sync_log.started_at FROM channel_sync.sync_log
        WHERE sync_log.listing_id = listing.listing_id AND sync_log.subject = subject.name
            AND sync_log.outcome <> 'failed'
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS success ON true
    LEFT JOIN LATERAL (
        SELECT count(*)::integer AS nights, min(availability.held_since) AS oldest
        FROM channel_sync.channel_availability AS availability
        WHERE availability.listing_id = listing.listing_id AND availability.held_since IS NOT NULL
            AND availability.night >= (now() AT TIME ZONE listing.time_zone)::date
            AND subject.name = 'availability'
    ) AS held ON true
    WHERE listing.is_live
        AND (subject.name = 'availability' OR state.listing_id IS NOT NULL OR last.sync_log_id IS NOT NULL)
    UNION ALL
    SELECT
        NULL, NULL, channel_account.channel, channel_account.code, NULL,
        subject.name, channel_account.enabled, NULL, last.started_at, last.outcome,
        last.error, last.problems, success.started_at,
        NULL, NULL
    FROM channel_sync.channel_account
    CROSS JOIN (VALUES ('bookings'), ('listings')) AS subject (name)
    JOIN LATERAL (
        SELECT * FROM channel_sync.sync_log
        WHERE sync_log.channel_account_id = channel_account.channel_account_id
            AND sync_log.subject = subject.name
            -- What a webhook brought is stored under the same subject, without a request: it is no pull. Nor is
            -- what only waited to be acknowledged: it has no window.
            AND (sync_log.requests > 0 OR sync_log.outcome = 'failed')
            AND (subject.name <> 'bookings' OR sync_log.window_start < sync_log.window_end)
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT sync_log.started_at FROM channel_sync.sync_log
        WHERE sync_log.channel_account_id = channel_account.channel_account_id
            AND sync_log.subject = subject.name AND sync_log.outcome <> 'failed'
            AND sync_log.requests > 0
            AND (subject.name <> 'bookings' OR sync_log.window_start < sync_log.window_end)
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS success ON true
    WHERE channel_account.retired_at IS NULL
)
SELECT
    property,
    unit_type,
    channel,
    channel_account,
    listing,
    subject,
    is_enabled,
    greatest(observed_at, success_at) AS last_success_at,
    now() - greatest(observed_at, success_at) AS staleness,
    started_at AS last_attempt_at,
    outcome AS last_outcome,
    error AS last_error,
    problems AS last_problems,
    nights_held,
    oldest AS oldest_held_since
FROM pulled;

CREATE VIEW analytics.acknowledgements AS
SELECT
    channel_account.channel,
    channel_account.code AS channel_account,
    receipt.booking_external_id AS booking,
    receipt.received_at,
    receipt.due_at,
    receipt.acknowledged_at,
    receipt.verdict,
    receipt.attempts,
    round(extract(epoch FROM receipt.acknowledged_at - receipt.received_at) / 60, 1) AS minutes,
    receipt.verdict IS NULL AND coalesce(receipt.due_at < now(), false) AS is_overdue
FROM channel_sync.booking_receipt AS receipt
JOIN channel_sync.channel_account USING (channel_account_id);
COMMENT ON VIEW analytics.acknowledgements IS 'One row per version of a booking that its channel wants acknowledged; none for channels that do not ask for it.';
COMMENT ON COLUMN analytics.acknowledgements.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.acknowledgements.channel_account IS 'Code of the account it was sold through.';
COMMENT ON COLUMN analytics.acknowledgements.booking IS 'The channel''s own id of the whole reservation.';
COMMENT ON COLUMN analytics.acknowledgements.received_at IS 'Just before the channel was first asked for this version.';
COMMENT ON COLUMN analytics.acknowledgements.due_at IS 'Until when the channel waits before it tells people instead; null where it waits for ever.';
COMMENT ON COLUMN analytics.acknowledgements.acknowledged_at IS 'When the channel took the acknowledgement; null while it waits and where it rejected it.';
COMMENT ON COLUMN analytics.acknowledgements.verdict IS 'accepted, warned or rejected (the channel no longer waits, or never did); null while it waits.';
COMMENT ON COLUMN analytics.acknowledgements.attempts IS 'How often it was tried to tell the channel.';
COMMENT ON COLUMN analytics.acknowledgements.minutes IS 'Minutes from received_at to acknowledged_at.';
COMMENT ON COLUMN analytics.acknowledgements.is_overdue IS 'Whether it still waits although it was due.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'channel_sync_analyst') THEN
        GRANT SELECT ON analytics.acknowledgements TO channel_sync_analyst;
    END IF;
END
$$;
