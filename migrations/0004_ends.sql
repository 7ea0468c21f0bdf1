-- One log of ends (docs/decisions/0011-one-log-of-ends.md). Times are Unix milliseconds.
CREATE TABLE ends (
    -- What ended: the id of the family, browser session or user. A browser and a client can end more than once, so
    -- there it is the id of the event.
    id UUID NOT NULL,
    -- The epoch that ended, of a user. 0 for everything else.
    user_epoch BIGINT NOT NULL,
    -- Position in the log, from 1. NULL until a reader assigns it, which happens to committed rows only.
    serial BIGINT UNIQUE,
    ended_at BIGINT NOT NULL,
    -- `family`, `browser_session`, `browser`, `user` or `client`.
    kind TEXT NOT NULL,
    family_id UUID,
    browser_session_id UUID,
    browser_id UUID,
    user_id UUID,
    client_id TEXT,
    -- The browser whose sessions did not end with the user's epoch.
    kept_browser_id UUID,
    reason TEXT NOT NULL,
    -- More about it for people, as JSON.
    detail TEXT,
    PRIMARY KEY (id, user_epoch)
);
CREATE INDEX ends_by_time ON ends (ended_at);
CREATE INDEX ends_without_serial ON ends (ended_at, id) WHERE serial IS NULL;

-- One row: the last serial that was assigned. Its lock makes readers assign serials one after the other.
CREATE TABLE end_serials (
    last BIGINT NOT NULL
);
INSERT INTO end_serials (last) VALUES (0);

INSERT INTO ends (id, user_epoch, ended_at, kind, user_id, reason)
SELECT user_id, epoch, ended_at, 'user', user_id, reason FROM user_ends;
DROP TABLE user_ends;

-- Actors: `user:<id>`, `admin:<id>`, `client:<client_id>`, `operator`, `system` or `anonymous`.
UPDATE events SET actor = 'anonymous' WHERE actor = 'stranger';
UPDATE events SET actor = 'system' WHERE actor = 'authority';
UPDATE events SET actor = 'client:' || SUBSTR(actor, 5) WHERE actor LIKE 'app:%';

-- One row: the settings of the deployment at the last start, as JSON without secrets.
CREATE TABLE settings_seen (
    settings TEXT NOT NULL
);
INSERT INTO settings_seen (settings) VALUES ('');
