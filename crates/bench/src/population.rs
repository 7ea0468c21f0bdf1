//! Databases full of families: ten apps a user, one browser each, ids in the order of time, as they would come.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aa_server::config::{Config, PREFIX, SETTINGS};
use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::refresh_token::{FamilySecret, RefreshToken};
use aa_server::ops::clients;
use aa_server::store::Rotation;
use aa_server::{Authority, application};
use database::Either;
use database::rusqlite::{Connection, params};
use database::sqlx;
use foundation::random::SystemRandom;
use foundation::time::Timestamp;
use service::run::{Failure, Stop};
use service::settings::Settings;
use uuid::Uuid;

/// The app of all families.
pub const CLIENT_ID: &str = "bench";
/// Its secret.
pub const CLIENT_SECRET: &str = "a-secret-of-the-app-that-is-measured-0123456";
/// The server's.
pub const SECRET: &str = "a secret of the server that is measured, long enough";
/// The scope of its tokens.
pub const SCOPE: &str = "openid profile email offline_access notes:read notes:write";
/// The user agent of its browsers.
pub const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
/// So many families are one user's.
const FAMILIES_PER_USER: u32 = 10;
/// So many families, all over the table, are followed through HTTP, and left alone when the store itself is measured.
pub const FOR_HTTP: u32 = 20_000;

/// A number that looks random, another for each `index` and `salt` (splitmix64).
fn scattered(index: u32, salt: u64) -> u64 {
    let mut z = (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (salt << 56);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn random_id(index: u32, salt: u64) -> Uuid {
    Uuid::from_u64_pair(
        scattered(index, salt) & !0xf000 | 0x4000,
        scattered(index, salt + 1) >> 2 | 1 << 63,
    )
}

/// Sorts by time (version 7): one a millisecond, until now.
fn timed_id(index: u32, count: u32, now: Timestamp, salt: u64) -> Uuid {
    let millis = now.millis() as u64 - u64::from(count - index);
    Uuid::from_u64_pair(
        millis << 16 | 0x7000 | scattered(index, salt) & 0xfff,
        scattered(index, salt + 1) >> 2 | 1 << 63,
    )
}

/// The content of a database.
pub struct Population {
    /// The number of families.
    pub families: u32,
    made_at: Timestamp,
    secret: FamilySecret,
    /// The state of each family.
    generations: Vec<AtomicU32>,
}

impl Population {
    fn of(families: u32, made_at: Timestamp) -> Self {
        let generations = (0..families).map(|_| AtomicU32::new(1)).collect();
        Self { families, made_at, secret: FamilySecret::new([7; 32]), generations }
    }

    fn users(&self) -> u32 {
        self.families.div_ceil(FAMILIES_PER_USER)
    }

    fn family(&self, index: u32) -> Uuid {
        timed_id(index, self.families, self.made_at, 1)
    }

    fn user(index: u32) -> Uuid {
        random_id(index, 10)
    }

    fn browser(index: u32) -> Uuid {
        random_id(index, 20)
    }

    fn browser_session(&self, index: u32) -> Uuid {
        timed_id(index, self.users(), self.made_at, 30)
    }

    /// One of this many is for HTTP.
    fn step(&self) -> u32 {
        self.families / FOR_HTTP
    }

    /// The number of families that are not for HTTP.
    pub fn others(&self) -> u32 {
        FOR_HTTP * (self.step() - 1)
    }

    /// One of those that are not for HTTP.
    pub fn other(&self, number: u32) -> u32 {
        let others = self.step() - 1;
        number / others * self.step() + 1 + number % others
    }

    /// The rotation of a family by its newest token.
    pub fn rotation(&self, index: u32, now: Timestamp) -> Rotation {
        Rotation {
            family: self.family(index).into(),
            generation: self.generations[index as usize].load(Ordering::Relaxed),
            secret_hash: self.secret.hash(),
            client_id: CLIENT_ID.to_owned(),
            client_version: 1,
            idle_expires_at: now + Duration::from_hours(30 * 24),
            ip: "192.0.2.17".to_owned(),
            user_agent: USER_AGENT.to_owned(),
            dpop_jkt: String::new(),
            now,
        }
    }

    /// Notes that a family was rotated.
    pub fn rotated(&self, index: u32) {
        self.generations[index as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The newest token of one of the families for HTTP.
    pub fn token(&self, app: &Authority, number: u32) -> String {
        let index = number * self.step();
        let generation = self.generations[index as usize].load(Ordering::Relaxed);
        let token = RefreshToken {
            family: self.family(index).into(),
            generation,
            secret: self.secret.clone(),
        };
        app.refresh_tokens.encode(&token).expose().to_owned()
    }
}

/// An authority on a database with so many families, not listening.
pub struct Stage {
    /// Its state.
    pub app: Arc<Authority>,
    /// The content of the database.
    pub population: Arc<Population>,
    /// Its database.
    pub url: String,
    /// The port that its issuer names.
    pub port: u16,
}

async fn open(url: &str, folder: &Path, port: u16) -> Result<Arc<Authority>, Failure> {
    let mut settings = Settings::empty(PREFIX, SETTINGS);
    settings.set("database_url", url);
    settings.set("data_dir", folder.display().to_string());
    settings.set("secret", SECRET);
    settings.set("public_url", format!("http://localhost:{port}"));
    let config = Config::read(&settings, None, Some(&SystemRandom))?;
    Ok(application::open_with_system(config, Stop::pair().1).await?)
}

impl Stage {
    /// Fills a new, empty database.
    pub async fn fill(url: &str, folder: &Path, port: u16, families: u32) -> Result<Self, Failure> {
        let app = open(url, folder, port).await?;
        let mut registration = ClientMetadata::named(CLIENT_ID, "Bench", ClientType::Confidential);
        registration.redirect_uris = vec!["http://localhost:9/callback".to_owned()];
        registration.audiences = vec!["notes".to_owned()];
        registration.scopes = SCOPE.split(' ').map(str::to_owned).collect();
        let added = [(&registration, clients::Change::Add, Some(CLIENT_SECRET.into()))];
        clients::carry_out(&app, &added, &Caller::operator()).await?;
        let population = Population::of(families, app.now());
        if let Either::Postgres(pool) = app.store.db().write() {
            fill_postgres(pool, &population).await?;
        }
        app.store.db().close().await;
        drop(app);
        if let Some(file) = url.strip_prefix("sqlite://") {
            fill_sqlite(Path::new(file), &population)?;
        }
        let app = open(url, folder, port).await?;
        Ok(Self { app, population: Arc::new(population), url: url.to_owned(), port })
    }
}

const INDEXES: [(&str, &str); 4] = [
    ("families_of_user", "families (user_id, browser_id, client_id)"),
    ("families_by_end", "families (expires_at)"),
    ("browser_sessions_of_user", "browser_sessions (user_id, browser_id)"),
    ("browser_sessions_by_end", "browser_sessions (expires_at)"),
];

const WARM: &str =
    "SELECT pg_prewarm(name) FROM UNNEST(ARRAY['families', 'families_pkey', 'users', 'users_pkey',
                 'browser_sessions', 'browser_sessions_pkey']) AS name";

const DAY: i64 = 24 * 3600 * 1000;

/// Writes the row of an index, as `COPY` reads it.
type WriteRow<'a> = Box<dyn Fn(u32, &mut String) + 'a>;

async fn fill_postgres(pool: &sqlx::PgPool, population: &Population) -> Result<(), Failure> {
    let mut connection = pool.acquire().await?;
    // What is copied refers to what is copied: the references need not be looked up one by one.
    let mut statements = vec![
        "SET statement_timeout = 0".to_owned(),
        "SET session_replication_role = replica".to_owned(),
    ];
    statements.extend(INDEXES.iter().map(|(index, _)| format!("DROP INDEX {index}")));
    for sql in statements {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    let now = population.made_at.millis();
    let end = now + 80 * DAY;
    let bytea = |bytes: &[u8]| {
        bytes.iter().fold("\\\\x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let secret_hash = bytea(population.secret.hash().as_bytes());
    let tables: [(&str, u32, WriteRow); 4] = [
        (
            "users (id, email, email_key, name, password_hash, enabled, roles, epoch, created_at, password_changed_at)",
            population.users(),
            Box::new(|index, row| {
                let id = Population::user(index);
                let _ = writeln!(
                    row,
                    "{id}\tp{index}@example.com\tp{index}@example.com\tPerson {index}\t$argon2id$\tt\t\t1\t{now}\t{now}"
                );
            }),
        ),
        (
            "browsers (id, token_hash, created_at)",
            population.users(),
            Box::new(|index, row| {
                let id = Population::browser(index);
                let _ = writeln!(row, "{id}\t{}\t{now}", bytea(id.as_bytes()));
            }),
        ),
        (
            "browser_sessions (id, token_hash, user_id, user_epoch, browser_id, amr, auth_time, seen_at, idle_expires_at, expires_at)",
            population.users(),
            Box::new(|index, row| {
                let (id, user, browser) = (
                    population.browser_session(index),
                    Population::user(index),
                    Population::browser(index),
                );
                let _ = writeln!(
                    row,
                    "{id}\t{}\t{user}\t1\t{browser}\tpwd\t{now}\t{now}\t{end}\t{end}",
                    bytea(id.as_bytes())
                );
            }),
        ),
        (
            "families (id, secret_hash, generation, user_id, user_epoch, client_id, browser_id, browser_session_id, scope, audience, \
          auth_time, amr, redirect_uri, code_challenge, nonce, code_expires_at, created_at, expires_at, rotated_at, \
          rotated_ip, rotated_user_agent, idle_expires_at)",
            population.families,
            Box::new(|index, row| {
                let user = index / FAMILIES_PER_USER;
                let _ = writeln!(
                    row,
                    "{}\t{secret_hash}\t1\t{}\t1\t{CLIENT_ID}\t{}\t{}\t{SCOPE}\tnotes\t{now}\tpwd\t\
                    http://localhost:9/callback\tE9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\tn-0S6_WzA2Mj\t{now}\t{now}\t{end}\t{now}\t\
                    192.0.2.17\t{USER_AGENT}\t{end}",
                    population.family(index),
                    Population::user(user),
                    Population::browser(user),
                    population.browser_session(user)
                );
            }),
        ),
    ];
    for (table, count, row) in tables {
        let mut copy = connection.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
        let mut rows = String::with_capacity(2 << 20);
        for index in 0..count {
            row(index, &mut rows);
            if rows.len() > 1 << 20 {
                copy.send(rows.as_bytes()).await?;
                rows.clear();
            }
        }
        copy.send(rows.as_bytes()).await?;
        copy.finish().await?;
    }
    let indexes =
        INDEXES.iter().map(|(index, columns)| format!("CREATE INDEX {index} ON {columns}"));
    // A server that has been at work for a while has in its buffers what refreshes look at.
    let warm = ["CREATE EXTENSION IF NOT EXISTS pg_prewarm", WARM].map(str::to_owned);
    for sql in indexes.chain(["VACUUM (ANALYZE)".to_owned()]).chain(warm) {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
    }
    // Its settings are for this alone.
    connection.close().await?;
    Ok(())
}

fn fill_sqlite(file: &Path, population: &Population) -> Result<(), Failure> {
    let mut connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -262144;",
    )?;
    for (index, _) in INDEXES {
        connection.execute_batch(&format!("DROP INDEX {index}"))?;
    }
    let now = population.made_at.millis();
    let end = now + 80 * DAY;
    let secret_hash = population.secret.hash();
    let tx = connection.transaction()?;
    {
        let mut users = tx.prepare(
            "INSERT INTO users (id, email, email_key, name, password_hash, enabled, roles, epoch, created_at, password_changed_at)
             VALUES (?1, ?2, ?2, 'User', '$argon2id$', 1, '', 1, ?3, ?3)",
        )?;
        let mut browsers =
            tx.prepare("INSERT INTO browsers (id, token_hash, created_at) VALUES (?1, ?1, ?2)")?;
        let mut browser_sessions = tx.prepare(
            "INSERT INTO browser_sessions (id, token_hash, user_id, user_epoch, browser_id, amr, auth_time, seen_at, idle_expires_at, expires_at)
             VALUES (?1, ?1, ?2, 1, ?3, 'pwd', ?4, ?4, ?5, ?5)",
        )?;
        for index in 0..population.users() {
            let (user, browser) = (Population::user(index), Population::browser(index));
            users.execute(params![&user.as_bytes()[..], format!("p{index}@example.com"), now])?;
            browsers.execute(params![&browser.as_bytes()[..], now])?;
            let session = population.browser_session(index);
            browser_sessions.execute(params![
                &session.as_bytes()[..],
                &user.as_bytes()[..],
                &browser.as_bytes()[..],
                now,
                end
            ])?;
        }
        let mut families = tx.prepare(
            "INSERT INTO families (id, secret_hash, generation, user_id, user_epoch, client_id, browser_id, browser_session_id, scope,
                 audience, auth_time, amr, redirect_uri, code_challenge, nonce, code_expires_at, created_at, expires_at, rotated_at,
                 rotated_ip, rotated_user_agent, idle_expires_at)
             VALUES (?1, ?2, 1, ?3, 1, ?4, ?5, ?6, ?7, 'notes', ?8, 'pwd', 'http://localhost:9/callback',
                 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', 'n-0S6_WzA2Mj', ?8, ?8, ?9, ?8, '192.0.2.17', ?10, ?9)",
        )?;
        for index in 0..population.families {
            let user = index / FAMILIES_PER_USER;
            families.execute(params![
                &population.family(index).as_bytes()[..],
                secret_hash.as_bytes(),
                &Population::user(user).as_bytes()[..],
                CLIENT_ID,
                &Population::browser(user).as_bytes()[..],
                &population.browser_session(user).as_bytes()[..],
                SCOPE,
                now,
                end,
                USER_AGENT
            ])?;
        }
    }
    tx.commit()?;
    for (index, columns) in INDEXES {
        connection.execute_batch(&format!("CREATE INDEX {index} ON {columns}"))?;
    }
    connection.execute_batch("PRAGMA journal_mode = WAL;")?;
    // What is measured is not to wait for what was loaded.
    std::fs::File::open(file)?.sync_all()?;
    Ok(())
}
