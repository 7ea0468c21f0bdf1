//! The authority and all micro-apps in one process, on loopback, with an embedded database.
//!
//! [`MICRO_APPS`] is the whole list: an app comes or goes as one entry.

mod micro_apps;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aa_server::config::Config;
use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientMetadata;
use aa_server::ops::account::NewAccount;
use aa_server::ops::clients;
use aa_server::ops::users;
use aa_server::{Application, Authority, application};
use foundation::random::{Random, SystemRandom};
use secrecy::SecretString;
use service::private_file::read_or_make_private;
use service::run::{Failure, Stop};
use service::settings::Settings;
use tokio::task::JoinSet;

pub use micro_apps::{MICRO_APPS, MicroApp};

/// A user of the demo.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// Name.
    pub name: &'static str,
    /// Email address.
    pub email: &'static str,
    /// Password, which is no secret.
    pub password: &'static str,
    /// Whether the user is an administrator of the authority.
    pub admin: bool,
}

/// Ports in a row that the demo needs.
pub const PORTS: u16 = 5;

/// Users of the demo.
pub const USERS: [User; 3] = [
    User { name: "Ann", email: "ann@example.com", password: "tangerine-lamp", admin: false },
    User { name: "Ben", email: "ben@example.com", password: "violet-anchor", admin: false },
    User { name: "Ada", email: "admin@example.com", password: "copper-window", admin: true },
];

/// Options of the demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of all data.
    pub data_dir: PathBuf,
    /// The authority's port; each micro-app has the next ones.
    pub port_base: u16,
    /// Life of application tokens.
    pub at_ttl: Duration,
    /// Whether application tokens that pages hold are bound to a key of the browser (DPoP, RFC 9449).
    pub dpop: bool,
}

impl Options {
    /// The port of the service with this place.
    pub fn port(&self, place: u16) -> u16 {
        self.port_base + place
    }

    /// The URL of the service with this place.
    pub fn url(&self, place: u16) -> String {
        format!("http://localhost:{}", self.port(place))
    }

    fn sqlite(&self, name: &str) -> String {
        format!("sqlite://{}", self.data_dir.join(name).display())
    }
}

/// Finds a port that is taken before anything has begun.
fn check_ports(options: &Options) -> Result<(), Failure> {
    let places = MICRO_APPS.iter().filter(|app| app.start.is_some()).map(|app| app.place);
    for port in std::iter::once(0).chain(places).map(|place| options.port(place)) {
        TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
            format!(
                "cannot listen on port {port}: {error}. Is another program there? `--port-base 9080` moves \
                 everything to other ports"
            )
        })?;
    }
    Ok(())
}

/// Everything, running.
pub struct Demo {
    services: JoinSet<std::io::Result<()>>,
    authority: Arc<Authority>,
}

impl Demo {
    /// Starts everything, and waits until it is ready. A second start finds everything again.
    ///
    /// # Errors
    /// The part that could not be started, in words.
    pub async fn start(options: &Options, stop: &Stop) -> Result<Self, Failure> {
        check_ports(options)?;
        let mut services = JoinSet::new();
        let authority =
            application::open_with_system(authority_config(options)?, stop.clone()).await?;
        add_people(&authority).await?;
        for micro_app in MICRO_APPS {
            if let Some(registration) = (micro_app.registration)(options, micro_app) {
                register(&authority, options, &registration).await?;
            }
        }
        let application = Application::build(authority)?;
        let authority = application.authority();
        services.spawn(application.run_until_stopped());
        for micro_app in MICRO_APPS {
            if let Some(start) = micro_app.start {
                services.spawn(start(options, micro_app, stop).await?);
            }
        }
        wait_until_ready(options).await?;
        Ok(Self { services, authority })
    }

    /// The authority's shared state.
    pub fn authority(&self) -> Arc<Authority> {
        Arc::clone(&self.authority)
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// The error that ended a service.
    pub async fn run_until_stopped(mut self) -> Result<(), Failure> {
        while let Some(ended) = self.services.join_next().await {
            ended??;
        }
        Ok(())
    }
}

fn authority_config(options: &Options) -> Result<Config, Failure> {
    let mut settings = Settings::empty(aa_server::config::PREFIX, aa_server::config::SETTINGS);
    settings.set("listen", format!("127.0.0.1:{}", options.port(0)));
    settings.set("public_url", options.url(0));
    settings.set("data_dir", options.data_dir.display().to_string());
    settings.set("registration", "open");
    // Everything of the demo is on this machine.
    settings.set("delivery_networks", "127.0.0.0/8, ::1");
    settings.set("at_ttl", format!("{}ms", options.at_ttl.as_millis()));
    let mut config = Config::read(&settings, None, Some(&SystemRandom))?;
    // There is no mail server: every visitor may read the mails.
    config.mail_page = true;
    Ok(config)
}

async fn add_people(authority: &Authority) -> Result<(), Failure> {
    for user in USERS {
        if authority.store.user_by_email(user.email).await?.is_none() {
            let new = NewAccount {
                email: user.email.to_owned(),
                name: user.name.to_owned(),
                password: user.password.into(),
                admin: user.admin,
                email_verified: false,
            };
            users::add(authority, new, &Caller::operator()).await?;
        }
    }
    Ok(())
}

/// The secret of a confidential authority, made once.
fn client_secret(options: &Options, client_id: &str) -> std::io::Result<SecretString> {
    let random: &dyn Random = &SystemRandom;
    let file = options.data_dir.join(format!("{client_id}-client-secret"));
    let text = read_or_make_private(&file, || random.token())?;
    Ok(secrecy::ExposeSecret::expose_secret(&text).trim().into())
}

async fn register(
    authority: &Authority,
    options: &Options,
    metadata: &ClientMetadata,
) -> Result<(), Failure> {
    let operator = Caller::operator();
    if authority.store.client(&metadata.client_id).await?.is_some() {
        clients::apply(authority, metadata, &operator).await?;
        return Ok(());
    }
    let secret = client_secret(options, &metadata.client_id)?;
    let added = [(metadata, clients::Change::Add, Some(secret))];
    clients::carry_out(authority, &added, &operator).await?;
    Ok(())
}

async fn wait_until_ready(options: &Options) -> Result<(), Failure> {
    const TRIES: u32 = 200;
    let http = reqwest::Client::new();
    let places =
        std::iter::once(("authority", 0)).chain(MICRO_APPS.iter().map(|app| (app.id, app.place)));
    for (name, place) in places {
        let url = format!("{}/readyz", options.url(place));
        let mut left = TRIES;
        while !http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            left -= 1;
            if left == 0 {
                return Err(format!("{name} is not ready: {url}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
