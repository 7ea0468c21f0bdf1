-- Streams of security events (Shared Signals Framework 1.0) to receivers that an administrator has registered.
CREATE TABLE event_streams (
    id TEXT PRIMARY KEY,
    -- Where events are pushed to (RFC 8935).
    url TEXT NOT NULL,
    -- The receiver, as events name it.
    audience TEXT NOT NULL,
    -- The value of the Authorization header, sealed; none if there is none.
    authorization_sealed BYTEA,
    created_at BIGINT NOT NULL
);
INSERT INTO end_consumers (name, serial) SELECT 'security_events', last FROM end_serials;
