-- What a refresh asks of a person, and of the sign-in it came from, is answered by these indexes alone.
CREATE INDEX users_live ON users (id, epoch, enabled);
CREATE INDEX identities_live ON identities (id, ended_at);
