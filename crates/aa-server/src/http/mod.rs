//! The HTTP interface: every route in one table, and the server that answers them.

mod assets;
mod cors;
mod discovery;
mod error;
mod oauth;
mod pages;
mod refusals;
mod render;
pub mod request;
mod revocations;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ResourceDef, Server, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{
    HttpRequest, HttpResponse, HttpServer, Route as ActixRoute, guard, middleware, web,
};
use service::http::{harden, problem};
use service::run;

pub use error::Error;
pub use render::Kind;
use request::current_user;

use crate::authority::Authority;
use crate::domain::message::Message;
use crate::services::telemetry;

/// One line of the route table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` (which answers `HEAD` too), `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The path, as actix-web writes patterns.
    pub path: &'static str,
    /// The form of its answers and errors.
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
    POST "/login/passkey"                           Form    => pages::login::by_passkey;
    GET  "/login/verify"                            Page    => pages::verify::show;
    POST "/login/verify"                            Form    => pages::verify::submit;
    GET  "/login/enrol"                             Page    => pages::verify::show_enrol;
    POST "/login/enrol"                             Form    => pages::verify::submit_enrol;
    GET  "/login/code"                              Page    => pages::mail_code::show;
    POST "/login/code"                              Form    => pages::mail_code::submit;
    GET  "/password/forgot"                         Page    => pages::password::show_forgot;
    POST "/password/forgot"                         Form    => pages::password::submit_forgot;
    GET  "/password/reset"                          Page    => pages::password::show_reset;
    POST "/password/reset"                          Form    => pages::password::submit_reset;
    POST "/password/strength"                       Form    => pages::strength::measure;
    GET  "/register/confirm"                        Page    => pages::register::show_confirm;
    POST "/register/confirm"                        Form    => pages::register::submit_confirm;
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
    POST "/account/profile"                         Form    => pages::account::save;
    POST "/account/picture"                         Form    => pages::picture::set;
    POST "/account/picture/remove"                  Form    => pages::picture::remove;
    POST "/account/email"                           Form    => pages::email::ask_change;
    GET  "/account/email/change"                    Page    => pages::email::show_change;
    POST "/account/email/change"                    Form    => pages::email::change;
    GET  "/account/email/confirm"                   Page    => pages::email::show_confirm;
    POST "/account/email/confirm"                   Form    => pages::email::ask_confirm;
    GET  "/account/export"                          Page    => pages::account::export;
    POST "/account/close"                           Form    => pages::account::close;
    POST "/account/keep"                            Form    => pages::account::keep;
    GET  "/account/security"                        Page    => pages::security::show;
    POST "/account/password"                        Form    => pages::security::change_password;
    POST "/account/passkeys"                        Form    => pages::factors::add_passkey;
    POST "/account/passkeys/later"                  Form    => pages::factors::later;
    POST "/account/passkeys/{passkey}/rename"       Form    => pages::factors::rename_passkey;
    POST "/account/passkeys/{passkey}/remove"       Form    => pages::factors::remove_passkey;
    GET  "/account/totp"                            Page    => pages::factors::show_totp;
    POST "/account/totp"                            Form    => pages::factors::add_totp;
    POST "/account/totp/remove"                     Form    => pages::factors::remove_totp;
    POST "/account/recovery-codes"                  Form    => pages::factors::make_recovery_codes;
    GET  "/account/activity"                        Page    => pages::activity::show;
    GET  "/demo/mail"                               Page    => pages::demo_mail::show;
    GET  "/oauth/authorize"                         Page    => oauth::authorize::get;
    POST "/oauth/authorize"                         Page    => oauth::authorize::post;
    POST "/oauth/par"                               OAuth   => oauth::par::post;
    POST "/oauth/register"                          OAuth   => oauth::register::post;
    GET  "/oauth/register/{client_id}"              OAuth   => oauth::register::get;
    PUT  "/oauth/register/{client_id}"              OAuth   => oauth::register::put;
    DELETE "/oauth/register/{client_id}"            OAuth   => oauth::register::delete;
    GET  "/continue"                                Page    => oauth::continue_to::get;
    POST "/continue"                                Form    => oauth::continue_to::post;
    POST "/oauth/device"                            OAuth   => oauth::device::post;
    GET  "/device"                                  Page    => pages::device::show;
    POST "/device"                                  Form    => pages::device::submit;
    POST "/oauth/revoke"                            OAuth   => oauth::tokens::revoke;
    POST "/oauth/introspect"                        OAuth   => oauth::tokens::introspect;
    GET  "/oauth/userinfo"                          OAuth   => oauth::userinfo::get;
    POST "/oauth/userinfo"                          OAuth   => oauth::userinfo::post;
    GET  "/oauth/logout"                            Page    => oauth::logout::get;
    POST "/oauth/logout"                            Page    => oauth::logout::post;
    GET  "/.well-known/openid-configuration"        Machine => discovery::openid_configuration;
    GET  "/.well-known/oauth-authorization-server"  Machine => discovery::authorization_server;
    GET  "/.well-known/jwks.json"                   Machine => discovery::jwks;
    GET  "/.well-known/change-password"             Page    => pages::security::change_password_url;
    GET  "/livez"                                   Machine => run::livez;
    GET  "/readyz"                                  Machine => discovery::readyz;
    GET  "/version"                                 Machine => discovery::version;
    GET  "/revocations"                             Machine => revocations::get;
    GET  "/assets/{name}"                           Asset   => assets::get;
    GET  "/icons/{name}"                            Asset   => assets::icon;
    GET  "/pictures/{name}"                         Asset   => assets::picture;
}

fn on(method: &str) -> ActixRoute {
    match method {
        "GET" => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
        "PUT" => web::route().guard(guard::Put()),
        "DELETE" => web::route().guard(guard::Delete()),
        _ => web::route().guard(guard::Post()),
    }
}

/// Puts the server together on a socket that already listens. Metrics have a socket of their own, or none.
///
/// # Errors
/// What the sockets say.
pub fn server(
    authority: &Arc<Authority>,
    listener: TcpListener,
) -> std::io::Result<(Server, Vec<SocketAddr>)> {
    let data = web::Data::from(Arc::clone(authority));
    let policy = web::Data::new(render::policy(authority));
    run::start_metrics();
    telemetry::describe();
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(data.clone())
            .app_data(policy.clone())
            .wrap(middleware::from_fn(answer))
            .wrap(middleware::from_fn(harden))
            .configure(register)
            .default_service(web::to(not_found))
    })
    .disable_signals()
    .shutdown_timeout(run::SHUTDOWN_SECONDS)
    .client_request_timeout(Duration::from_secs(10))
    // Ten thousand followers keep a buffer each, which does not grow beyond its first 8 KiB by this.
    .h1_write_buffer_size(4096)
    .listen(listener)?;
    let addresses = server.addrs();
    if let Some(address) = authority.config.metrics_listen {
        run::serve_metrics(address, authority.stop.clone())?;
    }
    Ok((server.run(), addresses))
}

/// Answers a request: what its handler says, or its error as the kind of its route has it, with word of who may read it.
async fn answer(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let readers = match cors::readers(request.request()).await {
        Ok(readers) => readers,
        Err(response) => return Ok(request.into_response(response).map_into_right_body()),
    };
    let response = next.call(request).await?;
    let request = response.request();
    let error = response.response().error().and_then(|error| error.as_error::<Error>());
    let mut response = if let Some(error) = error {
        let rendered = Box::pin(rendered(request, error)).await;
        response.into_response(rendered).map_into_right_body()
    } else {
        if let Some(authority) = request.app_data::<web::Data<Authority>>() {
            refusals::record_marked(authority, request, response.response());
        }
        response.map_into_left_body()
    };
    cors::tell(response.headers_mut(), readers);
    Ok(response)
}

/// The error of a handler as the kind of its route has it.
async fn rendered(request: &HttpRequest, error: &Error) -> HttpResponse {
    let authority = request.app_data::<web::Data<Authority>>();
    if let Some(authority) = authority {
        refusals::record_error(authority, request, error);
    }
    let kind = kind_of(request);
    // Who is signed in keeps the navigation; where the database does not answer, the page goes without.
    let user = match (kind, authority) {
        (Kind::Page | Kind::Form, Some(authority)) => {
            current_user(authority, request).await.ok().flatten()
        }
        _ => None,
    };
    render::error(request, kind, error, user.as_ref())
}

/// The kind of the route that a request matched.
fn kind_of(request: &HttpRequest) -> Kind {
    let pattern = request.match_pattern();
    let method = match request.method().as_str() {
        method @ ("POST" | "PUT" | "DELETE") => method,
        _ => "GET",
    };
    ROUTES
        .iter()
        .find(|route| route.method == method && pattern.as_deref() == Some(route.path))
        .map_or(Kind::Page, |route| route.kind)
}

/// A request that matches no route: 404, or 405 with the methods that there are.
async fn not_found(authority: web::Data<Authority>, request: HttpRequest) -> HttpResponse {
    let methods: Vec<&str> = ROUTES
        .iter()
        .filter(|route| ResourceDef::new(route.path).is_match(request.path()))
        .map(|route| route.method)
        .collect();
    if methods.is_empty() {
        if is_program(&request) {
            return problem(StatusCode::NOT_FOUND, "there is nothing at this address");
        }
        let text = Message::new("error-not-found");
        let user = current_user(&authority, &request).await.ok().flatten();
        let status = StatusCode::NOT_FOUND;
        return render::message_to(&authority, &request, status, &text, user.as_ref());
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
        let text = Message::new("error-method");
        render::message(&authority, &request, StatusCode::METHOD_NOT_ALLOWED, &text)
    };
    if let Ok(allow) = header::HeaderValue::from_str(&allow) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

/// Whether the request comes from a program, which has no use for a page.
fn is_program(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let machine = ["/oauth/", "/.well-known/"];
    machine.iter().any(|prefix| request.path().starts_with(prefix))
        || accept.is_some_and(|accept| accept.contains("json") && !accept.contains("text/html"))
}
