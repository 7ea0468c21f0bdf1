-- Assertions that clients have authenticated by (RFC 7523), until they have expired: none counts twice.
CREATE TABLE client_assertions (
    client_id TEXT NOT NULL,
    -- SHA-256 of the `jti`.
    jti_hash BYTEA NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, jti_hash)
);
CREATE INDEX client_assertions_by_expiry ON client_assertions (expires_at);
