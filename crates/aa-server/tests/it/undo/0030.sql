ALTER TABLE users DROP COLUMN updated_at;
DROP TABLE subject_salt
