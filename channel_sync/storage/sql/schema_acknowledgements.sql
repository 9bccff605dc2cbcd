-- What channels wait to be told: that a version of a booking is committed here.

SET LOCAL search_path = channel_sync, public;

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
