//! Copies of databases as a first start leaves them: with their schema, and with keys that sign.
//!
//! Making them anew for each test takes longer than most tests do. Each engine has one of them per test process; a test gets a
//! copy of its own.

use std::path::Path;
use std::sync::Arc;

use aa_server::application;
use aa_server::config::Config;
use foundation::random::SystemRandom;
use foundation::time::MovableClock;
use service::run::{Stop, install_crypto};
use tokio::sync::OnceCell;

use crate::support::settings;

/// The URL of an SQLite database in this folder.
pub async fn sqlite(folder: &Path) -> String {
    static PREPARED: OnceCell<Vec<u8>> = OnceCell::const_new();
    let prepared = PREPARED.get_or_init(|| async {
        let folder = tempfile::tempdir().unwrap();
        Box::pin(start_once(&url_of(folder.path()), folder.path())).await;
        std::fs::read(folder.path().join("aa.db")).unwrap()
    });
    std::fs::write(folder.join("aa.db"), prepared.await).unwrap();
    url_of(folder)
}

/// The URL of a PostgreSQL database; `None` where PostgreSQL is not installed (with `CI=true` that fails).
pub async fn postgres() -> Option<String> {
    static PREPARED: OnceCell<Option<String>> = OnceCell::const_new();
    let prepared = PREPARED.get_or_init(|| async {
        let url = tokio::task::spawn_blocking(testing::postgres).await.unwrap()?;
        Box::pin(start_once(&url, tempfile::tempdir().unwrap().path())).await;
        Some(url)
    });
    let prepared = prepared.await.clone()?;
    Some(tokio::task::spawn_blocking(move || testing::postgres_copy(&prepared)).await.unwrap())
}

/// The URL of an SQLite database in this folder that no authority has opened.
pub fn url_of(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("aa.db").display())
}

async fn start_once(database_url: &str, folder: &Path) {
    install_crypto();
    let settings = settings("http://localhost:9", database_url, folder);
    let config = Config::read(&settings, None, Some(&SystemRandom)).unwrap();
    let clock = Arc::new(MovableClock::default());
    let (_handle, stop) = Stop::pair();
    let opening = Box::pin(application::open(config, clock, Arc::new(SystemRandom), stop));
    let authority = opening.await.unwrap();
    authority.store.db().close().await;
}
