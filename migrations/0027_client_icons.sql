-- Icons of apps on the launcher, as this authority has drawn them anew.
CREATE TABLE client_icons (
    client_id TEXT PRIMARY KEY REFERENCES clients (client_id) ON DELETE CASCADE,
    -- PNG, 128 by 128.
    png BYTEA NOT NULL,
    -- A part of its hash, by which its address changes with it.
    name TEXT NOT NULL
);
CREATE INDEX client_icons_by_name ON client_icons (name);
