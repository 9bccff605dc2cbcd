-- The product's whole schema as it stands. A fresh database runs this file; an older one runs the migrations;
-- a test holds the two equal. Words: a night is the local date on which it begins, a stay is half-open
-- [check_in, check_out), a listing is what one channel account sells, "observed" is what a channel was last
-- seen to show. Times are timestamptz; money is numeric beside its ISO 4217 code.

CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public;

CREATE SCHEMA IF NOT EXISTS channel_sync;
COMMENT ON SCHEMA channel_sync IS 'The engine''s own tables. Analysts read the schema analytics.';

CREATE SCHEMA channel_sync_staging;
COMMENT ON SCHEMA channel_sync_staging IS 'Unlogged tables in which one batch waits to be merged. What a killed run leaves here is removed by age.';

SET LOCAL search_path = channel_sync, public;

-- Portfolio --------------------------------------------------------------------------------------------------

CREATE TABLE property (
    property_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code        text NOT NULL UNIQUE,
    name        text NOT NULL,
    time_zone   text NOT NULL,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    retired_at  timestamptz
);
COMMENT ON TABLE property IS 'One row per building or home of the portfolio.';
COMMENT ON COLUMN property.property_id IS 'Our own key.';
COMMENT ON COLUMN property.code IS 'The house''s own name for it, as in the portfolio file.';
COMMENT ON COLUMN property.name IS 'As people say it.';
COMMENT ON COLUMN property.time_zone IS 'IANA time zone in which its nights begin.';
COMMENT ON COLUMN property.currency IS 'ISO 4217 currency it is sold in.';
COMMENT ON COLUMN property.retired_at IS 'When it left the portfolio; its facts stay.';

CREATE TABLE unit_type (
    unit_type_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    property_id  bigint NOT NULL REFERENCES property,
    code         text NOT NULL,
    name         text NOT NULL,
    retired_at   timestamptz,
    UNIQUE (property_id, code)
);
COMMENT ON TABLE unit_type IS 'One row per interchangeable kind of unit in a property.';
COMMENT ON COLUMN unit_type.unit_type_id IS 'Our own key.';
COMMENT ON COLUMN unit_type.property_id IS 'The property it is in.';
COMMENT ON COLUMN unit_type.code IS 'The house''s own name for it, unique in its property.';
COMMENT ON COLUMN unit_type.name IS 'As people say it.';
COMMENT ON COLUMN unit_type.retired_at IS 'When it left the portfolio; its facts stay.';

CREATE TABLE unit (
    unit_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unit_type_id bigint NOT NULL REFERENCES unit_type,
    code         text NOT NULL,
    retired_at   timestamptz,
    UNIQUE (unit_type_id, code)
);
COMMENT ON TABLE unit IS 'One row per room, flat or house that one party can occupy.';
COMMENT ON COLUMN unit.unit_id IS 'Our own key.';
COMMENT ON COLUMN unit.unit_type_id IS 'The kind it is of.';
COMMENT ON COLUMN unit.code IS 'The house''s own name for it, unique in its unit type.';
COMMENT ON COLUMN unit.retired_at IS 'When it left the portfolio; its facts stay.';

CREATE TABLE rate_plan (
    rate_plan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unit_type_id bigint NOT NULL REFERENCES unit_type,
    code         text NOT NULL,
    name         text NOT NULL,
    retired_at   timestamptz,
    UNIQUE (unit_type_id, code)
);
COMMENT ON TABLE rate_plan IS 'One row per named price, with its restrictions, of a unit type.';
COMMENT ON COLUMN rate_plan.rate_plan_id IS 'Our own key.';
COMMENT ON COLUMN rate_plan.unit_type_id IS 'What it prices.';
COMMENT ON COLUMN rate_plan.code IS 'The house''s own name for it, unique in its unit type.';
COMMENT ON COLUMN rate_plan.name IS 'As people say it.';
COMMENT ON COLUMN rate_plan.retired_at IS 'When it left the portfolio; its facts stay.';

CREATE TABLE channel_account (
    channel_account_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code        text NOT NULL UNIQUE,
    channel     text NOT NULL,
    environment text NOT NULL,
    settings    jsonb NOT NULL DEFAULT '{}',
    secrets     jsonb NOT NULL DEFAULT '{}',
    enabled     boolean NOT NULL DEFAULT true,
    retired_at  timestamptz,
    quotas      jsonb NOT NULL DEFAULT '[]'
);
COMMENT ON TABLE channel_account IS 'One row per login on a sales channel.';
COMMENT ON COLUMN channel_account.channel_account_id IS 'Our own key.';
COMMENT ON COLUMN channel_account.code IS 'The house''s own name for it; the Dagster partition key.';
COMMENT ON COLUMN channel_account.channel IS 'Which channel: a key of the table of channels.';
COMMENT ON COLUMN channel_account.environment IS 'Which of the channel''s base URLs: production, staging, or sandbox for our simulated one.';
COMMENT ON COLUMN channel_account.settings IS 'What the channel''s README names as settings.';
COMMENT ON COLUMN channel_account.secrets IS 'Secret name -> name of the environment variable that holds it. Never a value.';
COMMENT ON COLUMN channel_account.enabled IS 'Whether schedules pull it.';
COMMENT ON COLUMN channel_account.retired_at IS 'When it left the portfolio; its facts stay.';
COMMENT ON COLUMN channel_account.quotas IS 'Quotas of this account''s own contract with the channel, in place of those that the channel declares for everybody; empty where it has none.';

CREATE TABLE listing (
    listing_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_account_id bigint NOT NULL REFERENCES channel_account,
    external_id        text NOT NULL,
    unit_type_id       bigint NOT NULL REFERENCES unit_type,
    rate_plan_id       bigint REFERENCES rate_plan,
    patience_hours     numeric NOT NULL DEFAULT 2 CHECK (patience_hours BETWEEN 0 AND 168),
    settings           jsonb NOT NULL DEFAULT '{}',
    secrets            jsonb NOT NULL DEFAULT '{}',
    enabled            boolean NOT NULL DEFAULT true,
    retired_at         timestamptz,
    UNIQUE (channel_account_id, external_id)
);
CREATE INDEX listing_unit_type ON listing (unit_type_id);
COMMENT ON TABLE listing IS 'One row per mapping of a unit type (and rate plan) to what a channel account sells.';
COMMENT ON COLUMN listing.listing_id IS 'Our own key.';
COMMENT ON COLUMN listing.channel_account_id IS 'The account that sells it.';
COMMENT ON COLUMN listing.external_id IS 'The channel''s own id of it; for a feed, a name of the house''s choosing.';
COMMENT ON COLUMN listing.unit_type_id IS 'What is sold.';
COMMENT ON COLUMN listing.rate_plan_id IS 'At which price; null where the channel knows none (feeds).';
COMMENT ON COLUMN listing.patience_hours IS 'How long a night must be seen open in a feed before it is opened here: 0 quick .. 168 cautious.';
COMMENT ON COLUMN listing.settings IS 'What the channel''s README names as settings of a listing.';
COMMENT ON COLUMN listing.secrets IS 'Secret name -> name of the environment variable that holds it (a feed''s URL). Never a value.';
COMMENT ON COLUMN listing.enabled IS 'Whether schedules pull it.';
COMMENT ON COLUMN listing.retired_at IS 'When it left the portfolio; its facts stay.';

CREATE TABLE channel_listing (
    channel_account_id bigint NOT NULL REFERENCES channel_account,
    external_id        text NOT NULL,
    name               text NOT NULL,
    currency           text,
    active             boolean NOT NULL,
    first_seen_at      timestamptz NOT NULL,
    last_seen_at       timestamptz NOT NULL,
    PRIMARY KEY (channel_account_id, external_id)
);
COMMENT ON TABLE channel_listing IS 'One row per listing that a channel itself lists under an account, mapped by us or not.';
COMMENT ON COLUMN channel_listing.channel_account_id IS 'The account.';
COMMENT ON COLUMN channel_listing.external_id IS 'The channel''s own id.';
COMMENT ON COLUMN channel_listing.name IS 'The title the channel shows.';
COMMENT ON COLUMN channel_listing.currency IS 'ISO 4217 currency of the listing, where the channel says.';
COMMENT ON COLUMN channel_listing.active IS 'Whether the channel says it can be booked.';
COMMENT ON COLUMN channel_listing.first_seen_at IS 'When the channel first listed it to us.';
COMMENT ON COLUMN channel_listing.last_seen_at IS 'When the channel last listed it to us, to the day.';

-- What was pulled, and how it went ------------------------------------------------------------------------------

CREATE TABLE sync_log (
    sync_log_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id             text NOT NULL,
    subject            text NOT NULL CHECK (subject IN ('availability', 'pricing', 'bookings', 'listings')),
    channel_account_id bigint NOT NULL REFERENCES channel_account,
    listing_id         bigint REFERENCES listing,
    window_start       date NOT NULL,
    window_end         date NOT NULL,
    started_at         timestamptz NOT NULL,
    finished_at        timestamptz NOT NULL,
    outcome            text NOT NULL CHECK (outcome IN ('stored', 'unchanged', 'superseded', 'failed')),
    rows_read          integer NOT NULL DEFAULT 0,
    rows_changed       integer NOT NULL DEFAULT 0,
    nights_closed      integer NOT NULL DEFAULT 0,
    nights_opened      integer NOT NULL DEFAULT 0,
    nights_held        integer NOT NULL DEFAULT 0,
    problems           integer NOT NULL DEFAULT 0,
    requests           integer NOT NULL DEFAULT 0,
    waited_s           double precision NOT NULL DEFAULT 0,
    error              text,
    error_message      text
);
CREATE INDEX sync_log_listing ON sync_log (listing_id, subject, started_at DESC);
CREATE INDEX sync_log_account ON sync_log (channel_account_id, subject, started_at DESC);
COMMENT ON TABLE sync_log IS 'One row per pull of one listing (or, for bookings and listings, of one account).';
COMMENT ON COLUMN sync_log.sync_log_id IS 'The observation: rows that a channel wrote point here.';
COMMENT ON COLUMN sync_log.run_id IS 'The Dagster run that pulled.';
COMMENT ON COLUMN sync_log.subject IS 'What was pulled.';
COMMENT ON COLUMN sync_log.channel_account_id IS 'Through which account.';
COMMENT ON COLUMN sync_log.listing_id IS 'Of which listing; null for a whole account.';
COMMENT ON COLUMN sync_log.window_start IS 'First night asked for; for bookings the first day (UTC) of change.';
COMMENT ON COLUMN sync_log.window_end IS 'First night no longer asked for; for bookings the first day of change not asked for.';
COMMENT ON COLUMN sync_log.started_at IS 'Just before the first request: what was observed is at least as new.';
COMMENT ON COLUMN sync_log.finished_at IS 'When its result was stored.';
COMMENT ON COLUMN sync_log.outcome IS 'stored; unchanged (the channel showed what it showed last); superseded (a newer observation was already stored); failed.';
COMMENT ON COLUMN sync_log.rows_read IS 'Nights or bookings read.';
COMMENT ON COLUMN sync_log.rows_changed IS 'Rows written because they differed.';
COMMENT ON COLUMN sync_log.nights_closed IS 'Nights that went from open to closed.';
COMMENT ON COLUMN sync_log.nights_opened IS 'Nights that went from closed to open.';
COMMENT ON COLUMN sync_log.nights_held IS 'Nights kept closed although the source no longer lists them, because that is not proven yet.';
COMMENT ON COLUMN sync_log.problems IS 'Parts of the answer that could not be read and were kept in unread_payload.';
COMMENT ON COLUMN sync_log.requests IS 'Requests sent.';
COMMENT ON COLUMN sync_log.waited_s IS 'Seconds spent waiting before repeated requests.';
COMMENT ON COLUMN sync_log.error IS 'Class of the error, where it failed.';
COMMENT ON COLUMN sync_log.error_message IS 'What went wrong, without secrets.';

CREATE TABLE listing_state (
    listing_id       bigint NOT NULL REFERENCES listing,
    subject          text NOT NULL CHECK (subject IN ('availability', 'pricing')),
    observed_at      timestamptz NOT NULL,
    observed_s       double precision NOT NULL DEFAULT 0,
    window_end       date NOT NULL,
    fingerprint      text NOT NULL,
    etag             text,
    last_modified    text,
    release_approved boolean NOT NULL DEFAULT false,
    PRIMARY KEY (listing_id, subject)
);
COMMENT ON TABLE listing_state IS 'One row per listing and subject: the newest observation that was stored.';
COMMENT ON COLUMN listing_state.listing_id IS 'The listing.';
COMMENT ON COLUMN listing_state.subject IS 'Availability or pricing.';
COMMENT ON COLUMN listing_state.observed_at IS 'When that observation began: an older one no longer writes.';
COMMENT ON COLUMN listing_state.observed_s IS 'The listing''s own clock: seconds for which its feed was being seen. It stands still while pulls fail, and so do holds.';
COMMENT ON COLUMN listing_state.window_end IS 'First night after what was observed.';
COMMENT ON COLUMN listing_state.fingerprint IS 'Hash of the meaning of the observation over its window.';
COMMENT ON COLUMN listing_state.etag IS 'HTTP validator to ask with next time.';
COMMENT ON COLUMN listing_state.last_modified IS 'HTTP validator to ask with next time.';
COMMENT ON COLUMN listing_state.release_approved IS 'A person said that the nights held now are really free: the next pull that still does not list them opens them.';

CREATE TABLE unread_payload (
    unread_payload_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_account_id bigint NOT NULL REFERENCES channel_account,
    external_id        text,
    subject            text NOT NULL,
    part               text NOT NULL,
    reason             text NOT NULL,
    payload            text NOT NULL,
    payload_hash       text NOT NULL,
    first_seen_at      timestamptz NOT NULL,
    last_seen_at       timestamptz NOT NULL,
    times_seen         integer NOT NULL DEFAULT 1,
    UNIQUE NULLS NOT DISTINCT (channel_account_id, external_id, subject, payload_hash)
);
COMMENT ON TABLE unread_payload IS 'One row per distinct part of a channel''s answer that could not be read: kept, scrubbed, counted.';
COMMENT ON COLUMN unread_payload.unread_payload_id IS 'Our own key.';
COMMENT ON COLUMN unread_payload.channel_account_id IS 'The account.';
COMMENT ON COLUMN unread_payload.external_id IS 'The channel''s id of the listing, where known.';
COMMENT ON COLUMN unread_payload.subject IS 'What was being pulled.';
COMMENT ON COLUMN unread_payload.part IS 'Which part: a UID, a code, a date.';
COMMENT ON COLUMN unread_payload.reason IS 'What is wrong with it.';
COMMENT ON COLUMN unread_payload.payload IS 'The part itself, without secrets, card data and guests'' details.';
COMMENT ON COLUMN unread_payload.payload_hash IS 'SHA-256 of payload.';
COMMENT ON COLUMN unread_payload.first_seen_at IS 'When it was first read.';
COMMENT ON COLUMN unread_payload.last_seen_at IS 'When it was last read.';
COMMENT ON COLUMN unread_payload.times_seen IS 'In how many observations.';

-- Observed ARI ---------------------------------------------------------------------------------------------------

CREATE TABLE channel_availability (
    listing_id   bigint NOT NULL,
    night        date NOT NULL,
    units_open   smallint NOT NULL CHECK (units_open >= 0),
    closure      text CHECK (closure IN ('booked', 'blocked', 'unknown')),
    reference    text,
    held_since   timestamptz,
    release_at_s double precision,
    hold_reason  text,
    sync_log_id  bigint NOT NULL,
    PRIMARY KEY (listing_id, night),
    CHECK ((units_open = 0) = (closure IS NOT NULL)),
    CHECK ((held_since IS NULL) = (release_at_s IS NULL) AND (held_since IS NULL) = (hold_reason IS NULL)),
    CHECK (held_since IS NULL OR units_open = 0)
);
CREATE INDEX channel_availability_held ON channel_availability (listing_id) WHERE held_since IS NOT NULL;
COMMENT ON TABLE channel_availability IS 'One row per listing and night: what the channel was last proven to show.';
COMMENT ON COLUMN channel_availability.listing_id IS 'The listing.';
COMMENT ON COLUMN channel_availability.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN channel_availability.units_open IS 'Units the channel still sells for it; 0 is closed.';
COMMENT ON COLUMN channel_availability.closure IS 'Why it is closed: booked, blocked, or unknown where the source does not say.';
COMMENT ON COLUMN channel_availability.reference IS 'The channel''s own id of what closes it: reservation code or feed UID.';
COMMENT ON COLUMN channel_availability.held_since IS 'Since when the source no longer lists it as closed while we keep it closed.';
COMMENT ON COLUMN channel_availability.release_at_s IS 'At which reading of the listing''s own clock (listing_state.observed_s) it opens if it is still not listed.';
COMMENT ON COLUMN channel_availability.hold_reason IS 'Why it is held: first_seen, edited, absent, unblocked, mass_absent, empty or unread; see channel_sync.sync.release.';
COMMENT ON COLUMN channel_availability.sync_log_id IS 'The observation that wrote this row.';

CREATE TABLE channel_price (
    listing_id          bigint NOT NULL,
    night               date NOT NULL,
    amount              numeric(18, 4),
    currency            text,
    min_stay_arrival    smallint,
    min_stay_through    smallint,
    max_stay            smallint,
    closed_to_arrival   boolean,
    closed_to_departure boolean,
    stop_sell           boolean,
    sync_log_id         bigint NOT NULL,
    PRIMARY KEY (listing_id, night)
);
COMMENT ON TABLE channel_price IS 'One row per listing and night: the price and restrictions the channel was last seen to show. A null restriction is one the channel does not state.';
COMMENT ON COLUMN channel_price.listing_id IS 'The listing.';
COMMENT ON COLUMN channel_price.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN channel_price.amount IS 'Price of the whole night.';
COMMENT ON COLUMN channel_price.currency IS 'ISO 4217 currency of amount.';
COMMENT ON COLUMN channel_price.min_stay_arrival IS 'Fewest nights of a stay that arrives on it.';
COMMENT ON COLUMN channel_price.min_stay_through IS 'Fewest nights of a stay that includes it.';
COMMENT ON COLUMN channel_price.max_stay IS 'Most nights of a stay that arrives on it.';
COMMENT ON COLUMN channel_price.closed_to_arrival IS 'No stay may begin on it.';
COMMENT ON COLUMN channel_price.closed_to_departure IS 'No stay may end on its morning.';
COMMENT ON COLUMN channel_price.stop_sell IS 'Not sold at this rate plan at all.';
COMMENT ON COLUMN channel_price.sync_log_id IS 'The observation that wrote this row.';

-- A foreign key to listing is checked row by row and makes a first load of these two tables twice as slow. The one
-- statement that writes them checks each listing once instead; that a listing with nights stays is seen to here.
CREATE FUNCTION listing_keeps_its_nights() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM channel_sync.channel_availability WHERE listing_id = old.listing_id)
        OR EXISTS (SELECT FROM channel_sync.channel_price WHERE listing_id = old.listing_id) THEN
        RAISE foreign_key_violation USING MESSAGE = format('listing %s has nights: retire it', old.listing_id);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION listing_keeps_its_nights() IS 'Refuses to delete a listing that has nights.';
CREATE TRIGGER listing_keeps_its_nights AFTER DELETE ON listing
    FOR EACH ROW EXECUTE FUNCTION listing_keeps_its_nights();

-- Bookings -------------------------------------------------------------------------------------------------------

CREATE TABLE booking (
    booking_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel_account_id bigint NOT NULL REFERENCES channel_account,
    external_id        text NOT NULL,
    listing_id         bigint REFERENCES listing,
    listing_external_id text NOT NULL,
    status             text NOT NULL CHECK (status IN ('confirmed', 'cancelled')),
    check_in           date,
    check_out          date,
    units              smallint NOT NULL,
    guests             smallint,
    total_amount       numeric(18, 4),
    total_currency     text,
    payout_amount      numeric(18, 4),
    payout_currency    text,
    booked_at          timestamptz,
    revised_at         timestamptz NOT NULL,
    first_seen_at      timestamptz NOT NULL,
    sync_log_id        bigint NOT NULL,
    whole              text,
    UNIQUE (channel_account_id, external_id),
    CHECK (check_out > check_in),
    CHECK (status = 'cancelled' OR (check_in IS NOT NULL AND check_out IS NOT NULL))
);
CREATE INDEX booking_listing ON booking (listing_id, check_in);
CREATE INDEX booking_whole ON booking (channel_account_id, whole) WHERE whole IS NOT NULL;
COMMENT ON TABLE booking IS 'One row per booking: its newest revision. No guest''s details.';
COMMENT ON COLUMN booking.booking_id IS 'Our own key.';
COMMENT ON COLUMN booking.channel_account_id IS 'The account it was sold through.';
COMMENT ON COLUMN booking.external_id IS 'The channel''s own id, the same over all revisions.';
COMMENT ON COLUMN booking.listing_id IS 'The listing it was sold on; null while that listing is not mapped.';
COMMENT ON COLUMN booking.listing_external_id IS 'The channel''s id of that listing.';
COMMENT ON COLUMN booking.status IS 'confirmed or cancelled.';
COMMENT ON COLUMN booking.check_in IS 'First night.';
COMMENT ON COLUMN booking.check_out IS 'Day of departure: the first night no longer stayed.';
COMMENT ON COLUMN booking.units IS 'How many units of the kind.';
COMMENT ON COLUMN booking.guests IS 'How many people, where the channel says.';
COMMENT ON COLUMN booking.total_amount IS 'What the guest pays.';
COMMENT ON COLUMN booking.total_currency IS 'ISO 4217 currency of total_amount.';
COMMENT ON COLUMN booking.payout_amount IS 'What the house receives.';
COMMENT ON COLUMN booking.payout_currency IS 'ISO 4217 currency of payout_amount.';
COMMENT ON COLUMN booking.booked_at IS 'When the guest booked, by the channel.';
COMMENT ON COLUMN booking.revised_at IS 'The channel''s own time of this revision; an older one never overwrites it.';
COMMENT ON COLUMN booking.first_seen_at IS 'When we first read it.';
COMMENT ON COLUMN booking.sync_log_id IS 'The observation that wrote this row.';
COMMENT ON COLUMN booking.whole IS 'The channel''s own id of the reservation it is a part of; null where the channel sells no reservation of several parts.';

CREATE TABLE booking_revision (
    booking_id   bigint NOT NULL REFERENCES booking,
    revised_at   timestamptz NOT NULL,
    content_hash text NOT NULL,
    revision     jsonb NOT NULL,
    seen_at      timestamptz NOT NULL,
    sync_log_id  bigint NOT NULL,
    PRIMARY KEY (booking_id, revised_at, content_hash)
);
COMMENT ON TABLE booking_revision IS 'One row per version of a booking that the channel showed. Append-only.';
COMMENT ON COLUMN booking_revision.booking_id IS 'The booking.';
COMMENT ON COLUMN booking_revision.revised_at IS 'The channel''s own time of this version.';
COMMENT ON COLUMN booking_revision.content_hash IS 'SHA-256 of revision.';
COMMENT ON COLUMN booking_revision.revision IS 'The version as we read it, without the guest.';
COMMENT ON COLUMN booking_revision.seen_at IS 'When we read it.';
COMMENT ON COLUMN booking_revision.sync_log_id IS 'The observation that wrote this row.';

CREATE TABLE booking_night (
    booking_id bigint NOT NULL REFERENCES booking,
    night      date NOT NULL,
    amount     numeric(18, 4),
    currency   text,
    PRIMARY KEY (booking_id, night)
);
COMMENT ON TABLE booking_night IS 'One row per night of a confirmed booking.';
COMMENT ON COLUMN booking_night.booking_id IS 'The booking.';
COMMENT ON COLUMN booking_night.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN booking_night.amount IS 'Price of this night, where the channel tells it.';
COMMENT ON COLUMN booking_night.currency IS 'ISO 4217 currency of amount.';

CREATE TABLE allocation (
    unit_id    bigint NOT NULL REFERENCES unit,
    booking_id bigint NOT NULL REFERENCES booking,
    stay       daterange NOT NULL CHECK (NOT isempty(stay) AND lower_inc(stay) AND NOT upper_inc(stay)),
    PRIMARY KEY (unit_id, booking_id),
    CONSTRAINT allocation_one_party_per_unit EXCLUDE USING gist (unit_id WITH =, stay WITH &&)
);
CREATE INDEX allocation_booking ON allocation (booking_id);
COMMENT ON TABLE allocation IS 'One row per unit that a confirmed booking occupies. Two parties in one unit on one night cannot be stored.';
COMMENT ON COLUMN allocation.unit_id IS 'The unit.';
COMMENT ON COLUMN allocation.booking_id IS 'The booking.';
COMMENT ON COLUMN allocation.stay IS 'Half-open [check_in, check_out).';

CREATE TABLE conflict (
    conflict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('overbooking', 'unmapped')),
    booking_id  bigint NOT NULL REFERENCES booking,
    detail      text NOT NULL,
    opened_at   timestamptz NOT NULL,
    closed_at   timestamptz,
    sync_log_id bigint NOT NULL
);
CREATE UNIQUE INDEX conflict_open ON conflict (booking_id, kind) WHERE closed_at IS NULL;
COMMENT ON TABLE conflict IS 'One row per disagreement that needs a decision.';
COMMENT ON COLUMN conflict.conflict_id IS 'Our own key.';
COMMENT ON COLUMN conflict.kind IS 'overbooking: a confirmed booking that fits no unit; unmapped: one of a listing we do not know.';
COMMENT ON COLUMN conflict.booking_id IS 'The booking.';
COMMENT ON COLUMN conflict.detail IS 'What does not fit.';
COMMENT ON COLUMN conflict.opened_at IS 'When it was found.';
COMMENT ON COLUMN conflict.closed_at IS 'When it no longer held.';
COMMENT ON COLUMN conflict.sync_log_id IS 'The observation that found it.';

-- Tokens ---------------------------------------------------------------------------------------------------------

CREATE TABLE channel_token (
    account       text PRIMARY KEY,
    access_token  text,
    refresh_token text,
    expires_at    timestamptz
);
COMMENT ON TABLE channel_token IS 'One row per account that logs in by OAuth. Secret: granted to nobody.';
COMMENT ON COLUMN channel_token.account IS 'Code of the channel account.';
COMMENT ON COLUMN channel_token.access_token IS 'The token that calls are made with; null before the first.';
COMMENT ON COLUMN channel_token.refresh_token IS 'The token that the next one is asked for with, where the channel rotates it.';
COMMENT ON COLUMN channel_token.expires_at IS 'When the access token ends.';
