-- What the provider calls sessions by: hashes of its `sid` and `sub`. Times are Unix milliseconds.
CREATE TABLE rp_handles (
    handle BYTEA NOT NULL,
    id_hash BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (handle, id_hash)
);
CREATE INDEX rp_handles_by_expiry ON rp_handles (expires_at);
