//! The shared state of the authority: store, services, settings, clock and randomness.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;
use database::{Access, Db, Schema};
use foundation::random::Random;
use foundation::time::{Clock, Timestamp};
use serde_json::Value;
use service::run::Stop;

use crate::config::Config;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::refresh_token::RefreshTokenCodec;
use crate::domain::user::picture_path;
use crate::services::branding::{Branding, BrandingError};
use crate::services::browser_origins::KnownOrigins;
use crate::services::catalogue::Catalogue;
use crate::services::client_cache::ClientCache;
use crate::services::client_documents::ClientDocuments;
use crate::services::client_keys::ClientKeys;
use crate::services::countries::{Countries, CountriesError};
use crate::services::cursor::CursorCodec;
use crate::services::dpop::Dpop;
use crate::services::feed::Feed;
use crate::services::keyring::Keyring;
use crate::services::mailer::{Mailer, MailerError};
use crate::services::outbound::Outbound;
use crate::services::outbox::{Consumer, Outbox};
use crate::services::passkeys::Passkeys;
use crate::services::password_hasher::PasswordHasher;
use crate::services::refusals::Refusals;
use crate::services::subjects::Subjects;
use crate::services::throttle::Throttle;
use crate::services::time_reference;
use crate::services::totp::Totp;
use crate::services::write_probe::WriteProbe;
use crate::store::{self, Event, Store, User};

/// The shared state: one value, reached by every request, command and job.
#[derive(Debug)]
pub struct Authority {
    /// The database.
    pub store: Store,
    /// The settings.
    pub config: Config,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// Encodes and decodes delegation and refresh tokens.
    pub refresh_tokens: RefreshTokenCodec,
    /// Signs application and ID tokens.
    pub keyring: Keyring,
    /// Subject identifiers, as each client gets them.
    pub subjects: Subjects,
    /// Hashes passwords.
    pub password_hasher: PasswordHasher,
    /// Limits attempts per account and address.
    pub throttle: Throttle,
    /// Tries whether the database can be written to.
    pub write_probe: WriteProbe,
    /// Clients as they were last read.
    pub client_cache: ClientCache,
    /// The origins of public clients.
    pub browser_origins: KnownOrigins,
    /// Refusals that are to be recorded.
    pub refusals: Refusals,
    /// The public keys of clients that publish them.
    pub client_keys: ClientKeys,
    /// The metadata of clients whose id is their address.
    pub client_documents: ClientDocuments,
    /// Nonces of DPoP proofs, and the proofs that were used.
    pub dpop: Dpop,
    /// Messages to other systems.
    pub outbox: Outbox,
    /// Sends mail.
    pub mailer: Box<Mailer>,
    /// Challenges for passkeys.
    pub passkeys: Box<Passkeys>,
    /// Codes of authenticator apps.
    pub totp: Totp,
    /// Requests to the systems of others.
    pub outbound: Outbound,
    /// Ends that can still matter to an application token.
    pub feed: Feed,
    /// Encodes and decodes the cursors of paged lists.
    pub cursors: CursorCodec,
    /// The countries of addresses.
    pub countries: Countries,
    /// How this deployment looks.
    pub branding: Box<Branding>,
    /// The texts of pages and mails.
    pub catalogue: Arc<Catalogue>,
    /// The key of CSRF tokens.
    pub csrf_key: hmac::Key,
    /// The runtime in which detached work continues when a client disconnects.
    pub runtime: tokio::runtime::Handle,
    /// The signal to stop.
    pub stop: Stop,
}

/// Whether a program may create the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// The database and its schema are created, or the schema is brought up to date.
    Create,
    /// A database with a current schema must exist.
    Existing,
}

/// A database that exists, with a schema that is current.
async fn existing(url: &str) -> Result<Db, StartError> {
    let db = match Db::open(url, Access::Existing).await {
        Err(database::Error::Missing(place)) => return Err(StartError::NoDatabase(place)),
        opened => opened?,
    };
    match db.schema(&store::migrations(&db)).await? {
        Schema::Current => Ok(db),
        Schema::Empty => Err(StartError::Empty),
        Schema::Older { missing } => Err(StartError::Older(missing)),
    }
}

/// Why the authority could not start, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no database, and this command makes none.
    #[error(
        "there is no database at {0}. `aa-server serve` and `aa-server migrate` create one; another place is \
         AA_DATABASE_URL, or AA_DATA_DIR"
    )]
    NoDatabase(String),
    /// The database has no schema, and this command makes none.
    #[error("the database is empty: run `aa-server migrate`, or name another with AA_DATABASE_URL")]
    Empty,
    /// The schema is not current.
    #[error(
        "the database is of an older version ({0} migrations are missing): run `aa-server migrate`"
    )]
    Older(usize),
    /// There is a database, and the server's secret is not where it should be.
    #[error(
        "{0} is missing: the server's secret, without which this database is useless. Put it back, or name it with AA_SECRET_FILE"
    )]
    NoSecret(String),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The secret is not the one this database was made with.
    #[error(
        "the server's secret (AA_SECRET_FILE) is not one that this database knows. Signing keys and tokens \
         were made under another: give that one, or put it on a line of its own below the new one"
    )]
    WrongSecret,
    /// The database would go with its container.
    #[error(
        "{0} goes with this container, and users, apps and keys in it. Mount a volume there (docker run -v aa:{0} …), use \
         PostgreSQL (AA_DATABASE_URL), or set AA_EPHEMERAL_DATA=true if that is meant"
    )]
    EphemeralData(String),
    /// The branding cannot be used.
    #[error("AA_BRANDING: {0}")]
    Branding(#[from] BrandingError),
    /// The database of countries cannot be used.
    #[error("AA_GEOIP_FILE: {0}")]
    Countries(#[from] CountriesError),
    /// Mail cannot be sent as it was set.
    #[error(transparent)]
    Mailer(#[from] MailerError),
    /// Signing keys cannot be made or opened.
    #[error("signing keys: {0}")]
    Keys(#[from] crate::services::keyring::KeyError),
    /// The address cannot be listened on.
    #[error("cannot listen on {0}: {1}. Is another program there? AA_LISTEN sets another address")]
    Listen(SocketAddr, std::io::Error),
}

impl Authority {
    /// Connects to the database, checks the server's secret, and puts the services together. No signing key is loaded yet.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(
        config: Config,
        startup: Startup,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        consumers: Vec<Arc<dyn Consumer>>,
        stop: Stop,
    ) -> Result<Self, StartError> {
        let (branding, catalogue) = Branding::read(config.branding.as_deref())?;
        let db = match startup {
            Startup::Create => {
                let db = Db::connect(&config.database_url).await?;
                db.migrate(&store::migrations(&db)).await?;
                db
            }
            Startup::Existing => existing(&config.database_url).await?,
        };
        if config.secrets.is_empty() {
            return Err(StartError::NoSecret(config.secret_file().display().to_string()));
        }
        let store = Store::new(db);
        time_reference::observe(&store, &*clock).await?;
        let now = clock.now();
        let fingerprints: Vec<Vec<u8>> =
            config.secrets.iter().map(|secret| secret.derive("fingerprint").to_vec()).collect();
        if !store.accepts_secrets(&fingerprints).await? {
            return Err(StartError::WrongSecret);
        }
        store.remember_secret(&fingerprints[0], now).await?;
        let salt = store.subject_salt(random.bytes()).await?;
        Ok(Self {
            subjects: Subjects::new(&salt),
            refresh_tokens: RefreshTokenCodec::new(&config.secrets),
            keyring: Keyring::new(&config.secrets),
            password_hasher: PasswordHasher::new(config.hash_permits),
            throttle: Throttle::new(&store, config.secrets[0].mac_key("throttle")),
            write_probe: WriteProbe::default(),
            client_cache: ClientCache::default(),
            browser_origins: KnownOrigins::default(),
            refusals: Refusals::default(),
            client_keys: ClientKeys::default(),
            client_documents: ClientDocuments::default(),
            dpop: Dpop::new(&config.secrets),
            outbox: Outbox::new(&config.secrets, consumers),
            mailer: Box::new(Mailer::new(&config.mail)?),
            passkeys: Box::new(Passkeys::new(&config.public_url, &branding.name, &config.secrets)),
            totp: Totp::new(&config.secrets),
            outbound: Outbound::new(config.delivery_networks.clone()),
            feed: Feed::default(),
            cursors: CursorCodec::new(&config.secrets),
            countries: Countries::open(config.geoip_file.as_deref())?,
            branding: Box::new(branding),
            catalogue,
            csrf_key: config.secrets[0].mac_key("csrf"),
            runtime: tokio::runtime::Handle::current(),
            store,
            config,
            clock,
            random,
            stop,
        })
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The URL of a user's picture.
    pub fn picture_url(&self, user: &User) -> Option<String> {
        let path = user.picture.as_deref().map(picture_path);
        path.map(|path| self.config.public_url.join(&path))
    }

    /// An event of this moment, caused by a request.
    pub fn event(&self, kind: EventKind, actor: Actor, caller: &Caller) -> Event {
        Event {
            id: self.random.uuid_at(self.now()).into(),
            kind,
            actor,
            user_id: None,
            client_id: None,
            family_id: None,
            ip: caller.ip.clone(),
            user_agent: caller.user_agent.clone(),
            request_id: caller.request_id.clone(),
            detail: Value::Object(serde_json::Map::new()),
            deliveries: Vec::new(),
        }
    }
}
