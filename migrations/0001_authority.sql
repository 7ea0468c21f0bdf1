-- One text for SQLite and PostgreSQL. Times are Unix milliseconds.

CREATE TABLE users (
    id UUID PRIMARY KEY,
    email TEXT NOT NULL,
    -- The address as it is compared: lower case.
    email_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- Argon2id, in PHC string form.
    password_hash TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    -- Role names, separated by spaces.
    roles TEXT NOT NULL,
    -- Whatever was made under an earlier epoch has ended. One number ends any number of sessions.
    epoch BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    password_changed_at BIGINT NOT NULL
);

-- When and why an epoch of a user ended, for people to read.
CREATE TABLE user_ends (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    epoch BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (user_id, epoch)
);

-- One browser. Its cookie carries no rights.
CREATE TABLE devices (
    id UUID PRIMARY KEY,
    token_hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- A browser as one of its users knows it.
CREATE TABLE user_devices (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    -- Given by the user; empty until then.
    name TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    PRIMARY KEY (user_id, device_id)
);

-- One sign-in of one user in one browser.
CREATE TABLE identities (
    id UUID PRIMARY KEY,
    token_hash BYTEA NOT NULL UNIQUE,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_epoch BIGINT NOT NULL,
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    -- Authentication methods (RFC 8176), separated by spaces.
    amr TEXT NOT NULL,
    auth_time BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    idle_expires_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT
);
CREATE INDEX identities_of_user ON identities (user_id, device_id);
CREATE INDEX identities_by_end ON identities (expires_at);

CREATE TABLE apps (
    client_id TEXT PRIMARY KEY,
    enabled BOOLEAN NOT NULL,
    -- Whether its families outlive the sign-in they came from.
    outlives_sign_out BOOLEAN NOT NULL,
    -- Everything that was declared about it, as JSON.
    registration TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE TABLE app_secrets (
    -- SHA-256 of a secret of 256 random bits.
    secret_hash BYTEA PRIMARY KEY,
    client_id TEXT NOT NULL REFERENCES apps (client_id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL,
    -- NULL for the newest; older ones are accepted until then.
    expires_at BIGINT
);
CREATE INDEX app_secrets_of_app ON app_secrets (client_id);

-- A family is a counter: one row, one number. No index covers a column that a refresh changes.
CREATE TABLE families (
    id UUID PRIMARY KEY,
    -- SHA-256 of the random secret that every token of the family carries.
    secret_hash BYTEA NOT NULL,
    -- 0: a delegation token is out. Then: the generation of the newest refresh token.
    generation BIGINT NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_epoch BIGINT NOT NULL,
    client_id TEXT NOT NULL REFERENCES apps (client_id) ON DELETE CASCADE,
    device_id UUID NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    identity_id UUID NOT NULL,
    scope TEXT NOT NULL,
    audience TEXT NOT NULL,
    auth_time BIGINT NOT NULL,
    amr TEXT NOT NULL,
    -- What the delegation token is bound to.
    redirect_uri TEXT NOT NULL,
    code_challenge TEXT,
    nonce TEXT,
    code_expires_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- The last move: when, from where, and how long it may stay the last.
    moved_at BIGINT NOT NULL,
    moved_ip TEXT NOT NULL,
    moved_user_agent TEXT NOT NULL,
    idle_expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    end_reason TEXT,
    -- What a person should know about the end, as JSON.
    end_detail TEXT
);
CREATE INDEX families_of_user ON families (user_id, device_id, client_id);
CREATE INDEX families_by_end ON families (expires_at);

CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    algorithm TEXT NOT NULL,
    -- For HS256 the one audience; empty for the others, which all audiences share.
    audience TEXT NOT NULL,
    -- Counts up per algorithm and audience, so that two replicas make one key.
    slot BIGINT NOT NULL,
    -- Sealed under the server's secret.
    private_key BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    -- A key is published before it signs.
    signs_from BIGINT NOT NULL,
    -- When the last token it signed is dead; NULL for the newest.
    retires_at BIGINT,
    UNIQUE (algorithm, audience, slot)
);

-- Which server secrets this database knows, so that a wrong one is refused.
CREATE TABLE secret_fingerprints (
    fingerprint BYTEA PRIMARY KEY,
    created_at BIGINT NOT NULL
);

-- One-time links to make an account.
CREATE TABLE invitations (
    token_hash BYTEA PRIMARY KEY,
    -- Empty when whoever has the link may choose an address.
    email TEXT NOT NULL,
    admin BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE events (
    id UUID PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- `user:<id>`, `app:<client_id>`, `operator`, `authority`, or `stranger`.
    actor TEXT NOT NULL,
    user_id UUID,
    client_id TEXT,
    family_id UUID,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    request_id TEXT NOT NULL,
    -- More about it, as JSON. Never a secret.
    detail TEXT NOT NULL
);
CREATE INDEX events_of_user ON events (user_id, at);
CREATE INDEX events_by_time ON events (at);
