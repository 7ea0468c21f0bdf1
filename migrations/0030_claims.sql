-- When what clients are told about the user was changed last.
ALTER TABLE users ADD COLUMN updated_at BIGINT NOT NULL DEFAULT 0;
UPDATE users SET updated_at = created_at;

-- What pairwise subject identifiers are made with: one row, made once. With another salt all users would be new ones.
CREATE TABLE subject_salt (
    id BIGINT PRIMARY KEY,
    salt BYTEA NOT NULL
);
