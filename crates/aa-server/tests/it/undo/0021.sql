DROP INDEX events_of_failed_sign_ins;
ALTER TABLE events DROP COLUMN count;
