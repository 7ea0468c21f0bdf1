//! Codes of authenticator apps (RFC 6238): SHA-1, six digits, 30 seconds, as every app knows them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::seal::MasterSecret;
use foundation::time::Timestamp;
use zeroize::Zeroizing;

use super::vault::Vault;
use crate::domain::ids::UserId;
use crate::domain::refresh_token::SecretHash;
use crate::store::TotpRow;

/// The time within which a new secret has to be proved.
const SETUP_TTL: Duration = Duration::from_mins(30);

/// A secret for an authenticator app, which counts once a code has proved that the app has it.
#[derive(Debug)]
pub struct NewTotp {
    /// The `otpauth:` URL for the app.
    pub url: Zeroizing<String>,
    /// The secret in Base32, in groups of four.
    pub secret: Zeroizing<String>,
    /// The sealed secret, which has to come back with the code.
    pub state: String,
}

/// Makes secrets and checks codes.
#[derive(Debug)]
pub struct Totp(Vault);

fn totp_of(secret: &[u8], names: Option<(&str, &str)>) -> Option<totp_rs::Totp> {
    let builder = totp_rs::Builder::new().with_secret(secret.to_vec());
    let builder = match names {
        None => builder,
        Some((issuer, account)) => builder
            .with_account_name(account.replace(':', " "))
            .with_issuer(Some(issuer.replace(':', " "))),
    };
    builder.build().ok()
}

impl Totp {
    /// Under these secrets, newest first.
    pub fn new(secrets: &[MasterSecret]) -> Self {
        Self(Vault::new(secrets, "totp"))
    }

    /// Begins a set-up with this secret, for this user, in this browser. Nothing is kept of it.
    pub fn begin(
        &self,
        secret: &[u8; 20],
        user: UserId,
        names: (&str, &str),
        binding: &SecretHash,
        now: Timestamp,
    ) -> Option<NewTotp> {
        let expires_at = (now + SETUP_TTL).millis().to_be_bytes();
        let plain = Zeroizing::new([&expires_at[..], &secret[..]].concat());
        let state = URL_SAFE_NO_PAD.encode(self.0.seal(&setup(user, binding), &plain));
        shown(secret, names, state)
    }

    /// A set-up that was begun before, to be shown again.
    pub fn resume(
        &self,
        state: &str,
        user: UserId,
        names: (&str, &str),
        binding: &SecretHash,
        now: Timestamp,
    ) -> Option<NewTotp> {
        let secret = self.secret_of(state, user, binding, now)?;
        shown(&secret, names, state.to_owned())
    }

    fn secret_of(
        &self,
        state: &str,
        user: UserId,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = URL_SAFE_NO_PAD.decode(state).ok()?;
        let plain = self.0.unseal(&setup(user, binding), &sealed).ok()?;
        let (expires_at, secret) = plain.split_first_chunk()?;
        let expires_at = Timestamp::from_millis(i64::from_be_bytes(*expires_at));
        (expires_at > now).then(|| Zeroizing::new(secret.to_vec()))
    }

    /// The secret of a set-up as the database keeps it; `None` when the set-up has expired or is another user's or browser's.
    pub fn finish(
        &self,
        state: &str,
        user: UserId,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Option<TotpRow> {
        let secret = self.secret_of(state, user, binding, now)?;
        Some(TotpRow { secret_sealed: self.0.seal(user.uuid().as_bytes(), &secret), last_step: 0 })
    }

    /// The time step that a code belongs to, with the secret sealed under the newest line. `None` when it fits none around now.
    pub fn check(
        &self,
        row: &TotpRow,
        user: UserId,
        code: &str,
        now: Timestamp,
    ) -> Option<TotpRow> {
        let secret = self.0.unseal(user.uuid().as_bytes(), &row.secret_sealed).ok()?;
        let code: String = code.chars().filter(char::is_ascii_digit).take(16).collect();
        let step = totp_of(&secret, None)?.check(&code, u64::try_from(now.secs()).ok()?)?;
        let secret_sealed = self.0.seal(user.uuid().as_bytes(), &secret);
        Some(TotpRow { secret_sealed, last_step: i64::try_from(step).ok()? })
    }

    /// The same secret under the newest line; `None` when it is already, or no line opens it.
    pub fn reseal(&self, user: UserId, sealed: &[u8]) -> Option<Vec<u8>> {
        if self.line_of(user, sealed)? == 0 {
            return None;
        }
        let secret = self.0.unseal(user.uuid().as_bytes(), sealed).ok()?;
        Some(self.0.seal(user.uuid().as_bytes(), &secret))
    }

    /// The line of the server's secret, from 0, under which a secret is sealed.
    pub fn line_of(&self, user: UserId, sealed: &[u8]) -> Option<usize> {
        self.0.line_of(user.uuid().as_bytes(), sealed)
    }
}

fn setup(user: UserId, binding: &SecretHash) -> Vec<u8> {
    [b"setup", user.uuid().as_bytes().as_slice(), binding.as_bytes()].concat()
}

fn shown(secret: &[u8], names: (&str, &str), state: String) -> Option<NewTotp> {
    let url = Zeroizing::new(totp_of(secret, Some(names))?.to_url().ok()?);
    let base32 = Zeroizing::new(totp_rs::Secret::from(secret.to_vec()).to_base32());
    let groups = base32.as_bytes().chunks(4).filter_map(|group| std::str::from_utf8(group).ok());
    Some(NewTotp { url, secret: Zeroizing::new(groups.collect::<Vec<_>>().join(" ")), state })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totp() -> Totp {
        Totp::new(&[MasterSecret::new(vec![7; 32]).unwrap()])
    }

    #[test]
    fn a_code_belongs_to_one_step() {
        let (user, binding) = (UserId::from(uuid::Uuid::nil()), SecretHash::of(b"browser"));
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let secret = b"12345678901234567890";
        let begun = totp()
            .begin(secret, user, ("Acme: Sign-in", "ann@example.com"), &binding, at(0))
            .unwrap();
        assert!(begun.url.starts_with("otpauth://totp/Acme"), "{}", *begun.url);
        let row = totp().finish(&begun.state, user, &binding, at(1)).unwrap();
        // RFC 6238, appendix B: of its eight digits the last six.
        let step = totp().check(&row, user, "287 082", at(59)).map(|row| row.last_step);
        assert_eq!(step, Some(1));
        assert_eq!(totp().check(&row, user, "287082", at(150)).map(|row| row.last_step), None);
        assert_eq!(totp().check(&row, user, "", at(59)).map(|row| row.last_step), None);
        let other = UserId::from(uuid::Uuid::max());
        assert!(totp().check(&row, other, "287082", at(59)).is_none(), "a row of another user");
    }

    #[test]
    fn a_set_up_is_one_users_in_one_browser_for_half_an_hour() {
        let (user, binding) = (UserId::from(uuid::Uuid::nil()), SecretHash::of(b"browser"));
        let now = Timestamp::from_millis(0);
        let begun = totp().begin(&[1; 20], user, ("A", "a"), &binding, now).unwrap();
        let finish = |user, binding: &[u8], now| {
            totp().finish(&begun.state, user, &SecretHash::of(binding), now).is_some()
        };
        assert!(finish(user, b"browser", now));
        assert!(!finish(user, b"another", now));
        assert!(!finish(UserId::from(uuid::Uuid::max()), b"browser", now));
        assert!(!finish(user, b"browser", now + SETUP_TTL));
        let again = totp().resume(&begun.state, user, ("A", "a"), &binding, now).unwrap();
        assert_eq!(*again.secret, *begun.secret);
    }
}
