//! Makes application tokens (SPEC §3, RFC 9068) and ID tokens (OpenID Connect Core §2).

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
/// How long an ID token may be taken as news of a sign-in.
const ID_TOKEN_SECONDS: i64 = 300;

/// What an app gets from the token endpoint.
#[derive(Debug)]
pub struct Issued {
    /// The application token.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// The next refresh token, if the app may have one.
    pub refresh_token: Option<EncodedToken>,
    /// Seconds until the refresh token expires, if it is not used.
    pub refresh_expires_in: i64,
    /// The ID token, if it was asked for.
    pub id_token: Option<String>,
    /// What the application token allows: scope names, separated by spaces.
    pub scope: String,
}

/// What to make for a family that has just rotated, or is answered again.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The family, as it stands now.
    pub grant: &'a Grant,
    /// Its app.
    pub client: &'a ClientMetadata,
    /// Its user, read when something of theirs goes into a token.
    pub user: Option<&'a User>,
    /// For whom the application token is.
    pub audience: &'a str,
    /// What it allows, if that is less than the family does.
    pub scope: Option<Scope>,
    /// The family's secret, for the next token.
    pub secret: &'a FamilySecret,
    /// Whether an ID token goes with it.
    pub with_id_token: bool,
}

/// Whether a token of this app and scope needs to know more of the user than their id.
pub fn needs_user(client: &ClientMetadata, with_id_token: bool) -> bool {
    with_id_token || !client.claims.is_empty()
}

/// The claims of an application token, as they are written: what [`tokens::Claims`] reads, without owning any of it.
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

/// Who a token speaks for.
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

/// Words of a text, as an array.
struct Words<'a>(&'a str);

impl Serialize for Words<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.split_whitespace())
    }
}

/// Makes the answer for a family.
///
/// # Errors
/// [`KeyError`].
pub fn for_family(authority: &Authority, issue: Issue<'_>) -> Result<Issued, KeyError> {
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
    Ok(Issued {
        access_token,
        expires_in,
        refresh_token,
        refresh_expires_in: grant.ends_at.secs() - now.secs(),
        id_token,
        scope,
    })
}

/// Makes the application token of a service, which speaks for itself.
///
/// # Errors
/// [`KeyError`].
pub fn for_service(
    authority: &Authority,
    metadata: &ClientMetadata,
    audience: &str,
    scope: &Scope,
) -> Result<Issued, KeyError> {
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
    Ok(Issued {
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
        // OpenID Connect Core §3.1.3.6: the left half of the hash that goes with the algorithm. For EdDSA that
        // would be SHA-512 (Ed25519), which few clients know; the claim is optional in the code flow.
        let hash = digest(&SHA256, access_token.as_bytes());
        claims.insert("at_hash".to_owned(), json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])));
    }
    if let Some(nonce) = &grant.nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    authority.keyring.sign(algorithm, "", "JWT", &Value::Object(claims), now)
}

/// What a scope tells of a person (OpenID Connect Core §5.4).
pub fn user_claims(user: &User, scope: &Scope) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), json!(user.id));
    if scope.contains("profile") {
        claims.insert("name".to_owned(), json!(user.display_name()));
        claims.insert("preferred_username".to_owned(), json!(user.email));
    }
    if scope.contains("email") {
        claims.insert("email".to_owned(), json!(user.email));
        // Nobody has proved it by mail yet.
        claims.insert("email_verified".to_owned(), json!(false));
    }
    claims
}

/// Which of an app's audiences a request is for (RFC 8707): the one it names, or `default`.
///
/// # Errors
/// [`UnknownResource`] when it names one the app has not.
pub fn choose_audience<'a>(
    client: &'a ClientMetadata,
    resource: Option<&str>,
    default: Option<&'a str>,
) -> Result<&'a str, UnknownResource> {
    let allowed = client.allowed_audiences();
    match resource {
        Some(resource) => {
            allowed.into_iter().find(|audience| *audience == resource).ok_or(UnknownResource)
        }
        // What was chosen before counts only as long as the app still has it.
        None => match default.filter(|default| allowed.contains(default)) {
            Some(default) => Ok(default),
            None => allowed.first().copied().ok_or(UnknownResource),
        },
    }
}

/// The app has no such audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownResource;
