//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) as a value: read and judged once, then
//! answered, or stored while the user signs in.

mod error;
mod parameters;
mod values;

use foundation::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use tokens::Scope;

use super::authentication::{AAL1, AAL2, is_multi_factor};
use super::client::ClientMetadata;
use super::requested_claims::{ClaimsParameter, RequestedClaims};
use error::Refusal;
use parameters::{NOTHING_ALLOWED, PKCE_IS_NEEDED, UNKNOWN_RESOURCE, check_nonce, of_api};

pub use error::{AuthorizationError, BrokenLink, ErrorCode};
pub use parameters::{Parameters, Repeated, prompt_values};
pub use values::{Prompt, REQUEST_URI_PREFIX, ResponseMode, ResponseTarget};

/// Bytes of a `state` or `nonce`, at most: they are stored until the request is answered.
const MAX_KEPT_VALUE: usize = 512;

/// The rules that a request is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The client.
    pub client: &'a ClientMetadata,
    /// Whether users can create accounts themselves.
    pub registration_is_open: bool,
    /// Whether the request would have to be pushed and was not (RFC 9126 §5).
    pub not_pushed: bool,
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
    /// The audience of the application tokens for which the client names none: the first `resource` (RFC 8707).
    pub audience: String,
    /// The audiences that the request names, to choose from for each application token; empty if it names none.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The `nonce`, for the ID token.
    pub nonce: Option<String>,
    /// Base64url SHA-256 of the PKCE verifier (RFC 7636 §4.2). `None` from a client that does without PKCE.
    pub code_challenge: Option<String>,
    /// The thumbprint of the key that the code is bound to (RFC 9449 §10).
    #[serde(default)]
    pub dpop_jkt: Option<String>,
    /// The `prompt`.
    pub prompt: Prompt,
    /// The greatest age of the sign-in, in seconds.
    pub max_age: Option<u32>,
    /// The subject of the `id_token_hint`: the only user whom the client accepts.
    pub subject: Option<String>,
    /// The subjects of the `claims` parameter: the only users whom the client accepts.
    #[serde(default)]
    pub subjects: Option<Vec<String>>,
    /// The claims that the client asks for by name.
    #[serde(default)]
    pub claims: RequestedClaims,
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

/// Whether one of the levels that there are here would do for the client, and none below two factors.
fn demands_two_factors<'a>(levels: impl Iterator<Item = &'a str> + Clone) -> bool {
    let has = |level: &str| levels.clone().any(|value| value == level);
    has(AAL2) && !has(AAL1)
}

/// Whether a value that is kept with the request is no longer than it may be.
fn is_short(value: &&str) -> bool {
    value.len() <= MAX_KEPT_VALUE
}

impl AuthorizationRequest {
    /// Reads and judges a request. `subject_of` reads the subject of an `id_token_hint`; `None` unless it is an ID token of
    /// this issuer.
    ///
    /// # Errors
    /// [`AuthorizationError::Show`] when the redirect URI is missing, repeated or not registered;
    /// [`AuthorizationError::Redirect`] for everything else.
    pub fn parse(
        parameters: Parameters<'_>,
        rules: Rules<'_>,
        subject_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, AuthorizationError> {
        let redirect_uri =
            parameters.get("redirect_uri").map_err(|_| BrokenLink::RepeatedRedirectUri)?;
        let redirect_uri = redirect_uri.ok_or(BrokenLink::MissingRedirectUri)?;
        if !rules.client.allows_redirect(redirect_uri) {
            return Err(BrokenLink::UnregisteredRedirectUri.into());
        }
        let target = ResponseTarget {
            redirect_uri: redirect_uri.to_owned(),
            state: parameters.get("state").ok().flatten().filter(is_short).map(str::to_owned),
            response_mode: parameters.response_mode(),
        };
        Self::judge(parameters, rules, target.clone(), subject_of)
            .map_err(|Refusal(code, description)| target.refuse(code, description))
    }

    fn judge(
        parameters: Parameters<'_>,
        rules: Rules<'_>,
        target: ResponseTarget,
        subject_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, Refusal> {
        use ErrorCode::{InvalidRequest, UnmetAuthenticationRequirements, UnsupportedResponseType};

        let client = rules.client;
        let get = |name| Ok::<_, Refusal>(parameters.get(name)?);
        let owned = |name| Ok::<_, Refusal>(get(name)?.map(str::to_owned));
        parameters.check_form()?;
        if rules.not_pushed {
            return Err(Refusal(InvalidRequest, "the request has to be pushed (RFC 9126)"));
        }
        if !get("state")?.iter().chain(&get("nonce")?).all(is_short) {
            return Err(Refusal(InvalidRequest, "state and nonce have at most 512 characters"));
        }
        match get("response_type")? {
            Some("code") => {}
            Some(_) => return Err(Refusal(UnsupportedResponseType, "only code is supported")),
            None => return Err(Refusal(InvalidRequest, "response_type is missing")),
        }
        if get("response_mode")?.is_some_and(|name| ResponseMode::named(name).is_none()) {
            let modes = "response_mode must be query, fragment or form_post";
            return Err(Refusal(InvalidRequest, modes));
        }
        let code_challenge = parameters.code_challenge(client)?;
        let prompt = parameters.prompt(rules.registration_is_open)?;
        let max_age = get("max_age")?.map(str::parse::<u32>).transpose();
        let max_age = max_age.map_err(|_| Refusal(InvalidRequest, "max_age must be a number"))?;
        let resources = parameters.resources(client)?;
        let audience = resources.first().map(String::as_str);
        let audience = audience.or(client.allowed_audiences().first().copied());
        let scope = parameters.scope(client)?;
        let scope = client.scope_for(scope, &resources).map_err(of_api)?;
        if code_challenge.is_none() {
            check_nonce(get("nonce")?, &scope)?;
        }
        let no_hint = Refusal(InvalidRequest, "id_token_hint is no ID token of this issuer");
        let subject = match get("id_token_hint")? {
            Some(hint) => Some(subject_of(hint).ok_or(no_hint)?),
            None => None,
        };
        let claims = match get("claims")? {
            Some(text) => ClaimsParameter::parse(text)
                .map_err(|_| Refusal(InvalidRequest, "claims cannot be read"))?,
            None => ClaimsParameter::default(),
        };
        let levels = claims.acr_values.iter().flatten().map(String::as_str);
        let known = levels.clone().any(|level| [AAL1, AAL2].contains(&level));
        if claims.acr_is_essential && claims.acr_values.is_some() && !known {
            return Err(Refusal(UnmetAuthenticationRequirements, "no such acr is known here"));
        }
        Ok(Self {
            client_id: client.client_id.clone(),
            target,
            scope,
            audience: audience.unwrap_or_default().to_owned(),
            resources,
            nonce: owned("nonce")?,
            code_challenge,
            dpop_jkt: parameters.dpop_jkt()?,
            prompt,
            max_age,
            subject,
            subjects: claims.subjects.clone(),
            login_hint: owned("login_hint")?,
            two_factors: client.two_factors
                || get("acr_values")?.is_some_and(|list| demands_two_factors(list.split(' ')))
                || demands_two_factors(levels),
            claims: claims.claims,
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
        if !self.expects(subject) {
            return false;
        }
        if self.two_factors && !is_multi_factor(amr) {
            return false;
        }
        // An age of 0 asks for a sign-in as `prompt=login` does (OpenID Connect Core §3.1.2.1).
        let too_old = self.max_age.is_some_and(|max_age| {
            max_age == 0 || now.secs() - auth_time.secs() > i64::from(max_age)
        });
        let fresh = matches!(self.prompt, Prompt::Auto | Prompt::None) && !too_old;
        fresh || floor.is_some_and(|floor| auth_time > floor)
    }

    /// Whether the client accepts this user: the subject of its `id_token_hint`, and one of those in its `claims`.
    fn expects(&self, subject: &str) -> bool {
        let is_one = |subjects: &Vec<String>| subjects.iter().any(|expected| expected == subject);
        self.subject.as_deref().is_none_or(|expected| expected == subject)
            && self.subjects.as_ref().is_none_or(is_one)
    }

    /// Whether the user may have to sign in again although a session exists (`prompt`, `max_age`).
    pub fn demands_recent_sign_in(&self) -> bool {
        matches!(self.prompt, Prompt::Login | Prompt::Create) || self.max_age.is_some()
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

    /// Judges a stored request again, because the client may have been changed since. Its scope is narrowed to what the
    /// client may still have.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn judge_again(mut self, client: &ClientMetadata) -> Result<Self, AuthorizationError> {
        if !client.allows_redirect(&self.target.redirect_uri) {
            return Err(BrokenLink::UnregisteredRedirectUri.into());
        }
        let target = self.target.clone();
        let refuse = |code, description| Err(target.refuse(code, description));
        if self.code_challenge.is_none() && !client.no_pkce {
            return refuse(ErrorCode::InvalidRequest, PKCE_IS_NEEDED);
        }
        let allowed = client.allowed_audiences();
        let is_allowed = |audience: &String| allowed.contains(&audience.as_str());
        if !is_allowed(&self.audience) || !self.resources.iter().all(is_allowed) {
            return refuse(ErrorCode::InvalidTarget, UNKNOWN_RESOURCE);
        }
        if !self.scope.is_empty() {
            let Some(scope) = client.allowed_part(&self.scope) else {
                return refuse(ErrorCode::InvalidScope, NOTHING_ALLOWED);
            };
            self.scope = scope;
        }
        self.scope = match client.scope_for(self.scope, &self.resources).map_err(of_api) {
            Ok(scope) => scope,
            Err(Refusal(code, description)) => return refuse(code, description),
        };
        if self.code_challenge.is_none()
            && let Err(Refusal(code, description)) = check_nonce(self.nonce.as_deref(), &self.scope)
        {
            return refuse(code, description);
        }
        Ok(self)
    }
}

impl ResponseTarget {
    fn refuse(&self, code: ErrorCode, description: &'static str) -> AuthorizationError {
        AuthorizationError::Redirect { target: Box::new(self.clone()), code, description }
    }
}

#[cfg(test)]
mod tests;
