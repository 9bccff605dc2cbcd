-- A reservation no longer looks first whether its keys have rows, and is quicker where there is one key.

SET LOCAL search_path = channel_sync, public;

CREATE OR REPLACE FUNCTION reserve_permit(
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
    locked   int := 0;
BEGIN
    IF cardinality(asked_keys) = 1 THEN -- most calls; without a cursor the row is locked for less long
        SELECT * INTO state FROM channel_sync.rate_limit_state WHERE key = asked_keys[1] FOR UPDATE;
        states[1] := state;
        locked := FOUND::int;
    ELSE
        FOR state IN
            SELECT * FROM channel_sync.rate_limit_state WHERE key = ANY (asked_keys) ORDER BY key FOR UPDATE
        LOOP
            states[array_position(asked_keys, state.key)] := state;
            locked := locked + 1;
        END LOOP;
    END IF;
    IF locked < cardinality(asked_keys) THEN -- rare: to look beforehand would cost every call another query
        RETURN;
    END IF;
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
COMMENT ON FUNCTION reserve_permit IS 'Reserves the next permit that all these keys grant, or none: delay_us says when it is due, or, where it was not reserved, how far away it is (more than longest_wait_us) or when to ask again (not more). Null where a key has no row yet: open_rate_limits creates it.';
