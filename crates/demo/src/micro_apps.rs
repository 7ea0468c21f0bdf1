//! The micro-apps of the demo, one entry each.

use std::pin::Pin;

use aa_server::domain::client::{ClientMetadata, ClientType, RefreshTokenIn};
use secrecy::ExposeSecret as _;
use service::run::{Failure, Stop};
use service::settings::Settings;

use crate::{Options, client_secret};

type Service = Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>;
type Starting<'a> = Pin<Box<dyn Future<Output = Result<Service, Failure>> + Send + 'a>>;

/// A micro-app: how it is registered, and how it is started.
pub struct MicroApp {
    /// Its client id, or its name if it has none.
    pub id: &'static str,
    /// The port, counted from the authority's.
    pub place: u16,
    /// The line in the demo's welcome; empty if there is nothing to click.
    pub about: &'static str,
    /// Registration at the authority, if it has one.
    pub registration: fn(&Options, &MicroApp) -> Option<ClientMetadata>,
    /// Starts it, if it is a program of its own.
    pub start: Option<for<'a> fn(&'a Options, &'a MicroApp, &'a Stop) -> Starting<'a>>,
}

/// All of them.
pub const MICRO_APPS: &[MicroApp] = &[
    MicroApp {
        id: "notes",
        place: 1,
        about: "",
        registration: |_, app| Some(ClientMetadata::named(app.id, "Notes API", ClientType::Api)),
        start: Some(|options, app, stop| {
            Box::pin(async move {
                use microapp_notes::{Application, Config, PREFIX, SETTINGS};
                let client_secret = client_secret(options, app.id)?;
                let mut settings = Settings::empty(PREFIX, SETTINGS);
                settings.set("listen", format!("127.0.0.1:{}", options.port(app.place)));
                settings.set("public_url", options.url(app.place));
                settings.set("issuer", options.url(0));
                settings.set("client_id", app.id);
                settings.set("client_secret", client_secret.expose_secret());
                settings.set("database_url", options.sqlite("notes.db"));
                settings.set("cors_origins", format!("{},{}", options.url(3), options.url(4)));
                let config = Config::read(&settings)?;
                let application = Application::build(&config, stop.clone()).await?;
                Ok(Box::pin(application.run_until_stopped()) as Service)
            })
        }),
    },
    MicroApp {
        id: "bff",
        place: 2,
        about: "Notes, by a backend for frontend",
        registration: |options, app| Some(notes_app(options, app, "Notes", "/")),
        start: Some(|options, app, stop| {
            Box::pin(async move {
                use microapp_bff::{Config, PREFIX, Routes, SETTINGS, build};
                let mut settings = browser_app(options, app, Settings::empty(PREFIX, SETTINGS));
                settings.set("session_store", options.sqlite("bff.db"));
                let mut config = Config::read(&settings)?;
                config.routes = Routes::to_notes(&options.url(1))?;
                config.site.client_secret = Some(client_secret(options, app.id)?);
                let application = build(config, stop.clone()).await?;
                Ok(Box::pin(application.run_until_stopped()) as Service)
            })
        }),
    },
    MicroApp {
        id: "tmb",
        place: 3,
        about: "Notes, by a token-mediating backend",
        registration: |options, app| {
            let name = "Notes (token-mediating)";
            Some(notes_app(options, app, name, "/auth/logout/callback"))
        },
        start: Some(|options, app, stop| {
            Box::pin(async move {
                use microapp_tmb::{Config, PREFIX, SETTINGS, build};
                let mut settings = browser_app(options, app, Settings::empty(PREFIX, SETTINGS));
                settings.set("session_store", options.sqlite("tmb.db"));
                settings.set("api_url", options.url(1));
                bind_tokens(options, &mut settings);
                let mut config = Config::read(&settings)?;
                config.site.client_secret = Some(client_secret(options, app.id)?);
                let application = build(config, stop.clone()).await?;
                Ok(Box::pin(application.run_until_stopped()) as Service)
            })
        }),
    },
    MicroApp {
        id: "spa",
        place: 4,
        about: "Notes, by a refresh cookie",
        registration: |options, app| {
            let mut registration = notes_app(options, app, "Notes (refresh cookie)", "/");
            registration.refresh_token_in = RefreshTokenIn::Browser;
            Some(registration)
        },
        start: Some(|options, app, stop| {
            Box::pin(async move {
                use microapp_spa::{Config, PREFIX, SETTINGS, build};
                let mut settings = browser_app(options, app, Settings::empty(PREFIX, SETTINGS));
                settings.set("session_store", options.sqlite("spa.db"));
                settings.set("api_url", options.url(1));
                bind_tokens(options, &mut settings);
                let mut config = Config::read(&settings)?;
                config.site.client_secret = Some(client_secret(options, app.id)?);
                let application = build(config, stop.clone()).await?;
                Ok(Box::pin(application.run_until_stopped()) as Service)
            })
        }),
    },
    MicroApp {
        id: "where",
        place: 2,
        about: "",
        registration: |options, app| {
            // A page of the apps above; it gets no tokens of its own.
            let mut page =
                ClientMetadata::named(app.id, "Where are the tokens?", ClientType::Public);
            page.redirect_uris = vec![format!("{}/where", options.url(app.place))];
            page.launch_url = Some(format!("{}/where", options.url(app.place)));
            Some(page)
        },
        start: None,
    },
];

/// Registration of an app with the Notes front end.
fn notes_app(options: &Options, app: &MicroApp, name: &str, after_logout: &str) -> ClientMetadata {
    let url = options.url(app.place);
    let scopes = "openid profile email offline_access notes:read notes:write";
    let mut registration = ClientMetadata::named(app.id, name, ClientType::Confidential);
    registration.redirect_uris = vec![format!("{url}/auth/callback")];
    registration.post_logout_uris = vec![format!("{url}{after_logout}")];
    registration.launch_url = Some(format!("{url}/auth/login"));
    registration.audiences = vec!["notes".to_owned()];
    registration.scopes = scopes.split(' ').map(str::to_owned).collect();
    registration
}

/// The settings that the backends of browser apps share.
fn browser_app(options: &Options, app: &MicroApp, mut settings: Settings) -> Settings {
    settings.set("listen", format!("127.0.0.1:{}", options.port(app.place)));
    settings.set("public_url", options.url(app.place));
    settings.set("issuer", options.url(0));
    settings.set("client_id", app.id);
    settings.set("data_dir", options.data_dir.display().to_string());
    settings
}

/// Has the tokens that the app's page holds bound to a key of the browser.
fn bind_tokens(options: &Options, settings: &mut Settings) {
    if options.dpop {
        settings.set("dpop_token_endpoint", format!("{}/oauth/token", options.url(0)));
    }
}
