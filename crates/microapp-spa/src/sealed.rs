//! The two sealed cookies in which the browser stores its session. Only this backend can read or make them.

use actix_web::cookie::SameSite;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::seal::{MasterSecret, Seal};
use foundation::time::Timestamp;
use relying_party::web::cookies::Cookie;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokens::feed::SessionIdentity;

/// The session cookie. Strict: the pages are static, and only their scripts ask.
pub(crate) const SESSION: Cookie<'_> =
    Cookie { name: "spa_session", path: "/", same_site: SameSite::Strict, shared: false };
/// The refresh cookie, which is sent to `/auth/refresh` alone.
pub(crate) const REFRESH: Cookie<'_> =
    Cookie { name: "spa_rt", path: "/auth/refresh", same_site: SameSite::Strict, shared: false };
/// A cookie may have 4,096 bytes, name and attributes included.
const MAX_COOKIE: usize = 3_800;

/// The content of the session cookie.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Random, new at every sign-in.
    pub id: String,
    /// The claims that the front end shows.
    pub profile: Value,
    /// The number of the pair of cookies that this one belongs to.
    pub pair: i64,
    /// End of the session unless it is refreshed, in Unix milliseconds.
    pub ends_at: i64,
    /// What tells whether it has ended at our own authority.
    #[serde(default)]
    pub identity: Option<SessionIdentity>,
}

/// The content of the refresh cookie.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Refresh {
    /// The session that it belongs to.
    pub session: String,
    /// The number of the pair of cookies that this one belongs to.
    pub pair: i64,
    pub refresh_token: String,
    /// Shown to the provider at sign-out; left out if there is no room.
    pub id_token: Option<String>,
}

/// The keys.
pub(crate) struct Seals {
    session: Seal,
    refresh: Seal,
    csrf: hmac::Key,
}

impl Seals {
    pub fn new(secret: &MasterSecret) -> Self {
        Self {
            session: secret.seal("spa session"),
            refresh: secret.seal("spa refresh"),
            csrf: secret.mac_key("spa csrf"),
        }
    }

    pub fn seal_session(&self, session: &Session) -> String {
        seal(&self.session, session)
    }

    pub fn unseal_session(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let session: Session = unseal(&self.session, cookie)?;
        (now.millis() < session.ends_at).then_some(session)
    }

    pub fn seal_refresh(&self, mut refresh: Refresh) -> String {
        let cookie = seal(&self.refresh, &refresh);
        if cookie.len() <= MAX_COOKIE {
            return cookie;
        }
        refresh.id_token = None;
        seal(&self.refresh, &refresh)
    }

    pub fn unseal_refresh(&self, cookie: &str) -> Option<Refresh> {
        unseal(&self.refresh, cookie)
    }

    /// The CSRF token of a session: only a script that may read `/auth/me` can know it.
    pub fn csrf_token(&self, session: &Session) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.csrf, session.id.as_bytes()))
    }

    pub fn is_csrf_token(&self, session: &Session, text: &[u8]) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(text);
        tag.is_ok_and(|tag| hmac::verify(&self.csrf, session.id.as_bytes(), &tag).is_ok())
    }
}

fn seal(seal: &Seal, content: &impl Serialize) -> String {
    let plain = serde_json::to_vec(content).expect("a cookie's content is JSON");
    URL_SAFE_NO_PAD.encode(seal.seal(b"cookie", &plain))
}

fn unseal<T: for<'de> Deserialize<'de>>(seal: &Seal, cookie: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
    serde_json::from_slice(&seal.unseal(b"cookie", &sealed).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cookies_open_here_alone_and_in_time() {
        let seals = |byte| Seals::new(&MasterSecret::new(vec![byte; 32]).unwrap());
        let session = Session {
            id: "one".to_owned(),
            profile: json!({}),
            pair: 1,
            ends_at: 1_000,
            identity: None,
        };
        let other = Session { id: "two".to_owned(), ..session.clone() };
        let cookie = seals(1).seal_session(&session);
        let at = Timestamp::from_millis;
        assert_eq!(seals(1).unseal_session(&cookie, at(999)).unwrap().id, "one");
        assert!(seals(1).unseal_session(&cookie, at(1_000)).is_none());
        assert!(seals(2).unseal_session(&cookie, at(0)).is_none());
        assert!(seals(1).unseal_refresh(&cookie).is_none(), "one is not the other");
        let token = seals(1).csrf_token(&session);
        assert!(seals(1).is_csrf_token(&session, token.as_bytes()));
        assert!(!seals(1).is_csrf_token(&other, token.as_bytes()));
        assert!(!seals(2).is_csrf_token(&session, token.as_bytes()));
        assert!(!seals(1).is_csrf_token(&session, b""));
    }

    #[test]
    fn a_cookie_never_grows_beyond_what_browsers_keep() {
        let seals = Seals::new(&MasterSecret::new(vec![1; 32]).unwrap());
        let refresh = |length| Refresh {
            session: "one".to_owned(),
            pair: 1,
            refresh_token: "rt".to_owned(),
            id_token: Some("x".repeat(length)),
        };
        let (small, large) =
            (seals.seal_refresh(refresh(1_000)), seals.seal_refresh(refresh(4_000)));
        assert!(seals.unseal_refresh(&small).unwrap().id_token.is_some());
        assert!(large.len() < 4_000 && seals.unseal_refresh(&large).unwrap().id_token.is_none());
    }
}
