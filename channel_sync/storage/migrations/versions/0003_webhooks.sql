-- The schema of 2026-11-23, in addition to 0002.

SET LOCAL search_path = channel_sync, public;

-- What the house itself still has to sell, and what its channels have yet to be told of it.

CREATE TABLE house_availability (
    unit_type_id bigint NOT NULL REFERENCES unit_type,
    night        date NOT NULL,
    units_open   smallint NOT NULL CHECK (units_open >= 0),
    decided_at   timestamptz NOT NULL,
    PRIMARY KEY (unit_type_id, night)
);
COMMENT ON TABLE house_availability IS 'One row per unit type and night on which a unit was ever taken by a booking. A night without a row has all its units open.';
COMMENT ON COLUMN house_availability.unit_type_id IS 'The unit type.';
COMMENT ON COLUMN house_availability.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN house_availability.units_open IS 'Units in the portfolio less those that confirmed bookings want on it; 0 where they want more.';
COMMENT ON COLUMN house_availability.decided_at IS 'When the number last changed.';

CREATE TABLE outbox (
    outbox_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    listing_id      bigint NOT NULL REFERENCES listing,
    subject         text NOT NULL CHECK (subject IN ('availability')),
    nights          daterange NOT NULL CHECK (NOT isempty(nights) AND lower_inc(nights) AND NOT upper_inc(nights)),
    cause           text NOT NULL,
    booking_id      bigint REFERENCES booking,
    decided_at      timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'parked')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason          text
);
CREATE INDEX outbox_pending ON outbox (listing_id, outbox_id) WHERE state = 'pending';
COMMENT ON TABLE outbox IS 'One row per listing and run of nights that its channel has to be told of. Not what to say: that is in the tables when it is said.';
COMMENT ON COLUMN outbox.outbox_id IS 'Our own key; it grows in the order in which one unit type''s nights were decided.';
COMMENT ON COLUMN outbox.listing_id IS 'The listing whose channel has to be told.';
COMMENT ON COLUMN outbox.subject IS 'What of it: availability.';
COMMENT ON COLUMN outbox.nights IS 'Half-open range of nights.';
COMMENT ON COLUMN outbox.cause IS 'Why: booked, changed, cancelled, mapped (the listing of a stored booking became known).';
COMMENT ON COLUMN outbox.booking_id IS 'The booking behind it.';
COMMENT ON COLUMN outbox.decided_at IS 'When it was decided.';
COMMENT ON COLUMN outbox.state IS 'pending; sent; parked (it cannot be sent, a person has to look).';
COMMENT ON COLUMN outbox.attempts IS 'How often it was tried to send it.';
COMMENT ON COLUMN outbox.next_attempt_at IS 'From when on it may be tried again.';
COMMENT ON COLUMN outbox.reason IS 'Why it is not sent yet, or parked.';

-- Whose stay a night falls into is asked for every booking that is decided: past stays are not looked at.
CREATE INDEX booking_departure ON booking (listing_id, check_out) INCLUDE (check_in) WHERE status = 'confirmed';

-- The inbox: what channels delivered, kept before it was acknowledged, and what became of it.

CREATE TABLE webhook_event (
    webhook_event_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_account_id   bigint NOT NULL REFERENCES channel_account,
    delivery_key         text NOT NULL,
    method               text NOT NULL,
    path                 text NOT NULL,
    query                text NOT NULL,
    headers              jsonb NOT NULL,
    body                 bytea NOT NULL,
    received_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    times_received       integer NOT NULL,
    last_received_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind                 text NOT NULL,
    name                 text NOT NULL,
    booking_external_id  text,
    listing_external_ids text[] NOT NULL,
    revised_at           timestamptz,
    state                text NOT NULL DEFAULT 'received' CHECK (state IN ('received', 'applied', 'superseded', 'parked')),
    reason               text,
    attempts             integer NOT NULL DEFAULT 0,
    next_attempt_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    settled_at           timestamptz,
    run_id               text,
    UNIQUE (channel_account_id, delivery_key),
    CHECK ((state = 'received') = (settled_at IS NULL))
);
CREATE INDEX webhook_event_due ON webhook_event (channel_account_id, next_attempt_at) WHERE state = 'received';
CREATE INDEX webhook_event_oldest ON webhook_event (received_at) WHERE state = 'received';
COMMENT ON TABLE webhook_event IS 'One row per event that a channel delivered: verified, without guests'' details, committed before it was answered.';
COMMENT ON COLUMN webhook_event.webhook_event_id IS 'Our own key; it grows in order of arrival, which never orders the versions of a booking.';
COMMENT ON COLUMN webhook_event.channel_account_id IS 'The account it was delivered to.';
COMMENT ON COLUMN webhook_event.delivery_key IS 'What tells a repeated delivery: the channel''s id of it, else "sha256:" and the hash of the body as it was sent. With "#2", "#3" behind it for further events of one delivery.';
COMMENT ON COLUMN webhook_event.method IS 'HTTP method of the delivery.';
COMMENT ON COLUMN webhook_event.path IS 'Path that the channel addressed.';
COMMENT ON COLUMN webhook_event.query IS 'Query of the delivery, without "?".';
COMMENT ON COLUMN webhook_event.headers IS 'Those headers of the delivery that the channel''s webhook names as worth keeping: no secret, no signature.';
COMMENT ON COLUMN webhook_event.body IS 'Body of the delivery without card data, secrets and what identifies a guest.';
COMMENT ON COLUMN webhook_event.received_at IS 'When it first arrived.';
COMMENT ON COLUMN webhook_event.times_received IS 'How often it arrived.';
COMMENT ON COLUMN webhook_event.last_received_at IS 'When it last arrived.';
COMMENT ON COLUMN webhook_event.kind IS 'What it is about, over all channels: booking, calendar, ...; unknown where this version does not know it.';
COMMENT ON COLUMN webhook_event.name IS 'The channel''s own word for it.';
COMMENT ON COLUMN webhook_event.booking_external_id IS 'The channel''s own id of the booking it is about, if it is about one.';
COMMENT ON COLUMN webhook_event.listing_external_ids IS 'The channel''s own ids of the listings it is about, as far as it names them.';
COMMENT ON COLUMN webhook_event.revised_at IS 'The channel''s own time of what it says.';
COMMENT ON COLUMN webhook_event.state IS 'received; applied; superseded (something newer was already known); parked (it cannot be applied, a person has to look).';
COMMENT ON COLUMN webhook_event.reason IS 'What could not be read, or why it is postponed, superseded or parked.';
COMMENT ON COLUMN webhook_event.attempts IS 'How often it was tried to apply it.';
COMMENT ON COLUMN webhook_event.next_attempt_at IS 'From when on it may be tried again.';
COMMENT ON COLUMN webhook_event.settled_at IS 'When its state became final.';
COMMENT ON COLUMN webhook_event.run_id IS 'The Dagster run that settled it.';

-- What the analysts see of pulls: no longer what webhooks brought.

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
            -- What a webhook brought is stored under the same subject, without a request: it is no pull.
            AND (sync_log.requests > 0 OR sync_log.outcome = 'failed')
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT sync_log.started_at FROM channel_sync.sync_log
        WHERE sync_log.channel_account_id = channel_account.channel_account_id
            AND sync_log.subject = subject.name AND sync_log.outcome <> 'failed'
            AND sync_log.requests > 0
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
