-- The circuit breaker. Its rules are the functions in schema_circuit_breakers.sql. "at" is null but in tests.

-- name: admit_call
-- Leave for one call, or how long to wait for it.
SELECT admitted, under_epoch, probe, retry_after_s, error
FROM channel_sync.breaker_admit(
    %(key)s, probes => %(probes)s, probe_ttl_s => %(probe_ttl_s)s, at => %(at)s
);

-- name: confirm_admission
-- Whether an admission still holds: of this epoch and, for a probe, not given up.
SELECT
    epoch = %(epoch)s AND NOT (
        state = 'half_open' AND coalesce(%(at)s::timestamptz, clock_timestamp()) >= probe_until
    ),
    channel_sync.breaker_retry_after(circuit, coalesce(%(at)s::timestamptz, clock_timestamp())),
    last_error
FROM channel_sync.circuit_breaker_state AS circuit
WHERE key = %(key)s;

-- name: record_outcome
-- How a call ended.
SELECT channel_sync.breaker_record(
    %(key)s, %(epoch)s, %(ok)s, %(error)s,
    failures_to_open => %(failures)s, ratio_to_open => %(failure_ratio)s, window_s => %(window_s)s,
    open_s => %(open_s)s, longest_open_s => %(longest_open_s)s, calm_s => %(calm_s)s,
    successes_to_close => %(successes_to_close)s, at => %(at)s
);

-- name: abandon_probe
-- A probe's permit goes back. Never more are out and to be had than there are probes.
UPDATE channel_sync.circuit_breaker_state
SET probes_left = least(probes_left + 1, %(probes)s - probe_successes)
WHERE key = %(key)s AND epoch = %(epoch)s AND state = 'half_open'
RETURNING epoch;

-- name: reset_circuit
-- Closed by hand, as if nothing had ever happened.
UPDATE channel_sync.circuit_breaker_state
SET state = 'closed', epoch = epoch + 1, trips = 0,
    closed_at = coalesce(%(at)s::timestamptz, clock_timestamp()),
    window_started_at = coalesce(%(at)s::timestamptz, clock_timestamp()),
    calls = 0, failures = 0, earlier_calls = 0, earlier_failures = 0
WHERE key = %(key)s
RETURNING epoch;

-- name: circuit_state
-- A circuit as it stands.
SELECT state, channel_sync.breaker_retry_after(circuit, coalesce(%(at)s::timestamptz, clock_timestamp())), trips
FROM channel_sync.circuit_breaker_state AS circuit
WHERE key = %(key)s;
