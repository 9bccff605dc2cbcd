-- The inbox: what channels delivered, kept before it was acknowledged, and what became of it.

SET LOCAL search_path = channel_sync, public;

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
