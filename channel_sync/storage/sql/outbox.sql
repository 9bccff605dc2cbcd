-- What is left to sell of a unit type, and who has to be told.

-- name: decide_nights
-- One booking of the type changed from one stay to another (either may be empty), and is stored: count each night of
-- both again, write the numbers that differ, and put into the outbox every listing whose channel cannot know the
-- number by itself. The channel on which it was sold takes the units off on its own, and gives them back when the
-- booking leaves: it is told only where that leads it to another number than ours. So are the other rates of that room
-- where the channel counts its own. Of an overbooked stay all others are told in any case. Returns whether more units
-- are or were wanted on one of the nights than there are.
WITH touched AS (
    SELECT night, night <@ %(before)s::daterange AS was_taken, night <@ %(after)s::daterange AS is_taken
    FROM (
        SELECT DISTINCT lower(stay) + step AS night
        FROM (VALUES (%(before)s::daterange), (%(after)s::daterange)) AS stays (stay),
            generate_series(0, upper(stay) - lower(stay) - 1) AS step
    ) AS nights
), stay AS (
    SELECT booking.check_in, booking.check_out, booking.units
    FROM channel_sync.listing
    JOIN channel_sync.booking USING (listing_id)
    WHERE listing.unit_type_id = %(unit_type_id)s AND booking.status = 'confirmed'
        AND booking.check_out > %(first)s AND booking.check_in <= %(last)s
), owned AS (
    SELECT count(*)::integer AS units FROM channel_sync.unit
    WHERE unit_type_id = %(unit_type_id)s AND retired_at IS NULL
), counted AS (
    SELECT touched.*, coalesce(sum(stay.units), 0)::integer AS wanted
    FROM touched LEFT JOIN stay ON night >= stay.check_in AND night < stay.check_out
    GROUP BY night, was_taken, is_taken
), decided AS (
    SELECT counted.*, owned.units AS owned,
        greatest(owned.units - wanted, 0) AS units_open,
        coalesce(house.units_open, owned.units) AS units_open_before,
        CASE WHEN was_taken THEN %(units_before)s::integer ELSE 0 END AS units_before,
        CASE WHEN is_taken THEN %(units_after)s::integer ELSE 0 END AS units_after
    FROM counted
    CROSS JOIN owned
    LEFT JOIN channel_sync.house_availability AS house
        ON house.unit_type_id = %(unit_type_id)s AND house.night = counted.night
), written AS (
    INSERT INTO channel_sync.house_availability
    SELECT %(unit_type_id)s, night, units_open, clock_timestamp() FROM decided WHERE units_open <> units_open_before
    ON CONFLICT (unit_type_id, night) DO UPDATE SET
        units_open = excluded.units_open, decided_at = excluded.decided_at
), counted_once AS (
    -- Where the channel counts its own, ids that differ in their last part only are rates of one room to it.
    SELECT sold.listing_id, rate.listing_id AS rate_id
    FROM channel_sync.listing AS sold
    JOIN channel_sync.listing AS rate USING (channel_account_id)
    WHERE %(counts_its_own)s::boolean AND channel_account_id = %(channel_account_id)s::bigint
        AND sold.listing_id IN (%(listing_before)s::bigint, %(listing_after)s::bigint)
        AND regexp_replace(sold.external_id, '/[^/]*$', '') = regexp_replace(rate.external_id, '/[^/]*$', '')
), sold_on AS (
    SELECT listing.listing_id,
        coalesce(%(listing_before)s::bigint = ANY (known.as_sold_on), false) AS knows_before,
        coalesce(%(listing_after)s::bigint = ANY (known.as_sold_on), false) AS knows_after
    FROM channel_sync.listing
    JOIN channel_sync.channel_account USING (channel_account_id)
    CROSS JOIN LATERAL (
        SELECT listing.listing_id || coalesce(array_agg(counted_once.listing_id), '{}') AS as_sold_on
        FROM counted_once WHERE rate_id = listing.listing_id
    ) AS known
    WHERE listing.unit_type_id = %(unit_type_id)s
        AND listing.enabled AND listing.retired_at IS NULL
        AND channel_account.enabled AND channel_account.retired_at IS NULL
), told AS (
    SELECT listing_id, night, night - (row_number() OVER (PARTITION BY listing_id ORDER BY night))::integer AS run
    FROM decided
    CROSS JOIN sold_on
    WHERE units_open <> greatest(
            0,
            units_open_before
            + CASE WHEN knows_before THEN units_before ELSE 0 END
            - CASE WHEN knows_after THEN units_after ELSE 0 END
        )
        OR wanted > owned AND units_after > units_before AND NOT knows_after
), outgoing AS (
    INSERT INTO channel_sync.outbox (listing_id, subject, nights, cause, booking_id, decided_at)
    SELECT listing_id, 'availability', daterange(min(night), max(night) + 1), %(cause)s, %(booking_id)s, clock_timestamp()
    FROM told
    GROUP BY listing_id, run
    ORDER BY listing_id, run
)
SELECT coalesce(bool_or(greatest(wanted, wanted - units_after + units_before) > owned), false) FROM decided;
