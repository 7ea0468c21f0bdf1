//! Logging, metrics, health checks, serving and shutdown.

use std::future::Future;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, middleware, web};
use metrics::{Unit, describe_counter, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::watch;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::http::{Policy, harden, no_other_method};
use crate::settings::SettingsError;

/// Time in seconds that requests in progress have to finish after a stop was requested.
pub const SHUTDOWN_SECONDS: u64 = 25;
/// Time between the first 503 of `/readyz` and the closing of the socket, for proxies to choose another replica.
const DRAIN: Duration = Duration::from_secs(1);

/// Time that the head of a request has to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Plain lines for people.
    Text,
    /// One JSON object per line.
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
/// Lines have colours only on a terminal, and not if `NO_COLOR` is set (<https://no-color.org>).
///
/// # Errors
/// A message when the filter cannot be parsed.
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let ansi = std::io::stderr().is_terminal() && !no_color();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        // A line that cannot be written, to a full disk for instance, is lost. To say so there would be a panic.
        .log_internal_errors(false);
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}

fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Writes a line to standard output. A reader that closed the pipe (`| head`) is no error.
///
/// # Errors
/// When the line cannot be written for another reason, such as a full disk.
pub fn print_line(line: &str) -> std::io::Result<()> {
    write_line(std::io::stdout().lock(), line)
}

fn write_line(mut output: impl std::io::Write, line: &str) -> std::io::Result<()> {
    match writeln!(output, "{line}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Makes aws-lc the process's TLS provider. Every `main` calls it once; further calls do nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// An error that ends a program.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program to its end: exit status 0, 1 when it failed, 2 when its settings are invalid.
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

/// Upper bounds of durations, in seconds.
const DURATION_BUCKETS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Installs the metrics recorder. It is per process: programs that run in one process share its counters.
pub fn start_metrics() {
    let _ = prometheus();
}

fn prometheus() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let builder = PrometheusBuilder::new();
        // Histograms of replicas can be added up; quantiles cannot.
        let builder = builder.set_buckets(&DURATION_BUCKETS).unwrap_or_default();
        let recorder = builder.build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_counter!("http_requests_total", "Requests by method, route and status");
            describe_histogram!(
                "http_request_duration_seconds",
                Unit::Seconds,
                "Time to answer a request, by method and route"
            );
        });
        let handle = recorder.handle();
        let _ = metrics::set_global_recorder(recorder);
        keep_small(handle.clone());
        handle
    })
}

/// Aggregates recorded durations every 5 s: they are kept one by one until then, also when no client reads `/metrics`.
fn keep_small(handle: PrometheusHandle) {
    let sum_up = move || loop {
        std::thread::sleep(Duration::from_secs(5));
        handle.run_upkeep();
    };
    let _ = std::thread::Builder::new().name("metrics".to_owned()).spawn(sum_up);
}

/// `GET /metrics`, in the Prometheus text format.
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

/// The response of `/readyz`: 200, or 503 with the names of what is missing.
pub fn readyz(missing: &[&str]) -> HttpResponse {
    if missing.is_empty() {
        return HttpResponse::Ok().json(json!({ "status": "ok" }));
    }
    HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
        .insert_header(("Retry-After", "1"))
        .json(json!({ "status": "unavailable", "missing": missing }))
}

/// The name of this machine or container, which tells replicas apart for people; empty if it is not known.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().chars().take(60).collect()
}

/// A stop signal for tasks. All clones receive it.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// The sender of a [`Stop`] signal.
#[derive(Debug)]
pub struct StopHandle(watch::Sender<bool>);

impl StopHandle {
    /// Sends the stop signal.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// A signal and its sender.
    pub fn pair() -> (StopHandle, Self) {
        let (sender, receiver) = watch::channel(false);
        (StopHandle(sender), Self(receiver))
    }

    /// A stop signal that is sent on SIGTERM or Ctrl-C.
    pub fn on_signals() -> Self {
        let (handle, stop) = Self::pair();
        tokio::spawn(async move {
            wait_for_signal().await;
            info!("stopping: requests under way are finished first");
            handle.stop();
            // A dropped handle would count as a stop.
            std::future::pending::<()>().await;
        });
        stop
    }

    /// True once the signal was sent.
    pub fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal.
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

/// Connections that may wait to be accepted, if the system allows as many (`net.core.somaxconn`).
///
/// A client that connects when the queue is full retries after a second. The standard library's 128 are fewer than
/// connect at once when a replica takes over.
const BACKLOG: i32 = 4096;

/// Opens a listening socket with a queue of [`BACKLOG`] connections.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for connections of the last run in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A server on a listening socket: the routes of `configure` behind the middleware [`harden`].
///
/// State that handlers share goes into `configure` as application data.
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
        .client_request_timeout(HEAD_TIMEOUT)
        .listen(listener)?;
    Ok(server.run())
}

/// Requests `/readyz` of the program that listens on this address, for a container's health check.
///
/// # Errors
/// A message when the program does not answer within 3 s, or answers anything but 200.
pub fn ask_readiness(mut listen: SocketAddr) -> Result<(), String> {
    const READY_TIMEOUT: Duration = Duration::from_secs(3);
    if listen.ip().is_unspecified() {
        listen.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let fetch = || {
        let mut stream = TcpStream::connect_timeout(&listen, READY_TIMEOUT)?;
        stream.set_read_timeout(Some(READY_TIMEOUT))?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer: String = fetch().map_err(|error: std::io::Error| format!("{listen}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    Err(format!("{listen} is not ready: {}", answer.lines().last().unwrap_or_default()))
}

/// Runs a server until `stop`: `/readyz` fails first, then the socket closes, then requests in progress finish.
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

/// Runs a future on the process's main runtime to its end, even if the caller is dropped.
///
/// A client that disconnects cancels its handler; a change of tokens must not stop halfway because of that.
///
/// # Panics
/// When the future panics.
pub async fn detached<T: Send + 'static>(
    runtime: &tokio::runtime::Handle,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    match runtime.spawn(future).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Serves `/metrics`, and nothing else, on an address of its own until `stop`: what they tell is not for the public.
///
/// # Errors
/// When the address cannot be listened on.
pub fn serve_metrics(address: SocketAddr, stop: Stop) -> std::io::Result<()> {
    let server = HttpServer::new(|| App::new().route("/metrics", web::get().to(metrics_endpoint)))
        .workers(1)
        .disable_signals()
        .listen(listen(address)?)?
        .run();
    tokio::spawn(serve(server, stop));
    Ok(())
}

/// Registers `/livez` and `/version`.
pub fn machine_routes(
    name: &'static str,
    version_text: &'static str,
) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let version = move || std::future::ready(version(name, version_text));
        for (path, answer) in
            [("/livez", web::get().to(livez)), ("/version", web::get().to(version))]
        {
            let resource = web::resource(path).route(answer);
            config.service(resource.default_service(no_other_method("GET")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Output(std::io::ErrorKind);

    impl std::io::Write for Output {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error_but_a_full_disk_is() {
        use std::io::ErrorKind::{BrokenPipe, StorageFull};
        assert!(write_line(Output(BrokenPipe), "x").is_ok());
        assert_eq!(write_line(Output(StorageFull), "x").unwrap_err().kind(), StorageFull);
        let mut written = Vec::new();
        write_line(&mut written, "x").unwrap();
        assert_eq!(written, b"x\n");
    }

    /// Nothing is accepted here: with a full queue a connection succeeds only at its second try, after a second.
    #[test]
    fn many_simultaneous_connections_fit_in_the_queue() {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let timeout = Duration::from_millis(800);
        let connect = |_| TcpStream::connect_timeout(&address, timeout).unwrap();
        assert_eq!((0..400).map(connect).collect::<Vec<_>>().len(), 400);
    }
}
