-- The bulk path of nights. {staging} is the batch's own table.

-- name: create_night_staging
-- The columns of the table that the batch will be merged into, unlogged and without an index. The comment on it says since when.
CREATE UNLOGGED TABLE {staging} (LIKE channel_sync.{table});

-- name: staged_listings
-- The batch's listings: how many nights it has of them, whether any is stored already, and whether they exist.
-- The order and the limit make of "any" a look into the index; an EXISTS may be planned as a reading of the whole table.
SELECT
    staged.listing_id,
    staged.nights,
    stored.night IS NOT NULL AS has_nights,
    EXISTS (SELECT FROM channel_sync.listing WHERE listing.listing_id = staged.listing_id) AS known
FROM (
    SELECT listing_id, count(*) AS nights
    FROM {staging}
    WHERE %(listing_ids)s::bigint[] IS NULL OR listing_id = ANY (%(listing_ids)s::bigint[])
    GROUP BY listing_id
) AS staged
LEFT JOIN LATERAL (
    SELECT night FROM channel_sync.{table} AS nights WHERE nights.listing_id = staged.listing_id ORDER BY night LIMIT 1
) AS stored ON true;

-- name: insert_first_nights
-- The nights of these listings as they are.
INSERT INTO channel_sync.{table}
SELECT * FROM {staging} WHERE listing_id = ANY (%(listing_ids)s::bigint[]);

-- name: merge_availability
-- Write new nights and nights that differ, and nothing else; what was read is put in a join of its own because
-- only Postgres 18 can return old values. Row values compare with IS DISTINCT FROM column by column.
WITH written AS (
    MERGE INTO channel_sync.channel_availability AS target
    USING (
        SELECT staged.*, stored.units_open AS units_open_before
        FROM {staging} AS staged
        LEFT JOIN channel_sync.channel_availability AS stored USING (listing_id, night)
        WHERE staged.listing_id = ANY (%(listing_ids)s::bigint[])
          AND (stored.listing_id IS NULL OR (
            stored.units_open, stored.closure, stored.reference, stored.held_since, stored.release_at_s,
            stored.hold_reason
          ) IS DISTINCT FROM (
            staged.units_open, staged.closure, staged.reference, staged.held_since, staged.release_at_s,
            staged.hold_reason
          ))
    ) AS source
    ON target.listing_id = source.listing_id AND target.night = source.night
    WHEN MATCHED THEN UPDATE SET
        units_open = source.units_open, closure = source.closure, reference = source.reference,
        held_since = source.held_since, release_at_s = source.release_at_s, hold_reason = source.hold_reason,
        sync_log_id = source.sync_log_id
    WHEN NOT MATCHED THEN INSERT (
        listing_id, night, units_open, closure, reference, held_since, release_at_s, hold_reason, sync_log_id
    ) VALUES (
        source.listing_id, source.night, source.units_open, source.closure, source.reference, source.held_since,
        source.release_at_s, source.hold_reason, source.sync_log_id
    )
    RETURNING merge_action() AS action, source.listing_id, source.units_open, source.units_open_before
)
SELECT
    listing_id,
    count(*) FILTER (WHERE action = 'INSERT') AS inserted,
    count(*) FILTER (WHERE action = 'UPDATE') AS updated,
    count(*) FILTER (WHERE units_open_before > 0 AND units_open = 0) AS closed,
    count(*) FILTER (WHERE units_open_before = 0 AND units_open > 0) AS opened
FROM written
GROUP BY listing_id;

-- name: merge_pricing
-- The same for prices and restrictions.
WITH written AS (
    MERGE INTO channel_sync.channel_price AS target
    USING (
        SELECT staged.*
        FROM {staging} AS staged
        LEFT JOIN channel_sync.channel_price AS stored USING (listing_id, night)
        WHERE staged.listing_id = ANY (%(listing_ids)s::bigint[])
          AND (stored.listing_id IS NULL OR (
            stored.amount, stored.currency, stored.min_stay_arrival, stored.min_stay_through, stored.max_stay,
            stored.closed_to_arrival, stored.closed_to_departure, stored.stop_sell
          ) IS DISTINCT FROM (
            staged.amount, staged.currency, staged.min_stay_arrival, staged.min_stay_through, staged.max_stay,
            staged.closed_to_arrival, staged.closed_to_departure, staged.stop_sell
          ))
    ) AS source
    ON target.listing_id = source.listing_id AND target.night = source.night
    WHEN MATCHED THEN UPDATE SET
        amount = source.amount, currency = source.currency, min_stay_arrival = source.min_stay_arrival,
        min_stay_through = source.min_stay_through, max_stay = source.max_stay,
        closed_to_arrival = source.closed_to_arrival, closed_to_departure = source.closed_to_departure,
        stop_sell = source.stop_sell, sync_log_id = source.sync_log_id
    WHEN NOT MATCHED THEN INSERT (
        listing_id, night, amount, currency, min_stay_arrival, min_stay_through, max_stay, closed_to_arrival,
        closed_to_departure, stop_sell, sync_log_id
    ) VALUES (
        source.listing_id, source.night, source.amount, source.currency, source.min_stay_arrival,
        source.min_stay_through, source.max_stay, source.closed_to_arrival, source.closed_to_departure,
        source.stop_sell, source.sync_log_id
    )
    RETURNING merge_action() AS action, source.listing_id
)
SELECT
    listing_id,
    count(*) FILTER (WHERE action = 'INSERT') AS inserted,
    count(*) FILTER (WHERE action = 'UPDATE') AS updated,
    0 AS closed,
    0 AS opened
FROM written
GROUP BY listing_id;

-- name: staging_tables
-- What lies in the staging schema and since when it is known to, by the comment on it.
SELECT class.relname, obj_description(class.oid, 'pg_class')
FROM pg_class AS class
WHERE class.relnamespace = 'channel_sync_staging'::regnamespace AND class.relkind = 'r'
ORDER BY class.relname;
