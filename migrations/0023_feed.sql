-- The feed of ends (contract §3). Times are Unix seconds.

-- An end of everything is one row, which the sessions page looks up for the epochs that have none of their own.
CREATE INDEX ends_of_everything ON ends (ended_at) WHERE kind = 'everything';

-- One row: the longest life of an application token that can be valid now, and until when tokens with that life are. Ends
-- that are older need not be published any more.
CREATE TABLE longest_token_life (
    seconds BIGINT NOT NULL,
    valid_until BIGINT NOT NULL
);
INSERT INTO longest_token_life (seconds, valid_until) VALUES (0, 0);

-- The position up to which a follower has confirmed that it knows of every end.
CREATE TABLE feed_followers (
    client_id TEXT NOT NULL,
    -- Tells followers of one client apart.
    name TEXT NOT NULL,
    serial BIGINT NOT NULL,
    -- Unix milliseconds.
    seen_at BIGINT NOT NULL,
    PRIMARY KEY (client_id, name)
);
