//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) as a value: read and judged once, then
//! answered, or stored while the user signs in.

use foundation::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use tokens::Scope;

use super::authentication::{AAL1, AAL2, is_multi_factor};
use super::client::{ClientMetadata, ScopeError};

/// Bytes of a `state` or `nonce`, at most: they are stored until the request is answered.
const MAX_KEPT_VALUE: usize = 512;

/// The parameters of a request, in the order they came.
#[derive(Debug, Clone, Copy)]
pub struct Parameters<'a>(pub &'a [(String, String)]);

/// A parameter is there more than once (RFC 6749 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

impl<'a> Parameters<'a> {
    /// The value of a parameter. An empty one counts as left out (RFC 6749 §3.1).
    fn get(self, name: &str) -> Result<Option<&'a str>, Repeated> {
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
        self.0.iter().any(|(name, _)| self.get(name).is_err())
    }

    /// The `client_id`, with which the client is looked up.
    ///
    /// # Errors
    /// [`AuthorizationError::Show`] when it is missing or repeated.
    pub fn client_id(self) -> Result<&'a str, AuthorizationError> {
        let client_id = self.get("client_id").map_err(|_| BrokenLink::RepeatedClientId)?;
        Ok(client_id.ok_or(BrokenLink::MissingClientId)?)
    }
}

/// How the response travels to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// Where a response goes: a redirect URI that the client has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseTarget {
    /// The redirect URI, as the request wrote it.
    pub redirect_uri: String,
    /// The client's `state`, returned as it came.
    pub state: Option<String>,
    /// How the response travels.
    pub response_mode: ResponseMode,
}

/// The `prompt` (OpenID Connect Core §3.1.2.1). `consent` asks for nothing: there is no consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Show a page if one is needed.
    Auto,
    /// Show no page (`none`).
    None,
    /// Ask the user to sign in (`login`, `select_account`).
    Login,
}

/// A request that can be granted once a suitable user is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// The client.
    pub client_id: String,
    /// Where the response goes.
    pub target: ResponseTarget,
    /// The scope to be granted.
    #[serde(deserialize_with = "scope_from_text")]
    pub scope: Scope,
    /// The audience of the application tokens (`resource`, RFC 8707).
    pub audience: String,
    /// The `nonce`, for the ID token.
    pub nonce: Option<String>,
    /// Base64url SHA-256 of the PKCE verifier (RFC 7636 §4.2).
    pub code_challenge: String,
    /// The `prompt`.
    pub prompt: Prompt,
    /// The greatest age of the sign-in, in seconds.
    pub max_age: Option<u32>,
    /// The subject of the `id_token_hint`: the only user whom the client accepts.
    pub subject: Option<String>,
    /// The `login_hint`, filled in on the sign-in page.
    pub login_hint: Option<String>,
    /// Whether the user has to show two factors (`acr_values`, or the client's own rule).
    #[serde(default)]
    pub two_factors: bool,
    /// The `ui_locales`, in which the sign-in page is shown.
    #[serde(default)]
    pub ui_locales: Option<String>,
}

fn scope_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|()| serde::de::Error::custom("not a scope"))
}

/// Why a request without a trustworthy redirect URI cannot be answered, as the end of "An app sent you here with".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLink {
    /// `client_id` is repeated.
    #[error("two client_ids")]
    RepeatedClientId,
    /// `client_id` is missing.
    #[error("no client_id")]
    MissingClientId,
    /// The client does not exist or is disabled.
    #[error("an unknown client_id")]
    UnknownClient,
    /// `redirect_uri` is repeated.
    #[error("two redirect_uris")]
    RepeatedRedirectUri,
    /// `redirect_uri` is missing.
    #[error("no redirect_uri")]
    MissingRedirectUri,
    /// `redirect_uri` is not registered for the client.
    #[error("a redirect_uri that it has not registered")]
    UnregisteredRedirectUri,
}

/// An error code (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, RFC 8707 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the specifications")]
pub enum ErrorCode {
    InvalidRequest,
    InvalidScope,
    AccessDenied,
    InteractionRequired,
    InvalidTarget,
    LoginRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    UnsupportedResponseType,
}

impl ErrorCode {
    /// The code as the client receives it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::InteractionRequired => "interaction_required",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::UnsupportedResponseType => "unsupported_response_type",
        }
    }
}

/// A request that is refused. The variant says who is told (RFC 6749 §4.1.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizationError {
    /// Shown to the user, and sent nowhere: the client or its redirect URI is not certain.
    #[error("{0}")]
    Show(#[from] BrokenLink),
    /// Sent to the client.
    #[error("{}: {description}", code.as_str())]
    Redirect {
        /// Where it goes.
        target: Box<ResponseTarget>,
        /// The code.
        code: ErrorCode,
        /// The description, for the client's developers.
        description: &'static str,
    },
}

/// An error for the client whose target is still to be added.
struct Refusal(ErrorCode, &'static str);

impl From<Repeated> for Refusal {
    fn from(_: Repeated) -> Self {
        Self(ErrorCode::InvalidRequest, "a parameter is there more than once")
    }
}

/// Whether one of the levels that there are here would do for the client, and none below two factors.
fn demands_two_factors(acr_values: &str) -> bool {
    let has = |level: &str| acr_values.split(' ').any(|value| value == level);
    has(AAL2) && !has(AAL1)
}

/// Whether a value that is kept with the request is no longer than it may be.
fn is_short(value: &&str) -> bool {
    value.len() <= MAX_KEPT_VALUE
}

impl AuthorizationRequest {
    /// Reads and judges a request of this client. `subject_of` reads the subject of an `id_token_hint`; `None` unless
    /// it is an ID token of this issuer.
    ///
    /// # Errors
    /// [`AuthorizationError::Show`] when the redirect URI is missing, repeated or not registered;
    /// [`AuthorizationError::Redirect`] for everything else.
    pub fn parse(
        parameters: Parameters<'_>,
        client: &ClientMetadata,
        subject_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, AuthorizationError> {
        let redirect_uri =
            parameters.get("redirect_uri").map_err(|_| BrokenLink::RepeatedRedirectUri)?;
        let redirect_uri = redirect_uri.ok_or(BrokenLink::MissingRedirectUri)?;
        if !client.allows_redirect(redirect_uri) {
            return Err(BrokenLink::UnregisteredRedirectUri.into());
        }
        let form_post = parameters.get("response_mode") == Ok(Some("form_post"));
        let target = ResponseTarget {
            redirect_uri: redirect_uri.to_owned(),
            state: parameters.get("state").ok().flatten().filter(is_short).map(str::to_owned),
            response_mode: if form_post { ResponseMode::FormPost } else { ResponseMode::Query },
        };
        Self::judge(parameters, client, target.clone(), subject_of)
            .map_err(|Refusal(code, description)| target.refuse(code, description))
    }

    fn judge(
        parameters: Parameters<'_>,
        client: &ClientMetadata,
        target: ResponseTarget,
        subject_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, Refusal> {
        use ErrorCode::{InvalidRequest, InvalidScope, InvalidTarget, UnsupportedResponseType};

        let get = |name| Ok::<_, Refusal>(parameters.get(name)?);
        let owned = |name| Ok::<_, Refusal>(get(name)?.map(str::to_owned));
        check_form(parameters)?;
        if !get("state")?.iter().chain(&get("nonce")?).all(is_short) {
            return Err(Refusal(InvalidRequest, "state and nonce have at most 512 characters"));
        }
        match get("response_type")? {
            Some("code") => {}
            Some(_) => return Err(Refusal(UnsupportedResponseType, "only code is supported")),
            None => return Err(Refusal(InvalidRequest, "response_type is missing")),
        }
        if !matches!(get("response_mode")?, None | Some("query" | "form_post")) {
            return Err(Refusal(InvalidRequest, "response_mode must be query or form_post"));
        }
        let code_challenge = code_challenge(parameters)?;
        let prompt = prompt(get("prompt")?)?;
        let max_age = get("max_age")?.map(str::parse::<u32>).transpose();
        let max_age = max_age.map_err(|_| Refusal(InvalidRequest, "max_age must be a number"))?;
        let audience = client.choose_audience(get("resource")?, None);
        let audience = audience
            .map_err(|_| Refusal(InvalidTarget, "resource is not one of this app's audiences"))?;
        let scope = client.requested_scope(get("scope")?).map_err(|why| match why {
            ScopeError::Unreadable => Refusal(InvalidScope, "the scope cannot be read"),
            ScopeError::TooWide => Refusal(InvalidScope, TOO_WIDE),
        })?;
        let no_hint = Refusal(InvalidRequest, "id_token_hint is no ID token of this issuer");
        let subject = match get("id_token_hint")? {
            Some(hint) => Some(subject_of(hint).ok_or(no_hint)?),
            None => None,
        };
        Ok(Self {
            client_id: client.client_id.clone(),
            target,
            scope,
            audience: audience.to_owned(),
            nonce: owned("nonce")?,
            code_challenge,
            prompt,
            max_age,
            subject,
            login_hint: owned("login_hint")?,
            two_factors: client.two_factors || get("acr_values")?.is_some_and(demands_two_factors),
            ui_locales: owned("ui_locales")?.filter(|list| list.len() <= MAX_KEPT_VALUE),
        })
    }

    /// Whether a sign-in will do: of the user whom the client expects, with the factors that it demands, and recent enough.
    ///
    /// A sign-in after `floor` is recent enough whatever the request says: the user was asked for it. The floor is
    /// known to the authority alone, never read from the browser.
    pub fn accepts(
        &self,
        subject: &str,
        (auth_time, amr): (Timestamp, &str),
        floor: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        if self.subject.as_deref().is_some_and(|expected| expected != subject) {
            return false;
        }
        if self.two_factors && !is_multi_factor(amr) {
            return false;
        }
        let too_old =
            self.max_age.is_some_and(|max_age| now.secs() - auth_time.secs() > i64::from(max_age));
        let fresh = self.prompt != Prompt::Login && !too_old;
        fresh || floor.is_some_and(|floor| auth_time > floor)
    }

    /// Whether the user may have to sign in again although a session exists (`prompt`, `max_age`).
    pub fn demands_recent_sign_in(&self) -> bool {
        self.prompt == Prompt::Login || self.max_age.is_some()
    }

    /// The error for a client that allows no page when one is needed.
    pub fn login_required(&self) -> AuthorizationError {
        self.target.refuse(ErrorCode::LoginRequired, "no suitable user is signed in")
    }

    /// The error for a client that allows no page when the user has to confirm that they want to continue to it.
    pub fn interaction_required(&self) -> AuthorizationError {
        let description = "the user must confirm that they want to continue to this app";
        self.target.refuse(ErrorCode::InteractionRequired, description)
    }

    /// The error for a client that the user does not want to continue to.
    pub fn access_denied(&self) -> AuthorizationError {
        self.target.refuse(ErrorCode::AccessDenied, "the user did not continue to this app")
    }

    /// Judges a stored request again: the client may have been changed since.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn check_again(&self, client: &ClientMetadata) -> Result<(), AuthorizationError> {
        if !client.allows_redirect(&self.target.redirect_uri) {
            return Err(BrokenLink::UnregisteredRedirectUri.into());
        }
        let scope = self.scope.is_subset_of(&client.allowed_scopes());
        let audience = client.choose_audience(Some(&self.audience), None);
        match (scope, audience) {
            (false, _) => Err(self.target.refuse(ErrorCode::InvalidScope, TOO_WIDE)),
            (true, Err(_)) => {
                let description = "resource is not one of this app's audiences";
                Err(self.target.refuse(ErrorCode::InvalidTarget, description))
            }
            (true, Ok(_)) => Ok(()),
        }
    }
}

impl ResponseTarget {
    fn refuse(&self, code: ErrorCode, description: &'static str) -> AuthorizationError {
        AuthorizationError::Redirect { target: Box::new(self.clone()), code, description }
    }
}

const TOO_WIDE: &str = "the scope is more than this app may ask for";

/// Refuses repeated parameters and request objects (RFC 9101).
fn check_form(parameters: Parameters<'_>) -> Result<(), Refusal> {
    let unsupported = "request objects are not supported";
    if parameters.any_repeated() {
        return Err(Repeated.into());
    }
    if parameters.has("request") {
        return Err(Refusal(ErrorCode::RequestNotSupported, unsupported));
    }
    if parameters.has("request_uri") {
        return Err(Refusal(ErrorCode::RequestUriNotSupported, unsupported));
    }
    Ok(())
}

fn code_challenge(parameters: Parameters<'_>) -> Result<String, Refusal> {
    let missing = Refusal(ErrorCode::InvalidRequest, "PKCE is needed: code_challenge is missing");
    let challenge = parameters.get("code_challenge")?.ok_or(missing)?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let well_formed = challenge.len() == 43 && challenge.bytes().all(base64url);
    if parameters.get("code_challenge_method")? != Some("S256") || !well_formed {
        return Err(Refusal(ErrorCode::InvalidRequest, "code_challenge must be that of S256"));
    }
    Ok(challenge.to_owned())
}

fn prompt(text: Option<&str>) -> Result<Prompt, Refusal> {
    let values: Vec<&str> = text.unwrap_or_default().split_whitespace().collect();
    let known = ["none", "login", "consent", "select_account"];
    if values.iter().any(|value| !known.contains(value)) {
        return Err(Refusal(ErrorCode::InvalidRequest, "prompt has an unknown value"));
    }
    if values.contains(&"none") {
        return match values.len() {
            1 => Ok(Prompt::None),
            _ => Err(Refusal(ErrorCode::InvalidRequest, "prompt=none stands alone")),
        };
    }
    let login = values.contains(&"login") || values.contains(&"select_account");
    Ok(if login { Prompt::Login } else { Prompt::Auto })
}

#[cfg(test)]
mod tests;
