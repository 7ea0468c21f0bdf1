-- Initial access tokens (RFC 7591 §3): pipelines register clients with them.
CREATE TABLE registration_tokens (
    name TEXT PRIMARY KEY,
    -- SHA-256 of the token.
    token_hash BYTEA NOT NULL UNIQUE,
    -- What its clients may ask for: names, separated by spaces.
    scopes TEXT NOT NULL,
    -- Clients that were registered with it, and how many may be; NULL for any number.
    registrations BIGINT NOT NULL,
    max_registrations BIGINT,
    -- How many of them there may be at the same time.
    max_clients BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- Clients that manage themselves (RFC 7592).
CREATE TABLE client_registrations (
    client_id TEXT PRIMARY KEY REFERENCES clients (client_id) ON DELETE CASCADE,
    -- SHA-256 of the registration access token.
    token_hash BYTEA NOT NULL,
    -- The name of the initial access token. It may be gone.
    registered_with TEXT NOT NULL,
    registered_at BIGINT NOT NULL
);
CREATE INDEX client_registrations_by_token ON client_registrations (registered_with);
