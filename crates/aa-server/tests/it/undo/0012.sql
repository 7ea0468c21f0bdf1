ALTER TABLE families DROP COLUMN grace_elsewhere;
