//! The HTTP interface: every route in one table, and the server that answers them.

mod assets;
mod discovery;
mod error;
mod oauth;
mod pages;
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

use crate::authority::Authority;
use crate::services::telemetry;

/// One line of the route table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// `GET` (which answers `HEAD` too) or `POST`.
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
    GET  "/continue"                                Page    => oauth::continue_to::get;
    POST "/continue"                                Form    => oauth::continue_to::post;
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
    GET  "/revocations"                             Machine => revocations::get;
    GET  "/assets/{name}"                           Asset   => assets::get;
}

fn on(method: &str) -> ActixRoute {
    match method {
        "GET" => web::route().guard(guard::Any(guard::Get()).or(guard::Head())),
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
            .wrap(middleware::from_fn(render_errors))
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

/// Renders errors of handlers as the kind of their route has it.
async fn render_errors(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let response = next.call(request).await?;
    let Some(error) = response.response().error().and_then(|error| error.as_error::<Error>())
    else {
        return Ok(response.map_into_left_body());
    };
    let request = response.request();
    let rendered = render::error(kind_of(request), error);
    Ok(response.into_response(rendered).map_into_right_body())
}

/// The kind of the route that a request matched.
fn kind_of(request: &HttpRequest) -> Kind {
    let pattern = request.match_pattern();
    let method = if request.method() == Method::POST { "POST" } else { "GET" };
    ROUTES
        .iter()
        .find(|route| route.method == method && pattern.as_deref() == Some(route.path))
        .map_or(Kind::Page, |route| route.kind)
}

/// A request that matches no route: 404, or 405 with the methods that there are.
async fn not_found(request: HttpRequest) -> HttpResponse {
    let methods: Vec<&str> = ROUTES
        .iter()
        .filter(|route| ResourceDef::new(route.path).is_match(request.path()))
        .map(|route| route.method)
        .collect();
    if methods.is_empty() {
        if is_program(&request) {
            return problem(StatusCode::NOT_FOUND, "there is nothing at this address");
        }
        return render::message(
            StatusCode::NOT_FOUND,
            "Page not found",
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
        render::message(
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

/// Whether the request comes from a program, which has no use for a page.
fn is_program(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let machine = ["/oauth/", "/.well-known/"];
    machine.iter().any(|prefix| request.path().starts_with(prefix))
        || accept.is_some_and(|accept| accept.contains("json") && !accept.contains("text/html"))
}
