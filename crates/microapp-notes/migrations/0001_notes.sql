-- One text for SQLite and PostgreSQL. Times are Unix milliseconds.
CREATE TABLE notes (
    id UUID PRIMARY KEY,
    user_id UUID NOT NULL,
    text TEXT NOT NULL,
    -- Counts the writes, for If-Match.
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX notes_of_user ON notes (user_id, id);
