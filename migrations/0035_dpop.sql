-- The thumbprint of the key that a family is bound to (DPoP, RFC 9449): before its delegation token is redeemed as the
-- authorization request says, afterwards for public clients.
ALTER TABLE families ADD COLUMN dpop_jkt TEXT;
