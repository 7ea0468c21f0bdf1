//! The micro-apps of the demo, one entry each.

use std::pin::Pin;

use aa_server::domain::client::{AppKind, Lifetimes, Registration};
use service::run::{Failure, Stop};
use service::settings::Settings;

use crate::{Options, client_secret};

type Service = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;
type Starting<'a> = Pin<Box<dyn Future<Output = Result<Service, Failure>> + Send + 'a>>;

/// A micro-app: how it is registered, and how it is started.
pub struct MicroApp {
    /// Its client id, or its name if it has none.
    pub id: &'static str,
    /// How many ports after the authority's it listens.
    pub place: u16,
    /// What the demo says about it; nothing if there is nothing to click.
    pub about: &'static str,
    /// How the authority knows it, if it signs people in.
    pub registration: fn(&Options, &MicroApp) -> Option<Registration>,
    /// Starts it.
    pub start: for<'a> fn(&'a Options, &'a MicroApp, &'a Stop) -> Starting<'a>,
}

/// All of them.
pub const MICRO_APPS: &[MicroApp] = &[
    MicroApp {
        id: "notes",
        place: 1,
        about: "",
        registration: |_, _| None,
        start: |options, app, stop| {
            Box::pin(async move {
                use microapp_notes::{Application, Config, PREFIX, SETTINGS};
                let mut settings = Settings::empty(PREFIX, SETTINGS);
                settings.set("listen", format!("127.0.0.1:{}", options.port(app.place)));
                settings.set("public_url", options.url(app.place));
                settings.set("issuer", options.url(0));
                settings.set("database_url", options.sqlite("notes.db"));
                let config = Config::read(&settings)?;
                let application = Application::build(&config, stop.clone()).await?;
                Ok(Box::pin(application.run_until_stopped()) as Service)
            })
        },
    },
    MicroApp {
        id: "bff",
        place: 2,
        about: "Notes, by a backend for frontend",
        registration: |options, app| {
            let url = options.url(app.place);
            let mut registration = Registration::named(app.id, "Notes", AppKind::Confidential);
            registration.redirect_uris = vec![format!("{url}/auth/callback")];
            registration.post_logout_uris = vec![format!("{url}/")];
            registration.launch_url = Some(format!("{url}/auth/login"));
            registration.audiences = vec!["notes".to_owned()];
            let scopes = "openid profile email offline_access notes:read notes:write";
            registration.scopes = scopes.split(' ').map(str::to_owned).collect();
            registration.lifetimes =
                Lifetimes { at_ttl: Some(options.at_ttl), ..Lifetimes::default() };
            Some(registration)
        },
        start: |options, app, stop| {
            Box::pin(async move {
                use microapp_bff::{Application, Config, PREFIX, SETTINGS};
                let mut settings = Settings::empty(PREFIX, SETTINGS);
                settings.set("listen", format!("127.0.0.1:{}", options.port(app.place)));
                settings.set("public_url", options.url(app.place));
                settings.set("issuer", options.url(0));
                settings.set("client_id", app.id);
                settings.set("session_store", options.sqlite("bff.db"));
                settings.set("data_dir", options.data_dir.display().to_string());
                settings.set("api_url", format!("{}/notes", options.url(1)));
                let mut config = Config::read(&settings)?;
                config.client_secret = Some(client_secret(options, app.id)?);
                let application = Application::build(config, stop.clone()).await?;
                Ok(Box::pin(application.run_until_stopped()) as Service)
            })
        },
    },
];
