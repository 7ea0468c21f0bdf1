-- The outbox: messages to other systems, written in the transaction of what they tell, sent later by a job.
CREATE TABLE deliveries (
    id UUID PRIMARY KEY,
    -- Selects the consumer that sends it.
    kind TEXT NOT NULL,
    -- The recipient, in the terms of the consumer: a URL, a mail address.
    target TEXT NOT NULL,
    -- Encrypted under the server's secret.
    payload BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    -- How often a replica has taken it. Together with the id it names one lease.
    attempts BIGINT NOT NULL,
    -- When it may be taken (again). A replica that takes it sets this to the end of its lease.
    next_attempt_at BIGINT NOT NULL,
    -- When it was given up; NULL while it is tried.
    failed_at BIGINT,
    last_error TEXT NOT NULL
);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE failed_at IS NULL;
