//! Authorities as processes over one PostgreSQL, a user, an app and its sessions.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use database::{Db, execute};
use serde_json::Value;
use service::run::Failure;
use tokens::KeySet;
use tokens::feed::{FeedSource, Follower, SessionIdentity};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const SECRET: &str = "a secret of nothing but this measurement";
const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "tangerine lamp 4";
const CALLBACK: &str = "http://localhost:9/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The deployment.
pub struct World {
    folder: tempfile::TempDir,
    database_url: String,
    issuer: String,
    http: reqwest::Client,
    app_secret: String,
    pub api_secret: String,
}

/// An authority; it ends with this.
pub struct Authority {
    child: Child,
    pub url: String,
    pub port: u16,
}

/// A session of the app.
#[derive(Clone)]
pub struct Session {
    refresh_token: String,
    pub access_token: String,
    pub identity: SessionIdentity,
    pub sid: uuid::Uuid,
}

impl Authority {
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Resident memory, in MB.
    pub fn memory(&self) -> Result<f64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1024.0)
    }

    /// Kills it (`SIGKILL`).
    pub async fn kill(mut self) -> Result<(), Failure> {
        self.child.kill().await?;
        Ok(())
    }
}

impl World {
    pub async fn new() -> Result<Self, Failure> {
        let database_url = tokio::task::spawn_blocking(testing::postgres).await?;
        let database_url = database_url.ok_or("PostgreSQL is not installed")?;
        let port = testing::free_ports(1);
        let mut world = Self {
            folder: tempfile::tempdir()?,
            database_url,
            issuer: format!("http://localhost:{port}"),
            http: reqwest::Client::builder()
                .cookie_store(true)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            app_secret: String::new(),
            api_secret: String::new(),
        };
        world.command(&["migrate"], "").await?;
        world.command(&["user", "add", "--email", EMAIL, "--password-stdin"], PASSWORD).await?;
        let app = [
            "app",
            "add",
            "app",
            "--name",
            "App",
            "--redirect-uri",
            CALLBACK,
            "--multiple-sessions",
        ];
        world.app_secret = secret_of(&world.command(&app, "").await?)?;
        let api = ["app", "add", "api", "--name", "API", "--kind", "api"];
        world.api_secret = secret_of(&world.command(&api, "").await?)?;
        Ok(world)
    }

    fn program(&self) -> Result<Command, Failure> {
        let file = std::env::current_exe()?.with_file_name("aa-server");
        if !file.exists() {
            return Err(format!("{} is not built", file.display()).into());
        }
        let mut command = Command::new(file);
        command
            .env("AA_DATABASE_URL", &self.database_url)
            .env("AA_DATA_DIR", self.folder.path())
            .env("AA_SECRET", SECRET)
            .env("AA_PUBLIC_URL", &self.issuer)
            .env("AA_LOG", "warn")
            .kill_on_drop(true);
        Ok(command)
    }

    async fn command(&self, args: &[&str], input: &str) -> Result<Value, Failure> {
        use tokio::io::AsyncWriteExt as _;
        let mut command = self.program()?;
        command.args(args).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        let output = child.wait_with_output().await?;
        if !output.status.success() {
            return Err(format!("aa-server {args:?}: {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Starts an authority at a port; at one that is free if it is not given.
    pub async fn authority(&self, port: Option<u16>) -> Result<Authority, Failure> {
        let port = port.unwrap_or_else(|| testing::free_ports(1));
        let log = Path::new(self.folder.path()).join(format!("{port}.log"));
        let mut command = self.program()?;
        command.env("AA_LISTEN", format!("127.0.0.1:{port}")).stderr(std::fs::File::create(log)?);
        let child = command.stdout(Stdio::null()).spawn()?;
        let authority = Authority { child, url: format!("http://127.0.0.1:{port}"), port };
        for _ in 0..3000 {
            let ready = self.http.get(format!("{}/readyz", authority.url)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(authority);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("an authority is not ready".into())
    }

    /// Signs the user in, unless they are.
    pub async fn sign_in(&self, authority: &Authority) -> Result<(), Failure> {
        let login = format!("{}/login", authority.url);
        let page = self.http.get(&login).send().await?;
        if page.status() == reqwest::StatusCode::SEE_OTHER {
            return Ok(());
        }
        let page = page.text().await?;
        let csrf =
            page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let fields = [("csrf", csrf.ok_or("no form")?), ("email", EMAIL), ("password", PASSWORD)];
        let answer = self.http.post(login).form(&fields).send().await?;
        if answer.status() != reqwest::StatusCode::SEE_OTHER {
            return Err(format!("the sign-in was answered {}", answer.status()).into());
        }
        Ok(())
    }

    /// Opens the app once more, in the same browser.
    pub async fn session(&self, authority: &Authority) -> Result<Session, Failure> {
        let query = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid offline_access"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ];
        let url = format!("{}/oauth/authorize", authority.url);
        let answer = self.http.get(url).query(&query).send().await?;
        let location = answer.headers().get("location").ok_or("no redirect")?.to_str()?.to_owned();
        let code = location.split("code=").nth(1).and_then(|rest| rest.split('&').next());
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.ok_or_else(|| format!("no code: {location}"))?),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let url = format!("{}/oauth/token", authority.url);
        let request = self.http.post(url).basic_auth("app", Some(&self.app_secret)).form(&fields);
        let tokens: Value = request.send().await?.error_for_status()?.json().await?;
        let text = |name: &str| tokens[name].as_str().map(str::to_owned).ok_or("no token");
        let (access_token, refresh_token) = (text("access_token")?, text("refresh_token")?);
        let identity = SessionIdentity::of_received(&access_token).ok_or("not a token of ours")?;
        let sid = identity.sid().ok_or("no sid")?;
        Ok(Session { refresh_token, access_token, identity, sid })
    }

    /// So many sessions.
    pub async fn sessions(
        &self,
        authority: &Authority,
        count: usize,
    ) -> Result<Vec<Session>, Failure> {
        let mut sessions = Vec::with_capacity(count);
        for _ in 0..count {
            sessions.push(self.session(authority).await?);
        }
        Ok(sessions)
    }

    /// Ends a session; returns when that is answered.
    pub async fn end(&self, authority: &Authority, session: &Session) -> Result<(), Failure> {
        let url = format!("{}/oauth/revoke", authority.url);
        let request = self.http.post(url).basic_auth("app", Some(&self.app_secret));
        let token = [("token", session.refresh_token.as_str())];
        request.form(&token).send().await?.error_for_status()?;
        Ok(())
    }

    /// Ends sessions, 32 at a time.
    pub async fn end_all(
        &self,
        authority: &Authority,
        sessions: &[Session],
    ) -> Result<(), Failure> {
        let mut ends: JoinSet<reqwest::Result<()>> = JoinSet::new();
        for session in sessions {
            if ends.len() >= 32 {
                ends.join_next().await.ok_or("nothing under way")???;
            }
            let request = self
                .http
                .post(format!("{}/oauth/revoke", authority.url))
                .basic_auth("app", Some(&self.app_secret))
                .form(&[("token", session.refresh_token.as_str())]);
            ends.spawn(async move { request.send().await?.error_for_status().map(drop) });
        }
        while let Some(ended) = ends.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Ends everything of the user, by disabling the account.
    pub async fn end_user(&self) -> Result<(), Failure> {
        self.command(&["user", "disable", EMAIL], "").await.map(drop)
    }

    pub async fn enable_user(&self) -> Result<(), Failure> {
        self.command(&["user", "enable", EMAIL], "").await.map(drop)
    }

    /// Writes ends of so many families into the log, as if they had been ended.
    pub async fn log_ends(&self, count: u32) -> Result<(), Failure> {
        let db = Db::connect(&self.database_url).await?;
        let now = foundation::time::Clock::now(&foundation::time::SystemClock);
        let mut tx = db.begin().await?;
        for number in 0..count {
            let id = uuid::Uuid::from_u128(u128::from(number) << 64 | u128::from(number % 256));
            execute!(
                tx.on(),
                "INSERT INTO ends (id, user_epoch, ended_at, kind, family_id, reason)
                 VALUES ($1, 0, $2, 'family', $1, 'revoked_by_app')",
                id,
                now
            )?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// A follower of the authority at this URL that knows of every end so far.
    pub async fn follower(&self, url: &str) -> Result<Follower, Failure> {
        let follower = Follower::follow(self.source(url), false)?;
        for _ in 0..3000 {
            if follower.age().is_some() {
                return Ok(follower);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("a follower is not told anything".into())
    }

    fn source(&self, url: &str) -> FeedSource {
        FeedSource {
            authority: url.to_owned(),
            client_id: "api".to_owned(),
            client_secret: self.api_secret.clone(),
            name: "show-ended".to_owned(),
        }
    }

    /// The keys of the authority.
    pub async fn keys(&self, authority: &Authority) -> Result<KeySet, Failure> {
        let url = format!("{}/.well-known/jwks.json", authority.url);
        Ok(KeySet::from_jwks(&self.http.get(url).send().await?.bytes().await?)?)
    }

    /// The issuer, as tokens name it.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

fn secret_of(added: &Value) -> Result<String, Failure> {
    Ok(added["client_secret"].as_str().ok_or("no secret")?.to_owned())
}
