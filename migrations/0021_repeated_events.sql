-- How many of the same kind an event stands for: failed sign-ins of an account within an hour are one.
ALTER TABLE events ADD COLUMN count BIGINT NOT NULL DEFAULT 1;
CREATE INDEX events_of_failed_sign_ins ON events (user_id, ip, at) WHERE kind = 'identity.refused';
