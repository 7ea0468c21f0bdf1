//! The system as local processes: the programs in this program's folder, and Debian's PostgreSQL, Redis and HAProxy.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use service::run::Failure;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::{System, Urls, output};

/// Authorities.
pub const REPLICAS: usize = 3;
/// The ports of the proxy, notes, BFF, TMB, SPA and the replicas.
const PORTS: u16 = 8;

pub struct Processes {
    urls: Urls,
    programs: PathBuf,
    folder: tempfile::TempDir,
    database: String,
    /// Settings of the authorities beside the usual ones.
    settings: &'static [(&'static str, &'static str)],
    first_port: u16,
    replicas: Mutex<[Option<Child>; REPLICAS]>,
    /// They end with it.
    others: Vec<Child>,
}

/// The root folder of the project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Processes {
    pub async fn up() -> Result<Self, Failure> {
        Self::up_with(&[]).await
    }

    /// As [`Processes::up`], with these settings of the authorities.
    pub async fn up_with(
        settings: &'static [(&'static str, &'static str)],
    ) -> Result<Self, Failure> {
        let (database, redis) =
            tokio::task::spawn_blocking(|| (testing::postgres(), testing::redis())).await?;
        let database = database.ok_or("PostgreSQL is needed")?;
        let redis = redis.ok_or("Redis is needed")?;
        let first_port = testing::free_ports(PORTS);
        let url = |place: u16| format!("http://localhost:{}", first_port + place);
        let mut system = Self {
            urls: Urls { authority: url(0), bff: url(2), tmb: url(3), spa: url(4) },
            programs: std::env::current_exe()?.parent().ok_or("no folder")?.to_owned(),
            folder: tempfile::tempdir()?,
            database,
            settings,
            first_port,
            replicas: Mutex::default(),
            others: Vec::new(),
        };
        std::fs::write(
            system.folder.path().join("secret"),
            "a secret that only the replicas share, in this drill\n",
        )?;
        // All at once: one of them makes the schema and the keys.
        tokio::try_join!(system.start(0), system.start(1), system.start(2))?;
        system.declare().await?;
        let others = [
            system.proxy()?,
            system.app(
                "microapp-notes",
                "NOTES",
                1,
                "notes",
                &[("CLIENT_ID", "notes"), ("CORS_ORIGINS", &format!("{},{}", url(3), url(4)))],
            )?,
            system.app(
                "microapp-bff",
                "BFF",
                2,
                "bff",
                &[("SESSION_STORE", &redis), ("ROUTES", &system.routes()?)],
            )?,
            system.app(
                "microapp-tmb",
                "TMB",
                3,
                "tmb",
                &[("SESSION_STORE", &system.file_database("tmb")), ("API_URL", &url(1))],
            )?,
            system.app("microapp-spa", "SPA", 4, "spa", &[("API_URL", &url(1))])?,
        ];
        system.others = others.into();
        for place in 0..5 {
            wait_until_ready(first_port + place).await?;
        }
        Ok(system)
    }

    fn file_database(&self, name: &str) -> String {
        format!("sqlite://{}", self.folder.path().join(format!("{name}.db")).display())
    }

    fn routes(&self) -> Result<String, Failure> {
        let file = self.folder.path().join("routes.toml");
        let text = std::fs::read_to_string(project().join("deploy/routes.toml"))?;
        std::fs::write(
            &file,
            text.replace("http://notes:8081", &format!("http://localhost:{}", self.first_port + 1)),
        )?;
        Ok(file.display().to_string())
    }

    /// A command with an empty environment.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    fn authority(&self, listen: u16) -> Command {
        let mut command = self.program("aa-server");
        command
            .env("AA_LISTEN", format!("127.0.0.1:{listen}"))
            .env("AA_PUBLIC_URL", &self.urls.authority)
            .env("AA_DATABASE_URL", &self.database)
            .env("AA_SECRET_FILE", "secret")
            .env("AA_TRUSTED_PROXIES", "127.0.0.0/8")
            .env("AA_LOG", "error")
            .envs(self.settings.iter().copied());
        command
    }

    async fn declare(&self) -> Result<(), Failure> {
        let deploy = project().join("deploy");
        self.command(&["user", "apply", &deploy.join("people.toml").display().to_string()]).await?;
        let mut apps = std::fs::read_to_string(deploy.join("apps.toml"))?;
        for place in 2..5 {
            apps = apps
                .replace(&format!(":{}", 8080 + place), &format!(":{}", self.first_port + place));
        }
        std::fs::write(self.folder.path().join("apps.toml"), apps)?;
        self.command(&["app", "apply", "apps.toml", "--secrets-dir", "."]).await?;
        Ok(())
    }

    fn proxy(&self) -> Result<Child, Failure> {
        let haproxy =
            testing::find_program("haproxy").ok_or("HAProxy is needed (Debian: haproxy)")?;
        let deploy = project().join("deploy");
        // The containers' own, with one server more.
        let mut config = std::fs::read_to_string(deploy.join("haproxy.cfg"))?;
        config.push_str("    server three \"${AUTHORITY_3}\"\n");
        let file = self.folder.path().join("haproxy.cfg");
        std::fs::write(&file, config)?;
        let mut command = Command::new(haproxy);
        command.arg("-db").arg("-f").arg(file).kill_on_drop(true);
        command
            .env("ERRORS", &deploy)
            .env("LISTEN", format!("127.0.0.1:{}", self.first_port))
            .env("AUTHORITY_1", format!("127.0.0.1:{}", self.first_port + 5))
            .env("AUTHORITY_2", format!("127.0.0.1:{}", self.first_port + 6))
            .env("AUTHORITY_3", format!("127.0.0.1:{}", self.first_port + 7));
        Ok(command.stderr(Stdio::null()).spawn()?)
    }

    fn app(
        &self,
        program: &str,
        prefix: &str,
        place: u16,
        id: &str,
        more: &[(&str, &str)],
    ) -> Result<Child, Failure> {
        let port = self.first_port + place;
        let mut command = self.program(program);
        let mut set = |name: &str, value: &str| {
            command.env(format!("{prefix}_{name}"), value);
        };
        set("LISTEN", &format!("127.0.0.1:{port}"));
        set("PUBLIC_URL", &format!("http://localhost:{port}"));
        set("ISSUER", &self.urls.authority);
        set("LOG", "error");
        set("CLIENT_SECRET_FILE", &format!("{id}/client-secret"));
        for (name, value) in more {
            set(name, value);
        }
        Ok(command.spawn()?)
    }

    async fn signal(&self, replica: usize, signal: &str) -> Result<(), Failure> {
        let child = self.replicas.lock().await[replica].take();
        let mut child = child.ok_or("the replica does not run")?;
        let id = child.id().ok_or("the replica has ended by itself")?.to_string();
        output(Command::new("kill").args(["-s", signal, &id])).await?;
        let ended = child.wait().await?;
        if signal == "TERM" && !ended.success() {
            return Err(format!("a gentle stop ended with {ended}").into());
        }
        Ok(())
    }
}

impl System for Processes {
    fn urls(&self) -> &Urls {
        &self.urls
    }

    async fn command(&self, args: &[&str]) -> Result<String, Failure> {
        output(self.authority(0).args(args)).await
    }

    async fn kill(&self, replica: usize) -> Result<(), Failure> {
        self.signal(replica, "KILL").await
    }

    async fn stop(&self, replica: usize) -> Result<(), Failure> {
        self.signal(replica, "TERM").await
    }

    async fn start(&self, replica: usize) -> Result<(), Failure> {
        let port = self.first_port + 5 + u16::try_from(replica)?;
        let child = self.authority(port).spawn()?;
        self.replicas.lock().await[replica] = Some(child);
        wait_until_ready(port).await
    }
}

async fn wait_until_ready(port: u16) -> Result<(), Failure> {
    let url = format!("http://127.0.0.1:{port}/readyz");
    for _ in 0..300 {
        if reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("{url} does not become ready").into())
}
