-- Counters of the calls to channels.

-- name: add_calls
-- Rows of one statement may fall into one minute, so they are summed first. In order of the key, so that two processes
-- never wait for each other in a circle.
INSERT INTO channel_sync.api_call AS counted
    (minute, account, endpoint, outcome, calls, waited_s, longest_wait_s, took_s, longest_s)
SELECT
    date_trunc('minute', clock.now - make_interval(secs => age_s)) AS minute,
    account, endpoint, outcome, sum(calls), sum(waited_s), max(longest_wait_s), sum(took_s), max(longest_s)
FROM unnest(
        %(account)s::text[], %(endpoint)s::text[], %(outcome)s::text[], %(age_s)s::float8[], %(calls)s::bigint[],
        %(waited_s)s::float8[], %(longest_wait_s)s::float8[], %(took_s)s::float8[], %(longest_s)s::float8[]
    ) AS added (account, endpoint, outcome, age_s, calls, waited_s, longest_wait_s, took_s, longest_s)
    CROSS JOIN (SELECT clock_timestamp() AS now) AS clock
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
ON CONFLICT (minute, account, endpoint, outcome) DO UPDATE SET
    calls = counted.calls + excluded.calls,
    waited_s = counted.waited_s + excluded.waited_s,
    longest_wait_s = greatest(counted.longest_wait_s, excluded.longest_wait_s),
    took_s = counted.took_s + excluded.took_s,
    longest_s = greatest(counted.longest_s, excluded.longest_s);

-- name: forget_old_calls
DELETE FROM channel_sync.api_call WHERE minute < %(before)s;
