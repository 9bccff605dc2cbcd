-- Acknowledgements: what channels wait for, and what became of it.

-- name: create_receipt_staging
-- The receipts of one batch of bookings; they become rows when its bookings are committed.
CREATE UNLOGGED TABLE IF NOT EXISTS channel_sync_staging.{name} (
    ordinal             bigint GENERATED ALWAYS AS IDENTITY,
    reference           text NOT NULL,
    booking_external_id text NOT NULL,
    received_at         timestamptz NOT NULL,
    due_at              timestamptz
);

-- name: staged_receipts
-- Each once, as it was first received, in order of arrival.
SELECT reference, booking_external_id, received_at, due_at
FROM (
    SELECT DISTINCT ON (reference) * FROM channel_sync_staging.{name} ORDER BY reference, ordinal
) AS staged
ORDER BY ordinal;

-- name: store_receipt
-- A receipt waits to be acknowledged. One that is known waits again if it was read after it was last told: the channel
-- did not hear us. Its deadline stays: the channel's own clock has run on.
INSERT INTO channel_sync.booking_receipt AS known (channel_account_id, reference, booking_external_id, received_at, due_at)
VALUES (%(channel_account_id)s, %(reference)s, %(booking_external_id)s, %(received_at)s, %(due_at)s)
ON CONFLICT (channel_account_id, md5(reference)) DO UPDATE SET verdict = NULL, acknowledged_at = NULL
WHERE known.verdict IS NOT NULL AND known.last_attempt_at <= excluded.received_at;

-- name: pending_receipts
-- Receipts of an account that wait to be acknowledged, the most urgent first, without those just tried.
SELECT booking_receipt_id, booking_external_id, reference, due_at
FROM channel_sync.booking_receipt
WHERE channel_account_id = %(channel_account_id)s AND verdict IS NULL AND booking_receipt_id <> ALL (%(tried)s::bigint[])
ORDER BY due_at NULLS LAST, booking_receipt_id
LIMIT %(limit)s;

-- name: set_out_to_ask
-- From now on the channel may give versions newer than those that wait to be acknowledged.
INSERT INTO channel_sync.booking_queue AS queue (channel_account_id, asked)
VALUES (%(channel_account_id)s, %(sync_log_id)s)
ON CONFLICT (channel_account_id) DO UPDATE SET asked = greatest(queue.asked, excluded.asked);

-- name: all_is_committed
-- What this pull was given is committed, and so is what any before it was given: the channel gave that again.
UPDATE channel_sync.booking_queue SET committed = greatest(committed, %(sync_log_id)s)
WHERE channel_account_id = %(channel_account_id)s;

-- name: is_all_committed
-- Whether nothing that the channel gave is on its way into the tables, or lost on it.
SELECT NOT EXISTS (
    SELECT FROM channel_sync.booking_queue WHERE channel_account_id = %(channel_account_id)s AND asked > committed
);

-- name: note_acknowledgement
-- How telling the channel ended; without a verdict it goes on waiting.
UPDATE channel_sync.booking_receipt SET
    verdict = %(verdict)s,
    words = %(words)s,
    attempts = attempts + 1,
    last_attempt_at = %(at)s,
    acknowledged_at = CASE WHEN %(verdict)s IN ('accepted', 'warned') THEN %(at)s::timestamptz END,
    run_id = %(run_id)s
WHERE booking_receipt_id = %(booking_receipt_id)s;

-- name: is_booking_committed
-- Whether this booking, or a part of it, is stored as it is at this moment or later.
SELECT EXISTS (
    SELECT FROM channel_sync.booking
    WHERE channel_account_id = %(channel_account_id)s AND %(booking_external_id)s IN (external_id, whole)
        AND revised_at >= coalesce(%(revised_at)s::timestamptz, revised_at)
);

-- name: take_acknowledging
-- One process at a time acknowledges an account's bookings; the lock ends with the connection.
SELECT pg_advisory_lock(hashtext('channel_sync.acknowledge'), %(channel_account_id)s::integer);

-- name: acknowledgements_by_account
-- How many versions wait, by account, and until when the first of them.
SELECT channel_account.code AS account, count(*) AS pending, min(receipt.due_at) AS due_at, max(receipt.attempts) AS attempts
FROM channel_sync.booking_receipt AS receipt
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE receipt.verdict IS NULL AND channel_account.retired_at IS NULL
GROUP BY channel_account.code
ORDER BY due_at NULLS LAST, account;

-- name: late_acknowledgements
-- Versions that their channel will not wait for much longer, or no longer waits for.
SELECT channel_account.code AS account, receipt.booking_external_id AS booking, receipt.due_at,
    receipt.due_at <= %(now)s AS is_overdue, receipt.attempts, receipt.words
FROM channel_sync.booking_receipt AS receipt
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE receipt.verdict IS NULL AND channel_account.enabled AND channel_account.retired_at IS NULL
    AND receipt.due_at <= %(now)s::timestamptz + %(ahead)s::interval
ORDER BY receipt.due_at
LIMIT 100;
