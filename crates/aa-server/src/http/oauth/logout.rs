//! `GET` and `POST /oauth/logout`: an app sends the browser here to end the sign-in (OpenID Connect RP-Initiated
//! Logout 1.0).
//!
//! A client that shows an ID token of the present sign-in is believed. Any other request might come from a link on another
//! site, with an ID token out of some history or log, so the user is asked. Users are sent only to addresses that the client
//! has registered.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use url::Url;

use crate::authority::Authority;
use crate::domain::client::ClientMetadata;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::pages;
use crate::http::render::{allow_form_origins, message};
use crate::http::request::params::Params;
use crate::http::request::{
    Csrf, CurrentUser, body_params, check_form, current_user, is_speculative, query_params,
};
use crate::ops::tokens::id_token_hint::{self, Hint};
use pages::{Frame, html_with};

/// A logout request, checked.
struct Asked {
    hint: Option<Hint>,
    app: Option<ClientMetadata>,
    /// The address that the browser goes to afterwards.
    to: Option<String>,
}

/// The request as parameters of the query.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    if is_speculative(&request) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let params = query_params(&request)?;
    let asked = read(&authority, &params).await?;
    match current_user(&authority, &request).await? {
        Some(user) if !asked.speaks_for(&authority, &user).await? => {
            Ok(confirm(&authority, &request, &user, &params, &asked))
        }
        user => finish(&authority, &request, user, &asked).await,
    }
}

/// The user's answer to our question; or the request as a form, which goes on as a GET: another site's POST
/// does not carry our cookies.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = body_params(&request, payload).await?;
    if !params.has("csrf") {
        return Ok(pages::redirect(&format!("/oauth/logout?{}", params.encode())));
    }
    check_form(&authority, &request, &params)?;
    let asked = read(&authority, &params).await?;
    let current_user = current_user(&authority, &request).await?;
    finish(&authority, &request, current_user, &asked).await
}

impl Asked {
    /// Whether the hint is an ID token of this user's present sign-in.
    async fn speaks_for(
        &self,
        authority: &Authority,
        current_user: &CurrentUser,
    ) -> Result<bool, Error> {
        let (Some(hint), Some(app)) = (&self.hint, &self.app) else { return Ok(false) };
        if hint.subject != authority.subjects.of(app, current_user.user.id) {
            return Ok(false);
        }
        let session = current_user.browser_session.id;
        Ok(authority.store.belongs_to_session(hint.family_id, session).await?)
    }
}

async fn read(authority: &Authority, params: &Params) -> Result<Asked, Error> {
    let wrong = |what: &str| {
        Error::refused(StatusCode::BAD_REQUEST, "error-broken-link")
            .because(format!("sign-out with {what}"))
    };
    // A hint that cannot be verified counts as none: the key may be long gone. Then the user is asked.
    let hint = params.get("id_token_hint")?.and_then(|text| id_token_hint::read(authority, text));
    let client_id = params.get("client_id")?;
    if let (Some(hint), Some(client_id)) = (&hint, client_id)
        && hint.client_id != client_id
    {
        return Err(wrong("another app's id_token_hint"));
    }
    let metadata = match hint.as_ref().map(|hint| hint.client_id.as_str()).or(client_id) {
        Some(id) => authority.store.client(id).await?.filter(|found| found.enabled),
        None => None,
    };
    let metadata = metadata.map(|found| found.metadata);
    let to = match (&metadata, params.get("post_logout_redirect_uri")?) {
        // The client is not known, so the address is not followed.
        (None, _) | (_, None) => None,
        (Some(known), Some(uri)) => {
            if !known.post_logout_uris.iter().any(|registered| registered == uri) {
                return Err(wrong("a post_logout_redirect_uri that it has not registered"));
            }
            let mut to = Url::parse(uri).map_err(|_| wrong("an unreadable address"))?;
            if let Some(state) = params.get("state")? {
                to.query_pairs_mut().append_pair("state", state);
            }
            Some(to.into())
        }
    };
    Ok(Asked { hint, app: metadata, to })
}

#[derive(Template)]
#[template(path = "logout.html")]
struct Question<'a> {
    frame: Frame,
    app: Option<&'a str>,
    fields: Vec<(&'static str, &'a str)>,
}

fn confirm(
    authority: &Authority,
    request: &HttpRequest,
    current_user: &CurrentUser,
    params: &Params,
    asked: &Asked,
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let client_id = asked.app.as_ref().map(|known| ("client_id", known.client_id.as_str()));
    let others = ["post_logout_redirect_uri", "state"]
        .into_iter()
        .filter_map(|name| params.get(name).ok().flatten().map(|value| (name, value)));
    let page = Question {
        frame: Frame::new(authority, request, "logout-title", &csrf, Some(current_user)),
        app: asked.app.as_ref().map(|known| known.name.as_str()),
        fields: client_id.into_iter().chain(others).collect(),
    };
    let mut response = html_with(authority, request, &csrf, StatusCode::OK, &page);
    let origin = asked.to.as_deref().and_then(|to| Url::parse(to).ok()).map(|to| to.origin());
    if let Some(origin) = origin {
        allow_form_origins(request, &mut response, &[origin.ascii_serialization()]);
    }
    response
}

async fn finish(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    current_user: Option<CurrentUser>,
    asked: &Asked,
) -> Result<HttpResponse, Error> {
    let response = match &asked.to {
        Some(to) => pages::redirect(to),
        None => message(authority, request, StatusCode::OK, &Message::new("signed-out")),
    };
    pages::login::signed_out(authority, request, current_user, response).await
}
