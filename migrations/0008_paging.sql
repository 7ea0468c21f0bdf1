-- Lists are read a page at a time, from a position on.
DROP INDEX events_of_user;
DROP INDEX events_by_time;
CREATE INDEX events_of_user ON events (user_id, at, id);
CREATE INDEX events_by_time ON events (at, id);
CREATE INDEX families_of_user_by_id ON families (user_id, id);
