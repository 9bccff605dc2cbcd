-- The schema of 2026-11-23, in addition to 0001.

SET LOCAL search_path = channel_sync, public;

ALTER TABLE channel_account ADD COLUMN quotas jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN channel_account.quotas IS 'Quotas of this account''s own contract with the channel, in place of those that the channel declares for everybody; empty where it has none.';

-- The rate limiter's state; channel_sync.resilience.rate_limiter says what it means.

-- Half of each page stays free: a row that changes with every call finds its next version's place on its own page.
CREATE TABLE rate_limit_state (
    key              text PRIMARY KEY,
    limits           int[] NOT NULL DEFAULT '{}',
    windows_us       bigint[] NOT NULL DEFAULT '{}',
    intervals_us     bigint[] NOT NULL DEFAULT '{}',
    slacks_us        bigint[] NOT NULL DEFAULT '{}',
    tats_us          bigint[] NOT NULL DEFAULT '{}',
    blocked_until_us bigint NOT NULL DEFAULT 0,
    generation       bigint NOT NULL DEFAULT 0,
    voided           boolean NOT NULL DEFAULT false,
    tardy_until_us   bigint NOT NULL DEFAULT 0,
    penalties        bigint NOT NULL DEFAULT 0,
    penalized_at     timestamptz,
    granted          bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE rate_limit_state IS 'One row per counter of a channel''s quotas, shared by every process. Arrays have one element per window; times are microseconds since 1970 by this server''s clock.';
COMMENT ON COLUMN rate_limit_state.key IS 'What is counted: channel, host and what the channel counts by.';
COMMENT ON COLUMN rate_limit_state.limits IS 'Calls that the channel allows in each window, as the last call''s policy had it; empty where only penalties count.';
COMMENT ON COLUMN rate_limit_state.windows_us IS 'Length of each window in microseconds.';
COMMENT ON COLUMN rate_limit_state.intervals_us IS 'Time between two permits at the even pace of each window, in microseconds.';
COMMENT ON COLUMN rate_limit_state.slacks_us IS 'How far ahead of the even pace permits may be used, in microseconds: 0 without bursts.';
COMMENT ON COLUMN rate_limit_state.tats_us IS 'Theoretical arrival time: when the next permit is due at the even pace of each window.';
COMMENT ON COLUMN rate_limit_state.blocked_until_us IS 'No permit is due before this: the channel asked for a pause. 0 or in the past when it did not.';
COMMENT ON COLUMN rate_limit_state.generation IS 'Rises with each penalty: a permit handed out under an earlier one, and not yet due then, is void.';
COMMENT ON COLUMN rate_limit_state.voided IS 'A penalty voided permits whose time the next reservation may hand out again.';
COMMENT ON COLUMN rate_limit_state.tardy_until_us IS 'Permits that a slow caller may use later than others are used up by then.';
COMMENT ON COLUMN rate_limit_state.penalties IS 'Penalties so far.';
COMMENT ON COLUMN rate_limit_state.penalized_at IS 'When the last penalty was.';
COMMENT ON COLUMN rate_limit_state.granted IS 'Permits handed out so far, whether used or not.';

-- Rows are created before any row is locked, and locked in order of their keys: nobody waits in a circle.
CREATE FUNCTION open_rate_limits(asked_keys text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM channel_sync.rate_limit_state WHERE key = ANY (asked_keys)) < cardinality(asked_keys) THEN
        INSERT INTO channel_sync.rate_limit_state (key)
        SELECT asked.key FROM unnest(asked_keys) AS asked (key) ORDER BY asked.key
        ON CONFLICT (key) DO NOTHING;
    END IF;
END
$$;
COMMENT ON FUNCTION open_rate_limits IS 'Creates the rows of these keys where they are missing.';

-- channel_sync.resilience.rate_limiter.pace holds the same arithmetic in Python, with the reasons and proofs.
CREATE FUNCTION reserve_permit(
    asked_keys      text[],    -- from the widest to the narrowest
    asked_sizes     int[],     -- number of windows of each key; the four arrays that follow are flat
    asked_limits    int[],
    asked_windows   bigint[],
    asked_intervals bigint[],
    asked_slacks    bigint[],
    asked_cost      bigint,
    longest_wait_us bigint,
    extra_us        bigint,
    patience_us     bigint,
    look_ahead_us   bigint,
    at_us           bigint DEFAULT NULL, -- tests only
    OUT reserved    boolean,
    OUT delay_us    bigint,
    OUT generations bigint[]
)
LANGUAGE plpgsql AS $$
DECLARE
    states   channel_sync.rate_limit_state[];
    state    channel_sync.rate_limit_state;
    tats     bigint[];
    earliest bigint;
    slot     bigint;
    reach    bigint;
    put_off  bigint := 0;
    behind   int := 0;
BEGIN
    PERFORM channel_sync.open_rate_limits(asked_keys);
    FOR state IN
        SELECT * FROM channel_sync.rate_limit_state WHERE key = ANY (asked_keys) ORDER BY key FOR UPDATE
    LOOP
        states[array_position(asked_keys, state.key)] := state;
    END LOOP;
    -- Only now: the wait for a lock must not count as time that has yet to pass.
    at_us := coalesce(at_us, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    slot := at_us;

    FOR i IN 1 .. cardinality(asked_keys) LOOP
        state := states[i];
        generations[i] := state.generation;
        earliest := greatest(at_us, state.blocked_until_us);
        FOR w IN behind + 1 .. behind + asked_sizes[i] LOOP
            tats[w] := coalesce(state.tats_us[array_position(state.windows_us, asked_windows[w])], 0);
            IF state.voided THEN
                tats[w] := least(
                    tats[w],
                    greatest(at_us + look_ahead_us, state.tardy_until_us) + asked_slacks[w] + asked_intervals[w]
                );
            END IF;
            earliest := greatest(earliest, tats[w] + (asked_cost - 1) * asked_intervals[w] - asked_slacks[w]);
        END LOOP;
        behind := behind + asked_sizes[i];
        IF earliest > reach THEN
            put_off := greatest(put_off, earliest - reach, (reach - at_us) / 4);
        END IF;
        reach := least(reach, CASE WHEN earliest > at_us THEN earliest ELSE at_us + patience_us END);
        slot := greatest(slot, earliest);
    END LOOP;

    delay_us := slot - at_us;
    reserved := delay_us <= longest_wait_us AND put_off = 0;
    IF delay_us <= longest_wait_us AND put_off > 0 THEN
        delay_us := put_off;
    END IF;
    IF NOT reserved THEN
        RETURN;
    END IF;

    FOR w IN 1 .. behind LOOP
        tats[w] := greatest(tats[w], slot) + asked_cost * asked_intervals[w] + extra_us;
    END LOOP;
    behind := 0;
    FOR i IN 1 .. cardinality(asked_keys) LOOP
        UPDATE channel_sync.rate_limit_state
        SET limits = asked_limits[behind + 1 : behind + asked_sizes[i]],
            windows_us = asked_windows[behind + 1 : behind + asked_sizes[i]],
            intervals_us = asked_intervals[behind + 1 : behind + asked_sizes[i]],
            slacks_us = asked_slacks[behind + 1 : behind + asked_sizes[i]],
            tats_us = coalesce(tats[behind + 1 : behind + asked_sizes[i]], '{}'),
            voided = false,
            tardy_until_us = greatest(tardy_until_us, CASE WHEN extra_us > 0 THEN slot + extra_us END),
            granted = granted + 1
        WHERE key = asked_keys[i];
        behind := behind + asked_sizes[i];
    END LOOP;
END
$$;
COMMENT ON FUNCTION reserve_permit IS 'Reserves the next permit that all these keys grant, or none: delay_us says when it is due, or, where it was not reserved, how far away it is (more than longest_wait_us) or when to ask again (not more).';

CREATE FUNCTION penalize_rate_limits(asked_keys text[], retry_after_us bigint, at_us bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM channel_sync.open_rate_limits(asked_keys);
    PERFORM FROM channel_sync.rate_limit_state WHERE key = ANY (asked_keys) ORDER BY key FOR UPDATE;
    at_us := coalesce(at_us, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    UPDATE channel_sync.rate_limit_state
    SET blocked_until_us = greatest(blocked_until_us, at_us + retry_after_us),
        generation = generation + 1,
        voided = true,
        penalties = penalties + 1,
        penalized_at = to_timestamp(at_us / 1000000.0)
    WHERE key = ANY (asked_keys);
END
$$;
COMMENT ON FUNCTION penalize_rate_limits IS 'Blocks these keys for retry_after_us from now on, never shorter than they were, and voids their permits that are not yet due.';
-- The circuit breaker's state; channel_sync.resilience.circuit_breaker says what it means.
--
-- The functions take the time as `at` so that tests can drive it. Without it the server's clock is read, and after
-- the row's lock is held: a moment from before the wait could be older than what the row says.

CREATE TABLE circuit_breaker_state (
    key               text PRIMARY KEY,
    state             text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
    epoch             bigint NOT NULL DEFAULT 0,
    opened_at         timestamptz,
    open_until        timestamptz,
    trips             integer NOT NULL DEFAULT 0,
    closed_at         timestamptz,
    last_error        text,
    window_started_at timestamptz NOT NULL,
    calls             integer NOT NULL DEFAULT 0,
    failures          integer NOT NULL DEFAULT 0,
    earlier_calls     integer NOT NULL DEFAULT 0,
    earlier_failures  integer NOT NULL DEFAULT 0,
    probes_left       integer NOT NULL DEFAULT 0,
    probe_until       timestamptz,
    probe_successes   integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE circuit_breaker_state IS 'One row per host of a channel: whether calls to it are let through. Shared by every process.';
COMMENT ON COLUMN circuit_breaker_state.key IS 'The channel and the host: airbnb/api.airbnb.com.';
COMMENT ON COLUMN circuit_breaker_state.state IS 'closed: calls are let through; open: none is; half_open: a few are, to see whether the channel is back.';
COMMENT ON COLUMN circuit_breaker_state.epoch IS 'Rises with every change of state and every new set of probes. Outcomes of calls that were let through in an earlier epoch are ignored.';
COMMENT ON COLUMN circuit_breaker_state.opened_at IS 'When it last opened, or opened again after a failed probe.';
COMMENT ON COLUMN circuit_breaker_state.open_until IS 'When, once it is open, the first probe is let through.';
COMMENT ON COLUMN circuit_breaker_state.trips IS 'Openings since it was last closed for long enough: each doubles the time that it stays open.';
COMMENT ON COLUMN circuit_breaker_state.closed_at IS 'When it last closed; null if it never opened.';
COMMENT ON COLUMN circuit_breaker_state.last_error IS 'How the latest failed call that counted had failed.';
COMMENT ON COLUMN circuit_breaker_state.window_started_at IS 'When the slice of time began in which calls are counted now.';
COMMENT ON COLUMN circuit_breaker_state.calls IS 'Calls in this slice.';
COMMENT ON COLUMN circuit_breaker_state.failures IS 'Those of them that failed.';
COMMENT ON COLUMN circuit_breaker_state.earlier_calls IS 'Calls in the slice before.';
COMMENT ON COLUMN circuit_breaker_state.earlier_failures IS 'Those of them that failed.';
COMMENT ON COLUMN circuit_breaker_state.probes_left IS 'Probes that may still be let through while half open.';
COMMENT ON COLUMN circuit_breaker_state.probe_until IS 'When, while half open, probes without an outcome are given up and new ones let through.';
COMMENT ON COLUMN circuit_breaker_state.probe_successes IS 'Probes that succeeded while half open.';

CREATE FUNCTION seconds_between(earlier timestamptz, later timestamptz) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT extract(epoch FROM later - earlier)::double precision
$$;
COMMENT ON FUNCTION seconds_between(timestamptz, timestamptz) IS 'Seconds from one moment to a later one; negative if it is not later.';

CREATE FUNCTION windowed_count(
    counted integer, earlier integer, elapsed_s double precision, window_s double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT counted + earlier * greatest(0, least(1, 1 - elapsed_s / window_s))
$$;
COMMENT ON FUNCTION windowed_count(integer, integer, double precision, double precision) IS 'How many of the last window_s seconds, when the present slice is elapsed_s old: what the slice before holds is taken as spread evenly over it.';

CREATE FUNCTION breaker_retry_after(circuit circuit_breaker_state, at timestamptz) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN circuit.state = 'open' THEN greatest(0, channel_sync.seconds_between(at, circuit.open_until))
        WHEN circuit.state = 'half_open' AND circuit.probes_left = 0
            THEN greatest(0, least(1, channel_sync.seconds_between(at, circuit.probe_until)))
        ELSE 0
    END
$$;
COMMENT ON FUNCTION breaker_retry_after(circuit_breaker_state, timestamptz) IS 'Seconds until it is worth asking again; 0 when a call or a probe would be let through. While probes are under way at most 1: their verdict may come at any moment.';

CREATE FUNCTION breaker_admit(
    circuit_key text, probes integer, probe_ttl_s double precision, at timestamptz DEFAULT NULL,
    OUT admitted boolean, OUT under_epoch bigint, OUT probe boolean, OUT retry_after_s double precision,
    OUT error text
)
LANGUAGE plpgsql AS $$
DECLARE
    circuit channel_sync.circuit_breaker_state;
    moment timestamptz := coalesce(at, clock_timestamp());
BEGIN
    SELECT * INTO circuit FROM channel_sync.circuit_breaker_state WHERE key = circuit_key;
    IF NOT FOUND THEN
        admitted := true; under_epoch := 0; probe := false; retry_after_s := 0;
        RETURN;
    END IF;
    probe := false;
    IF circuit.state <> 'closed' AND channel_sync.breaker_retry_after(circuit, moment) = 0 THEN
        -- A probe is due. Whoever gets here stands in line, and most find that it is taken.
        SELECT * INTO circuit FROM channel_sync.circuit_breaker_state WHERE key = circuit_key FOR UPDATE;
        moment := coalesce(at, clock_timestamp());
        probe := circuit.state <> 'closed' AND channel_sync.breaker_retry_after(circuit, moment) = 0;
    END IF;
    IF probe THEN
        IF circuit.state = 'open' OR moment >= circuit.probe_until THEN
            circuit.state := 'half_open';
            circuit.epoch := circuit.epoch + 1;
            circuit.probes_left := probes;
            circuit.probe_successes := 0;
        END IF;
        UPDATE channel_sync.circuit_breaker_state AS stored
        SET state = circuit.state, epoch = circuit.epoch, probe_successes = circuit.probe_successes,
            probes_left = circuit.probes_left - 1, probe_until = moment + make_interval(secs => probe_ttl_s)
        WHERE stored.key = circuit_key;
    END IF;
    admitted := probe OR circuit.state = 'closed';
    under_epoch := circuit.epoch;
    retry_after_s := channel_sync.breaker_retry_after(circuit, moment);
    error := circuit.last_error;
END
$$;
COMMENT ON FUNCTION breaker_admit(text, integer, double precision, timestamptz) IS 'Asks leave for one call. Locks the row only when a probe is due, and then takes its permit.';

CREATE FUNCTION breaker_record(
    circuit_key text, of_epoch bigint, ok boolean, error text,
    failures_to_open integer, ratio_to_open double precision, window_s double precision,
    open_s double precision, longest_open_s double precision, calm_s double precision,
    successes_to_close integer, at timestamptz DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    circuit channel_sync.circuit_breaker_state;
    moment timestamptz;
    elapsed_s double precision;
    failed double precision;
    opens boolean := false;
    closes boolean := false;
    transition text;
BEGIN
    SELECT * INTO circuit FROM channel_sync.circuit_breaker_state WHERE key = circuit_key FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO channel_sync.circuit_breaker_state (key, window_started_at)
        VALUES (circuit_key, coalesce(at, clock_timestamp())) ON CONFLICT DO NOTHING;
        SELECT * INTO circuit FROM channel_sync.circuit_breaker_state WHERE key = circuit_key FOR UPDATE;
    END IF;
    moment := coalesce(at, clock_timestamp());
    -- No call is let through in an epoch in which the circuit is open, so an outcome of this epoch is a closed
    -- circuit's or a probe's.
    IF circuit.epoch <> of_epoch OR circuit.state = 'half_open' AND moment >= circuit.probe_until THEN
        RETURN NULL;
    END IF;
    IF NOT ok THEN
        circuit.last_error := error;
    END IF;

    IF circuit.state = 'half_open' THEN
        circuit.probe_successes := circuit.probe_successes + ok::integer;
        opens := NOT ok;
        closes := ok AND circuit.probe_successes >= successes_to_close;
    ELSE
        elapsed_s := channel_sync.seconds_between(circuit.window_started_at, moment);
        IF elapsed_s >= 2 * window_s THEN
            circuit.window_started_at := moment;
            circuit.earlier_calls := 0;
            circuit.earlier_failures := 0;
            circuit.calls := 0;
            circuit.failures := 0;
        ELSIF elapsed_s >= window_s THEN
            circuit.window_started_at := circuit.window_started_at + make_interval(secs => window_s);
            circuit.earlier_calls := circuit.calls;
            circuit.earlier_failures := circuit.failures;
            circuit.calls := 0;
            circuit.failures := 0;
        END IF;
        circuit.calls := circuit.calls + 1;
        circuit.failures := circuit.failures + (NOT ok)::integer;
        IF circuit.closed_at + make_interval(secs => calm_s) <= moment THEN
            circuit.trips := 0;
        END IF;
        elapsed_s := channel_sync.seconds_between(circuit.window_started_at, moment);
        failed := channel_sync.windowed_count(circuit.failures, circuit.earlier_failures, elapsed_s, window_s);
        opens := NOT ok AND failed >= failures_to_open AND failed >= ratio_to_open
            * channel_sync.windowed_count(circuit.calls, circuit.earlier_calls, elapsed_s, window_s);
        transition := CASE WHEN opens THEN 'opened' END;  -- a failed probe makes no news
    END IF;

    IF opens THEN
        circuit.state := 'open';
        circuit.epoch := circuit.epoch + 1;
        circuit.trips := circuit.trips + 1;
        circuit.opened_at := moment;
        circuit.open_until := moment + make_interval(
            secs => least(longest_open_s, open_s * 2.0::double precision ^ least(circuit.trips - 1, 30))
        );
    ELSIF closes THEN
        transition := 'closed';
        circuit.state := 'closed';
        circuit.epoch := circuit.epoch + 1;
        circuit.closed_at := moment;
        circuit.window_started_at := moment;
        circuit.calls := 0;
        circuit.failures := 0;
        circuit.earlier_calls := 0;
        circuit.earlier_failures := 0;
    END IF;

    UPDATE channel_sync.circuit_breaker_state AS stored
    SET state = circuit.state, epoch = circuit.epoch, opened_at = circuit.opened_at,
        open_until = circuit.open_until, trips = circuit.trips, closed_at = circuit.closed_at,
        last_error = circuit.last_error, window_started_at = circuit.window_started_at,
        calls = circuit.calls, failures = circuit.failures, earlier_calls = circuit.earlier_calls,
        earlier_failures = circuit.earlier_failures, probe_successes = circuit.probe_successes
    WHERE stored.key = circuit_key;
    RETURN transition;
END
$$;
COMMENT ON FUNCTION breaker_record(text, bigint, boolean, text, integer, double precision, double precision, double precision, double precision, double precision, integer, timestamptz) IS 'Records how a call ended. Returns opened or closed to the one whose outcome made it so, else null.';
-- Counters of the calls to channels; channel_sync.resilience.call_counts writes them.

CREATE TABLE api_call (
    minute         timestamptz NOT NULL,
    account        text NOT NULL,
    endpoint       text NOT NULL,
    outcome        text NOT NULL,
    calls          bigint NOT NULL CHECK (calls > 0),
    waited_s       double precision NOT NULL CHECK (waited_s >= 0),
    longest_wait_s double precision NOT NULL CHECK (longest_wait_s >= 0),
    took_s         double precision NOT NULL CHECK (took_s >= 0),
    longest_s      double precision NOT NULL CHECK (longest_s >= 0),
    PRIMARY KEY (minute, account, endpoint, outcome)
);
COMMENT ON TABLE api_call IS 'Calls to channels, one row per minute, account, endpoint and outcome. A killed process may leave its last few seconds uncounted.';
COMMENT ON COLUMN api_call.minute IS 'The minute in which the calls ended, by the database''s clock, within a few seconds.';
COMMENT ON COLUMN api_call.account IS 'Code of the channel account. Not a key: the counts outlive the account.';
COMMENT ON COLUMN api_call.endpoint IS 'Kind of call, as the channel''s adapter names it: "calendars".';
COMMENT ON COLUMN api_call.outcome IS 'The HTTP status ("200"), how a call without a whole answer failed ("ReadTimeout"), or why it was not sent ("refused: rate limit", "refused: circuit open", "refused: no database").';
COMMENT ON COLUMN api_call.calls IS 'How many calls ended so. Those that were refused reached nobody.';
COMMENT ON COLUMN api_call.waited_s IS 'Seconds that these calls waited together for the rate limit or for another call that must not overlap.';
COMMENT ON COLUMN api_call.longest_wait_s IS 'The longest of these waits, in seconds.';
COMMENT ON COLUMN api_call.took_s IS 'Seconds from sending to the last byte of the answer, of all these calls together; 0 for those not sent.';
COMMENT ON COLUMN api_call.longest_s IS 'The longest of these, in seconds.';
-- Calls to channels --------------------------------------------------------------------------------------------

CREATE VIEW analytics.channel_call AS
SELECT
    channel_account.channel,
    api_call.account AS channel_account,
    api_call.endpoint,
    api_call.outcome,
    api_call.minute,
    api_call.calls,
    NOT starts_with(api_call.outcome, 'refused: ') AS was_sent,
    api_call.outcome ~ '^[23][0-9][0-9]$' AS has_succeeded,
    api_call.waited_s,
    api_call.longest_wait_s,
    api_call.took_s,
    api_call.longest_s
FROM channel_sync.api_call
LEFT JOIN channel_sync.channel_account ON channel_account.code = api_call.account;
COMMENT ON VIEW analytics.channel_call IS 'One row per account, kind of call, outcome and minute: how often channels were called, how they answered and how long it took. Kept for 30 days.';
COMMENT ON COLUMN analytics.channel_call.channel IS 'The sales channel; null where no account of this code is on record.';
COMMENT ON COLUMN analytics.channel_call.channel_account IS 'Code of the account.';
COMMENT ON COLUMN analytics.channel_call.endpoint IS 'Kind of call, in our own words: listings, calendars, reservations, feed, ...';
COMMENT ON COLUMN analytics.channel_call.outcome IS 'The HTTP status, how a call without a whole answer failed (ReadTimeout), or why it was not sent (refused: rate limit).';
COMMENT ON COLUMN analytics.channel_call.minute IS 'The minute in which the calls ended.';
COMMENT ON COLUMN analytics.channel_call.calls IS 'How many calls.';
COMMENT ON COLUMN analytics.channel_call.was_sent IS 'Whether they were sent: false where rate limit or circuit held them back.';
COMMENT ON COLUMN analytics.channel_call.has_succeeded IS 'Whether the channel answered with a status of 2xx or 3xx (304: nothing has changed).';
COMMENT ON COLUMN analytics.channel_call.waited_s IS 'Seconds that they waited before they were sent, together.';
COMMENT ON COLUMN analytics.channel_call.longest_wait_s IS 'The longest of these waits, in seconds.';
COMMENT ON COLUMN analytics.channel_call.took_s IS 'Seconds from sending to the end of the answer, together; took_s / calls is the mean.';
COMMENT ON COLUMN analytics.channel_call.longest_s IS 'The longest of these, in seconds.';

-- Who may read it ----------------------------------------------------------------------------------------------

-- Roles belong to the whole server, so another database may be creating this one at the same moment. A user who
-- may not create roles still gets the views; whoever runs the server can create the role and grant it later.
DO $$
BEGIN
    CREATE ROLE channel_sync_analyst NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'channel_sync_analyst') THEN
            RAISE NOTICE 'the role channel_sync_analyst was not created: % may not create roles', current_user;
        END IF;
END
$$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'channel_sync_analyst') THEN
        GRANT USAGE ON SCHEMA analytics TO channel_sync_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO channel_sync_analyst;
    END IF;
END
$$;
