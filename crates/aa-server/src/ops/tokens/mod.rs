//! Tokens: issued, introspected (RFC 7662), revoked (RFC 7009), and exchanged for claims about the user.

pub mod id_token_hint;
pub mod introspect;
pub mod issue;
pub mod revoke;
pub mod userinfo;
