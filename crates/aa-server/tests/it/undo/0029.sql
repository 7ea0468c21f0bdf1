ALTER TABLE families DROP COLUMN resources;
ALTER TABLE families DROP COLUMN requested_claims;
