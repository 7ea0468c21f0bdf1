-- The time zone that a user has chosen, by its name in the IANA database; empty for the browser's, NULL before any choice.
ALTER TABLE users ADD COLUMN time_zone TEXT;
-- The name of the user's picture; NULL for none.
ALTER TABLE users ADD COLUMN picture TEXT;

-- Pictures of users, as this authority has drawn them anew.
CREATE TABLE user_pictures (
    -- 256 random bits: a part of its address.
    name TEXT PRIMARY KEY,
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- PNG, 256 by 256.
    png BYTEA NOT NULL
);
CREATE INDEX user_pictures_of_user ON user_pictures (user_id);
