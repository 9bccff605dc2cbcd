-- What only one of all processes does at a time.

-- name: take_turn
-- Given back at the end of the transaction, however it ends.
SELECT pg_advisory_xact_lock(hashtextextended('channel_sync.turn.' || %(name)s, 0));
