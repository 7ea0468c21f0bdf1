//! The metadata of a client as it sends and gets them when it registers itself (RFC 7591 §2, OpenID Connect Dynamic Client
//! Registration 1.0 §2), and what they are in this house.
//!
//! Audiences, pairs for token exchange, claims in tokens, lifetimes and the kind `api` have no member here: they are the
//! operator's, and stay as they are when a client replaces its metadata.

use foundation::origin::is_loopback;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokens::{Algorithm, Scope};
use url::Url;

use super::client::{ClientMetadata, ClientType, OFFLINE_ACCESS};
use super::client_authentication::ClientAuthentication;
use super::device::DEVICE_CODE;
use super::redirect_uri;
use super::subject::SubjectType;
use super::token_exchange::TOKEN_EXCHANGE;

const AUTHORIZATION_CODE: &str = "authorization_code";
const REFRESH_TOKEN: &str = "refresh_token";
const CLIENT_CREDENTIALS: &str = "client_credentials";
/// Addresses of one kind that a client registers, at most: those of redirects are in the policies of pages.
const MAX_URIS: usize = 50;
/// Bytes of an address, at most.
const MAX_URI_BYTES: usize = 2_000;
/// The method of a client that names none (RFC 7591 §2).
const DEFAULT_METHOD: &str = "client_secret_basic";

/// Why metadata are not registered (RFC 7591 §3.2.2), in words for the client's developers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// A redirect URI cannot be registered: `invalid_redirect_uri`.
    #[error("{0}")]
    RedirectUri(String),
    /// Anything else: `invalid_client_metadata`.
    #[error("{0}")]
    Metadata(String),
}

fn bad<T>(why: impl Into<String>) -> Result<T, BadMetadata> {
    Err(BadMetadata::Metadata(why.into()))
}

/// Declares the members that are understood, each with its type: the one list of them, for requests and for answers. Every
/// other one is ignored (RFC 7591 §2), but for those that [`REFUSED`] names.
macro_rules! members {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// Metadata by the names that clients know. What was not sent, or does not apply, is `None`.
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct Registration {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        impl Registration {
            fn take(members: &mut Map<String, Value>) -> Result<Self, BadMetadata> {
                for (name, why) in REFUSED {
                    if !matches!(members.get(*name), None | Some(Value::Null | Value::Bool(false))) {
                        return bad(format!("{name}: {why}"));
                    }
                }
                Ok(Self { $($name: take(members, stringify!($name))?,)* })
            }

            /// As members of a JSON object.
            pub fn to_members(&self) -> Map<String, Value> {
                let mut members = Map::new();
                $(if let Some(value) = &self.$name {
                    members.insert(stringify!($name).to_owned(), json!(value));
                })*
                members
            }
        }
    };
}

members! {
    /// The redirect URIs.
    redirect_uris: Vec<String>,
    /// How it authenticates itself.
    token_endpoint_auth_method: String,
    /// The grants that it uses.
    grant_types: Vec<String>,
    /// The response types that it uses: `code`, or none.
    response_types: Vec<String>,
    /// The client's name, as people see it.
    client_name: String,
    /// The scope that the client may ask for, as space-separated names.
    scope: String,
    /// The client's public keys.
    jwks: Value,
    /// The address of its public keys.
    jwks_uri: String,
    /// Whether it runs on the machine of its user (`native`) or not (`web`).
    application_type: String,
    /// Whether its `sub` of a user is that of other clients.
    subject_type: SubjectType,
    /// Algorithm of its ID tokens.
    id_token_signed_response_alg: Algorithm,
    /// Algorithm of the `UserInfo` response, which is then a JWT.
    userinfo_signed_response_alg: Algorithm,
    /// The address that the launcher opens (OpenID Connect Core §4).
    initiate_login_uri: String,
    /// The redirect URIs after sign-out.
    post_logout_redirect_uris: Vec<String>,
    /// The address that is told of ended sessions.
    backchannel_logout_uri: String,
    /// Whether it needs a `sid` in every logout token: it is told that it does not get one.
    backchannel_logout_session_required: bool,
    /// Whether it pushes all its authorization requests (RFC 9126 §6).
    require_pushed_authorization_requests: bool,
    /// Whether its tokens have to be bound to a key (RFC 9449 §5.2).
    dpop_bound_access_tokens: bool,
}

/// Members that ask for something that does not exist here, and whose absence a client must not overlook.
const REFUSED: &[(&str, &str)] = &[
    ("sector_identifier_uri", "not supported: the sector is the one host of the redirect_uris"),
    ("id_token_encrypted_response_alg", "tokens are not encrypted here"),
    ("id_token_encrypted_response_enc", "tokens are not encrypted here"),
    ("userinfo_encrypted_response_alg", "answers are not encrypted here"),
    ("userinfo_encrypted_response_enc", "answers are not encrypted here"),
    ("request_object_signing_alg", "request objects are not supported"),
    ("request_object_encryption_alg", "request objects are not supported"),
    ("request_uris", "request objects are not supported: push the request instead"),
    ("require_signed_request_object", "request objects are not supported"),
    ("frontchannel_logout_uri", "not supported: use backchannel_logout_uri"),
    ("tls_client_certificate_bound_access_tokens", "mutual TLS is not supported"),
];

/// A member; `null` counts as left out (RFC 7592 §2.2).
fn take<T: for<'de> Deserialize<'de>>(
    members: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, BadMetadata> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .or_else(|_| bad(format!("{name}: the value is of the wrong type, or not supported"))),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, BadMetadata> {
    // Nested 128 deep at most, or it is an error of the parser.
    serde_json::from_slice(text).or_else(|_| bad("the body is no JSON object"))
}

/// A request to replace all metadata (RFC 7592 §2.2).
#[derive(Debug)]
pub struct Replacement {
    /// The client that is meant.
    pub client_id: String,
    /// The client secret, if it was sent. A replacement cannot change it.
    pub client_secret: Option<SecretString>,
    /// The new metadata.
    pub registration: Registration,
}

impl Replacement {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`BadMetadata`] when it is no such object, or names what only the server sets.
    pub fn parse(text: &[u8]) -> Result<Self, BadMetadata> {
        let mut members = object(text)?;
        for name in [
            "registration_access_token",
            "registration_client_uri",
            "client_secret_expires_at",
            "client_id_issued_at",
        ] {
            if members.contains_key(name) {
                return bad(format!("{name}: it is not sent back (RFC 7592 section 2.2)"));
            }
        }
        let Some(client_id) = take(&mut members, "client_id")? else {
            return bad("client_id: it is needed (RFC 7592 section 2.2)");
        };
        let client_secret: Option<String> = take(&mut members, "client_secret")?;
        let registration = Registration::take(&mut members)?;
        Ok(Self { client_id, client_secret: client_secret.map(SecretString::from), registration })
    }
}

/// Whether an address is https (OpenID Connect Dynamic Client Registration 1.0 §2), or http on the machine of a developer.
fn is_https_or_local(uri: &str) -> bool {
    Url::parse(uri)
        .is_ok_and(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)))
}

impl Registration {
    /// Reads the body of a request to register.
    ///
    /// # Errors
    /// [`BadMetadata`] when it is no JSON object, or has a member that cannot be read or is refused.
    pub fn parse(text: &[u8]) -> Result<Self, BadMetadata> {
        Self::take(&mut object(text)?)
    }

    /// These metadata, on `base`: what has no member here stays as it is there.
    ///
    /// *Checks* what is asked for and not supported, and that the scope is within `allowed`. *Does not check* what
    /// [`ClientMetadata::check`] does.
    ///
    /// # Errors
    /// [`BadMetadata`].
    pub fn on(
        &self,
        base: &ClientMetadata,
        allowed: &Scope,
    ) -> Result<ClientMetadata, BadMetadata> {
        let grants = self.grants(base)?;
        let has = |name: &str| grants.iter().any(|grant| grant == name);
        let (code, device) = (has(AUTHORIZATION_CODE), has(DEVICE_CODE));
        let redirect_uris = self.redirect_uris.clone().unwrap_or_default();
        let post_logout_uris = self.post_logout_redirect_uris.clone().unwrap_or_default();
        if code && redirect_uris.is_empty() {
            let why = "redirect_uris: the grant authorization_code needs at least one";
            return Err(BadMetadata::RedirectUri(why.to_owned()));
        }
        for uri in &redirect_uris {
            redirect_uri::check(uri)
                .map_err(|why| BadMetadata::RedirectUri(format!("redirect_uris: `{uri}` {why}")))?;
        }
        for (name, uris) in
            [("redirect_uris", &redirect_uris), ("post_logout_redirect_uris", &post_logout_uris)]
        {
            if uris.len() > MAX_URIS || uris.iter().any(|uri| uri.len() > MAX_URI_BYTES) {
                return bad(format!("{name}: at most {MAX_URIS}, of {MAX_URI_BYTES} bytes"));
            }
        }
        if self.response_types.iter().flatten().any(|response_type| response_type != "code") {
            return bad("response_types: only code is supported");
        }
        if self.application_type.as_ref().is_some_and(|it| !["web", "native"].contains(&&**it)) {
            return bad("application_type: it is web or native");
        }
        if self.initiate_login_uri.as_deref().is_some_and(|uri| !is_https_or_local(uri)) {
            return bad("initiate_login_uri: https is needed, but on a machine of one's own");
        }
        let kind = match self.method()? {
            ClientAuthentication::None => ClientType::Public,
            _ if code || device => ClientType::Confidential,
            _ => ClientType::Service,
        };
        let backchannel_logout_uri = self.backchannel_logout_uri.clone();
        Ok(ClientMetadata {
            name: self.client_name.clone().unwrap_or_else(|| base.client_id.clone()),
            kind,
            redirect_uris,
            post_logout_uris,
            backchannel_logout_uri,
            launch_url: self.initiate_login_uri.clone(),
            scopes: self.scopes(allowed, has(REFRESH_TOKEN))?,
            client_credentials: has(CLIENT_CREDENTIALS) && kind != ClientType::Service,
            subject_type: self.subject_type.unwrap_or_default(),
            userinfo_signed_response_alg: self.userinfo_signed_response_alg,
            id_token_alg: self.id_token_signed_response_alg.filter(|it| *it != Algorithm::RS256),
            device,
            par: self.require_pushed_authorization_requests.unwrap_or_default(),
            dpop_bound_access_tokens: self.dpop_bound_access_tokens.unwrap_or_default(),
            jwks: self.jwks.clone(),
            jwks_uri: self.jwks_uri.clone(),
            ..base.clone()
        })
    }

    /// The grants; `authorization_code` where none is named. That of pairs for token exchange is the operator's to give.
    fn grants(&self, base: &ClientMetadata) -> Result<Vec<String>, BadMetadata> {
        let grants = self.grant_types.clone();
        let grants = grants.unwrap_or_else(|| vec![AUTHORIZATION_CODE.to_owned()]);
        for grant in &grants {
            match grant.as_str() {
                AUTHORIZATION_CODE | REFRESH_TOKEN | CLIENT_CREDENTIALS | DEVICE_CODE => {}
                TOKEN_EXCHANGE if !base.exchange.is_empty() => {}
                TOKEN_EXCHANGE => return bad("grant_types: an operator allows token exchange"),
                other => return bad(format!("grant_types: `{other}` is not supported")),
            }
        }
        if grants.iter().all(|grant| grant == REFRESH_TOKEN) {
            return bad("grant_types: none is there by which it gets its first token");
        }
        Ok(grants)
    }

    /// The authentication method. A secret works in the header and in the body, so both of its names mean one.
    fn method(&self) -> Result<ClientAuthentication, BadMetadata> {
        let has_keys = self.jwks.is_some() || self.jwks_uri.is_some();
        match self.token_endpoint_auth_method.as_deref().unwrap_or(DEFAULT_METHOD) {
            "private_key_jwt" if has_keys => Ok(ClientAuthentication::PrivateKeyJwt),
            "private_key_jwt" => bad("jwks or jwks_uri: private_key_jwt needs one of them"),
            "none" | DEFAULT_METHOD | "client_secret_post" if has_keys => {
                bad("jwks, jwks_uri: only with the token_endpoint_auth_method private_key_jwt")
            }
            "none" => Ok(ClientAuthentication::None),
            DEFAULT_METHOD | "client_secret_post" => Ok(ClientAuthentication::ClientSecret),
            other => bad(format!("token_endpoint_auth_method: `{other}` is not supported")),
        }
    }

    /// The scopes: never none, which would stand for the default ones.
    fn scopes(&self, allowed: &Scope, refreshes: bool) -> Result<Vec<String>, BadMetadata> {
        let scope = match &self.scope {
            Some(text) => text.parse().or_else(|()| bad("scope: it cannot be read"))?,
            // Refresh tokens are for clients that say that they use them.
            None => allowed.retain(|name| refreshes || name != OFFLINE_ACCESS),
        };
        if let Some(name) = scope.iter().find(|name| !allowed.contains(name)) {
            return bad(format!("scope: `{name}` is more than this client may have: {allowed}"));
        }
        if scope.is_empty() {
            return bad(format!("scope: it has no name; possible are {allowed}"));
        }
        Ok(scope.iter().map(str::to_owned).collect())
    }

    /// The metadata that a client has, as it is told. Sent back, they change nothing.
    pub fn of(client: &ClientMetadata) -> Self {
        let users = !matches!(client.kind, ClientType::Service | ClientType::Api);
        let code = users && !client.redirect_uris.is_empty();
        let grants = [
            (AUTHORIZATION_CODE, code),
            (REFRESH_TOKEN, users && client.refreshes(&client.allowed_scopes())),
            (CLIENT_CREDENTIALS, client.gets_own_tokens()),
            (DEVICE_CODE, client.device),
            (TOKEN_EXCHANGE, !client.exchange.is_empty()),
        ];
        let grants = grants.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned());
        let method = match client.authenticates_by() {
            ClientAuthentication::ClientSecret => DEFAULT_METHOD,
            ClientAuthentication::PrivateKeyJwt => "private_key_jwt",
            ClientAuthentication::None => "none",
        };
        let is_native = client.redirect_uris.iter().any(|uri| !client.identity_is_assured(uri));
        let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
        Self {
            redirect_uris: some(&client.redirect_uris),
            token_endpoint_auth_method: Some(method.to_owned()),
            grant_types: Some(grants.collect()),
            response_types: Some(code.then(|| "code".to_owned()).into_iter().collect()),
            client_name: Some(client.name.clone()),
            scope: Some(client.allowed_scopes().to_string()),
            jwks: client.jwks.clone(),
            jwks_uri: client.jwks_uri.clone(),
            application_type: users.then(|| if is_native { "native" } else { "web" }.to_owned()),
            subject_type: users.then_some(client.subject_type),
            id_token_signed_response_alg: client
                .id_token_alg
                .or_else(|| users.then_some(Algorithm::RS256)),
            userinfo_signed_response_alg: client.userinfo_signed_response_alg,
            initiate_login_uri: client.launch_url.clone(),
            post_logout_redirect_uris: some(&client.post_logout_uris),
            backchannel_logout_uri: client.backchannel_logout_uri.clone(),
            // Where all sessions of a user end at once, one token without a `sid` tells of them.
            backchannel_logout_session_required: client
                .backchannel_logout_uri
                .as_ref()
                .map(|_| false),
            require_pushed_authorization_requests: (users || client.par).then_some(client.par),
            dpop_bound_access_tokens: Some(client.dpop_bound_access_tokens),
        }
    }
}

#[cfg(test)]
mod tests;
