-- The rate limiter's statements. Each may be executed twice: what a repeated reservation costs is one permit.

-- name: open_rate_limits
-- Keys that nobody asked for before.
SELECT channel_sync.open_rate_limits(%(keys)s::text[]);

-- name: reserve_permit
-- The next permit that all keys grant, in microseconds; null where a key is not open.
SELECT reserved, delay_us, generations
FROM channel_sync.reserve_permit(
    %(keys)s::text[], %(sizes)s::int[], %(limits)s::int[], %(windows)s::bigint[], %(intervals)s::bigint[],
    %(slacks)s::bigint[], %(cost)s::bigint, %(longest_wait)s::bigint, %(extra)s::bigint, %(patience)s::bigint,
    %(look_ahead)s::bigint
);

-- name: rate_limit_generations
-- Whether there was a penalty meanwhile.
SELECT key, generation FROM channel_sync.rate_limit_state WHERE key = ANY (%(keys)s::text[]);

-- name: penalize_rate_limits
-- The channel asked for a pause.
SELECT channel_sync.penalize_rate_limits(%(keys)s::text[], %(retry_after)s::bigint);

-- name: rate_limit_state
-- One key as it stands, with the server's time.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, limits, windows_us, intervals_us, slacks_us,
    tats_us, blocked_until_us, generation, voided, tardy_until_us
FROM channel_sync.rate_limit_state
WHERE key = %(key)s;

-- name: try_in_flight
-- Hold a key if nobody does or waits for it. The seed keeps these locks apart from others of this database.
SELECT pg_try_advisory_lock(hashtextextended(%(key)s, 7041776));

-- name: in_flight_patience
-- How long the session's next locks are waited for.
SELECT set_config('lock_timeout', %(lock_timeout)s, false);

-- name: wait_in_flight
-- Hold a key after whoever holds it or asked earlier.
SELECT pg_advisory_lock(hashtextextended(%(key)s, 7041776));

-- name: release_in_flight
-- The call is over.
SELECT pg_advisory_unlock(hashtextextended(%(key)s, 7041776));
