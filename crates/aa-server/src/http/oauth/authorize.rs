//! `GET` and `POST /oauth/authorize` (RFC 6749 §3.1, OpenID Connect Core §3.1.2): code with PKCE, no consent.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use foundation::time::Timestamp;
use service::http::CspNonce;
use tokens::Scope;
use url::{Url, form_urlencoded};

use super::printable;
use crate::authority::Authority;
use crate::domain::client::{ClientMetadata, OFFLINE_ACCESS};
use crate::http::error::Error;
use crate::http::render::{allow_form_origins, html};
use crate::http::request::params::{BadParams, Params};
use crate::http::request::{
    CurrentUser, body_params, caller, current_user, detached, is_speculative, query_params,
};
use crate::http::{assets, pages};
use crate::ops::grants::delegation::{Delegate, delegate};
use crate::ops::tokens::id_token_hint;
use crate::ops::tokens::issue::choose_audience;

/// When the person was last asked to sign in for this request, so that they are asked once.
const ASKED_AT: &str = "aa_asked_at";

/// The request as parameters of the query.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    if is_speculative(&request) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let params = query_params(&request)?;
    authorize(&authority, &request, &params).await
}

/// The request as a form. It goes on as a GET: another site's POST does not carry our cookies.
pub async fn post(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let params = body_params(&request, payload).await?;
    Ok(pages::redirect(&format!("/oauth/authorize?{}", params.encode())))
}

/// Where an answer goes: known from here on to be the app's own.
struct Target {
    client: ClientMetadata,
    redirect_uri: String,
    state: Option<String>,
    form_post: bool,
}

/// An answer that tells the app what is wrong.
struct Refused(&'static str, &'static str);

/// A request that makes sense.
struct Asked {
    scope: Scope,
    audience: String,
    nonce: Option<String>,
    code_challenge: String,
    prompt_none: bool,
    prompt_login: bool,
    max_age: Option<i64>,
    id_token_hint: Option<String>,
    asked_at: Option<i64>,
}

async fn authorize(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    params: &Params,
) -> Result<HttpResponse, Error> {
    let target = target(authority, params).await?;
    let asked = match read(params, &target.client) {
        Ok(asked) => asked,
        Err(refused) => return Ok(refuse(authority, request, &target, &refused)),
    };
    let current = current_user(authority, request).await?;
    let current = match suitable(authority, &asked, current) {
        Ok(Some(current)) => current,
        Ok(None) if asked.prompt_none => {
            let refused = Refused("login_required", "nobody suitable is signed in");
            return Ok(refuse(authority, request, &target, &refused));
        }
        Ok(None) => return Ok(sign_in_first(authority, params)),
        Err(refused) => return Ok(refuse(authority, request, &target, &refused)),
    };
    let caller = caller(authority, request)?;
    let work = |authority: web::Data<Authority>| async move {
        let command = Delegate {
            browser_session: &current.browser_session,
            client: &target.client,
            redirect_uri: &target.redirect_uri,
            scope: &asked.scope,
            audience: &asked.audience,
            code_challenge: Some(&asked.code_challenge),
            nonce: asked.nonce.as_deref(),
        };
        let made = delegate(&authority, &command, &caller).await;
        (made, target)
    };
    let (made, target) = detached(authority, work).await;
    match made? {
        Some(code) => Ok(answer(authority, request, &target, &[("code", code.expose())])),
        // Signed out between the look and the delegation.
        None => Ok(sign_in_first(authority, params)),
    }
}

/// Finds out whom to answer. What is wrong here is shown to the person, and sent nowhere.
async fn target(authority: &Authority, params: &Params) -> Result<Target, Error> {
    let wrong = |what: &str| {
        Error::refused(
            StatusCode::BAD_REQUEST,
            "This link does not work",
            format!("An app sent you here with {what}. Please tell the app's team."),
        )
    };
    let client_id = params.get("client_id").map_err(|_| wrong("two client_ids"))?;
    let client_id = client_id.ok_or_else(|| wrong("no client_id"))?;
    let found = authority.store.client(client_id).await?.filter(|found| found.enabled);
    let metadata = found.ok_or_else(|| wrong("an unknown client_id"))?.metadata;
    let redirect_uri = params.get("redirect_uri").map_err(|_| wrong("two redirect_uris"))?;
    let redirect_uri = redirect_uri.ok_or_else(|| wrong("no redirect_uri"))?;
    if !metadata.allows_redirect(redirect_uri) {
        return Err(wrong("a redirect_uri that it has not registered"));
    }
    Ok(Target {
        redirect_uri: redirect_uri.to_owned(),
        state: params.get("state").ok().flatten().map(str::to_owned),
        form_post: params.get("response_mode").is_ok_and(|mode| mode == Some("form_post")),
        client: metadata,
    })
}

impl From<BadParams> for Refused {
    fn from(_: BadParams) -> Self {
        Self("invalid_request", "a parameter is there more than once")
    }
}

fn read(params: &Params, client: &ClientMetadata) -> Result<Asked, Refused> {
    if params.repeated().is_some() {
        return Err(Refused("invalid_request", "a parameter is there more than once"));
    }
    if params.has("request") {
        return Err(Refused("request_not_supported", "request objects are not supported"));
    }
    if params.has("request_uri") {
        return Err(Refused("request_uri_not_supported", "request objects are not supported"));
    }
    match params.get("response_type")? {
        Some("code") => {}
        Some(_) => return Err(Refused("unsupported_response_type", "only code is supported")),
        None => return Err(Refused("invalid_request", "response_type is missing")),
    }
    if !matches!(params.get("response_mode")?, None | Some("query" | "form_post")) {
        return Err(Refused("invalid_request", "response_mode must be query or form_post"));
    }
    let code_challenge = params
        .get("code_challenge")?
        .ok_or(Refused("invalid_request", "PKCE is needed: code_challenge is missing"))?;
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let well_formed = code_challenge.len() == 43 && code_challenge.bytes().all(base64url);
    if params.get("code_challenge_method")? != Some("S256") || !well_formed {
        return Err(Refused("invalid_request", "code_challenge must be that of S256"));
    }
    let (prompt_none, prompt_login) = prompt(params.get("prompt")?)?;
    let max_age = match params.get("max_age")?.map(str::parse::<u32>) {
        None => None,
        Some(Ok(seconds)) => Some(i64::from(seconds)),
        Some(Err(_)) => return Err(Refused("invalid_request", "max_age must be a number")),
    };
    let audience = choose_audience(client, params.get("resource")?, None)
        .map_err(|_| Refused("invalid_target", "resource is not one of this app's audiences"))?;
    Ok(Asked {
        scope: scope(params.get("scope")?, client)?,
        audience: audience.to_owned(),
        nonce: params.get("nonce")?.map(str::to_owned),
        code_challenge: code_challenge.to_owned(),
        prompt_none,
        prompt_login,
        max_age,
        id_token_hint: params.get("id_token_hint")?.map(str::to_owned),
        asked_at: params.get(ASKED_AT)?.and_then(|text| text.parse().ok()),
    })
}

/// Whether nobody may be asked, and whether somebody must be.
fn prompt(text: Option<&str>) -> Result<(bool, bool), Refused> {
    let values: Vec<&str> = text.unwrap_or_default().split_whitespace().collect();
    let known = ["none", "login", "consent", "select_account"];
    if values.iter().any(|value| !known.contains(value)) {
        return Err(Refused("invalid_request", "prompt has an unknown value"));
    }
    let none = values.contains(&"none");
    if none && values.len() > 1 {
        return Err(Refused("invalid_request", "prompt=none stands alone"));
    }
    Ok((none, values.contains(&"login") || values.contains(&"select_account")))
}

/// Standard scopes about the person that are not kept here are left out (OpenID Connect Core §3.1.2.1);
/// any other that the app may not have is an error.
fn scope(text: Option<&str>, client: &ClientMetadata) -> Result<Scope, Refused> {
    let allowed = client.allowed_scopes();
    let Some(text) = text else {
        return Ok(allowed.retain(|name| name != OFFLINE_ACCESS));
    };
    let asked: Scope =
        text.parse().map_err(|()| Refused("invalid_scope", "the scope cannot be read"))?;
    let asked =
        asked.retain(|name| !["address", "phone"].contains(&name) || allowed.contains(name));
    if asked.is_subset_of(&allowed) {
        Ok(asked)
    } else {
        Err(Refused("invalid_scope", "the scope is more than this app may ask for"))
    }
}

/// The person, if their sign-in will do: recent enough, and the one the app expects.
fn suitable(
    authority: &Authority,
    asked: &Asked,
    current: Option<CurrentUser>,
) -> Result<Option<CurrentUser>, Refused> {
    let hinted = match &asked.id_token_hint {
        Some(hint) => Some(
            id_token_hint::read(authority, hint)
                .map(|hint| hint.subject)
                .ok_or(Refused("invalid_request", "id_token_hint is no ID token of this issuer"))?,
        ),
        None => None,
    };
    let Some(current) = current else { return Ok(None) };
    if hinted.is_some_and(|subject| subject != current.user.id.to_string()) {
        return Ok(None);
    }
    let auth_time = current.browser_session.auth_time;
    let since_asked = asked.asked_at.is_some_and(|asked_at| auth_time >= asked_at);
    let too_old = asked.max_age.is_some_and(|max_age| {
        authority.now().secs() - Timestamp::from_millis(auth_time).secs() > max_age
    });
    if (asked.prompt_login || too_old) && !since_asked {
        return Ok(None);
    }
    Ok(Some(current))
}

/// Off to the sign-in page, and back here.
fn sign_in_first(authority: &Authority, params: &Params) -> HttpResponse {
    let now = authority.now().millis().to_string();
    let back = format!("/oauth/authorize?{}", params.encode_with(ASKED_AT, (ASKED_AT, &now)));
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("return_to", &back)
        .append_pair("again", "1")
        .finish();
    pages::redirect(&format!("/login?{query}"))
}

fn refuse(
    authority: &Authority,
    request: &HttpRequest,
    target: &Target,
    Refused(code, description): &Refused,
) -> HttpResponse {
    let description = printable(description);
    answer(authority, request, target, &[("error", code), ("error_description", &description)])
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    action: &'a str,
    fields: &'a [(&'a str, &'a str)],
    nonce: &'a str,
    app: &'a str,
    stylesheet: String,
    icon: String,
}

/// Sends the answer to the app, with `state` and `iss` (RFC 9207).
fn answer(
    authority: &Authority,
    request: &HttpRequest,
    target: &Target,
    fields: &[(&str, &str)],
) -> HttpResponse {
    let mut fields = fields.to_vec();
    if let Some(state) = &target.state {
        fields.push(("state", state));
    }
    fields.push(("iss", authority.config.public_url.as_str()));
    if !target.form_post {
        return pages::redirect(&with_query(&target.redirect_uri, &fields));
    }
    let nonce = CspNonce::of(request);
    let page = FormPost {
        action: &target.redirect_uri,
        fields: &fields,
        nonce: &nonce,
        app: &target.client.name,
        stylesheet: assets::stylesheet(),
        icon: assets::icon(),
    };
    let origin = Url::parse(&target.redirect_uri).map(|uri| uri.origin().ascii_serialization());
    let mut response = html(StatusCode::OK, &page);
    allow_form_origins(request, &mut response, &[origin.unwrap_or_default()]);
    response
}

/// A URI with more parameters; what it has stays as it is, to the letter.
pub fn with_query(uri: &str, fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{query}")
}
