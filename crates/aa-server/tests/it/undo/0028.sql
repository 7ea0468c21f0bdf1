DROP TABLE user_pictures;
ALTER TABLE users DROP COLUMN picture;
ALTER TABLE users DROP COLUMN time_zone;
