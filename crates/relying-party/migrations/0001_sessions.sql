-- One text for SQLite and PostgreSQL. Times are Unix milliseconds.
CREATE TABLE rp_sessions (
    -- SHA-256 of the id in the cookie.
    id_hash BYTEA PRIMARY KEY,
    -- Counts the writes, so that none is lost.
    version BIGINT NOT NULL,
    -- Tokens and what is known of the person, sealed.
    sealed BYTEA NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX rp_sessions_by_end ON rp_sessions (expires_at);
