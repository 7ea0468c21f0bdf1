ALTER TABLE families DROP COLUMN dpop_jkt;
