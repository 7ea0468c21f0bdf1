//! `id_token_hint`: an ID token of this issuer that a client presents again to name the user.

use tokens::jws::Compact;
use uuid::Uuid;

use crate::authority::Authority;
use crate::domain::ids::FamilyId;

/// The content of a hint. It names a user and a client, and authenticates neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The `sub` of the ID token.
    pub subject: String,
    /// The client that the ID token was issued to.
    pub client_id: String,
    /// The family that it was issued with, its `sid`.
    pub family_id: FamilyId,
}

/// Reads a hint; `None` unless it is an ID token signed with a published key of this issuer. It may have expired
/// (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §4).
pub fn read(authority: &Authority, text: &str) -> Option<Hint> {
    let token = Compact::parse(text).ok()?;
    if token.media_type() != Some("JWT") {
        return None;
    }
    authority.keyring.public_keys().check(&token, &tokens::Algorithm::ALL).ok()?;
    let claims = token.claims().ok()?;
    let claim = |name: &str| claims.get(name).and_then(|value| value.as_str());
    if claim("iss") != Some(authority.config.public_url.as_str()) {
        return None;
    }
    Some(Hint {
        subject: claim("sub")?.to_owned(),
        client_id: claim("aud")?.to_owned(),
        family_id: claim("sid")?.parse::<Uuid>().ok()?.into(),
    })
}
