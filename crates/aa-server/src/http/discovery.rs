//! Documents for programs: metadata, keys, health.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ETag, EntityTag, IfNoneMatch};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use service::run;
use strum::VariantArray as _;
use tokens::signed::AsymmetricAlgorithm;

use crate::authority::Authority;
use crate::config::{ClientRegistration, RegistrationMode};
use crate::domain::authentication::{AAL1, AAL2};
use crate::domain::authorization_request::{ResponseMode, prompt_values};
use crate::domain::claims::USER_CLAIMS;
use crate::domain::client::DEFAULT_SCOPES;
use crate::domain::device::DEVICE_CODE;
use crate::domain::language::Language;
use crate::domain::token_exchange::TOKEN_EXCHANGE;
use crate::ops::tokens::introspect::SIGNED_WITH;
use crate::services::keyring::JWKS_MAX_AGE;
use crate::services::time_reference::{MAX_OFF, off_by};

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery §4).
pub async fn openid_configuration(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> HttpResponse {
    let mut metadata = metadata(&authority);
    let signing = json!(["RS256", "PS256", "ES256", "EdDSA"]);
    let of_tokens = [
        "sub",
        "iss",
        "aud",
        "azp",
        "exp",
        "iat",
        "auth_time",
        "acr",
        "amr",
        "nonce",
        "at_hash",
        "sid",
    ];
    let claims: Vec<&str> =
        of_tokens.into_iter().chain(USER_CLAIMS.iter().map(|claim| claim.name)).collect();
    let more = json!({
        "userinfo_endpoint": authority.config.public_url.join("/oauth/userinfo"),
        "end_session_endpoint": authority.config.public_url.join("/oauth/logout"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "subject_types_supported": ["public", "pairwise"],
        "id_token_signing_alg_values_supported": signing,
        "userinfo_signing_alg_values_supported": signing,
        "claim_types_supported": ["normal"],
        "acr_values_supported": [AAL1, AAL2],
        "ui_locales_supported": Language::VARIANTS.iter().map(|language| language.tag()).collect::<Vec<_>>(),
        "claims_supported": claims,
        "claims_parameter_supported": true,
        "display_values_supported": ["page", "popup", "touch", "wap"],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "require_request_uri_registration": false,
    });
    if let (Value::Object(metadata), Value::Object(more)) = (&mut metadata, more) {
        metadata.extend(more);
    }
    public(&request, &metadata)
}

/// `GET /.well-known/oauth-authorization-server` (RFC 8414).
pub async fn authorization_server(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> HttpResponse {
    public(&request, &metadata(&authority))
}

fn metadata(authority: &Authority) -> Value {
    let url = |path| authority.config.public_url.join(path);
    let registration_is_open = authority.config.registration == RegistrationMode::Open;
    let methods = json!(["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]);
    let mut scopes: Vec<&str> = DEFAULT_SCOPES.split(' ').collect();
    for claim in USER_CLAIMS {
        if !scopes.contains(&claim.scope) {
            scopes.push(claim.scope);
        }
    }
    let algorithms = AsymmetricAlgorithm::ALL.map(AsymmetricAlgorithm::name);
    let mut metadata = json!({
        "issuer": authority.config.public_url.as_str(),
        "authorization_endpoint": url("/oauth/authorize"),
        "pushed_authorization_request_endpoint": url("/oauth/par"),
        "require_pushed_authorization_requests": authority.config.require_par,
        "token_endpoint": url("/oauth/token"),
        "device_authorization_endpoint": url("/oauth/device"),
        "revocation_endpoint": url("/oauth/revoke"),
        "introspection_endpoint": url("/oauth/introspect"),
        // Not a registered name: the feed of `docs/contract.md`, section 3.
        "revocations_endpoint": url("/revocations"),
        "jwks_uri": url("/.well-known/jwks.json"),
        "scopes_supported": scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ResponseMode::NAMES.map(|(name, _)| name),
        "grant_types_supported": [
            "authorization_code", "refresh_token", "client_credentials", DEVICE_CODE, TOKEN_EXCHANGE,
        ],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_signing_alg_values_supported": [SIGNED_WITH.name()],
        "dpop_signing_alg_values_supported": algorithms,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": prompt_values(registration_is_open).collect::<Vec<_>>(),
        "authorization_response_iss_parameter_supported": true,
    });
    if authority.config.client_registration != ClientRegistration::Off {
        metadata["registration_endpoint"] = url("/oauth/register").into();
    }
    if authority.config.client_id_metadata {
        metadata["client_id_metadata_document_supported"] = true.into();
    }
    metadata
}

/// `GET /.well-known/jwks.json` (RFC 7517 §5). A new key is here ten minutes before it signs.
pub async fn jwks(authority: web::Data<Authority>, request: HttpRequest) -> HttpResponse {
    public(&request, &authority.keyring.jwks())
}

/// A document that anyone may read and keep for a minute; 304 for a client that has it.
fn public(request: &HttpRequest, document: &Value) -> HttpResponse {
    let body = document.to_string();
    let hash = digest(&SHA256, body.as_bytes());
    let tag = EntityTag::new_strong(URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
    let is_known = match request.get_header::<IfNoneMatch>() {
        Some(IfNoneMatch::Any) => true,
        Some(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(&tag)),
        None => false,
    };
    let status = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
    let mut response = HttpResponse::build(status);
    response
        .insert_header((
            header::CACHE_CONTROL,
            format!("public, max-age={}", JWKS_MAX_AGE.as_secs()),
        ))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header(("Cross-Origin-Resource-Policy", "cross-origin"))
        .insert_header(ETag(tag));
    if is_known {
        return response.finish();
    }
    response.content_type("application/json").body(body)
}

/// `GET /readyz`: the database can be read and written, a key signs by now, the clock is right, and the server is not stopping.
pub async fn readyz(authority: web::Data<Authority>) -> HttpResponse {
    let mut missing = Vec::new();
    if authority.stop.is_stopping() {
        missing.push("stopping");
    }
    if !authority.keyring.is_ready(authority.config.at_alg, authority.now()) {
        missing.push("keys");
    }
    if off_by(&authority.store, &*authority.clock) > MAX_OFF {
        missing.push("clock");
    }
    let can_read = authority.store.db().ping().await.is_ok();
    let probe = &authority.write_probe;
    if !can_read || !probe.can_write(&authority.store, authority.now()).await {
        missing.push("database");
    }
    run::readyz(&missing)
}

/// `GET /version`.
pub async fn version() -> HttpResponse {
    run::version("aa-server", env!("CARGO_PKG_VERSION"))
}
