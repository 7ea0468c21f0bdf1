-- Sign-ins under way: the authorization request that waits for each, so that the browser carries a reference only.
CREATE TABLE authentication_attempts (
    -- SHA-256 of the reference.
    token_hash BYTEA PRIMARY KEY,
    -- SHA-256 of the CSRF cookie of the browser that began it: no other browser may use it.
    browser_hash BYTEA NOT NULL,
    -- The authorization request, as JSON.
    request TEXT NOT NULL,
    -- The user must sign in after this moment; NULL if any sign-in will do.
    floor BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- When the request was last granted: to use the attempt again, the user must sign in after this moment.
    completed_at BIGINT
);
CREATE INDEX authentication_attempts_of_browser ON authentication_attempts (browser_hash, created_at);
CREATE INDEX authentication_attempts_by_end ON authentication_attempts (expires_at);
