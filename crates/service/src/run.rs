//! Logging, health, serving and stopping.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, middleware, web};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::http::{Policy, harden};
use crate::settings::SettingsError;

/// How long requests under way may take to finish after a stop was asked for.
pub const SHUTDOWN_SECONDS: u64 = 25;
/// How long `/readyz` says no before the socket closes, so that a proxy can look elsewhere.
const DRAIN: Duration = Duration::from_secs(1);

/// How long the head of a request may take to arrive.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("`{other}` is neither text nor json")),
        }
    }
}

/// Starts logging to standard error. A second call in one process changes nothing.
///
/// # Errors
/// A text that says what is wrong with the filter.
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// Makes aws-lc the process's TLS provider. Every `main` calls it once; again is harmless.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Why a program ends, in words.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program to its end: exit status 0, 1 when it failed, 2 when its settings are wrong.
pub async fn to_exit(program: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    install_crypto();
    match program.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is::<SettingsError>() { 2 } else { 1 })
        }
    }
}

/// Starts counting. Recorders are per process, so programs that share one share the numbers.
pub fn start_metrics() {
    let _ = prometheus();
}

fn prometheus() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let _ = metrics::set_global_recorder(recorder);
        keep_small(handle.clone());
        handle
    })
}

/// Durations are kept one by one until they are summed up, which must not wait until somebody asks for them.
fn keep_small(handle: PrometheusHandle) {
    let sum_up = move || loop {
        std::thread::sleep(Duration::from_secs(5));
        handle.run_upkeep();
    };
    let _ = std::thread::Builder::new().name("metrics".to_owned()).spawn(sum_up);
}

/// `GET /metrics`, in Prometheus' text format.
pub async fn metrics_endpoint() -> HttpResponse {
    prometheus().run_upkeep();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(prometheus().render())
}

/// `GET /livez`: the process is up.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /version`.
pub fn version(name: &'static str, version: &'static str) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "name": name, "version": version }))
}

/// The answer of `/readyz`: 200, or 503 with what is missing.
pub fn readyz(missing: &[&str]) -> HttpResponse {
    if missing.is_empty() {
        return HttpResponse::Ok().json(json!({ "status": "ok" }));
    }
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header(("Retry-After", "1"))
        .json(json!({ "status": "unavailable", "missing": missing }))
}

/// Says that it is time to stop. Clones are told alike.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// The other end of a [`Stop`].
#[derive(Debug)]
pub struct StopHandle(watch::Sender<bool>);

impl StopHandle {
    /// Tells everyone to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// A pair: whoever holds the handle says when.
    pub fn pair() -> (StopHandle, Self) {
        let (sender, receiver) = watch::channel(false);
        (StopHandle(sender), Self(receiver))
    }

    /// Stops on SIGTERM or Ctrl-C.
    pub fn on_signals() -> Self {
        let (handle, stop) = Self::pair();
        tokio::spawn(async move {
            wait_for_signal().await;
            info!("stopping: requests under way are finished first");
            handle.stop();
            // Kept until the process ends: a dropped handle would count as a stop all the same.
            std::future::pending::<()>().await;
        });
        stop
    }

    /// Whether it has been said.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is said.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|stopping| *stopping).await;
    }
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// So many connections may wait until they are accepted, if the system allows as many (`net.core.somaxconn`). Whoever
/// comes when it is full tries again after a second. The standard library has 128: fewer than come at once when a
/// replica takes over.
const BACKLOG: i32 = 4096;

/// A socket that listens.
///
/// # Errors
/// What the system says.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait until the connections of the last run are forgotten.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A server on a socket that already listens: limits, request ids, headers and health around what `configure` adds.
/// What handlers share with each other goes into `configure` as application data.
///
/// # Errors
/// What the socket says.
pub fn server(
    listener: TcpListener,
    policy: Policy,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<Server> {
    start_metrics();
    let policy = web::Data::new(policy);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(policy.clone())
            .wrap(middleware::from_fn(harden))
            .configure(configure.clone())
    });
    let server = server
        .disable_signals()
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .client_request_timeout(HEAD_PATIENCE)
        .listen(listener)?;
    Ok(server.run())
}

/// Asks the program that listens here whether it is ready: for a container's health check, which has no other tool.
///
/// # Errors
/// What it answered, or that nobody did.
pub fn ask_readiness(mut listen: SocketAddr) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(3);
    if listen.ip().is_unspecified() {
        listen.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&listen, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer: String = ask().map_err(|error: std::io::Error| format!("{listen}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(format!("{listen} is not ready: {}", answer.lines().last().unwrap_or_default()))
}

/// Runs a server until `stop`: readiness turns first, then the socket closes, then requests finish.
///
/// # Errors
/// What the server ends with.
pub async fn serve(server: Server, stop: Stop) -> std::io::Result<()> {
    let handle: ServerHandle = server.handle();
    let stopper = async move {
        stop.wait().await;
        tokio::time::sleep(DRAIN).await;
        handle.stop(true).await;
    };
    let (ended, ()) = tokio::join!(server, stopper);
    ended
}

/// Runs a future on the process's main runtime to its end, even if the caller is dropped meanwhile.
///
/// A client that hangs up cancels its handler; what changes tokens must not stop halfway for that.
///
/// # Panics
/// When the future does.
pub async fn detached<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    match runtime.spawn(future).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Registers `/livez`, `/metrics` and `/version`.
pub fn machine_routes(
    name: &'static str,
    version_text: &'static str,
) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .route("/livez", web::get().to(livez))
            .route("/metrics", web::get().to(metrics_endpoint))
            .route(
                "/version",
                web::get().to(move || std::future::ready(version(name, version_text))),
            );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody accepts here. Where the line is full, a connection is only there at its second try, after a second.
    #[test]
    fn many_who_come_at_once_find_a_place_in_the_line() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let patience = Duration::from_millis(800);
        let come = |_| TcpStream::connect_timeout(&address, patience).unwrap();
        assert_eq!((0..400).map(come).collect::<Vec<_>>().len(), 400);
    }
}
