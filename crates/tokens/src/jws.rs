//! Strict parsing of compact JWS (RFC 7515 §7.1), to be checked with a [`KeySet`](crate::KeySet).
//!
//! Application tokens and ID tokens have this in common. The claims are left to the caller.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::{Algorithm, Reject, strict_json};

/// The longest token that is parsed, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The length of an Ed25519 or P-256 signature, in bytes.
const SHORT_SIGNATURE: usize = 64;
/// The length of such a signature in base64url.
const SHORT_SIGNATURE_CHARS: usize = 86;

/// A parsed token. **Its content is not authenticated** until [`KeySet::check`](crate::KeySet::check) has succeeded.
#[derive(Debug)]
pub struct Compact<'a> {
    header: Cow<'a, Header>,
    pub(crate) signing_input: &'a str,
    pub(crate) signature: &'a str,
    /// The decoded signature, if it is 64 bytes long.
    pub(crate) short_signature: Option<[u8; SHORT_SIGNATURE]>,
    payload: &'a str,
}

/// The members of a JOSE header that are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    pub(crate) media_type: Option<String>,
}

impl Header {
    /// Encodes a header in base64url, as the authority writes it.
    pub(crate) fn encode(media_type: &str, algorithm: Algorithm, key_id: &str) -> String {
        let header = json!({ "typ": media_type, "alg": algorithm.name(), "kid": key_id });
        URL_SAFE_NO_PAD.encode(header.to_string())
    }

    fn decode(encoded: &str) -> Result<Self, Reject> {
        let header = strict_json::parse_object(&decode(encoded)?)?;
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
        })
    }
}

impl<'a> Compact<'a> {
    /// Parses a token.
    ///
    /// *Checks* size, three non-empty parts, strict base64url without padding, a header that is one JSON
    /// object without duplicate members, the types of `alg`, `kid` and `typ`, the absence of `crit`.
    /// *Ignores* `jku`, `x5u`, `x5c`, `jwk`: a token cannot supply its own key.
    /// *Does not check* the signature or any claim.
    ///
    /// # Errors
    /// The [`Reject`] for the first fault found.
    pub fn parse(token: &'a str) -> Result<Self, Reject> {
        Self::parse_with_known_headers(token, |_| None)
    }

    /// Parses a token as [`Compact::parse`] does, but takes the header from `known` if that has the same encoded text.
    pub(crate) fn parse_with_known_headers(
        token: &'a str,
        known: impl Fn(&str) -> Option<&'a Header>,
    ) -> Result<Self, Reject> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Reject::TooLarge);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Reject::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Reject::Malformed)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(Reject::Malformed);
        }
        let short_signature = if signature.len() == SHORT_SIGNATURE_CHARS {
            let mut bytes = [0; SHORT_SIGNATURE];
            let length = URL_SAFE_NO_PAD.decode_slice_unchecked(signature, &mut bytes);
            length.map_err(|_| Reject::Malformed)?;
            Some(bytes)
        } else {
            decode(signature)?;
            None
        };
        let header = match known(header) {
            Some(header) => Cow::Borrowed(header),
            None => Cow::Owned(Header::decode(header)?),
        };
        Ok(Self { header, signing_input, signature, short_signature, payload })
    }

    /// The `kid` of the header.
    pub fn key_id(&self) -> Option<&str> {
        self.header.key_id.as_deref()
    }

    /// The `typ` of the header.
    pub fn media_type(&self) -> Option<&str> {
        self.header.media_type.as_deref()
    }

    /// The `alg` of the header.
    pub fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// The claims, as JSON without duplicate members.
    ///
    /// # Errors
    /// [`Reject::Malformed`] when they are not a JSON object, [`Reject::DuplicateMember`].
    pub fn claims(&self) -> Result<Map<String, Value>, Reject> {
        Ok(strict_json::parse_object(&self.payload()?)?)
    }

    /// The decoded payload.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, Reject> {
        decode(self.payload)
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
