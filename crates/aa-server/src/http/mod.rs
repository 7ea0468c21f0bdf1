//! The outside: every route in one table, and what they have in common.

mod assets;
mod discovery;
mod error;
mod oauth;
mod pages;
pub mod request;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{ResourceDef, Server};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{
    HttpRequest, HttpResponse, HttpServer, Route as ActixRoute, guard, middleware, web,
};
use service::http::{Policy, harden, problem};
use service::run;

pub use error::Error;

use crate::authority::Authority;

/// What a route answers with, and so what its errors look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A page for people.
    Page,
    /// A form of one: it changes something, so it wants a CSRF token.
    Form,
    /// OAuth 2.0 and OpenID Connect, called by apps.
    OAuth,
    /// A document for programs.
    Machine,
    /// A file that never changes under its name.
    Asset,
}

/// One line of the route table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` (which answers `HEAD` too) or `POST`.
    pub method: &'static str,
    /// The path, as actix-web writes patterns.
    pub path: &'static str,
    /// What it answers with.
    pub kind: Kind,
}

macro_rules! routes {
    ($($method:ident $path:literal $kind:ident => $handler:path;)*) => {
        /// Every route of the authority. A test walks it, so a new route is covered by being added.
        pub const ROUTES: &[Route] = &[$(
            Route { method: stringify!($method), path: $path, kind: Kind::$kind },
        )*];

        fn register(config: &mut web::ServiceConfig) {
            $(config.route($path, on(stringify!($method)).to($handler));)*
        }
    };
}

routes! {
    // They are looked through in this order, so what is asked most comes first.
    POST "/oauth/token"                             OAuth   => oauth::token::post;
    GET  "/"                                        Page    => pages::root;
    GET  "/login"                                   Page    => pages::login::show;
    POST "/login"                                   Form    => pages::login::submit;
    GET  "/register"                                Page    => pages::register::show;
    POST "/register"                                Form    => pages::register::submit;
    POST "/logout"                                  Form    => pages::login::sign_out;
    GET  "/apps"                                    Page    => pages::launcher::show;
    GET  "/open/{client_id}"                        Page    => pages::launcher::open;
    GET  "/sessions"                                Page    => pages::sessions::show;
    POST "/sessions/{family}/revoke"                Form    => pages::sessions::end_family;
    POST "/sessions/devices/{device}/revoke"        Form    => pages::sessions::end_browser;
    POST "/sessions/devices/{device}/rename"        Form    => pages::sessions::rename_browser;
    POST "/sessions/revoke-others"                  Form    => pages::sessions::end_others;
    POST "/sessions/revoke-all"                     Form    => pages::sessions::end_all;
    GET  "/account"                                 Page    => pages::account::show;
    POST "/account/password"                        Form    => pages::account::change_password;
    GET  "/account/activity"                        Page    => pages::account::activity;
    GET  "/oauth/authorize"                         Page    => oauth::authorize::get;
    POST "/oauth/authorize"                         Page    => oauth::authorize::post;
    POST "/oauth/revoke"                            OAuth   => oauth::tokens::revoke;
    POST "/oauth/introspect"                        OAuth   => oauth::tokens::introspect;
    GET  "/oauth/userinfo"                          OAuth   => oauth::userinfo::get;
    POST "/oauth/userinfo"                          OAuth   => oauth::userinfo::post;
    GET  "/oauth/logout"                            Page    => oauth::logout::get;
    POST "/oauth/logout"                            Page    => oauth::logout::post;
    GET  "/.well-known/openid-configuration"        Machine => discovery::openid_configuration;
    GET  "/.well-known/oauth-authorization-server"  Machine => discovery::authorization_server;
    GET  "/.well-known/jwks.json"                   Machine => discovery::jwks;
    GET  "/.well-known/change-password"             Page    => pages::account::change_password_url;
    GET  "/livez"                                   Machine => run::livez;
    GET  "/readyz"                                  Machine => discovery::readyz;
    GET  "/version"                                 Machine => discovery::version;
    GET  "/assets/{name}"                           Asset   => assets::get;
}

fn on(method: &str) -> ActixRoute {
    match method {
        "GET" => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        _ => web::route().guard(guard::Post()),
    }
}

/// The policy of the authority's pages. No script runs but those that carry the response's nonce.
fn policy(authority: &Authority) -> Policy {
    Policy { csp: content_security_policy(&[]), https: authority.config.public_url.is_https() }
}

/// A Content-Security-Policy whose forms may also lead to these origins.
///
/// Chromium follows a form's redirects only to origins that `form-action` names.
fn content_security_policy(form_origins: &[String]) -> String {
    let mut forms = String::from("'self'");
    for origin in form_origins {
        forms.push(' ');
        forms.push_str(origin);
    }
    format!(
        "default-src 'none'; style-src 'self' 'nonce-{{nonce}}'; script-src 'nonce-{{nonce}}'; \
         img-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
    )
}

/// Lets the forms of a page be redirected to these origins too.
fn let_forms_lead_to(request: &HttpRequest, response: &mut HttpResponse, origins: &[String]) {
    let nonce = service::http::CspNonce::of(request);
    let csp = content_security_policy(origins).replace("{nonce}", &nonce);
    if let Ok(csp) = header::HeaderValue::from_str(&csp) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, csp);
    }
}

/// Puts the server together on a socket that already listens. Where it listens, metrics apart.
///
/// # Errors
/// What the sockets say.
pub fn server(
    authority: &Arc<Authority>,
    listener: TcpListener,
) -> std::io::Result<(Server, Vec<SocketAddr>)> {
    let data = web::Data::from(Arc::clone(authority));
    let policy = web::Data::new(policy(authority));
    let separate_metrics = authority.config.metrics_listen;
    run::start_metrics();
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(data.clone())
            .app_data(policy.clone())
            .wrap(middleware::from_fn(harden))
            .configure(register)
            .configure(|config| {
                if separate_metrics.is_none() {
                    config.route("/metrics", web::get().to(run::metrics_endpoint));
                }
            })
            .default_service(web::to(not_found))
    })
    .disable_signals()
    .shutdown_timeout(run::SHUTDOWN_SECONDS)
    .client_request_timeout(Duration::from_secs(10))
    .listen(listener)?;
    let addresses = server.addrs();
    if let Some(address) = separate_metrics {
        let metrics = HttpServer::new(|| {
            actix_web::App::new().route("/metrics", web::get().to(run::metrics_endpoint))
        })
        .workers(1)
        .disable_signals()
        .bind(address)?
        .run();
        let stop = authority.stop.clone();
        authority.runtime.spawn(run::serve(metrics, stop));
    }
    Ok((server.run(), addresses))
}

/// What is no route: 404, or 405 with the methods that there are.
async fn not_found(request: HttpRequest) -> HttpResponse {
    let methods: Vec<&str> = ROUTES
        .iter()
        .filter(|route| ResourceDef::new(route.path).is_match(request.path()))
        .map(|route| route.method)
        .collect();
    if methods.is_empty() {
        if is_program(&request) {
            return problem(StatusCode::NOT_FOUND, "there is nothing here");
        }
        return pages::message(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The address may be mistyped, or the page may have moved.",
        );
    }
    let mut allow = methods.join(", ");
    if methods.contains(&"GET") {
        allow.push_str(", HEAD");
    }
    if request.method() == Method::OPTIONS {
        return HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish();
    }
    let mut response = if is_program(&request) {
        problem(StatusCode::METHOD_NOT_ALLOWED, "this address does not answer that method")
    } else {
        pages::message(
            StatusCode::METHOD_NOT_ALLOWED,
            "That does not work here",
            "This address does not answer that kind of request.",
        )
    };
    if let Ok(allow) = header::HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Whether a page would be of no use to whoever asks.
fn is_program(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let machine = ["/oauth/", "/.well-known/"];
    machine.iter().any(|prefix| request.path().starts_with(prefix))
        || accept.is_some_and(|accept| accept.contains("json") && !accept.contains("text/html"))
}
