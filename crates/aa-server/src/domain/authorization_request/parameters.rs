//! The parameters of an authorization request, and how their values are read.

use tokens::Scope;

use super::error::{AuthorizationError, BrokenLink, ErrorCode, Refusal};
use super::values::{Prompt, ResponseMode};
use crate::domain::client::{ClientMetadata, ClientType, OPENID, ScopeError};
use crate::domain::client_document::ApiError;

/// The parameters of a request, in the order they came.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a>(pub &'a [(String, String)]);

/// A parameter is there more than once (RFC 6749 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

impl From<Repeated> for Refusal {
    fn from(_: Repeated) -> Self {
        Self(ErrorCode::InvalidRequest, "a parameter is there more than once")
    }
}

/// The one parameter that may be there more than once (RFC 8707 §2).
const RESOURCE: &str = "resource";

impl<'a> Parameters<'a> {
    /// The value of a parameter. An empty one counts as left out (RFC 6749 §3.1).
    pub(super) fn get(self, name: &str) -> Result<Option<&'a str>, Repeated> {
        let mut found = self.0.iter().filter(|(known, _)| known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        if found.next().is_some() {
            return Err(Repeated);
        }
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn has(self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    fn any_repeated(self) -> bool {
        self.0.iter().any(|(name, _)| name != RESOURCE && self.get(name).is_err())
    }

    /// The `client_id`, with which the client is looked up.
    ///
    /// # Errors
    /// [`AuthorizationError::Show`] when it is missing or repeated.
    pub fn client_id(self) -> Result<&'a str, AuthorizationError> {
        let client_id = self.get("client_id").map_err(|_| BrokenLink::RepeatedClientId)?;
        Ok(client_id.ok_or(BrokenLink::MissingClientId)?)
    }

    /// Refuses repeated parameters and request objects (RFC 9101).
    pub(super) fn check_form(self) -> Result<(), Refusal> {
        let unsupported = "request objects are not supported";
        if self.any_repeated() {
            return Err(Repeated.into());
        }
        if self.has("request") {
            return Err(Refusal(ErrorCode::RequestNotSupported, unsupported));
        }
        if self.has("request_uri") {
            return Err(Refusal(ErrorCode::RequestUriNotSupported, unsupported));
        }
        Ok(())
    }

    /// The `response_mode`, by which errors travel too. One that is not known counts as left out.
    pub(super) fn response_mode(self) -> ResponseMode {
        let mode = self.get("response_mode").ok().flatten();
        mode.and_then(ResponseMode::named).unwrap_or(ResponseMode::Query)
    }

    /// The `code_challenge`. `None` from a client that does without PKCE.
    pub(super) fn code_challenge(self, client: &ClientMetadata) -> Result<Option<String>, Refusal> {
        let method = self.get("code_challenge_method")?;
        let Some(challenge) = self.get("code_challenge")? else {
            return match (client.no_pkce, client.kind) {
                (true, _) if method.is_none() => Ok(None),
                (false, ClientType::Confidential) => {
                    Err(Refusal(ErrorCode::InvalidRequest, PKCE_IS_NEEDED_OR_THE_SETTING))
                }
                _ => Err(Refusal(ErrorCode::InvalidRequest, PKCE_IS_NEEDED)),
            };
        };
        if method != Some("S256") || !is_sha256(challenge) {
            return Err(Refusal(ErrorCode::InvalidRequest, "code_challenge must be that of S256"));
        }
        Ok(Some(challenge.to_owned()))
    }

    /// The `dpop_jkt` (RFC 9449 §10).
    pub(super) fn dpop_jkt(self) -> Result<Option<String>, Refusal> {
        let thumbprint = self.get("dpop_jkt")?;
        if thumbprint.is_some_and(|text| !is_sha256(text)) {
            let why = "dpop_jkt must be a SHA-256 thumbprint";
            return Err(Refusal(ErrorCode::InvalidRequest, why));
        }
        Ok(thumbprint.map(str::to_owned))
    }

    /// The `prompt` (OpenID Connect Core §3.1.2.1).
    ///
    /// `create` is known only while users can create accounts themselves (Initiating User Registration via OpenID Connect
    /// 1.0 §4.1).
    pub(super) fn prompt(self, registration_is_open: bool) -> Result<Prompt, Refusal> {
        let text = self.get("prompt")?.unwrap_or_default();
        let values: Vec<&str> = text.split_whitespace().collect();
        let has = |name: &str| values.contains(&name);
        if !values
            .iter()
            .all(|value| prompt_values(registration_is_open).any(|known| known == *value))
        {
            return Err(Refusal(ErrorCode::InvalidRequest, "prompt has an unknown value"));
        }
        Ok(match () {
            () if has("none") && values.len() > 1 => {
                return Err(Refusal(ErrorCode::InvalidRequest, "prompt=none stands alone"));
            }
            () if has("none") => Prompt::None,
            () if has("create") => Prompt::Create,
            () if has("login") || has("select_account") => Prompt::Login,
            () => Prompt::Auto,
        })
    }

    /// The scope to be granted.
    pub(super) fn scope(self, client: &ClientMetadata) -> Result<Scope, Refusal> {
        client.grantable_scope(self.get("scope")?).map_err(|why| {
            let unreadable = "the scope cannot be read";
            let why = if why == ScopeError::Unreadable { unreadable } else { NOTHING_ALLOWED };
            Refusal(ErrorCode::InvalidScope, why)
        })
    }

    /// The audiences that the request names, each once (RFC 8707 §2).
    pub(super) fn resources(self, client: &ClientMetadata) -> Result<Vec<String>, Refusal> {
        let mut resources: Vec<String> = Vec::new();
        let values = self.0.iter().filter(|(name, value)| name == RESOURCE && !value.is_empty());
        for (_, value) in values {
            if !client.allowed_audiences().contains(&value.as_str()) {
                return Err(Refusal(ErrorCode::InvalidTarget, UNKNOWN_RESOURCE));
            }
            if !resources.contains(value) {
                resources.push(value.clone());
            }
        }
        Ok(resources)
    }
}

/// The values of `prompt` that are known.
pub fn prompt_values(registration_is_open: bool) -> impl Iterator<Item = &'static str> {
    let create = registration_is_open.then_some("create");
    ["none", "login", "consent", "select_account"].into_iter().chain(create)
}

/// Without PKCE, a `nonce` binds the code to the sign-in it belongs to (RFC 9700 §2.1.1), for which an ID token is needed.
pub(super) fn check_nonce(nonce: Option<&str>, scope: &Scope) -> Result<(), Refusal> {
    if nonce.is_some() && scope.contains(OPENID) {
        return Ok(());
    }
    let needed = "without code_challenge, nonce and the scope openid are needed";
    Err(Refusal(ErrorCode::InvalidRequest, needed))
}

/// The refusal of an agent by the API that it asks for.
pub(super) fn of_api(error: ApiError) -> Refusal {
    match error {
        ApiError::Target => Refusal(ErrorCode::InvalidTarget, ONE_RESOURCE),
        ApiError::Scope => Refusal(ErrorCode::InvalidScope, NOTHING_ALLOWED),
    }
}

/// Whether a text has the form of a SHA-256 in base64url.
fn is_sha256(text: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.len() == 43 && text.bytes().all(base64url)
}

pub(super) const PKCE_IS_NEEDED: &str = "PKCE is needed: code_challenge is missing";
const PKCE_IS_NEEDED_OR_THE_SETTING: &str =
    "PKCE is needed: code_challenge is missing (an operator can set no_pkce for this app)";
pub(super) const UNKNOWN_RESOURCE: &str = "resource is not one of this app's audiences";
const ONE_RESOURCE: &str = "resource has to name one API, which lets such agents ask for something";
pub(super) const NOTHING_ALLOWED: &str = "the scope has nothing that this app may ask for";
