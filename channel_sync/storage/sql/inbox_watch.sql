-- Who has to do something about the inbox: what is due, which accounts fell silent, and whether the worker lives.

-- name: due_inboxes
-- Enabled accounts with events that may be applied and have been for so long, those that wait longest first.
SELECT channel_account.code AS account, channel_account.channel, count(*) AS events,
    max(event.webhook_event_id) AS newest_event_id,
    sum(event.attempts)::bigint AS attempts,
    extract(epoch FROM clock_timestamp() - min(event.next_attempt_at))::double precision AS waiting_s
FROM channel_sync.webhook_event AS event
JOIN channel_sync.channel_account USING (channel_account_id)
WHERE event.state = 'received'
    AND event.next_attempt_at <= clock_timestamp() - make_interval(secs => %(longer_than_s)s)
    AND channel_account.enabled AND channel_account.retired_at IS NULL
GROUP BY channel_account.channel_account_id
ORDER BY waiting_s DESC;

-- name: silent_inboxes
-- Enabled accounts that have had events, and none for three times the longest gap between their last fifty: for an
-- hour at least, a day at most. After a first event nothing is known of the gaps: a day.
SELECT channel_account.code AS account, heard.at AS heard_at,
    extract(epoch FROM clock_timestamp() - heard.at)::double precision AS silent_s
FROM channel_sync.channel_account
CROSS JOIN LATERAL (
    SELECT max(latest.last_received_at) AS at, max(latest.gap) AS longest_gap
    FROM (
        SELECT event.last_received_at,
            event.received_at - lag(event.received_at) OVER (ORDER BY event.webhook_event_id) AS gap
        FROM (
            SELECT webhook_event_id, received_at, last_received_at
            FROM channel_sync.webhook_event
            WHERE webhook_event.channel_account_id = channel_account.channel_account_id
            ORDER BY webhook_event_id DESC
            LIMIT 50
        ) AS event
    ) AS latest
) AS heard
WHERE channel_account.enabled AND channel_account.retired_at IS NULL
    AND heard.at < clock_timestamp()
        - least(greatest(3 * coalesce(heard.longest_gap, interval '1 day'), interval '1 hour'), interval '1 day')
ORDER BY channel_account.code;

-- name: become_worker
-- Held until the connection ends, however it ends.
SELECT pg_try_advisory_lock(hashtext('channel_sync'), hashtext('worker'));

-- name: worker_lives
-- Postgres shows the two numbers of such a lock without their signs.
SELECT EXISTS (
    SELECT FROM pg_locks
    JOIN pg_database ON pg_database.oid = pg_locks.database
    WHERE pg_locks.locktype = 'advisory' AND pg_locks.granted AND pg_locks.objsubid = 2
        AND pg_database.datname = current_database()
        AND pg_locks.classid::bigint = hashtext('channel_sync')::bigint & 4294967295
        AND pg_locks.objid::bigint = hashtext('worker')::bigint & 4294967295
);
