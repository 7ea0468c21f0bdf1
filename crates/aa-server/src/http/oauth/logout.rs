//! `GET` and `POST /oauth/logout`: an app sends the browser here to end the sign-in (OpenID Connect RP-Initiated
//! Logout 1.0).
//!
//! An app that shows an ID token of the person who is signed in is believed. Anyone else might be a stranger's
//! link, so the person is asked. Nobody is ever sent to an address that the app has not registered.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use url::Url;

use crate::app::App;
use crate::domain::client::Registration;
use crate::http::error::Error;
use crate::http::extract::{
    Csrf, Person, body_params, check_form, is_speculative, person, query_params,
};
use crate::http::params::Params;
use crate::http::{let_forms_lead_to, pages};
use crate::ops::hint::{self, Hint};
use pages::{Frame, html_with};

/// What an app asks for, checked.
struct Asked {
    hint: Option<Hint>,
    app: Option<Registration>,
    /// Where the browser goes afterwards.
    to: Option<String>,
}

/// The request as parameters of the query.
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Error> {
    if is_speculative(&request) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let params = query_params(&request)?;
    let asked = read(&app, &params).await?;
    match person(&app, &request).await? {
        Some(person) if !asked.speaks_for(&person) => {
            Ok(confirm(&app, &request, &person, &params, &asked))
        }
        person => finish(&app, &request, person, &asked).await,
    }
}

/// The person's answer to our question; or the request as a form, which goes on as a GET: another site's POST
/// does not carry our cookies.
pub async fn post(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = body_params(&request, payload).await?;
    if !params.has("csrf") {
        return Ok(pages::redirect(&format!("/oauth/logout?{}", params.encode())));
    }
    check_form(&app, &request, &params)?;
    let asked = read(&app, &params).await?;
    let person = person(&app, &request).await?;
    finish(&app, &request, person, &asked).await
}

impl Asked {
    fn speaks_for(&self, person: &Person) -> bool {
        self.hint.as_ref().is_some_and(|hint| hint.subject == person.user.id.to_string())
    }
}

async fn read(app: &App, params: &Params) -> Result<Asked, Error> {
    let wrong = |what: &str| {
        Error::page(
            StatusCode::BAD_REQUEST,
            "This link does not work",
            format!("An app sent you here to sign out with {what}. Its team can mend that."),
        )
    };
    // A hint that cannot be verified counts as none: the key may be long gone. Then the person is asked.
    let hint = params.get("id_token_hint")?.and_then(|text| hint::read(app, text));
    let client_id = params.get("client_id")?;
    if let (Some(hint), Some(client_id)) = (&hint, client_id)
        && hint.client_id != client_id
    {
        return Err(wrong("another app's id_token_hint"));
    }
    let registration = match hint.as_ref().map(|hint| hint.client_id.as_str()).or(client_id) {
        Some(id) => app.store.app(id).await?.filter(|found| found.enabled),
        None => None,
    };
    let registration = registration.map(|found| found.registration);
    let to = match (&registration, params.get("post_logout_redirect_uri")?) {
        // Who asks is not known, so whose address it is neither: nobody is sent there.
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
    Ok(Asked { hint, app: registration, to })
}

#[derive(Template)]
#[template(path = "logout.html")]
struct Question<'a> {
    frame: Frame,
    app: Option<&'a str>,
    fields: Vec<(&'static str, &'a str)>,
}

fn confirm(
    app: &App,
    request: &HttpRequest,
    person: &Person,
    params: &Params,
    asked: &Asked,
) -> HttpResponse {
    let csrf = Csrf::of(app, request);
    let client_id = asked.app.as_ref().map(|known| ("client_id", known.client_id.as_str()));
    let others = ["post_logout_redirect_uri", "state"]
        .into_iter()
        .filter_map(|name| params.get(name).ok().flatten().map(|value| (name, value)));
    let page = Question {
        frame: Frame::new("Sign out", &csrf, Some(person)),
        app: asked.app.as_ref().map(|known| known.name.as_str()),
        fields: client_id.into_iter().chain(others).collect(),
    };
    let mut response = html_with(app, &csrf, StatusCode::OK, &page);
    let origin = asked.to.as_deref().and_then(|to| Url::parse(to).ok()).map(|to| to.origin());
    if let Some(origin) = origin {
        let_forms_lead_to(request, &mut response, &[origin.ascii_serialization()]);
    }
    response
}

async fn finish(
    app: &web::Data<App>,
    request: &HttpRequest,
    person: Option<Person>,
    asked: &Asked,
) -> Result<HttpResponse, Error> {
    let response = match &asked.to {
        Some(to) => pages::redirect(to),
        None => pages::message(
            StatusCode::OK,
            "You are signed out",
            "Your sessions in this browser have ended.",
        ),
    };
    pages::login::signed_out(app, request, person, response).await
}
