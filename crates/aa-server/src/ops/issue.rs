//! Makes application tokens (SPEC §3, RFC 9068) and ID tokens (OpenID Connect Core §2).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use service::time::Timestamp;
use tokens::{Algorithm, Claims, Scope, Subject};

use super::keys::KeyError;
use crate::app::App;
use crate::domain::client::{OFFLINE_ACCESS, OPENID, Registration};
use crate::domain::token::{FamilySecret, Token, WireToken};
use crate::store::{Family, User};

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
    pub refresh_token: Option<WireToken>,
    /// Seconds until the refresh token expires, if it is not used.
    pub refresh_expires_in: i64,
    /// The ID token, if it was asked for.
    pub id_token: Option<String>,
    /// What the application token allows.
    pub scope: Scope,
}

/// What to make for a family that has just moved, or is answered again.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The family.
    pub family: &'a Family,
    /// Its app.
    pub app: &'a Registration,
    /// Its user, read when something of theirs goes into a token.
    pub user: Option<&'a User>,
    /// For whom the application token is.
    pub audience: &'a str,
    /// What it allows.
    pub scope: Scope,
    /// The family's secret, for the next token.
    pub secret: &'a FamilySecret,
    /// The generation of the next token.
    pub generation: u32,
    /// Whether an ID token goes with it.
    pub with_id_token: bool,
}

/// Whether an app may have refresh tokens for this scope.
pub fn may_refresh(app: &Registration, scope: &Scope) -> bool {
    app.always_refresh || scope.contains(OFFLINE_ACCESS)
}

/// Whether a token of this app and scope needs to know more of the user than their id.
pub fn needs_user(app: &Registration, with_id_token: bool) -> bool {
    with_id_token || !app.claims.is_empty()
}

/// Makes the answer for a family.
///
/// # Errors
/// [`KeyError`].
pub fn for_family(app: &App, issue: Issue<'_>) -> Result<Issued, KeyError> {
    let now = app.now();
    let family = issue.family;
    let granted: Scope = family.scope.parse().unwrap_or_default();
    // The application token never outlives the family.
    let expires_at = (now + app.config.ttls.at(issue.app)).min(family.standing.expires_at);
    let claim = |name: &str| issue.app.claims.iter().any(|known| known == name);
    let user = issue.user;
    let claims = Claims {
        iss: app.config.public_url.as_str().to_owned(),
        sub: Subject::User(family.user_id),
        aud: vec![issue.audience.to_owned()],
        client_id: family.client_id.clone(),
        iat: now.secs(),
        exp: expires_at.secs(),
        nbf: None,
        jti: app.random.uuid().to_string(),
        sid: Some(family.id),
        scope: issue.scope.clone(),
        auth_time: Some(Timestamp::from_millis(family.auth_time).secs()),
        amr: Some(family.amr.split_whitespace().map(str::to_owned).collect()),
        act: None,
        roles: user.filter(|_| claim("roles")).map(User::roles),
        email: user.filter(|_| claim("email")).map(|user| user.email.clone()),
        name: user.filter(|_| claim("name")).map(|user| user.display_name().to_owned()),
    };
    let access_token = sign_access_token(app, issue.app, &claims, now)?;
    let id_token = match user {
        Some(user) if issue.with_id_token && granted.contains(OPENID) => {
            Some(id_token(app, &issue, user, &access_token, now)?)
        }
        _ => None,
    };
    let refresh_token = may_refresh(issue.app, &granted).then(|| {
        app.mint.write(&Token {
            family: family.id,
            generation: issue.generation,
            secret: issue.secret.clone(),
        })
    });
    Ok(Issued {
        access_token,
        expires_in: claims.exp - claims.iat,
        refresh_token,
        refresh_expires_in: family.standing.ends_at().secs() - now.secs(),
        id_token,
        scope: issue.scope,
    })
}

/// Makes the application token of a service, which speaks for itself.
///
/// # Errors
/// [`KeyError`].
pub fn for_service(
    app: &App,
    registration: &Registration,
    audience: &str,
    scope: Scope,
) -> Result<Issued, KeyError> {
    let now = app.now();
    let claims = Claims {
        iss: app.config.public_url.as_str().to_owned(),
        sub: Subject::App(registration.client_id.clone()),
        aud: vec![audience.to_owned()],
        client_id: registration.client_id.clone(),
        iat: now.secs(),
        exp: (now + app.config.ttls.at(registration)).secs(),
        nbf: None,
        jti: app.random.uuid().to_string(),
        sid: None,
        scope: scope.clone(),
        auth_time: None,
        amr: None,
        act: None,
        roles: None,
        email: None,
        name: None,
    };
    Ok(Issued {
        access_token: sign_access_token(app, registration, &claims, now)?,
        expires_in: claims.exp - claims.iat,
        refresh_token: None,
        refresh_expires_in: 0,
        id_token: None,
        scope,
    })
}

fn sign_access_token(
    app: &App,
    registration: &Registration,
    claims: &Claims,
    now: Timestamp,
) -> Result<String, KeyError> {
    let algorithm = registration.at_alg.unwrap_or(app.config.at_alg);
    app.signer.sign(algorithm, &claims.aud[0], ACCESS_TOKEN_TYPE, claims, now)
}

fn id_token(
    app: &App,
    issue: &Issue<'_>,
    user: &User,
    access_token: &str,
    now: Timestamp,
) -> Result<String, KeyError> {
    let family = issue.family;
    let algorithm = issue.app.id_token_alg.unwrap_or(Algorithm::RS256);
    let mut claims = person_claims(user, &issue.scope);
    claims.extend([
        ("iss".to_owned(), json!(app.config.public_url.as_str())),
        ("aud".to_owned(), json!(family.client_id)),
        ("azp".to_owned(), json!(family.client_id)),
        ("iat".to_owned(), json!(now.secs())),
        ("exp".to_owned(), json!(now.secs() + ID_TOKEN_SECONDS)),
        ("auth_time".to_owned(), json!(Timestamp::from_millis(family.auth_time).secs())),
        ("amr".to_owned(), json!(family.amr.split_whitespace().collect::<Vec<_>>())),
        ("sid".to_owned(), json!(family.id)),
    ]);
    if algorithm != Algorithm::EdDSA {
        // OpenID Connect Core §3.1.3.6: the left half of the hash that goes with the algorithm. For EdDSA that
        // would be SHA-512 (Ed25519), which few clients know; the claim is optional in the code flow.
        let hash = digest(&SHA256, access_token.as_bytes());
        claims.insert("at_hash".to_owned(), json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])));
    }
    if let Some(nonce) = &family.nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    app.signer.sign(algorithm, "", "JWT", &Value::Object(claims), now)
}

/// What a scope tells of a person (OpenID Connect Core §5.4).
pub fn person_claims(user: &User, scope: &Scope) -> Map<String, Value> {
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
    app: &'a Registration,
    resource: Option<&str>,
    default: Option<&'a str>,
) -> Result<&'a str, UnknownResource> {
    let allowed = app.allowed_audiences();
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
