//! Passkeys (Web Authentication Level 3): challenges and the checking of their answers.
//!
//! The state of a challenge travels through the browser, sealed, bound to the browser and in time; each
//! challenge is good for one answer, which the store remembers.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::origin::PublicUrl;
use foundation::seal::MasterSecret;
use foundation::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};
use uuid::Uuid;
use webauthn_rs::prelude::{
    CredentialID, DiscoverableAuthentication, Passkey, PasskeyAuthentication, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Webauthn, WebauthnBuilder,
};
use webauthn_rs_proto::ResidentKeyRequirement;

use super::vault::Vault;
use crate::domain::refresh_token::SecretHash;

/// The life of a challenge. A sign-in page offers passkeys while it is open.
const CHALLENGE_TTL: Duration = Duration::from_hours(1);
/// The largest answer of a browser, in bytes.
const MAX_ANSWER: usize = 8 * 1024;

/// A challenge for a browser.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// The options for `navigator.credentials`, as JSON.
    pub options: String,
    /// The sealed state, which has to come back with the answer.
    pub state: String,
}

/// A passkey that was made.
#[derive(Debug)]
pub struct MadePasskey {
    /// The id of the credential.
    pub credential_id: Vec<u8>,
    /// The credential, as JSON.
    pub credential: String,
    /// Whether a password manager keeps it on several devices.
    pub synced: bool,
}

/// A passkey that was used, with the challenge that it has answered.
#[derive(Debug)]
pub struct UsedPasskey {
    /// The id of the credential.
    pub credential_id: Vec<u8>,
    /// The credential, as JSON, with its new counter.
    pub credential: String,
    /// Whether a password manager keeps it on several devices.
    pub synced: bool,
    /// The challenge.
    pub challenge: SecretHash,
    /// The time until which the challenge must be remembered.
    pub expires_at: Timestamp,
}

/// Why an answer is refused. The text is for the log: users are told one thing in each case.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// Passkeys need a public URL with a name.
    #[error("passkeys need a public URL with a host name")]
    Unavailable,
    /// The state is not ours, not of this browser, or too old.
    #[error("the challenge is unknown, of another browser, or too old")]
    Challenge,
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Answer,
    /// The answer does not fit: origin, signature, user verification, or a counter that went back.
    #[error("{0}")]
    Refused(#[from] webauthn_rs::prelude::WebauthnError),
}

/// Makes challenges and checks answers.
pub struct Passkeys {
    webauthn: Option<Webauthn>,
    vault: Vault,
}

impl std::fmt::Debug for Passkeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passkeys").field("available", &self.is_available()).finish_non_exhaustive()
    }
}

impl Passkeys {
    /// For the relying party at this URL. An address that is no name has no passkeys (§5.1.2).
    pub fn new(public_url: &PublicUrl, name: &str, secrets: &[MasterSecret]) -> Self {
        let url = Url::parse(public_url.as_str()).ok();
        let webauthn = url.as_ref().and_then(|url| match url.host() {
            Some(Host::Domain(domain)) => {
                WebauthnBuilder::new(domain, url).ok()?.rp_name(name).build().ok()
            }
            _ => None,
        });
        Self { webauthn, vault: Vault::new(secrets, "passkeys") }
    }

    /// Whether there are passkeys here.
    pub fn is_available(&self) -> bool {
        self.webauthn.is_some()
    }

    fn webauthn(&self) -> Result<&Webauthn, PasskeyError> {
        self.webauthn.as_ref().ok_or(PasskeyError::Unavailable)
    }

    /// The id of the relying party.
    pub fn rp_id(&self) -> Option<String> {
        let origin = self.webauthn.as_ref()?.get_allowed_origins().first()?;
        origin.host_str().map(str::to_owned)
    }

    /// A challenge to make a passkey, which is none of the known ones.
    ///
    /// # Errors
    /// [`PasskeyError::Unavailable`].
    pub fn begin_registration(
        &self,
        (user, email, name): (Uuid, &str, &str),
        known: &[String],
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<Challenge, PasskeyError> {
        let webauthn = self.webauthn()?;
        let exclude: Vec<CredentialID> = known
            .iter()
            .filter_map(|json| passkey(json).ok())
            .map(|key| key.cred_id().clone())
            .collect();
        let (mut options, state) =
            webauthn.start_passkey_registration(user, email, name, Some(exclude))?;
        // Found by the browser without a user name: a passkey in the narrower sense.
        if let Some(selection) = &mut options.public_key.authenticator_selection {
            selection.resident_key = Some(ResidentKeyRequirement::Required);
            selection.require_resident_key = true;
        }
        self.challenge(&options, &state, "make", binding, now)
    }

    /// Checks a passkey that was made.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn finish_registration(
        &self,
        (state, answer): (&str, &str),
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<MadePasskey, PasskeyError> {
        let webauthn = self.webauthn()?;
        let (state, _): (PasskeyRegistration, _) = self.open(state, "make", binding, now)?;
        let answer: RegisterPublicKeyCredential = read(answer)?;
        let made = webauthn.finish_passkey_registration(&answer, &state)?;
        let credential = serde_json::to_value(&made).map_err(|_| PasskeyError::Answer)?;
        Ok(MadePasskey {
            credential_id: made.cred_id().clone(),
            synced: credential["cred"]["backup_state"] == serde_json::Value::Bool(true),
            credential: credential.to_string(),
        })
    }

    /// A challenge to sign in with any passkey that the browser finds.
    ///
    /// # Errors
    /// [`PasskeyError::Unavailable`].
    pub fn begin_sign_in(
        &self,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<Challenge, PasskeyError> {
        let webauthn = self.webauthn()?;
        let (options, state) = webauthn.start_discoverable_authentication()?;
        self.challenge(&options, &state, "sign in", binding, now)
    }

    /// The credential and the user that an answer names. Nothing is checked yet.
    ///
    /// # Errors
    /// [`PasskeyError::Answer`].
    pub fn identify(&self, answer: &str) -> Result<(Vec<u8>, Option<Uuid>), PasskeyError> {
        let answer: PublicKeyCredential = read(answer)?;
        let user = answer.get_user_unique_id().and_then(|id| Uuid::from_slice(id).ok());
        Ok((answer.get_credential_id().to_vec(), user))
    }

    /// Checks the answer to a challenge of [`Passkeys::begin_sign_in`] by the credential that it names.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn finish_sign_in(
        &self,
        (state, answer): (&str, &str),
        credential: &str,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<UsedPasskey, PasskeyError> {
        let webauthn = self.webauthn()?;
        let hash = SecretHash::of(state.as_bytes());
        let (state, expires_at): (DiscoverableAuthentication, _) =
            self.open(state, "sign in", binding, now)?;
        let answer: PublicKeyCredential = read(answer)?;
        let stored = passkey(credential)?;
        let result = webauthn.finish_discoverable_authentication_v2(&answer, state, &stored)?;
        used(stored, &result, hash, expires_at)
    }

    /// A challenge to show one of these passkeys.
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn begin_verification(
        &self,
        credentials: &[String],
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<Challenge, PasskeyError> {
        let webauthn = self.webauthn()?;
        let known: Vec<Passkey> =
            credentials.iter().filter_map(|json| passkey(json).ok()).collect();
        let (options, state) = webauthn.start_passkey_authentication(&known)?;
        self.challenge(&options, &state, "verify", binding, now)
    }

    /// Checks the answer to a challenge of [`Passkeys::begin_verification`].
    ///
    /// # Errors
    /// [`PasskeyError`].
    pub fn finish_verification(
        &self,
        (state, answer): (&str, &str),
        credential: &str,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<UsedPasskey, PasskeyError> {
        let webauthn = self.webauthn()?;
        let hash = SecretHash::of(state.as_bytes());
        let (state, expires_at): (PasskeyAuthentication, _) =
            self.open(state, "verify", binding, now)?;
        let answer: PublicKeyCredential = read(answer)?;
        let result = webauthn.finish_passkey_authentication(&answer, &state)?;
        used(passkey(credential)?, &result, hash, expires_at)
    }

    fn challenge(
        &self,
        options: &impl Serialize,
        state: &impl Serialize,
        purpose: &str,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<Challenge, PasskeyError> {
        let options = serde_json::to_string(options).map_err(|_| PasskeyError::Challenge)?;
        let mut plain = (now + CHALLENGE_TTL).millis().to_be_bytes().to_vec();
        plain.extend(serde_json::to_vec(state).map_err(|_| PasskeyError::Challenge)?);
        let sealed = self.vault.seal(&context(purpose, binding), &plain);
        Ok(Challenge { options, state: URL_SAFE_NO_PAD.encode(sealed) })
    }

    fn open<T: DeserializeOwned>(
        &self,
        state: &str,
        purpose: &str,
        binding: &SecretHash,
        now: Timestamp,
    ) -> Result<(T, Timestamp), PasskeyError> {
        let sealed = URL_SAFE_NO_PAD.decode(state).map_err(|_| PasskeyError::Challenge)?;
        let plain = self
            .vault
            .unseal(&context(purpose, binding), &sealed)
            .map_err(|_| PasskeyError::Challenge)?;
        let (expires_at, state) = plain.split_first_chunk().ok_or(PasskeyError::Challenge)?;
        let expires_at = Timestamp::from_millis(i64::from_be_bytes(*expires_at));
        if expires_at <= now {
            return Err(PasskeyError::Challenge);
        }
        let state = serde_json::from_slice(state).map_err(|_| PasskeyError::Challenge)?;
        Ok((state, expires_at))
    }
}

fn context(purpose: &str, binding: &SecretHash) -> Vec<u8> {
    [purpose.as_bytes(), b"\0", binding.as_bytes()].concat()
}

fn read<T: DeserializeOwned>(answer: &str) -> Result<T, PasskeyError> {
    if answer.len() > MAX_ANSWER {
        return Err(PasskeyError::Answer);
    }
    serde_json::from_str(answer).map_err(|_| PasskeyError::Answer)
}

fn passkey(json: &str) -> Result<Passkey, PasskeyError> {
    serde_json::from_str(json).map_err(|_| PasskeyError::Answer)
}

fn used(
    mut stored: Passkey,
    result: &webauthn_rs::prelude::AuthenticationResult,
    challenge: SecretHash,
    expires_at: Timestamp,
) -> Result<UsedPasskey, PasskeyError> {
    stored.update_credential(result).ok_or(PasskeyError::Answer)?;
    Ok(UsedPasskey {
        credential_id: stored.cred_id().clone(),
        credential: serde_json::to_string(&stored).map_err(|_| PasskeyError::Answer)?,
        synced: result.backup_state(),
        challenge,
        expires_at,
    })
}
