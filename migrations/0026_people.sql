-- Confirmed addresses, languages, second factors, and what is mailed to confirm a wish.

-- When the user proved to read mail at the address; NULL if never.
ALTER TABLE users ADD COLUMN email_verified_at BIGINT;
-- The tag of the chosen language; empty for the browser's.
ALTER TABLE users ADD COLUMN language TEXT NOT NULL DEFAULT '';
-- When the account is deleted, after its user has closed it.
ALTER TABLE users ADD COLUMN closes_at BIGINT;
-- When a second factor was turned on for the first time, or the offer of one was put off.
ALTER TABLE users ADD COLUMN factor_offered_at BIGINT;

-- Until then this user need not show a second factor in this browser.
ALTER TABLE user_browsers ADD COLUMN remembered_until BIGINT;

-- One-time links in mails.
CREATE TABLE confirmations (
    -- SHA-256 of the token, 256 random bits.
    token_hash BYTEA PRIMARY KEY,
    -- register, reset_password, confirm_email, change_email
    kind TEXT NOT NULL,
    -- NULL until there is an account.
    user_id UUID REFERENCES users (id) ON DELETE CASCADE,
    -- The link is good for this epoch of the user: what ends their sessions ends it.
    user_epoch BIGINT,
    -- The address that it was sent to.
    email TEXT NOT NULL,
    -- As JSON: what else is needed.
    detail TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX confirmations_of_user ON confirmations (user_id, kind);
CREATE INDEX confirmations_by_end ON confirmations (expires_at);

CREATE TABLE passkeys (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The credential's id, as authenticators know it.
    credential_id BYTEA NOT NULL UNIQUE,
    -- Public key, counter and flags, as JSON.
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    -- Whether a password manager keeps it on several devices.
    synced BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkeys_of_user ON passkeys (user_id);

-- Authenticator apps (RFC 6238), one for each user.
CREATE TABLE totp_secrets (
    user_id UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- The shared secret, sealed.
    secret_sealed BYTEA NOT NULL,
    -- The last time step that was used: each is good once.
    last_step BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE recovery_codes (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- SHA-256 of user and code, 80 random bits.
    code_hash BYTEA NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, code_hash)
);

-- Sign-ins whose user has done some steps and has others to do. One for each tab.
CREATE TABLE pending_sign_ins (
    -- SHA-256 of the reference.
    token_hash BYTEA PRIMARY KEY,
    -- SHA-256 of the CSRF cookie of the browser: no other may go on with it.
    browser_hash BYTEA NOT NULL,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    user_epoch BIGINT NOT NULL,
    -- The steps that were done, as JSON.
    steps TEXT NOT NULL,
    -- Where the sign-in leads to.
    return_to TEXT NOT NULL,
    -- Whether a user without a second factor has to set one up.
    must_enrol BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pending_sign_ins_by_end ON pending_sign_ins (expires_at);

-- Challenges of passkeys that were answered: each is good once.
CREATE TABLE used_challenges (
    challenge_hash BYTEA PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX used_challenges_by_end ON used_challenges (expires_at);
