-- The circuit breaker's state; channel_sync.resilience.circuit_breaker says what it means.
--
-- The functions take the time as `at` so that tests can drive it. Without it the server's clock is read, and after
-- the row's lock is held: a moment from before the wait could be older than what the row says.

SET LOCAL search_path = channel_sync, public;

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
