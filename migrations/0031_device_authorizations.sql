-- Requests of devices to be signed in (RFC 8628). Times are Unix milliseconds.
CREATE TABLE device_authorizations (
    -- The id of the family that the user's approval makes. The device code names it.
    family_id UUID PRIMARY KEY,
    -- SHA-256 of the secret in the device code, which becomes the family's.
    secret_hash BYTEA NOT NULL,
    -- What the user types. It gives no tokens: it lets a signed-in user approve the request.
    user_code TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL REFERENCES clients (client_id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    -- Where the request came from.
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    -- `pending`, `approved` or `denied`.
    state TEXT NOT NULL,
    -- The seconds that the device has to wait between two token requests.
    interval_seconds BIGINT NOT NULL,
    -- The last token request; NULL until the first.
    polled_at BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX device_authorizations_by_end ON device_authorizations (expires_at);
