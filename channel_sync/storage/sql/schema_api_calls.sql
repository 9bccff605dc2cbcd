-- Counters of the calls to channels; channel_sync.resilience.call_counts writes them.

SET LOCAL search_path = channel_sync, public;

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
