//! Subject identifiers, as each client gets them (OpenID Connect Core §8).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::client::ClientMetadata;
use crate::domain::ids::UserId;
use crate::domain::subject::SubjectType;

/// Computes subject identifiers.
///
/// A pairwise one is an HMAC-SHA-256 of sector and user, under a salt that was made once for this database. It is not derived
/// from the server's secret, because a new secret must not make new users of the old ones.
#[derive(derive_more::Debug)]
#[debug("Subjects(…)")]
pub struct Subjects(hmac::Key);

impl Subjects {
    /// Subjects under this salt.
    pub fn new(salt: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, salt))
    }

    /// The `sub` of a user for a client.
    pub fn of(&self, client: &ClientMetadata, user: UserId) -> String {
        if client.subject_type == SubjectType::Public {
            return user.to_string();
        }
        // A client without a sector cannot be registered. If there is one all the same, it is a sector of its own: a client id
        // is no host.
        let sector = client.sector().unwrap_or_else(|_| format!("client:{}", client.client_id));
        let mut context = hmac::Context::with_key(&self.0);
        context.update(sector.as_bytes());
        context.update(b"\0");
        context.update(user.to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(context.sign())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::ClientType;

    fn client(id: &str, host: &str) -> ClientMetadata {
        let mut client = ClientMetadata::named(id, id, ClientType::Confidential);
        client.redirect_uris = vec![format!("https://{host}/cb")];
        client.subject_type = SubjectType::Pairwise;
        client
    }

    #[test]
    fn a_subject_is_of_one_user_in_one_sector_under_one_salt() {
        let subjects = Subjects::new(&[1; 32]);
        let [ann, bo] = [1, 2].map(|id| UserId::from(uuid::Uuid::from_u128(id)));
        let sub = subjects.of(&client("a", "a.example"), ann);
        assert_eq!(sub.len(), 43);
        assert_eq!(sub, subjects.of(&client("b", "a.example"), ann), "the same sector");
        assert_ne!(sub, subjects.of(&client("a", "b.example"), ann));
        assert_ne!(sub, subjects.of(&client("a", "a.example"), bo));
        assert_ne!(sub, Subjects::new(&[2; 32]).of(&client("a", "a.example"), ann));
        let public = ClientMetadata::named("a", "A", ClientType::Confidential);
        assert_eq!(subjects.of(&public, ann), ann.to_string());
    }
}
