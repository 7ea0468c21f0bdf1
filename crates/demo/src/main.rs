//! The `demo` program: everything in one process, and where to click.

use std::path::PathBuf;
use std::process::ExitCode;

use demo::{Demo, MICRO_APPS, Options, USERS};
use service::program::Program;
use service::run::{Failure, LogFormat, Stop, start_logging};
use service::settings::Setting;

const SETTINGS: &[Setting] = &[
    Setting::new("data_dir", "./data/demo", "Folder for everything it keeps"),
    Setting::new("port_base", "8080", "The authority's port; each micro-app has one of the next"),
    Setting::new("at_ttl", "5m", "Life of an application token"),
    Setting::new("dpop", "true", "Bind application tokens that pages hold to a key of the browser"),
    Setting::new("log", "warn", "Which log lines to write, as a filter"),
];

const PROGRAM: Program = Program {
    name: "demo",
    version: env!("CARGO_PKG_VERSION"),
    about: "The authority and all micro-apps in one process",
    prefix: "DEMO_",
    settings: SETTINGS,
    file: "demo.toml",
};

#[tokio::main]
async fn main() -> ExitCode {
    service::run::to_exit(Box::pin(run())).await
}

async fn run() -> Result<(), Failure> {
    let settings = PROGRAM.read_settings()?;
    start_logging(&settings.get::<String>("log")?, LogFormat::Text)?;
    let options = Options {
        data_dir: settings.get::<PathBuf>("data_dir")?,
        port_base: settings.get("port_base")?,
        at_ttl: settings.duration("at_ttl")?.unwrap_or_default(),
        dpop: settings.get("dpop")?,
    };
    let stop = Stop::on_signals();
    let demo = Box::pin(Demo::start(&options, &stop)).await?;
    welcome(&options);
    demo.run_until_stopped().await
}

fn welcome(options: &Options) {
    println!("Everything is running. Its data is in {}\n", options.data_dir.display());
    println!("  {:<32} Sign in, open your apps, look after your sessions", options.url(0));
    for app in MICRO_APPS.iter().filter(|app| !app.about.is_empty()) {
        println!("  {:<32} {}", options.url(app.place), app.about);
    }
    println!("  {:<32} The mails that would be sent", format!("{}/demo/mail", options.url(0)));
    println!("\n  {:<20} password", "e-mail");
    for user in USERS {
        let role = if user.admin { "  (administrator)" } else { "" };
        println!("  {:<20} {}{role}", user.email, user.password);
    }
    println!("\nCtrl-C stops it.");
}
