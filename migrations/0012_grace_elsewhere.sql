-- Where a refresh token was used again within its grace from another place than its successor was issued to, as JSON; NULL
-- if that has not happened.
ALTER TABLE families ADD COLUMN grace_elsewhere TEXT;
