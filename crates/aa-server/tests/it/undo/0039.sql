ALTER TABLE users DROP COLUMN given_name;
ALTER TABLE users DROP COLUMN family_name;
ALTER TABLE users DROP COLUMN group_names;
