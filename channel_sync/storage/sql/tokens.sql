-- OAuth tokens, one row per account that has any.

-- name: load_token
-- The newest token of an account.
SELECT access_token, refresh_token, expires_at
FROM channel_sync.channel_token
WHERE account = %(account)s AND access_token IS NOT NULL;

-- name: open_token
-- The row that holders of one account's token queue for. Committed at once, so that the next statement finds it.
INSERT INTO channel_sync.channel_token (account) VALUES (%(account)s) ON CONFLICT (account) DO NOTHING;

-- name: lock_token
-- Wait for whoever is renewing this account's token, then see what they stored.
SELECT access_token, refresh_token, expires_at
FROM channel_sync.channel_token
WHERE account = %(account)s
FOR UPDATE;

-- name: store_token
-- What was fetched replaces what was there. A channel that sends no new refresh token goes on with the old one.
UPDATE channel_sync.channel_token
SET access_token = %(access)s,
    refresh_token = coalesce(%(refresh)s, refresh_token),
    expires_at = %(expires_at)s
WHERE account = %(account)s;
