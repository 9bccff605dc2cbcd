-- What analysts read: documented views over the synced tables, and the role that may read them and nothing else.
-- No guest's details, no secrets, no settings. Every view finds its rows from the property or the account down
-- (listing -> nights), so that a window of one property touches only its own rows of the large tables; what is
-- joined on the left by a unique key costs nothing when its columns are not asked for.

CREATE SCHEMA analytics;
COMMENT ON SCHEMA analytics IS 'Documented views for analysts. Nights are local dates of the property, stays are half-open [check_in, check_out), times are timestamptz, money is exact numeric beside its ISO 4217 currency.';

-- What is sold -------------------------------------------------------------------------------------------------

CREATE VIEW analytics.listing AS
SELECT
    property.code AS property,
    property.name AS property_name,
    property.time_zone,
    unit_type.code AS unit_type,
    unit_type.name AS unit_type_name,
    coalesce(live_units.units, 0) AS units,
    rate_plan.code AS rate_plan,
    channel_account.channel,
    channel_account.code AS channel_account,
    listing.external_id AS listing,
    listing.enabled AND channel_account.enabled AS is_enabled,
    listing.retired_at IS NULL AND channel_account.retired_at IS NULL
        AND unit_type.retired_at IS NULL AND property.retired_at IS NULL AS is_live,
    listing.listing_id
FROM channel_sync.property
JOIN channel_sync.unit_type ON unit_type.property_id = property.property_id
JOIN channel_sync.listing ON listing.unit_type_id = unit_type.unit_type_id
JOIN channel_sync.channel_account ON channel_account.channel_account_id = listing.channel_account_id
LEFT JOIN channel_sync.rate_plan ON rate_plan.rate_plan_id = listing.rate_plan_id
LEFT JOIN (
    SELECT unit_type_id, count(*)::integer AS units
    FROM channel_sync.unit WHERE retired_at IS NULL GROUP BY unit_type_id
) AS live_units ON live_units.unit_type_id = unit_type.unit_type_id;
COMMENT ON VIEW analytics.listing IS 'One row per listing: what one channel account sells, with its place in the portfolio. Retired ones included; join other views on (channel_account, listing).';
COMMENT ON COLUMN analytics.listing.property IS 'Code of the property.';
COMMENT ON COLUMN analytics.listing.property_name IS 'The property as people say it.';
COMMENT ON COLUMN analytics.listing.time_zone IS 'IANA time zone in which its nights begin.';
COMMENT ON COLUMN analytics.listing.unit_type IS 'Code of the unit type, unique in its property.';
COMMENT ON COLUMN analytics.listing.unit_type_name IS 'The unit type as people say it.';
COMMENT ON COLUMN analytics.listing.units IS 'Units of the type in the portfolio today.';
COMMENT ON COLUMN analytics.listing.rate_plan IS 'Code of the rate plan; null where the channel knows none (feeds).';
COMMENT ON COLUMN analytics.listing.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.listing.channel_account IS 'Code of the account that sells it.';
COMMENT ON COLUMN analytics.listing.listing IS 'The channel''s own id, unique in its account; for a feed, a name of the house''s choosing.';
COMMENT ON COLUMN analytics.listing.is_enabled IS 'Whether schedules pull it: the listing and its account are enabled.';
COMMENT ON COLUMN analytics.listing.is_live IS 'Whether it is still in the portfolio: nothing from the listing up to its property and account is retired.';
COMMENT ON COLUMN analytics.listing.listing_id IS 'Key of the engine''s tables.';

-- Calendars and prices -----------------------------------------------------------------------------------------

CREATE VIEW analytics.calendar_night AS
SELECT
    listing.property,
    listing.unit_type,
    listing.rate_plan,
    listing.channel,
    listing.channel_account,
    listing.listing,
    availability.night,
    listing.units,
    availability.units_open,
    availability.units_open = 0 AS is_closed,
    availability.closure,
    availability.held_since IS NOT NULL AS is_held,
    availability.held_since,
    price.amount,
    price.currency,
    price.min_stay_arrival,
    price.min_stay_through,
    price.max_stay,
    price.closed_to_arrival,
    price.closed_to_departure,
    price.stop_sell,
    listing.is_live,
    state.observed_at
FROM analytics.listing
JOIN channel_sync.channel_availability AS availability ON availability.listing_id = listing.listing_id
LEFT JOIN channel_sync.channel_price AS price
    ON price.listing_id = availability.listing_id AND price.night = availability.night
LEFT JOIN channel_sync.listing_state AS state
    ON state.listing_id = availability.listing_id AND state.subject = 'availability';
COMMENT ON VIEW analytics.calendar_night IS 'One row per listing and night whose availability is known, with the price the channel shows for it. Filter by property (or channel_account and listing) and by night.';
COMMENT ON COLUMN analytics.calendar_night.property IS 'Code of the property.';
COMMENT ON COLUMN analytics.calendar_night.unit_type IS 'Code of the unit type, unique in its property.';
COMMENT ON COLUMN analytics.calendar_night.rate_plan IS 'Code of the rate plan; null where the channel knows none (feeds).';
COMMENT ON COLUMN analytics.calendar_night.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.calendar_night.channel_account IS 'Code of the account that sells it.';
COMMENT ON COLUMN analytics.calendar_night.listing IS 'The channel''s own id, unique in its account.';
COMMENT ON COLUMN analytics.calendar_night.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN analytics.calendar_night.units IS 'Units of the type in the portfolio today.';
COMMENT ON COLUMN analytics.calendar_night.units_open IS 'Units that may still be sold on this listing; 0 is closed.';
COMMENT ON COLUMN analytics.calendar_night.is_closed IS 'Whether no unit may be sold.';
COMMENT ON COLUMN analytics.calendar_night.closure IS 'Why it is closed: booked, blocked, or unknown where the source does not say; null on an open night.';
COMMENT ON COLUMN analytics.calendar_night.is_held IS 'Whether it is kept closed although the source no longer lists it, because that is not proven yet. A past night keeps the flag it ended with.';
COMMENT ON COLUMN analytics.calendar_night.held_since IS 'Since when it is held; null where it is not.';
COMMENT ON COLUMN analytics.calendar_night.amount IS 'Price of the whole night; null where the channel states none.';
COMMENT ON COLUMN analytics.calendar_night.currency IS 'ISO 4217 currency of amount.';
COMMENT ON COLUMN analytics.calendar_night.min_stay_arrival IS 'Fewest nights of a stay that arrives on it; null where not stated.';
COMMENT ON COLUMN analytics.calendar_night.min_stay_through IS 'Fewest nights of a stay that includes it; null where not stated.';
COMMENT ON COLUMN analytics.calendar_night.max_stay IS 'Most nights of a stay that arrives on it; null where not stated.';
COMMENT ON COLUMN analytics.calendar_night.closed_to_arrival IS 'Whether no stay may begin on it; null where not stated.';
COMMENT ON COLUMN analytics.calendar_night.closed_to_departure IS 'Whether no stay may end on its morning; null where not stated.';
COMMENT ON COLUMN analytics.calendar_night.stop_sell IS 'Whether it is not sold at this rate plan at all; null where not stated.';
COMMENT ON COLUMN analytics.calendar_night.is_live IS 'Whether the listing is still in the portfolio.';
COMMENT ON COLUMN analytics.calendar_night.observed_at IS 'When the last successful reading of this listing''s availability began.';

CREATE VIEW analytics.price_night AS
SELECT
    listing.property,
    listing.unit_type,
    listing.rate_plan,
    listing.channel,
    listing.channel_account,
    listing.listing,
    price.night,
    price.amount,
    price.currency,
    price.min_stay_arrival,
    price.min_stay_through,
    price.max_stay,
    price.closed_to_arrival,
    price.closed_to_departure,
    price.stop_sell,
    listing.is_live,
    state.observed_at
FROM analytics.listing
JOIN channel_sync.channel_price AS price ON price.listing_id = listing.listing_id
LEFT JOIN channel_sync.listing_state AS state
    ON state.listing_id = price.listing_id AND state.subject = 'pricing';
COMMENT ON VIEW analytics.price_night IS 'One row per listing and night whose price or restrictions are known, whether or not its availability is.';
COMMENT ON COLUMN analytics.price_night.property IS 'Code of the property.';
COMMENT ON COLUMN analytics.price_night.unit_type IS 'Code of the unit type, unique in its property.';
COMMENT ON COLUMN analytics.price_night.rate_plan IS 'Code of the rate plan; null where the channel knows none.';
COMMENT ON COLUMN analytics.price_night.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.price_night.channel_account IS 'Code of the account that sells it.';
COMMENT ON COLUMN analytics.price_night.listing IS 'The channel''s own id, unique in its account.';
COMMENT ON COLUMN analytics.price_night.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN analytics.price_night.amount IS 'Price of the whole night; null where the channel states only restrictions.';
COMMENT ON COLUMN analytics.price_night.currency IS 'ISO 4217 currency of amount.';
COMMENT ON COLUMN analytics.price_night.min_stay_arrival IS 'Fewest nights of a stay that arrives on it; null where not stated.';
COMMENT ON COLUMN analytics.price_night.min_stay_through IS 'Fewest nights of a stay that includes it; null where not stated.';
COMMENT ON COLUMN analytics.price_night.max_stay IS 'Most nights of a stay that arrives on it; null where not stated.';
COMMENT ON COLUMN analytics.price_night.closed_to_arrival IS 'Whether no stay may begin on it; null where not stated.';
COMMENT ON COLUMN analytics.price_night.closed_to_departure IS 'Whether no stay may end on its morning; null where not stated.';
COMMENT ON COLUMN analytics.price_night.stop_sell IS 'Whether it is not sold at this rate plan at all; null where not stated.';
COMMENT ON COLUMN analytics.price_night.is_live IS 'Whether the listing is still in the portfolio.';
COMMENT ON COLUMN analytics.price_night.observed_at IS 'When the last successful reading of this listing''s prices began.';

-- Bookings -----------------------------------------------------------------------------------------------------

CREATE VIEW analytics.booking AS
SELECT
    listing.property,
    listing.unit_type,
    listing.rate_plan,
    channel_account.channel,
    channel_account.code AS channel_account,
    booking.listing_external_id AS listing,
    booking.external_id AS booking,
    booking.status,
    booking.check_in,
    booking.check_out,
    booking.check_out - booking.check_in AS nights,
    booking.check_in - (booking.booked_at AT TIME ZONE listing.time_zone)::date AS lead_days,
    booking.units,
    booking.guests AS party_size,
    booking.total_amount,
    booking.total_currency,
    booking.payout_amount,
    booking.payout_currency,
    booking.booked_at,
    booking.revised_at,
    EXISTS (
        SELECT FROM channel_sync.conflict
        WHERE conflict.booking_id = booking.booking_id
            AND conflict.kind = 'overbooking' AND conflict.closed_at IS NULL
    ) AS is_overbooked
FROM channel_sync.booking
JOIN channel_sync.channel_account ON channel_account.channel_account_id = booking.channel_account_id
LEFT JOIN analytics.listing ON listing.listing_id = booking.listing_id;
COMMENT ON VIEW analytics.booking IS 'One row per booking in its newest version, cancelled ones included. Nothing about the person who booked.';
COMMENT ON COLUMN analytics.booking.property IS 'Code of the property; null while the listing it was sold on is not mapped.';
COMMENT ON COLUMN analytics.booking.unit_type IS 'Code of the unit type; null while the listing is not mapped.';
COMMENT ON COLUMN analytics.booking.rate_plan IS 'Code of the listing''s rate plan; null where it has none.';
COMMENT ON COLUMN analytics.booking.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.booking.channel_account IS 'Code of the account it was sold through.';
COMMENT ON COLUMN analytics.booking.listing IS 'The channel''s own id of the listing it was sold on, mapped or not.';
COMMENT ON COLUMN analytics.booking.booking IS 'The channel''s own code of the booking, unique in its account.';
COMMENT ON COLUMN analytics.booking.status IS 'confirmed or cancelled.';
COMMENT ON COLUMN analytics.booking.check_in IS 'First night; null on a cancelled booking that came without dates.';
COMMENT ON COLUMN analytics.booking.check_out IS 'Day of departure: the first night no longer stayed.';
COMMENT ON COLUMN analytics.booking.nights IS 'Nights of the stay.';
COMMENT ON COLUMN analytics.booking.lead_days IS 'Days from the local date of booking, in the property''s time zone, to check_in.';
COMMENT ON COLUMN analytics.booking.units IS 'Units of the type it takes.';
COMMENT ON COLUMN analytics.booking.party_size IS 'How many people stay, where the channel says.';
COMMENT ON COLUMN analytics.booking.total_amount IS 'What is paid for the whole stay; null where the channel does not say.';
COMMENT ON COLUMN analytics.booking.total_currency IS 'ISO 4217 currency of total_amount.';
COMMENT ON COLUMN analytics.booking.payout_amount IS 'What the house receives for it; null where the channel does not say.';
COMMENT ON COLUMN analytics.booking.payout_currency IS 'ISO 4217 currency of payout_amount.';
COMMENT ON COLUMN analytics.booking.booked_at IS 'When it was booked, by the channel.';
COMMENT ON COLUMN analytics.booking.revised_at IS 'The channel''s own time of this version.';
COMMENT ON COLUMN analytics.booking.is_overbooked IS 'Whether it fits no unit today: an overbooking conflict is open.';

CREATE VIEW analytics.booking_night AS
SELECT
    listing.property,
    listing.unit_type,
    listing.rate_plan,
    channel_account.channel,
    channel_account.code AS channel_account,
    booking.listing_external_id AS listing,
    booking.external_id AS booking,
    booking_night.night,
    booking.units,
    booking_night.amount,
    booking_night.currency
FROM channel_sync.booking
JOIN channel_sync.booking_night ON booking_night.booking_id = booking.booking_id
JOIN channel_sync.channel_account ON channel_account.channel_account_id = booking.channel_account_id
LEFT JOIN analytics.listing ON listing.listing_id = booking.listing_id
WHERE booking.status = 'confirmed';
COMMENT ON VIEW analytics.booking_night IS 'One row per confirmed booking and night of its stay.';
COMMENT ON COLUMN analytics.booking_night.property IS 'Code of the property; null while the listing it was sold on is not mapped.';
COMMENT ON COLUMN analytics.booking_night.unit_type IS 'Code of the unit type; null while the listing is not mapped.';
COMMENT ON COLUMN analytics.booking_night.rate_plan IS 'Code of the listing''s rate plan; null where it has none.';
COMMENT ON COLUMN analytics.booking_night.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.booking_night.channel_account IS 'Code of the account it was sold through.';
COMMENT ON COLUMN analytics.booking_night.listing IS 'The channel''s own id of the listing it was sold on, mapped or not.';
COMMENT ON COLUMN analytics.booking_night.booking IS 'The channel''s own code of the booking, unique in its account.';
COMMENT ON COLUMN analytics.booking_night.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN analytics.booking_night.units IS 'Units of the type it takes.';
COMMENT ON COLUMN analytics.booking_night.amount IS 'Price of this night where the channel tells it; never a share of the total.';
COMMENT ON COLUMN analytics.booking_night.currency IS 'ISO 4217 currency of amount.';

CREATE VIEW analytics.occupancy_night AS
SELECT
    property,
    unit_type,
    night,
    units,
    sum(units_sold)::integer AS units_sold,
    CASE WHEN sum(units_sold) = 0 AND sum(booked) > 0 THEN 1 ELSE sum(units_sold)::integer END
        AS units_occupied,
    sum(listings)::integer AS listings,
    sum(closed)::integer AS listings_closed,
    sum(booked)::integer AS listings_booked,
    sum(held)::integer AS listings_held
FROM (
    SELECT
        listing.property,
        listing.unit_type,
        availability.night,
        listing.units,
        0 AS units_sold,
        1 AS listings,
        (availability.units_open = 0)::integer AS closed,
        (availability.closure IS NOT DISTINCT FROM 'booked' AND availability.held_since IS NULL)::integer AS booked,
        (availability.held_since IS NOT NULL)::integer AS held
    FROM analytics.listing
    JOIN channel_sync.channel_availability AS availability ON availability.listing_id = listing.listing_id
    WHERE listing.is_live
    UNION ALL
    SELECT listing.property, listing.unit_type, booking_night.night, listing.units, booking.units, 0, 0, 0, 0
    FROM analytics.listing
    JOIN channel_sync.booking ON booking.listing_id = listing.listing_id
    JOIN channel_sync.booking_night ON booking_night.booking_id = booking.booking_id
    WHERE booking.status = 'confirmed'
) AS fact
GROUP BY property, unit_type, night, units;
COMMENT ON VIEW analytics.occupancy_night IS 'One row per unit type and night that is observed on a live listing or sold by a confirmed booking. Occupancy = sum(units_occupied) / sum(units). An overbooking shows as units_sold > units. Bookings of listings that are not mapped are in no row.';
COMMENT ON COLUMN analytics.occupancy_night.property IS 'Code of the property.';
COMMENT ON COLUMN analytics.occupancy_night.unit_type IS 'Code of the unit type, unique in its property.';
COMMENT ON COLUMN analytics.occupancy_night.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN analytics.occupancy_night.units IS 'Units of the type in the portfolio today: the supply. Not reduced by owner''s or maintenance blocks, nor as it was in the past.';
COMMENT ON COLUMN analytics.occupancy_night.units_sold IS 'Units taken by the confirmed bookings on record.';
COMMENT ON COLUMN analytics.occupancy_night.units_occupied IS 'Units known to be taken: units_sold, or 1 where no booking is on record and a listing shows the night as booked (a feed tells that, and no more).';
COMMENT ON COLUMN analytics.occupancy_night.listings IS 'Live listings of the type on which the night is observed.';
COMMENT ON COLUMN analytics.occupancy_night.listings_closed IS 'Those of them that show it closed, for any reason.';
COMMENT ON COLUMN analytics.occupancy_night.listings_booked IS 'Those of them that show it closed by a stay and are not held.';
COMMENT ON COLUMN analytics.occupancy_night.listings_held IS 'Those of them that are kept closed until it is proven that the night is free.';

-- How fresh it is ----------------------------------------------------------------------------------------------

CREATE VIEW analytics.sync_health AS
WITH pulled AS (
    SELECT
        listing.property, listing.unit_type, listing.channel, listing.channel_account, listing.listing,
        subject.name AS subject, listing.is_enabled, state.observed_at, last.started_at, last.outcome,
        last.error, last.problems, success.started_at AS success_at,
        CASE WHEN subject.name = 'availability' THEN held.nights END AS nights_held, held.oldest
    FROM analytics.listing
    CROSS JOIN (VALUES ('availability'), ('pricing')) AS subject (name)
    LEFT JOIN channel_sync.listing_state AS state
        ON state.listing_id = listing.listing_id AND state.subject = subject.name
    LEFT JOIN LATERAL (
        SELECT * FROM channel_sync.sync_log
        WHERE sync_log.listing_id = listing.listing_id AND sync_log.subject = subject.name
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT sync_log.started_at FROM channel_sync.sync_log
        WHERE sync_log.listing_id = listing.listing_id AND sync_log.subject = subject.name
            AND sync_log.outcome <> 'failed'
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS success ON true
    LEFT JOIN LATERAL (
        SELECT count(*)::integer AS nights, min(availability.held_since) AS oldest
        FROM channel_sync.channel_availability AS availability
        WHERE availability.listing_id = listing.listing_id AND availability.held_since IS NOT NULL
            AND availability.night >= (now() AT TIME ZONE listing.time_zone)::date
            AND subject.name = 'availability'
    ) AS held ON true
    WHERE listing.is_live
        AND (subject.name = 'availability' OR state.listing_id IS NOT NULL OR last.sync_log_id IS NOT NULL)
    UNION ALL
    SELECT
        NULL, NULL, channel_account.channel, channel_account.code, NULL,
        subject.name, channel_account.enabled, NULL, last.started_at, last.outcome,
        last.error, last.problems, success.started_at,
        NULL, NULL
    FROM channel_sync.channel_account
    CROSS JOIN (VALUES ('bookings'), ('listings')) AS subject (name)
    JOIN LATERAL (
        SELECT * FROM channel_sync.sync_log
        WHERE sync_log.channel_account_id = channel_account.channel_account_id
            AND sync_log.subject = subject.name
            -- What a webhook brought is stored under the same subject, without a request: it is no pull. Nor is
            -- what only waited to be acknowledged: it has no window.
            AND (sync_log.requests > 0 OR sync_log.outcome = 'failed')
            AND (subject.name <> 'bookings' OR sync_log.window_start < sync_log.window_end)
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN LATERAL (
        SELECT sync_log.started_at FROM channel_sync.sync_log
        WHERE sync_log.channel_account_id = channel_account.channel_account_id
            AND sync_log.subject = subject.name AND sync_log.outcome <> 'failed'
            AND sync_log.requests > 0
            AND (subject.name <> 'bookings' OR sync_log.window_start < sync_log.window_end)
        ORDER BY sync_log.started_at DESC LIMIT 1
    ) AS success ON true
    WHERE channel_account.retired_at IS NULL
)
SELECT
    property,
    unit_type,
    channel,
    channel_account,
    listing,
    subject,
    is_enabled,
    greatest(observed_at, success_at) AS last_success_at,
    now() - greatest(observed_at, success_at) AS staleness,
    started_at AS last_attempt_at,
    outcome AS last_outcome,
    error AS last_error,
    problems AS last_problems,
    nights_held,
    oldest AS oldest_held_since
FROM pulled;
COMMENT ON VIEW analytics.sync_health IS 'One row per live listing and subject pulled of it (availability always, pricing once tried), and one per live account for bookings and listings once tried.';
COMMENT ON COLUMN analytics.sync_health.property IS 'Code of the property; null for a whole account.';
COMMENT ON COLUMN analytics.sync_health.unit_type IS 'Code of the unit type; null for a whole account.';
COMMENT ON COLUMN analytics.sync_health.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.sync_health.channel_account IS 'Code of the account.';
COMMENT ON COLUMN analytics.sync_health.listing IS 'The channel''s own id, unique in its account; null for a whole account.';
COMMENT ON COLUMN analytics.sync_health.subject IS 'availability or pricing of a listing; bookings or listings of an account.';
COMMENT ON COLUMN analytics.sync_health.is_enabled IS 'Whether schedules pull it.';
COMMENT ON COLUMN analytics.sync_health.last_success_at IS 'When the last successful pull began: what is shown is at least as new. Null before the first.';
COMMENT ON COLUMN analytics.sync_health.staleness IS 'Time since last_success_at; null before the first success.';
COMMENT ON COLUMN analytics.sync_health.last_attempt_at IS 'When the last pull began, whatever became of it.';
COMMENT ON COLUMN analytics.sync_health.last_outcome IS 'stored, unchanged, superseded or failed.';
COMMENT ON COLUMN analytics.sync_health.last_error IS 'Class of the error of the last pull, where it failed.';
COMMENT ON COLUMN analytics.sync_health.last_problems IS 'Parts of the last answer that could not be read.';
COMMENT ON COLUMN analytics.sync_health.nights_held IS 'Nights from today on (property-local) that are kept closed until it is proven that they are free; null for other subjects than availability.';
COMMENT ON COLUMN analytics.sync_health.oldest_held_since IS 'Since when the longest-held of them is held.';

-- Acknowledgements ---------------------------------------------------------------------------------------------

CREATE VIEW analytics.acknowledgements AS
SELECT
    channel_account.channel,
    channel_account.code AS channel_account,
    receipt.booking_external_id AS booking,
    receipt.received_at,
    receipt.due_at,
    receipt.acknowledged_at,
    receipt.verdict,
    receipt.attempts,
    round(extract(epoch FROM receipt.acknowledged_at - receipt.received_at) / 60, 1) AS minutes,
    receipt.verdict IS NULL AND coalesce(receipt.due_at < now(), false) AS is_overdue
FROM channel_sync.booking_receipt AS receipt
JOIN channel_sync.channel_account USING (channel_account_id);
COMMENT ON VIEW analytics.acknowledgements IS 'One row per version of a booking that its channel wants acknowledged; none for channels that do not ask for it.';
COMMENT ON COLUMN analytics.acknowledgements.channel IS 'The sales channel.';
COMMENT ON COLUMN analytics.acknowledgements.channel_account IS 'Code of the account it was sold through.';
COMMENT ON COLUMN analytics.acknowledgements.booking IS 'The channel''s own id of the whole reservation.';
COMMENT ON COLUMN analytics.acknowledgements.received_at IS 'Just before the channel was first asked for this version.';
COMMENT ON COLUMN analytics.acknowledgements.due_at IS 'Until when the channel waits before it tells people instead; null where it waits for ever.';
COMMENT ON COLUMN analytics.acknowledgements.acknowledged_at IS 'When the channel took the acknowledgement; null while it waits and where it rejected it.';
COMMENT ON COLUMN analytics.acknowledgements.verdict IS 'accepted, warned or rejected (the channel no longer waits, or never did); null while it waits.';
COMMENT ON COLUMN analytics.acknowledgements.attempts IS 'How often it was tried to tell the channel.';
COMMENT ON COLUMN analytics.acknowledgements.minutes IS 'Minutes from received_at to acknowledged_at.';
COMMENT ON COLUMN analytics.acknowledgements.is_overdue IS 'Whether it still waits although it was due.';

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
