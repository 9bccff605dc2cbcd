-- What the house itself still has to sell, and what its channels have yet to be told of it.

SET LOCAL search_path = channel_sync, public;

CREATE TABLE house_availability (
    unit_type_id bigint NOT NULL REFERENCES unit_type,
    night        date NOT NULL,
    units_open   smallint NOT NULL CHECK (units_open >= 0),
    decided_at   timestamptz NOT NULL,
    PRIMARY KEY (unit_type_id, night)
);
COMMENT ON TABLE house_availability IS 'One row per unit type and night on which a unit was ever taken by a booking. A night without a row has all its units open.';
COMMENT ON COLUMN house_availability.unit_type_id IS 'The unit type.';
COMMENT ON COLUMN house_availability.night IS 'The local date on which the night begins.';
COMMENT ON COLUMN house_availability.units_open IS 'Units in the portfolio less those that confirmed bookings want on it; 0 where they want more.';
COMMENT ON COLUMN house_availability.decided_at IS 'When the number last changed.';

CREATE TABLE outbox (
    outbox_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    listing_id      bigint NOT NULL REFERENCES listing,
    subject         text NOT NULL CHECK (subject IN ('availability')),
    nights          daterange NOT NULL CHECK (NOT isempty(nights) AND lower_inc(nights) AND NOT upper_inc(nights)),
    cause           text NOT NULL,
    booking_id      bigint REFERENCES booking,
    decided_at      timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'parked')),
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason          text
);
CREATE INDEX outbox_pending ON outbox (listing_id, outbox_id) WHERE state = 'pending';
COMMENT ON TABLE outbox IS 'One row per listing and run of nights that its channel has to be told of. Not what to say: that is in the tables when it is said.';
COMMENT ON COLUMN outbox.outbox_id IS 'Our own key; it grows in the order in which one unit type''s nights were decided.';
COMMENT ON COLUMN outbox.listing_id IS 'The listing whose channel has to be told.';
COMMENT ON COLUMN outbox.subject IS 'What of it: availability.';
COMMENT ON COLUMN outbox.nights IS 'Half-open range of nights.';
COMMENT ON COLUMN outbox.cause IS 'Why: booked, changed, cancelled, mapped (the listing of a stored booking became known).';
COMMENT ON COLUMN outbox.booking_id IS 'The booking behind it.';
COMMENT ON COLUMN outbox.decided_at IS 'When it was decided.';
COMMENT ON COLUMN outbox.state IS 'pending; sent; parked (it cannot be sent, a person has to look).';
COMMENT ON COLUMN outbox.attempts IS 'How often it was tried to send it.';
COMMENT ON COLUMN outbox.next_attempt_at IS 'From when on it may be tried again.';
COMMENT ON COLUMN outbox.reason IS 'Why it is not sent yet, or parked.';

-- Whose stay a night falls into is asked for every booking that is decided: past stays are not looked at.
CREATE INDEX booking_departure ON booking (listing_id, check_out) INCLUDE (check_in) WHERE status = 'confirmed';
