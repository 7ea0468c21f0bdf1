-- Consumers of the log of ends that one replica at a time moves forward. Each begins with what ends from now on.
CREATE TABLE end_consumers (
    name TEXT PRIMARY KEY,
    -- Everything up to this serial has been taken.
    serial BIGINT NOT NULL
);
INSERT INTO end_consumers (name, serial) SELECT 'logout_tokens', last FROM end_serials;
