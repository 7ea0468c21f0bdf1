//! HTTP parts that the backends of browser apps share, wherever each stores its tokens.
//!
//! | module | what |
//! | --- | --- |
//! | [`settings`] | the settings that all of them have |
//! | [`cookies`] | names and attributes of their cookies |
//! | [`guard`] | keeps other sites' scripts out |
//! | [`auth`] | `/auth/login`, `/auth/callback`, and answers about sessions |
//! | [`front`] | the front end: embedded, or a folder |

pub mod auth;
pub mod cookies;
mod credentials;
pub mod events;
pub mod front;
pub mod guard;
pub mod settings;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, web};
use foundation::origin::PublicUrl;
use foundation::random::SystemRandom;
use foundation::time::SystemClock;
use service::address::TrustedProxies;
use service::http::Policy;
use service::run::{self, Stop};
use tokio::runtime::Handle;
use tracing::warn;

use crate::signin::{REVOCATION_INTERVAL, WATCH_INTERVAL};
use crate::{Browser, Provider, ProviderConfig, RelyingParty, SessionStore, StoreError};
use cookies::Cookies;
use front::Front;
use settings::Config;

/// Properties of one of these programs, apart from its settings.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The program's name.
    pub name: &'static str,
    /// The prefix of its environment variables.
    pub prefix: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The path to which the provider may send the browser after a sign-out.
    pub after_logout: &'static str,
    /// Whether its handlers rest on the header `X-CSRF: 1`, which only our own scripts can send.
    pub csrf_header: bool,
}

/// State that all handlers share.
#[derive(Debug)]
pub struct Site {
    /// The program.
    pub program: Program,
    /// Sign-in and sessions.
    pub party: Arc<RelyingParty>,
    /// The cookies.
    pub cookies: Cookies,
    /// URL that browsers use for this backend.
    pub public_url: PublicUrl,
    /// URL of the front end.
    pub front_url: PublicUrl,
    /// Every origin whose scripts may call: here, the front end's, and those that were listed.
    pub origins: Vec<PublicUrl>,
    /// Headers besides the usual ones that scripts of the allowed origins may send.
    pub api_headers: Vec<HeaderName>,
    /// Proxies that are believed about a browser's address.
    pub trusted_proxies: TrustedProxies,
    /// Whether access tokens for pages have to be bound to a key of the browser (DPoP).
    pub requires_dpop: bool,
    /// Whether the provider accepts this app's id and secret.
    credentials: credentials::Credentials,
    /// Whether ends that the provider publishes are followed.
    follows_ends: bool,
    /// The main runtime, for what must be finished even if a browser goes away.
    pub runtime: Handle,
    pub(crate) stop: Stop,
}

impl Site {
    /// The browser of a request, as the provider is told of it.
    pub fn browser(&self, request: &HttpRequest) -> Browser {
        let user_agent = request.headers().get(header::USER_AGENT);
        Browser::new(self.trusted_proxies.client_of(request), user_agent.map(HeaderValue::as_bytes))
    }

    /// Notes that the provider does not accept this app's id and secret.
    pub fn credentials_refused(&self) {
        self.credentials.refused(self.program.prefix);
    }
}

/// Error at the start of a program.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The session store cannot be used.
    #[error("the session store: {0}")]
    Store(#[from] StoreError),
    /// No HTTP client can be made.
    #[error(transparent)]
    Provider(#[from] crate::ProviderError),
    /// No HTTP client can be made.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {0}: {1}. Is another program there? The setting LISTEN takes another address"
    )]
    Listen(SocketAddr, std::io::Error),
}

/// A program, listening.
pub struct Application {
    server: Server,
    port: u16,
    site: web::Data<Site>,
}

impl Application {
    /// Puts a program together and starts to listen. `connect_to` are the origins that the front end may talk to
    /// beside this backend; `routes` adds what the program does.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn build(
        program: Program,
        config: Config,
        store: Arc<dyn SessionStore>,
        stop: Stop,
        front: Front,
        connect_to: &[String],
        routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    ) -> Result<Self, StartError> {
        let provider = Provider::new(ProviderConfig {
            issuer: config.issuer,
            backchannel_url: config.backchannel_url,
            client_id: config.client_id,
            client_secret: config.client_secret,
            redirect_uri: config.public_url.join("/auth/callback"),
            post_logout_redirect_uri: config.public_url.join(program.after_logout),
            scopes: config.scopes,
            push_requests: config.push_requests,
        })?;
        let party = RelyingParty::new(
            provider,
            store,
            &config.session_secret,
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        )
        .with_email_trust(config.email_trust);
        let mut origins = vec![config.public_url.clone(), config.front_url.clone()];
        origins.extend(config.cors_origins);
        origins.dedup();
        let cannot = |error| StartError::Listen(config.listen, error);
        let listener = run::listen(config.listen).map_err(cannot)?;
        let port = listener.local_addr().map_err(cannot)?.port();
        let csp = front::content_security_policy(connect_to);
        let policy = Policy::new(csp, config.public_url.is_https())
            .with_hsts_subdomains(config.hsts_subdomains);
        if let Some(address) = config.metrics_listen {
            run::serve_metrics(address, stop.clone())
                .map_err(|error| StartError::Listen(address, error))?;
        }
        let site = web::Data::new(Site {
            program,
            party: Arc::new(party),
            cookies: Cookies::new(&config.public_url, config.cookie_domain),
            public_url: config.public_url,
            front_url: config.front_url,
            origins,
            api_headers: config.api_headers,
            trusted_proxies: config.trusted_proxies,
            credentials: credentials::Credentials::default(),
            follows_ends: config.follows_ends,
            requires_dpop: config.dpop_token_endpoint.is_some(),
            runtime: Handle::current(),
            stop,
        });
        let shared = site.clone();
        let server = run::server(listener, policy, move |app| {
            let routes = routes.clone();
            let front = front.clone();
            app.app_data(shared.clone())
                .configure(run::machine_routes(program.name, program.version))
                .route("/readyz", web::get().to(readyz))
                .service(
                    web::scope("")
                        .wrap(from_fn(guard::ours_only))
                        .wrap(guard::cors(&shared))
                        .configure(auth::routes)
                        .configure(routes)
                        .configure(|config| front.register(config)),
                );
        })
        .map_err(cannot)?;
        Ok(Self { server, port, site })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// The error that ended the server.
    pub async fn run_until_stopped(self) -> std::io::Result<()> {
        let stop = self.site.stop.clone();
        let site = self.site.into_inner();
        let retrying = Arc::clone(&site);
        let upkeep = [
            tokio::spawn(maintenance(Arc::clone(&site))),
            tokio::spawn(async move {
                loop {
                    if let Err(error) = retrying.party.retry_revocations().await {
                        warn!(%error, "revocations could not be tried again");
                    }
                    tokio::time::sleep(REVOCATION_INTERVAL).await;
                }
            }),
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(WATCH_INTERVAL).await;
                    site.party.look_after_watched().await;
                }
            }),
        ];
        let ended = run::serve(self.server, stop).await;
        upkeep.iter().for_each(tokio::task::JoinHandle::abort);
        ended
    }
}

/// Background task: repeats discovery and removes expired sessions.
async fn maintenance(site: Arc<Site>) {
    const EVERY: Duration = Duration::from_mins(1);
    let party = &site.party;
    loop {
        let wait = match party.provider().discover(party.now()).await {
            Ok(()) => {
                site.credentials.check(party, site.program.prefix).await;
                follow_ends(&site);
                EVERY
            }
            Err(error) => {
                warn!(%error, "the provider is not known yet; trying again");
                Duration::from_secs(1)
            }
        };
        if let Err(error) = party.store().remove_expired(party.now()).await {
            warn!(%error, "expired sessions could not be removed");
        }
        tokio::time::sleep(wait).await;
    }
}

/// Follows the ends that the provider publishes, from the first call on that finds that it does.
fn follow_ends(site: &Arc<Site>) {
    if !site.follows_ends || site.party.follows_ends() {
        return;
    }
    match site.party.follow_ends(&run::host_name()) {
        Ok(()) if site.party.follows_ends() => {
            let party = Arc::clone(&site.party);
            // Ends with the process; nothing waits for it.
            tokio::spawn(async move { party.apply_ends().await });
        }
        Ok(()) => {}
        Err(error) => warn!(%error, "ended sessions cannot be followed"),
    }
}

async fn readyz(site: web::Data<Site>) -> HttpResponse {
    let mut missing = Vec::new();
    if site.stop.is_stopping() {
        missing.push("stopping");
    }
    if !site.party.provider().is_discovered() {
        missing.push("provider");
    }
    if site.credentials.are_refused() {
        missing.push("client secret");
    }
    if site.party.store().ping().await.is_err() {
        missing.push("session store");
    }
    run::readyz(&missing)
}
