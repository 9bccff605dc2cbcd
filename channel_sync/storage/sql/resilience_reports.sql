-- What holds calls to channels back, for the people who look after them. Spans by this server's clock, in seconds.

-- name: circuits
-- Circuits, those that are not closed first. standing_s: how long they have been so, null before they ever opened.
SELECT
    circuit.key,
    circuit.state,
    channel_sync.seconds_between(
        CASE circuit.state WHEN 'closed' THEN circuit.closed_at ELSE circuit.opened_at END, clock.now
    ) AS standing_s,
    channel_sync.breaker_retry_after(circuit, clock.now) AS retry_in_s,
    circuit.trips,
    circuit.last_error
FROM channel_sync.circuit_breaker_state AS circuit
CROSS JOIN (SELECT clock_timestamp() AS now) AS clock
WHERE circuit.state <> 'closed' OR NOT %(only_open)s::boolean
ORDER BY circuit.state = 'closed', circuit.key
LIMIT %(most)s;

-- name: quotas
-- Counters of quotas, those that are farthest from their next permit first: all of them, or those that a penalty blocks
-- and those whose next permit is more than beyond_s away. A penalty may have voided permits: their time is handed out again.
SELECT key, limits, windows_s, next_permit_s, blocked_s, penalties, penalized_s_ago, granted
FROM (
    SELECT
        state.key,
        state.limits,
        ARRAY(SELECT w / 1e6::double precision FROM unnest(state.windows_us) WITH ORDINALITY AS one (w, n) ORDER BY n)
            AS windows_s,
        greatest(0, state.blocked_until_us - clock.now_us, pace.earliest_us - clock.now_us)
            / 1e6::double precision AS next_permit_s,
        greatest(0, state.blocked_until_us - clock.now_us) / 1e6::double precision AS blocked_s,
        state.penalties,
        clock.now_us / 1e6::double precision - extract(epoch FROM state.penalized_at)::double precision
            AS penalized_s_ago,
        state.granted
    FROM channel_sync.rate_limit_state AS state
    CROSS JOIN (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us) AS clock
    CROSS JOIN LATERAL (
        SELECT max(
            CASE WHEN state.voided THEN least(tat_us, clock.now_us + slack_us + interval_us) ELSE tat_us END - slack_us
        ) AS earliest_us
        FROM unnest(state.tats_us, state.slacks_us, state.intervals_us) AS one (tat_us, slack_us, interval_us)
    ) AS pace
) AS standing
WHERE %(beyond_s)s::double precision IS NULL OR blocked_s > 0 OR next_permit_s > %(beyond_s)s
ORDER BY next_permit_s DESC, penalized_s_ago, key
LIMIT %(most)s;

-- name: calls_of_last_hour
-- What was sent and what was held back. An answer of the channel's that says "too many calls" is no failure of it.
SELECT
    account,
    endpoint,
    coalesce(sum(calls) FILTER (WHERE NOT refused), 0)::bigint AS sent,
    coalesce(sum(calls) FILTER (WHERE NOT refused AND outcome <> '429' AND outcome !~ '^[23]\d\d$'), 0)::bigint AS failed,
    coalesce(sum(calls) FILTER (WHERE outcome = '429'), 0)::bigint AS too_many,
    coalesce(sum(calls) FILTER (WHERE refused), 0)::bigint AS refused,
    sum(waited_s) AS waited_s,
    max(longest_wait_s) AS longest_wait_s
FROM channel_sync.api_call
CROSS JOIN LATERAL (SELECT starts_with(outcome, 'refused: ') AS refused) AS kind
WHERE minute > clock_timestamp() - interval '1 hour'
GROUP BY account, endpoint
ORDER BY account, endpoint;

-- name: lock_circuit
-- How a circuit stands, and nobody changes it until the end of the transaction.
SELECT state FROM channel_sync.circuit_breaker_state WHERE key = %(key)s FOR UPDATE;

-- name: lift_penalty
-- A person knows better than the channel's last "wait": permits are due again, and those handed out stay good.
WITH before AS (
    SELECT key, blocked_until_us FROM channel_sync.rate_limit_state WHERE key = %(key)s FOR UPDATE
)
UPDATE channel_sync.rate_limit_state AS state SET blocked_until_us = 0
FROM before
WHERE state.key = before.key
RETURNING
    greatest(0, before.blocked_until_us / 1e6::double precision - extract(epoch FROM clock_timestamp())::double precision);

-- name: held_keys
-- Under which keys calls are held back now.
SELECT key FROM channel_sync.circuit_breaker_state WHERE state <> 'closed'
UNION
SELECT key FROM channel_sync.rate_limit_state
WHERE blocked_until_us > extract(epoch FROM clock_timestamp()) * 1000000
ORDER BY key
LIMIT 20;
