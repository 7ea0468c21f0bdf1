//! The system in containers, by `docker-compose.yml`.

use std::path::Path;
use std::time::Duration;

use service::run::Failure;
use tokio::process::Command;

use crate::{System, Urls, output};

pub struct Compose {
    urls: Urls,
    files: Vec<&'static str>,
}

impl Compose {
    /// Builds if asked to, starts, and waits until everything is healthy.
    pub async fn up(tls: bool, build: bool) -> Result<Self, Failure> {
        let mut files = vec!["docker-compose.yml"];
        let urls = if tls {
            files.push("docker-compose.tls.yml");
            let url = |name: &str| format!("https://{name}.localhost:8443");
            Urls { authority: url("aa"), bff: url("bff"), tmb: url("tmb"), spa: url("spa") }
        } else {
            let url = |port: u16| format!("http://localhost:{port}");
            Urls { authority: url(8080), bff: url(8082), tmb: url(8083), spa: url(8084) }
        };
        let system = Self { urls, files };
        let up: &[&str] = if build { &["up", "--build", "-d"] } else { &["up", "-d"] };
        let built = system.compose(up).status().await?;
        if !built.success() {
            return Err(format!("docker compose up: {built}").into());
        }
        for service in ["proxy", "notes", "bff", "tmb", "spa"] {
            system.wait_until_healthy(service).await?;
        }
        Ok(system)
    }

    /// Stops and removes everything. After a failure the containers are kept for inspection.
    pub async fn down(&self, all_is_well: bool) -> Result<(), Failure> {
        if !all_is_well {
            println!(
                "the containers are left as they are; `docker compose -p drill down -v` removes them"
            );
            return Ok(());
        }
        output(&mut self.compose(&["down", "-v"])).await?;
        for kind in ["container", "volume", "network"] {
            let mut list = Command::new("docker");
            let list =
                list.args([kind, "ls", "-q", "--filter", "label=com.docker.compose.project=drill"]);
            let left = output(list).await?;
            if !left.trim().is_empty() {
                return Err(format!("a {kind} is left behind: {left}").into());
            }
        }
        println!("nothing is left behind");
        Ok(())
    }

    /// `docker compose`, or `docker-compose` where the plugin is not installed.
    fn compose(&self, args: &[&str]) -> Command {
        let has_plugin = std::process::Command::new("docker")
            .args(["compose", "version"])
            .output()
            .is_ok_and(|done| done.status.success());
        let mut command = Command::new(if has_plugin { "docker" } else { "docker-compose" });
        if has_plugin {
            command.arg("compose");
        }
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command.args(["-p", "drill"]);
        // What Compose 1 has to be told; 2 does it anyway.
        command.env("DOCKER_BUILDKIT", "1").env("COMPOSE_DOCKER_CLI_BUILD", "1");
        for file in &self.files {
            command.args(["-f", file]);
        }
        command.args(args);
        command
    }

    async fn container(&self, service: &str) -> Result<String, Failure> {
        let id = output(&mut self.compose(&["ps", "-q", service])).await?;
        Ok(id.trim().to_owned())
    }

    async fn docker(&self, args: &[&str], replica: usize) -> Result<(), Failure> {
        let container = self.container(service(replica)).await?;
        output(Command::new("docker").args(args).arg(container)).await.map(drop)
    }

    async fn wait_until_healthy(&self, service: &str) -> Result<(), Failure> {
        for _ in 0..600 {
            let container = self.container(service).await?;
            let mut inspect = Command::new("docker");
            let inspect = inspect.args(["inspect", "-f", "{{.State.Health.Status}}", &container]);
            if output(inspect).await.is_ok_and(|state| state.trim() == "healthy") {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(format!("{service} does not become healthy").into())
    }
}

fn service(replica: usize) -> &'static str {
    ["authority-1", "authority-2"][replica]
}

impl System for Compose {
    fn urls(&self) -> &Urls {
        &self.urls
    }

    async fn command(&self, args: &[&str]) -> Result<String, Failure> {
        let run = [&["run", "--rm", "--no-deps", "-T", "people"], args].concat();
        output(&mut self.compose(&run)).await
    }

    async fn kill(&self, replica: usize) -> Result<(), Failure> {
        self.docker(&["kill", "-s", "KILL"], replica).await
    }

    async fn stop(&self, replica: usize) -> Result<(), Failure> {
        self.docker(&["stop", "-t", "30"], replica).await
    }

    async fn start(&self, replica: usize) -> Result<(), Failure> {
        self.docker(&["start"], replica).await?;
        self.wait_until_healthy(service(replica)).await
    }
}
