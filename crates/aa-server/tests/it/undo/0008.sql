DROP INDEX families_of_user_by_id;
DROP INDEX events_of_user;
DROP INDEX events_by_time;
CREATE INDEX events_of_user ON events (user_id, at);
CREATE INDEX events_by_time ON events (at);
