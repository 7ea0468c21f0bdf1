-- What an authorization request asks for, beyond its scope.

-- The audiences that it names (RFC 8707), one on each line; NULL if it names none.
ALTER TABLE families ADD COLUMN resources TEXT;
-- The claims that it asks for by name (OpenID Connect Core §5.5), as JSON; NULL if there are none.
ALTER TABLE families ADD COLUMN requested_claims TEXT;
