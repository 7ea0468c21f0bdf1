//! A replica that only empties the outbox, with a consumer of its own: it appends each message to the file that is the
//! message's target.
//!
//! `outbox_replica DATABASE_URL DATA_DIR EPOCH_MILLIS`: time runs 60 times as fast from that moment on, so that leases
//! end while a test waits.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aa_server::Startup;
use aa_server::config::{Config, PREFIX, SETTINGS};
use aa_server::services::outbox::{Attempt, Consumer, DeliveryError, Message};
use aa_server::{application, jobs};
use foundation::random::SystemRandom;
use foundation::time::{Clock, SystemClock, Timestamp};
use service::run::{Failure, Stop, install_crypto};
use service::settings::Settings;

const SPEED: i64 = 60;

#[derive(Debug)]
struct FastClock(i64);

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0 + (SystemClock.now().millis() - self.0) * SPEED)
    }
}

#[derive(Debug)]
struct AppendToFile;

impl Consumer for AppendToFile {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn send(&self, message: Message) -> Attempt {
        Box::pin(async move {
            append(Path::new(&message.target), &message.payload)
                .map_err(|error| DeliveryError(error.to_string()))?;
            // Some are killed here: sent, and not recorded as sent.
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(())
        })
    }
}

fn append(file: &Path, line: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(&[line, b"\n"].concat())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    install_crypto();
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("DATABASE_URL DATA_DIR EPOCH_MILLIS");
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("database_url", next()?);
    settings.set("data_dir", next()?);
    settings.set("secret", "a secret that all tests share, long enough");
    let clock = Arc::new(FastClock(next()?.parse()?));
    let config = Config::read(&settings, None, Some(&SystemRandom))?;
    let (_handle, stop) = Stop::pair();
    let consumers: Vec<Arc<dyn Consumer>> = vec![Arc::new(AppendToFile)];
    let authority = application::open_with_consumers(
        config,
        Startup::Create,
        clock,
        Arc::new(SystemRandom),
        consumers,
        stop,
    )
    .await?;
    let jobs = jobs::start(&authority);
    println!("ready");
    jobs.join_all().await;
    Ok(())
}
