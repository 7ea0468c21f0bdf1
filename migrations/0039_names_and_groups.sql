-- What an operator says about a user, for the claims `given_name`, `family_name` and `groups`; names of groups, one a line.
ALTER TABLE users ADD COLUMN given_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN family_name TEXT NOT NULL DEFAULT '';
ALTER TABLE users ADD COLUMN group_names TEXT NOT NULL DEFAULT '';
