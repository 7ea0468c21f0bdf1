//! Issues application tokens (RFC 9068, contract §3) and ID tokens (OpenID Connect Core §2).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::time::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use tokens::{Algorithm, Scope};
use uuid::Uuid;

use crate::authority::Authority;
use crate::domain::client::{ClientMetadata, OFFLINE_ACCESS, OPENID};
use crate::domain::refresh_token::{EncodedToken, FamilySecret, RefreshToken};
use crate::services::keyring::KeyError;
use crate::store::{Grant, User};

/// The media type of application tokens.
const ACCESS_TOKEN_TYPE: &str = "at+jwt";
/// Life of an ID token, in seconds.
const ID_TOKEN_SECONDS: i64 = 300;

/// A successful answer of the token endpoint (RFC 6749 §5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// The application token.
    pub access_token: String,
    /// Seconds until the application token expires.
    pub expires_in: i64,
    /// The next refresh token, if the client may have one.
    pub refresh_token: Option<EncodedToken>,
    /// Seconds until the refresh token expires if it is not used.
    pub refresh_expires_in: i64,
    /// The ID token, if the scope includes `openid`.
    pub id_token: Option<String>,
    /// The scope of the application token, as space-separated names.
    pub scope: String,
}

/// The material of an answer for a family that was just rotated, or whose newest token is answered again.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The current state of the family.
    pub grant: &'a Grant,
    /// The client of the family.
    pub client: &'a ClientMetadata,
    /// The user of the family, if claims about the user are needed.
    pub user: Option<&'a User>,
    /// The audience of the application token.
    pub audience: &'a str,
    /// A narrower scope than that of the family.
    pub scope: Option<Scope>,
    /// The secret of the family, for its next refresh token.
    pub secret: &'a FamilySecret,
    /// Whether an ID token is issued too.
    pub with_id_token: bool,
}

/// Whether the tokens of this client carry more about the user than their id.
pub fn needs_user(client: &ClientMetadata, with_id_token: bool) -> bool {
    with_id_token || !client.claims.is_empty()
}

/// The claims of an application token, borrowed. [`tokens::Claims`] is their counterpart for reading.
#[derive(Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: Sub<'a>,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<Words<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Words<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// The `sub` of a token.
enum Sub<'a> {
    User(Uuid),
    App(&'a str),
}

impl Serialize for Sub<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::User(id) => id.serialize(serializer),
            Self::App(client_id) => serializer.collect_str(&format_args!("app:{client_id}")),
        }
    }
}

/// Space-separated words, serialized as an array.
struct Words<'a>(&'a str);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.split_whitespace())
    }
}

/// Issues the tokens of a family.
///
/// # Errors
/// [`KeyError`].
pub fn for_family(authority: &Authority, issue: Issue<'_>) -> Result<TokenResponse, KeyError> {
    let now = authority.now();
    let grant = issue.grant;
    let may_have = |wanted| grant.scope.split(' ').any(|name| name == wanted);
    let scope = issue.scope.as_ref().map_or_else(|| grant.scope.clone(), ToString::to_string);
    // The application token never outlives the family.
    let expires_at = (now + authority.config.ttls.at(issue.client)).min(grant.expires_at);
    let claim = |name: &str| issue.client.claims.iter().any(|known| known == name);
    let user = issue.user;
    let claims = AccessClaims {
        iss: authority.config.public_url.as_str(),
        sub: Sub::User(grant.user_id),
        aud: issue.audience,
        client_id: &issue.client.client_id,
        iat: now.secs(),
        exp: expires_at.secs(),
        jti: authority.random.uuid(),
        sid: Some(grant.family),
        scope: &scope,
        auth_time: Some(Timestamp::from_millis(grant.auth_time).secs()),
        amr: Some(Words(&grant.amr)),
        roles: user.filter(|_| claim("roles")).map(|user| Words(user.role_names())),
        email: user.filter(|_| claim("email")).map(|user| user.email.as_str()),
        name: user.filter(|_| claim("name")).map(User::display_name),
    };
    let access_token = sign_access_token(authority, issue.client, &claims, now)?;
    let expires_in = claims.exp - claims.iat;
    let id_token = match user {
        Some(user) if issue.with_id_token && may_have(OPENID) => {
            let scope: Scope = scope.parse().unwrap_or_default();
            Some(id_token(authority, &issue, user, &scope, &access_token, now)?)
        }
        _ => None,
    };
    let refreshes = issue.client.always_refresh || may_have(OFFLINE_ACCESS);
    let refresh_token = refreshes.then(|| {
        authority.refresh_tokens.encode(&RefreshToken {
            family: grant.family,
            generation: grant.generation,
            secret: issue.secret.clone(),
        })
    });
    Ok(TokenResponse {
        access_token,
        expires_in,
        refresh_token,
        refresh_expires_in: grant.ends_at.secs() - now.secs(),
        id_token,
        scope,
    })
}

/// Issues the application token of a service, whose subject is the service itself.
///
/// # Errors
/// [`KeyError`].
pub fn for_service(
    authority: &Authority,
    metadata: &ClientMetadata,
    audience: &str,
    scope: &Scope,
) -> Result<TokenResponse, KeyError> {
    let now = authority.now();
    let scope = scope.to_string();
    let claims = AccessClaims {
        iss: authority.config.public_url.as_str(),
        sub: Sub::App(&metadata.client_id),
        aud: audience,
        client_id: &metadata.client_id,
        iat: now.secs(),
        exp: (now + authority.config.ttls.at(metadata)).secs(),
        jti: authority.random.uuid(),
        sid: None,
        scope: &scope,
        auth_time: None,
        amr: None,
        roles: None,
        email: None,
        name: None,
    };
    Ok(TokenResponse {
        access_token: sign_access_token(authority, metadata, &claims, now)?,
        expires_in: claims.exp - claims.iat,
        refresh_token: None,
        refresh_expires_in: 0,
        id_token: None,
        scope,
    })
}

fn sign_access_token(
    authority: &Authority,
    metadata: &ClientMetadata,
    claims: &AccessClaims<'_>,
    now: Timestamp,
) -> Result<String, KeyError> {
    let algorithm = metadata.at_alg.unwrap_or(authority.config.at_alg);
    authority.keyring.sign(algorithm, claims.aud, ACCESS_TOKEN_TYPE, claims, now)
}

fn id_token(
    authority: &Authority,
    issue: &Issue<'_>,
    user: &User,
    scope: &Scope,
    access_token: &str,
    now: Timestamp,
) -> Result<String, KeyError> {
    let grant = issue.grant;
    let algorithm = issue.client.id_token_alg.unwrap_or(Algorithm::RS256);
    let mut claims = user_claims(user, scope);
    claims.extend([
        ("iss".to_owned(), json!(authority.config.public_url.as_str())),
        ("aud".to_owned(), json!(issue.client.client_id)),
        ("azp".to_owned(), json!(issue.client.client_id)),
        ("iat".to_owned(), json!(now.secs())),
        ("exp".to_owned(), json!(now.secs() + ID_TOKEN_SECONDS)),
        ("auth_time".to_owned(), json!(Timestamp::from_millis(grant.auth_time).secs())),
        ("amr".to_owned(), json!(grant.amr.split_whitespace().collect::<Vec<_>>())),
        ("sid".to_owned(), json!(grant.family)),
    ]);
    if algorithm != Algorithm::EdDSA {
        // OpenID Connect Core §3.1.3.6: the left half of the hash that belongs to the algorithm. For EdDSA that
        // would be SHA-512 (Ed25519), which few clients implement; the claim is optional in the code flow.
        let hash = digest(&SHA256, access_token.as_bytes());
        claims.insert("at_hash".to_owned(), json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])));
    }
    if let Some(nonce) = &grant.nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    authority.keyring.sign(algorithm, "", "JWT", &Value::Object(claims), now)
}

/// The claims about a user that a scope grants (OpenID Connect Core §5.4).
pub fn user_claims(user: &User, scope: &Scope) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(user.id));
    if scope.contains("profile") {
        claims.insert("name".to_owned(), json!(user.display_name()));
        claims.insert("preferred_username".to_owned(), json!(user.email));
    }
    if scope.contains("email") {
        claims.insert("email".to_owned(), json!(user.email));
        // Addresses are not verified by mail yet.
        claims.insert("email_verified".to_owned(), json!(false));
    }
    claims
}
