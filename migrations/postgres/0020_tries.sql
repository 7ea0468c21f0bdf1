-- Counters of tries to guess, shared by all replicas. They need not survive a crash, so they are not logged.
CREATE UNLOGGED TABLE tries (
    -- A MAC of the account or network that is counted, under the server's secret.
    counter UUID PRIMARY KEY,
    -- When the counter will be full again.
    full_at BIGINT NOT NULL
);
