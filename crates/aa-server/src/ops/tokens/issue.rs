//! Issues application tokens (RFC 9068, contract §3) and ID tokens (OpenID Connect Core §2).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::time::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokens::{Actor, Algorithm, Claims, Scope};
use uuid::Uuid;

use crate::authority::Authority;
use crate::domain::authentication::acr;
use crate::domain::claims;
use crate::domain::client::{ClientMetadata, OPENID};
use crate::domain::ids::{FamilyId, UserId};
use crate::domain::refresh_token::{EncodedToken, FamilySecret, RefreshToken};
use crate::domain::requested_claims::{ClaimTarget, RequestedClaims};
use crate::domain::token_exchange::ACCESS_TOKEN;
use crate::services::keyring::{KeyError, Signer};
use crate::store::{Family, Grant, User};

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
    /// The scope of the application token.
    pub scope: Scope,
    /// The type of the application token, in the answer to a token exchange (RFC 8693 §2.2.1).
    pub issued_token_type: Option<&'static str>,
    /// Whether the application token is bound to a key: its type is `DPoP`, else `Bearer`.
    pub is_bound: bool,
}

/// The keys and the user that an answer needs, at hand before the family is changed: a key that is missing or
/// a user that cannot be read then uses no token up (`docs/contract.md#rule-10`).
#[derive(Debug)]
pub struct Prepared {
    /// Signs the application token.
    access: Signer,
    /// Signs the ID token, if one is issued.
    id_token: Option<Signer>,
    /// The user of the family, if the tokens carry more about the user than the id.
    user: Option<User>,
    /// The claims that were asked for by name.
    requested: RequestedClaims,
}

impl Prepared {
    /// Prepares an application token that carries no claims about its user, by a key that serves every audience. `None` when
    /// this client's tokens need more: then [`Prepared::for_family`] is to be used.
    ///
    /// # Errors
    /// [`KeyError::None`].
    pub fn without_family(
        authority: &Authority,
        client: &ClientMetadata,
        with_id_token: bool,
    ) -> Result<Option<Self>, KeyError> {
        let algorithm = access_token_algorithm(authority, client);
        if with_id_token || !client.claims.is_empty() || algorithm == Algorithm::HS256 {
            return Ok(None);
        }
        let access = authority.keyring.signer(algorithm, "", authority.now())?;
        Ok(Some(Self { access, id_token: None, user: None, requested: RequestedClaims::default() }))
    }

    /// Prepares the tokens of a family that was read, for the chosen audience. `None` when its user is gone.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Store`] when the user cannot be read.
    pub async fn for_family(
        authority: &Authority,
        client: &ClientMetadata,
        family: &Family,
        audience: &str,
        with_id_token: bool,
    ) -> Result<Option<Self>, KeyError> {
        let now = authority.now();
        let access =
            authority.keyring.signer(access_token_algorithm(authority, client), audience, now)?;
        let with_id_token = with_id_token && client.still_allowed(&family.scope).contains(OPENID);
        let id_token = with_id_token
            .then(|| authority.keyring.signer(id_token_algorithm(client), "", now))
            .transpose()?;
        let needs_user = with_id_token || !client.claims.is_empty();
        let user = if needs_user { authority.store.user(family.user_id).await? } else { None };
        let requested = family.requested_claims.clone();
        Ok((user.is_some() || !needs_user).then_some(Self { access, id_token, user, requested }))
    }
}

fn access_token_algorithm(authority: &Authority, client: &ClientMetadata) -> Algorithm {
    client.at_alg.unwrap_or(authority.config.at_alg)
}

/// The algorithm of a client's ID tokens and logout tokens.
pub fn id_token_algorithm(client: &ClientMetadata) -> Algorithm {
    client.id_token_alg.unwrap_or(Algorithm::RS256)
}

/// The material of an answer for a family that was just rotated, or whose newest token is answered again.
#[derive(Debug)]
pub struct Issue<'a> {
    /// The current state of the family.
    pub grant: &'a Grant,
    /// The client of the family.
    pub client: &'a ClientMetadata,
    /// The audience of the application token.
    pub audience: &'a str,
    /// A narrower scope than that of the family.
    pub scope: Option<&'a Scope>,
    /// The secret of the family, for its next refresh token.
    pub secret: &'a FamilySecret,
    /// Keys and user, prepared before the family was changed.
    pub prepared: &'a Prepared,
    /// The thumbprint of the key that the application token is bound to (RFC 9449 §6.1).
    pub dpop_jkt: Option<&'a str>,
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
    sid: Option<FamilyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_epoch: Option<i64>,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amr: Option<Words<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'a Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Cnf<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Words<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// The key that a token is bound to (RFC 7800 §3.1).
#[derive(Serialize)]
struct Cnf<'a> {
    jkt: &'a str,
}

/// The `sub` of a token.
enum Sub<'a> {
    User(UserId),
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

/// Issues the tokens of a family. Its scope is narrowed to what the client may still ask for.
///
/// # Errors
/// [`KeyError::Sign`].
pub fn for_family(authority: &Authority, issue: &Issue<'_>) -> Result<TokenResponse, KeyError> {
    let now = authority.now();
    let grant = issue.grant;
    let scope = issue.client.still_allowed(issue.scope.unwrap_or(&grant.scope));
    // The application token never outlives the family.
    let expires_at = (now + authority.config.ttls.at(issue.client)).min(grant.expires_at);
    let claim = |name: &str| issue.client.claims.iter().any(|known| known == name);
    let Prepared { access, id_token: id_token_signer, user, .. } = issue.prepared;
    let user = user.as_ref();
    let claims = AccessClaims {
        iss: authority.config.public_url.as_str(),
        sub: Sub::User(grant.user_id),
        aud: issue.audience,
        client_id: &issue.client.client_id,
        iat: now.secs(),
        exp: expires_at.secs(),
        jti: authority.random.uuid(),
        sid: Some(grant.family),
        user_epoch: Some(grant.user_epoch),
        scope: scope.as_str(),
        auth_time: Some(grant.auth_time.secs()),
        amr: Some(Words(&grant.amr)),
        act: None,
        cnf: issue.dpop_jkt.map(|jkt| Cnf { jkt }),
        roles: user.filter(|_| claim("roles")).map(|user| Words(user.role_names())),
        email: user.filter(|_| claim("email")).map(|user| user.email.as_str()),
        name: user.filter(|_| claim("name")).map(User::display_name),
    };
    let access_token = access.sign(ACCESS_TOKEN_TYPE, &claims)?;
    let expires_in = claims.exp - claims.iat;
    let id_token = match (user, id_token_signer) {
        (Some(user), Some(signer)) => {
            Some(id_token(authority, issue, (user, &scope), signer, &access_token, now)?)
        }
        _ => None,
    };
    let refresh_token = issue.client.refreshes(&grant.scope).then(|| {
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
        issued_token_type: None,
        is_bound: issue.dpop_jkt.is_some(),
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
    dpop_jkt: Option<&str>,
) -> Result<TokenResponse, KeyError> {
    let now = authority.now();
    let claims = AccessClaims {
        iss: authority.config.public_url.as_str(),
        sub: Sub::App(&metadata.client_id),
        aud: audience,
        client_id: &metadata.client_id,
        iat: now.secs(),
        exp: (now + authority.config.ttls.at(metadata)).secs(),
        jti: authority.random.uuid(),
        sid: None,
        user_epoch: None,
        scope: scope.as_str(),
        auth_time: None,
        amr: None,
        act: None,
        cnf: dpop_jkt.map(|jkt| Cnf { jkt }),
        roles: None,
        email: None,
        name: None,
    };
    Ok(TokenResponse {
        access_token: authority
            .keyring
            .signer(access_token_algorithm(authority, metadata), audience, now)?
            .sign(ACCESS_TOKEN_TYPE, &claims)?,
        expires_in: claims.exp - claims.iat,
        refresh_token: None,
        refresh_expires_in: 0,
        id_token: None,
        scope: scope.clone(),
        issued_token_type: None,
        is_bound: dpop_jkt.is_some(),
    })
}

/// The material of an application token that is exchanged for another.
#[derive(Debug)]
pub struct Exchanged<'a> {
    /// The claims of the token that was presented.
    pub subject: &'a Claims,
    /// The family that it was issued from.
    pub family: &'a Family,
    /// The client that presented it.
    pub client: &'a ClientMetadata,
    /// The audience of the new token.
    pub audience: &'a str,
    /// The scope of the new token.
    pub scope: &'a Scope,
    /// The clients that act for the user.
    pub act: &'a Actor,
    /// The user, if the client's tokens carry more about them than the id.
    pub user: Option<&'a User>,
    /// The thumbprint of the key that the new token is bound to.
    pub dpop_jkt: Option<&'a str>,
}

/// Issues an application token in exchange for another (RFC 8693): of the same user and family, and never longer-lived than
/// the token or the family.
///
/// # Errors
/// [`KeyError`].
pub fn for_exchange(
    authority: &Authority,
    exchanged: &Exchanged<'_>,
) -> Result<TokenResponse, KeyError> {
    let Exchanged { subject, family, client, user, scope, .. } = *exchanged;
    let now = authority.now();
    let expires_at = (now + authority.config.ttls.at(client)).min(family.state.ends_at());
    let claim = |name: &str| client.claims.iter().any(|known| known == name);
    let claims = AccessClaims {
        iss: authority.config.public_url.as_str(),
        sub: Sub::User(family.user_id),
        aud: exchanged.audience,
        client_id: &client.client_id,
        iat: now.secs(),
        exp: expires_at.secs().min(subject.exp),
        jti: authority.random.uuid(),
        sid: Some(family.id),
        user_epoch: Some(family.user_epoch),
        scope: scope.as_str(),
        auth_time: Some(family.auth_time.secs()),
        amr: Some(Words(&family.amr)),
        act: Some(exchanged.act),
        cnf: exchanged.dpop_jkt.map(|jkt| Cnf { jkt }),
        roles: user.filter(|_| claim("roles")).map(|user| Words(user.role_names())),
        email: user.filter(|_| claim("email")).map(|user| user.email.as_str()),
        name: user.filter(|_| claim("name")).map(User::display_name),
    };
    Ok(TokenResponse {
        access_token: authority
            .keyring
            .signer(access_token_algorithm(authority, client), exchanged.audience, now)?
            .sign(ACCESS_TOKEN_TYPE, &claims)?,
        expires_in: claims.exp - claims.iat,
        refresh_token: None,
        refresh_expires_in: 0,
        id_token: None,
        scope: scope.clone(),
        issued_token_type: Some(ACCESS_TOKEN),
        is_bound: exchanged.dpop_jkt.is_some(),
    })
}

fn id_token(
    authority: &Authority,
    issue: &Issue<'_>,
    (user, scope): (&User, &Scope),
    signer: &Signer,
    access_token: &str,
    now: Timestamp,
) -> Result<String, KeyError> {
    let grant = issue.grant;
    // What else the scope asks for is at the UserInfo endpoint (OpenID Connect Core §5.4).
    let picture = authority.picture_url(user);
    let mut claims = claims::about(&user.person(picture.as_deref()), |claim| {
        let granted = scope.contains(claim.scope);
        (claim.in_id_token && granted)
            || (issue.prepared.requested.asks(ClaimTarget::IdToken, claim.name)
                && issue.client.allows_scope(claim.scope))
    });
    claims.extend([
        ("sub".to_owned(), json!(authority.subjects.of(issue.client, user.id))),
        ("iss".to_owned(), json!(authority.config.public_url.as_str())),
        ("aud".to_owned(), json!(issue.client.client_id)),
        ("azp".to_owned(), json!(issue.client.client_id)),
        ("iat".to_owned(), json!(now.secs())),
        ("exp".to_owned(), json!(now.secs() + ID_TOKEN_SECONDS)),
        ("auth_time".to_owned(), json!(grant.auth_time.secs())),
        ("amr".to_owned(), json!(grant.amr.split_whitespace().collect::<Vec<_>>())),
        ("acr".to_owned(), json!(acr(&grant.amr))),
        ("sid".to_owned(), json!(grant.family)),
    ]);
    if signer.algorithm() != Algorithm::EdDSA {
        // OpenID Connect Core §3.1.3.6: the left half of the hash that belongs to the algorithm. For EdDSA that
        // would be SHA-512 (Ed25519), which few clients implement; the claim is optional in the code flow.
        let hash = digest(&SHA256, access_token.as_bytes());
        claims.insert("at_hash".to_owned(), json!(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])));
    }
    if let Some(nonce) = &grant.nonce {
        claims.insert("nonce".to_owned(), json!(nonce));
    }
    signer.sign("JWT", &Value::Object(claims))
}
