-- Refresh tokens of sessions that have ended here, until the provider has been told.
CREATE TABLE rp_revocations (
    -- SHA-256 of the token.
    id_hash BYTEA PRIMARY KEY,
    -- The token, sealed.
    sealed BYTEA NOT NULL,
    -- Failed attempts.
    failures BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL,
    -- When the token is worth nothing anyway.
    expires_at BIGINT NOT NULL
);
CREATE INDEX rp_revocations_by_next_try ON rp_revocations (next_try_at);
