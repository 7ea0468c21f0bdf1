//! An authorization attempt. Each has a state, nonce and PKCE verifier of its own, in a cookie of its own, so that
//! several tabs can sign in at once; the server stores nothing.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::random::Random;
use foundation::seal::Seal;
use foundation::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Lifetime of an attempt: the time in which a user has to sign in.
pub const ATTEMPT_TTL: Duration = Duration::from_mins(15);

/// State of a sign-in between the authorization request and the callback.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attempt {
    /// `state`: returns in the authorization response (RFC 6749 §10.12).
    pub state: String,
    /// `nonce`: returns in the ID token (OpenID Connect Core §3.1.2.1).
    pub nonce: String,
    /// PKCE code verifier (RFC 7636 §4.1).
    pub verifier: String,
    /// Local path to which the sign-in leads.
    pub return_to: String,
    expires_at: i64,
}

impl Attempt {
    /// A new attempt, which leads to `return_to`.
    pub fn new(random: &dyn Random, return_to: &str, now: Timestamp) -> Self {
        Self {
            state: random.token(),
            nonce: random.token(),
            verifier: random.token(),
            return_to: return_to.to_owned(),
            expires_at: (now + ATTEMPT_TTL).millis(),
        }
    }

    /// The PKCE challenge (RFC 7636 §4.2, S256).
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// The last part of the cookie's name: distinguishes attempts without revealing the state.
    pub fn label(state: &str) -> String {
        URL_SAFE_NO_PAD.encode(&digest(&SHA256, state.as_bytes()).as_ref()[..9])
    }

    /// The value of the cookie.
    pub fn seal(&self, seal: &Seal) -> String {
        let plain = serde_json::to_vec(self).expect("an attempt is JSON");
        URL_SAFE_NO_PAD.encode(seal.seal(b"attempt", &plain))
    }

    /// The attempt in a cookie's value; `None` if it was not sealed with `seal`, has another state, or has expired.
    pub fn unseal(seal: &Seal, cookie: &str, state: &str, now: Timestamp) -> Option<Self> {
        let attempt = Self::open(seal, cookie)?;
        let same = subtle::ConstantTimeEq::ct_eq(attempt.state.as_bytes(), state.as_bytes());
        (bool::from(same) && now.millis() < attempt.expires_at).then_some(attempt)
    }

    fn open(seal: &Seal, cookie: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let plain = seal.unseal(b"attempt", &sealed).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// The expiry of the attempt in a cookie's value, to tell newer ones from older ones; `None` if it was not sealed
    /// with `seal`. The callback needs the state too: [`unseal`](Self::unseal).
    pub fn expiry(seal: &Seal, cookie: &str) -> Option<Timestamp> {
        Self::open(seal, cookie).map(|attempt| Timestamp::from_millis(attempt.expires_at))
    }
}

/// The longest path that a sign-in leads to, in bytes. It is kept in a cookie, and browsers send all of them each time.
const MAX_RETURN_TO: usize = 512;

/// `text` if it is a path of this app of at most 512 bytes, else `/`. Rejects everything that a browser would resolve to
/// another site.
pub fn local_path(text: Option<&str>) -> String {
    let is_local = |path: &&str| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= MAX_RETURN_TO
            && !path.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace())
    };
    text.filter(is_local).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use foundation::random::SeededRandom;

    use super::*;

    #[test]
    fn an_attempt_unseals_with_its_own_state_and_in_time_alone() {
        let seal = Seal::new(&[1; 32]);
        let now = Timestamp::from_millis(0);
        let random = SeededRandom::new(1);
        let attempt = Attempt::new(&random, "/notes", now);
        let cookie = attempt.seal(&seal);
        assert_eq!(
            Attempt::unseal(&seal, &cookie, &attempt.state, now).unwrap().return_to,
            "/notes"
        );
        assert!(Attempt::unseal(&seal, &cookie, "other", now).is_none());
        assert!(Attempt::unseal(&Seal::new(&[2; 32]), &cookie, &attempt.state, now).is_none());
        assert!(Attempt::unseal(&seal, &cookie, &attempt.state, now + ATTEMPT_TTL).is_none());
        assert!(!cookie.contains(&attempt.verifier));
    }

    #[test]
    fn only_local_paths_are_led_to() {
        assert_eq!(local_path(Some("/a?b=c#d")), "/a?b=c#d");
        for text in ["//evil", "/\\evil", "https://evil", "a", "/a b", "/a\r\nb", ""] {
            assert_eq!(local_path(Some(text)), "/", "{text}");
        }
        assert_eq!(local_path(None), "/");
        let longest = format!("/{}", "a".repeat(MAX_RETURN_TO - 1));
        assert_eq!(local_path(Some(&longest)), longest);
        assert_eq!(local_path(Some(&format!("{longest}a"))), "/");
    }
}
