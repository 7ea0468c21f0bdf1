//! `id_token_hint`: an ID token of ours that an app shows again, to say whom it is about.

use tokens::jws::Compact;

use crate::authority::Authority;

/// What a hint says. It identifies; it authenticates nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Whom the ID token is about.
    pub subject: String,
    /// The app it was given to.
    pub client_id: String,
}

/// Reads a hint; `None` unless it is an ID token that was signed here with a published key. It may have expired
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
    Some(Hint { subject: claim("sub")?.to_owned(), client_id: claim("aud")?.to_owned() })
}
