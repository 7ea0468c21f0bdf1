//! A compact JWS (RFC 7515 §7.1), taken apart strictly and checked against a [`KeySet`](crate::KeySet).
//!
//! This is what application tokens and ID tokens have in common. What the claims mean is the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::{Algorithm, Reject, strict_json};

/// The largest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A token taken apart. **Nothing in it is to be believed** before [`KeySet::check`](crate::KeySet::check) has answered.
#[derive(Debug)]
pub struct Compact<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) media_type: Option<String>,
    pub(crate) signing_input: &'a str,
    pub(crate) signature: &'a str,
    payload: &'a str,
}

impl<'a> Compact<'a> {
    /// Takes a token apart.
    ///
    /// *Checks* size, three non-empty parts, strict base64url without padding, a header that is one JSON
    /// object without duplicate members, the types of `alg`, `kid` and `typ`, the absence of `crit`.
    /// *Ignores* `jku`, `x5u`, `x5c`, `jwk`: a token does not bring its own key.
    /// *Does not check* the signature or any claim.
    ///
    /// # Errors
    /// A [`Reject`] that names the first thing wrong.
    pub fn parse(token: &'a str) -> Result<Self, Reject> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Reject::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Reject::Malformed)?;
        if payload.contains('.') || signature.is_empty() || decode(signature).is_err() {
            return Err(Reject::Malformed);
        }
        let header = strict_json::parse_object(&decode(header)?)?;
        if header.contains_key("crit") {
            return Err(Reject::Critical);
        }
        let algorithm = text(&header, "alg")?
            .ok_or(Reject::Malformed)?
            .parse()
            .map_err(|_| Reject::AlgorithmNotAllowed)?;
        Ok(Self {
            algorithm,
            key_id: text(&header, "kid")?.map(str::to_owned),
            media_type: text(&header, "typ")?.map(str::to_owned),
            signing_input,
            signature,
            payload,
        })
    }

    /// The `kid` of the header.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The `typ` of the header.
    pub fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    /// The `alg` of the header.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The claims, as JSON without duplicate members.
    ///
    /// # Errors
    /// [`Reject::Malformed`] or [`Reject::DuplicateMember`].
    pub fn claims(&self) -> Result<Map<String, Value>, Reject> {
        Ok(strict_json::parse_object(&decode(self.payload)?)?)
    }
}

fn decode(part: &str) -> Result<Vec<u8>, Reject> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Reject::Malformed)
}

fn text<'m>(header: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, Reject> {
    match header.get(name) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value)),
        Some(_) => Err(Reject::Malformed),
    }
}
