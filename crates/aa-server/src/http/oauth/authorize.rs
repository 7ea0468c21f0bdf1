//! `GET` and `POST /oauth/authorize` (RFC 6749 §3.1, OpenID Connect Core §3.1.2): code with PKCE, no consent.
//!
//! A request may come by itself or as a reference to one that was pushed. One that waits for the user is stored as an
//! attempt, and the browser comes back with `?attempt=…` alone: from the sign-in page, or from the question whether they
//! want to continue to the app.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use foundation::time::Timestamp;
use service::http::with_cookies;
use url::{Url, form_urlencoded};

use crate::authority::Authority;
use crate::config::RegistrationMode;
use crate::domain::authorization_request::{
    AuthorizationError, AuthorizationRequest, BrokenLink, Parameters, Prompt, REQUEST_URI_PREFIX,
    ResponseMode, ResponseTarget, Rules,
};
use crate::domain::client::{ClientMetadata, form_source};
use crate::domain::client_document::is_address;
use crate::domain::refresh_token::{EncodedToken, SecretHash};
use crate::http::error::Error;
use crate::http::pages;
use crate::http::pages::login::attempt_expired;
use crate::http::refusals::{mark, name_client};
use crate::http::render::{Frame, allow_form_origins, html};
use crate::http::request::params::Params;
use crate::http::request::{
    Csrf, CurrentUser, address, body_params, caller, current_user, detached, is_for_a_window,
    is_speculative, query_params,
};
use crate::ops::authentication::attempt::{self, Attempt};
use crate::ops::client_documents;
use crate::ops::grants::delegation::{Delegate, delegate};
use crate::ops::tokens::id_token_hint;
use crate::services::refusals::Recognition;

/// The request as parameters of the query, or a reference to a stored one.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    if is_speculative(&request) {
        return Ok(HttpResponse::NoContent().finish());
    }
    if !is_for_a_window(&request) {
        return Err(Error::refused(StatusCode::FORBIDDEN, "error-not-by-script"));
    }
    let params = query_params(&request)?;
    // A client may send a parameter of this name: unknown ones are ignored (RFC 6749 §3.1).
    match params.get("attempt")?.filter(|_| !params.has("client_id")) {
        Some(reference) => resume(&authority, &request, reference).await,
        None => begin(&authority, &request, &params).await,
    }
}

/// The request as a form. It goes on as a GET: another site's POST does not carry our cookies.
pub async fn post(request: HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let params = body_params(&request, payload).await?;
    Ok(pages::redirect(&format!("/oauth/authorize?{}", params.encode())))
}

/// A request, and how far it has come.
pub(super) struct Pending {
    pub(super) client: ClientMetadata,
    pub(super) asked: AuthorizationRequest,
    /// The attempt that it is stored as.
    pub(super) attempt: Option<Attempt>,
    /// The id of the user who has said that they want to continue to the app.
    pub(super) confirmed_by: Option<String>,
}

/// A page that the user has to see before a code is issued.
enum Page {
    SignIn,
    Register,
    Continue,
}

/// What comes of a request that the user may grant.
enum Outcome {
    Code(EncodedToken),
    SignIn,
    /// Of an agent that is disabled, or one too many.
    Refused,
}

/// Answers a new request.
async fn begin(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    params: &Params,
) -> Result<HttpResponse, Error> {
    let parameters = Parameters(params.pairs());
    let client = match parameters.client_id() {
        Ok(client_id) => enabled_client(authority, request, client_id).await?,
        Err(refused) => return Err(broken_link(&refused)),
    };
    let csrf = Csrf::of(authority, request);
    let request_uri = params.get("request_uri").ok().flatten().unwrap_or_default();
    let pending = if let Some(reference) = request_uri.strip_prefix(REQUEST_URI_PREFIX) {
        pushed(authority, client, reference, csrf.binding()).await?
    } else {
        match judge(authority, parameters, &client, false) {
            Ok(asked) => Pending { client, asked, attempt: None, confirmed_by: None },
            Err(refused) => return refuse(authority, request, &client, &refused),
        }
    };
    let response = grant(authority, request, pending).await?;
    Ok(with_cookies(response, csrf.set_cookie(authority)))
}

/// Reads and judges a request of this client.
pub(super) fn judge(
    authority: &Authority,
    parameters: Parameters<'_>,
    client: &ClientMetadata,
    is_pushed: bool,
) -> Result<AuthorizationRequest, AuthorizationError> {
    let rules = Rules {
        client,
        registration_is_open: authority.config.registration == RegistrationMode::Open,
        not_pushed: !is_pushed && (client.par || authority.config.require_par),
    };
    let subject_of = |hint: &str| id_token_hint::read(authority, hint).map(|hint| hint.subject);
    AuthorizationRequest::parse(parameters, rules, subject_of)
}

/// The request that this client has pushed under this reference. It is this browser's from now on.
///
/// # Errors
/// [`attempt_expired`], also when it is another client's or has been redeemed in another browser.
async fn pushed(
    authority: &web::Data<Authority>,
    client: ClientMetadata,
    reference: &str,
    browser: SecretHash,
) -> Result<Pending, Error> {
    let (reference, client_id) = (reference.to_owned(), client.client_id.clone());
    let work = |authority: web::Data<Authority>| async move {
        attempt::redeem_pushed(&authority, &reference, &client_id, &browser).await
    };
    let attempt = detached(authority, work).await?.ok_or_else(attempt_expired)?;
    let asked = attempt.request.clone();
    Ok(Pending { client, asked, attempt: Some(attempt), confirmed_by: None })
}

/// Answers a stored request, after the sign-in.
async fn resume(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    reference: &str,
) -> Result<HttpResponse, Error> {
    let pending = stored(authority, request, reference).await?;
    grant(authority, request, pending).await
}

/// The request of this browser that is stored under a reference.
///
/// # Errors
/// [`attempt_expired`], and the page about a client that is not there any more.
pub(super) async fn stored(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    reference: &str,
) -> Result<Pending, Error> {
    let browser = Csrf::of(authority, request).binding();
    let attempt = attempt::find(authority, reference, &browser).await?;
    let attempt = attempt.ok_or_else(attempt_expired)?;
    let client = enabled_client(authority, request, &attempt.request.client_id).await?;
    let asked = attempt.request.clone();
    Ok(Pending { client, asked, attempt: Some(attempt), confirmed_by: None })
}

async fn enabled_client(
    authority: &Authority,
    request: &HttpRequest,
    client_id: &str,
) -> Result<ClientMetadata, Error> {
    if is_address(client_id) {
        return described_client(authority, request, client_id).await;
    }
    let found = authority.store.client(client_id).await?;
    let recognition = found.as_ref().map_or(Recognition::Unknown, |_| Recognition::Registered);
    name_client(request, client_id, recognition);
    let unknown = || broken_link(&BrokenLink::UnknownClient.into());
    found.filter(|found| found.enabled).map(|found| found.metadata).ok_or_else(unknown)
}

/// The agent whose metadata are at this address.
async fn described_client(
    authority: &Authority,
    request: &HttpRequest,
    client_id: &str,
) -> Result<ClientMetadata, Error> {
    let found = client_documents::find(authority, client_id, address(authority, request)?).await?;
    name_client(request, client_id, Recognition::Unknown);
    found.ok_or_else(|| broken_link(&BrokenLink::UnknownClient.into()))
}

/// The page about a request that cannot be answered.
fn broken_link(refused: &AuthorizationError) -> Error {
    Error::refused(StatusCode::BAD_REQUEST, "error-broken-link").because(refused.to_string())
}

/// Creates a code if a suitable user is signed in, else leads to the page that the user has to see first.
pub(super) async fn grant(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    pending: Pending,
) -> Result<HttpResponse, Error> {
    let Pending { client, mut asked, attempt, confirmed_by } = pending;
    if attempt.is_some() {
        asked = match asked.judge_again(&client) {
            Ok(asked) => asked,
            Err(refused) => return refuse(authority, request, &client, &refused),
        };
    }
    let floor = attempt.as_ref().and_then(|attempt| attempt.floor);
    let current_user = current_user(authority, request).await?;
    let current_user =
        current_user.filter(|user| accepts(authority, (&client, &asked), user, floor));
    let Some(current_user) = current_user else {
        return show_first(authority, request, Page::SignIn, (&client, asked, attempt)).await;
    };
    let confirmed = confirmed_by.is_some_and(|id| id == current_user.user.id.to_string());
    if !confirmed && must_confirm(authority, &client, &asked, &current_user).await? {
        return show_first(authority, request, Page::Continue, (&client, asked, attempt)).await;
    }
    let caller = caller(authority, request)?;
    let work = |authority: web::Data<Authority>| async move {
        if let Some(attempt) = &attempt {
            let auth_time = current_user.browser_session.auth_time;
            let first_use = attempt::complete(&authority, attempt, auth_time).await?;
            if !first_use && !accepts(&authority, (&client, &asked), &current_user, None) {
                return Ok::<_, Error>((Outcome::SignIn, client, asked, Some(attempt.clone())));
            }
        }
        if client.is_document() && !client_documents::keep(&authority, &client, &caller).await? {
            return Ok((Outcome::Refused, client, asked, attempt));
        }
        let command = Delegate {
            browser_session: &current_user.browser_session,
            client: &client,
            request: &asked,
        };
        let code = delegate(&authority, &command, &caller).await?;
        Ok((code.map_or(Outcome::SignIn, Outcome::Code), client, asked, attempt))
    };
    let (outcome, client, asked, attempt) = detached(authority, work).await?;
    match outcome {
        Outcome::Code(code) => {
            let fields = [("code", code.expose())];
            Ok(answer(authority, request, &client, &asked.target, &fields))
        }
        Outcome::Refused => refuse(authority, request, &client, &asked.access_denied()),
        // Signed out meanwhile, or another tab has used this sign-in for the same attempt.
        Outcome::SignIn => {
            show_first(authority, request, Page::SignIn, (&client, asked, attempt)).await
        }
    }
}

/// Whether the user has to say that they want to continue to this client: an agent always, and another if its identity is not
/// assured (RFC 8252 §8.6) and it is not open in this browser already.
pub(super) async fn must_confirm(
    authority: &Authority,
    client: &ClientMetadata,
    asked: &AuthorizationRequest,
    current_user: &CurrentUser,
) -> Result<bool, Error> {
    if client.is_agent() {
        return Ok(true);
    }
    if client.identity_is_assured(&asked.target.redirect_uri) {
        return Ok(false);
    }
    let session = &current_user.browser_session;
    Ok(!authority.store.is_open_in_browser(&client.client_id, session, authority.now()).await?)
}

fn accepts(
    authority: &Authority,
    (client, asked): (&ClientMetadata, &AuthorizationRequest),
    current_user: &CurrentUser,
    floor: Option<Timestamp>,
) -> bool {
    let session = &current_user.browser_session;
    let done = (session.auth_time, session.amr.as_str());
    let subject = authority.subjects.of(client, current_user.user.id);
    asked.accepts(&subject, done, floor, authority.now())
}

/// Leads to a page that the user has to see first, which leads back here by a reference to the stored request. A client that
/// allows no page is refused.
async fn show_first(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    page: Page,
    (client, asked, attempt): (&ClientMetadata, AuthorizationRequest, Option<Attempt>),
) -> Result<HttpResponse, Error> {
    if asked.prompt == Prompt::None {
        let refused = match page {
            Page::SignIn | Page::Register => asked.login_required(),
            Page::Continue => asked.interaction_required(),
        };
        return refuse(authority, request, client, &refused);
    }
    let csrf = Csrf::of(authority, request);
    let ui_locales = asked.ui_locales.clone();
    let can_register = authority.config.registration == RegistrationMode::Open;
    let page = match page {
        Page::SignIn if asked.prompt == Prompt::Create && can_register => Page::Register,
        page => page,
    };
    let reference = if let Some(attempt) = attempt {
        attempt.reference
    } else {
        let (browser, address) = (csrf.binding(), address(authority, request)?);
        let work = |authority: web::Data<Authority>| async move {
            attempt::begin(&authority, asked, &browser, address).await
        };
        detached(authority, work).await?
    };
    Ok(pages::redirect(&page.url(&reference, ui_locales.as_deref())))
}

impl Page {
    fn url(&self, reference: &str, ui_locales: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let return_to = format!("/oauth/authorize?attempt={reference}");
        let page = match self {
            Self::SignIn => {
                query.append_pair("return_to", &return_to);
                query.append_pair("again", "1");
                "/login"
            }
            Self::Register => {
                query.append_pair("return_to", &return_to);
                "/register"
            }
            Self::Continue => {
                query.append_pair("attempt", reference);
                "/continue"
            }
        };
        if let Some(list) = ui_locales {
            query.append_pair("ui_locales", list);
        }
        format!("{page}?{}", query.finish())
    }
}

/// Tells the client, or the user, what is wrong.
pub(super) fn refuse(
    authority: &Authority,
    request: &HttpRequest,
    client: &ClientMetadata,
    refused: &AuthorizationError,
) -> Result<HttpResponse, Error> {
    match refused {
        AuthorizationError::Show(_) => Err(broken_link(refused)),
        AuthorizationError::Redirect { target, code, description } => {
            let fields = [("error", code.as_str()), ("error_description", *description)];
            let mut response = answer(authority, request, client, target, &fields);
            mark(&mut response, code.as_str(), *description);
            Ok(response)
        }
    }
}

#[derive(Template)]
#[template(path = "form_post.html")]
struct FormPost<'a> {
    frame: Frame,
    action: &'a str,
    fields: &'a [(&'a str, &'a str)],
    app: &'a str,
}

/// Sends the answer to the app, with `state` and `iss` (RFC 9207).
fn answer(
    authority: &Authority,
    request: &HttpRequest,
    client: &ClientMetadata,
    target: &ResponseTarget,
    fields: &[(&str, &str)],
) -> HttpResponse {
    let mut fields = fields.to_vec();
    if let Some(state) = &target.state {
        fields.push(("state", state));
    }
    fields.push(("iss", authority.config.public_url.as_str()));
    match target.response_mode {
        ResponseMode::Query => return pages::redirect(&with_query(&target.redirect_uri, &fields)),
        ResponseMode::Fragment => {
            return pages::redirect(&format!("{}#{}", target.redirect_uri, encode(&fields)));
        }
        ResponseMode::FormPost => {}
    }
    let mut frame = Frame::bare(authority, request, String::new());
    frame.title = frame.t1("continue-to", "app", &*client.name);
    let page = FormPost { frame, action: &target.redirect_uri, fields: &fields, app: &client.name };
    let origin = Url::parse(&target.redirect_uri).map(|uri| form_source(&uri));
    let mut response = html(StatusCode::OK, &page);
    allow_form_origins(request, &mut response, &[origin.unwrap_or_default()]);
    response
}

/// A URI with more parameters; what it has stays as it is, to the letter.
pub fn with_query(uri: &str, fields: &[(&str, &str)]) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", encode(fields))
}

fn encode(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
