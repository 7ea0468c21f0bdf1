//! Real processes: several servers on one PostgreSQL, `kill -9`, and stopping gently.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{Browser, CALLBACK, FIREFOX, OAuthApp, PASSWORD, client, free_port, until};

/// The settings of a deployment, and the program.
pub struct Deployment {
    pub folder: tempfile::TempDir,
    pub public_port: u16,
    pub database_url: Option<String>,
    /// Log filter.
    pub log: &'static str,
    /// The program that runs the server, with its arguments; nothing if that runs by itself.
    pub runner: &'static [&'static str],
}

/// A server process; killed with it.
pub struct Server {
    pub process: Child,
    pub url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Deployment {
    pub fn new(database_url: Option<String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("aa-secret"),
            "a secret that all replicas share, long enough",
        )
        .unwrap();
        Self { folder, public_port: free_port(), database_url, log: "warn", runner: &[] }
    }

    /// With a database, as `migrate` makes it.
    pub fn migrated() -> Self {
        let deployment = Self::new(None);
        deployment.json(&["migrate"], "");
        deployment
    }

    pub fn command(&self) -> Command {
        let words: Vec<&str> =
            self.runner.iter().copied().chain([env!("CARGO_BIN_EXE_aa-server")]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("AA_PUBLIC_URL", format!("http://localhost:{}", self.public_port));
        command.env("AA_SECRET_FILE", self.folder.path().join("aa-secret"));
        command.env("AA_LOG", self.log);
        if let Some(url) = &self.database_url {
            command.env("AA_DATABASE_URL", url);
        }
        command
    }

    #[expect(
        clippy::zombie_processes,
        reason = "a `Server` waits for its process when it is dropped"
    )]
    pub async fn serve(&self, port: u16) -> Server {
        let log = std::fs::File::create(self.folder.path().join(format!("{port}.log"))).unwrap();
        let process = self
            .command()
            .env("AA_LISTEN", format!("127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("http://localhost:{port}");
        let http = client();
        for _ in 0..400 {
            if http
                .get(format!("{url}/readyz"))
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Server { process, url };
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!(
            "{}",
            std::fs::read_to_string(self.folder.path().join(format!("{port}.log"))).unwrap()
        );
    }

    /// Runs a command with `--json`.
    pub fn json(&self, args: &[&str], input: &str) -> Value {
        use std::io::Write as _;
        let mut command = self.command();
        command
            .args(args)
            .arg("--json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A user, and a public app that may have several families in one browser.
    pub fn people_and_app(&self, url: &str) -> OAuthApp {
        self.json(&["user", "add", "--email", "ann@example.com", "--password-stdin"], PASSWORD);
        let args = [
            "app",
            "add",
            "native",
            "--name",
            "Native",
            "--kind",
            "public",
            "--redirect-uri",
            CALLBACK,
            "--multiple-sessions",
        ];
        self.json(&args, "");
        OAuthApp { url: url.to_owned(), id: "native".to_owned(), secret: None, http: client() }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_postgresql_act_as_one() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    let deployment = Deployment::new(Some(url));
    // First boot of both at once: migrations are applied once, and one set of keys is made.
    let (one, two) = tokio::join!(deployment.serve(free_port()), deployment.serve(free_port()));
    let keys = deployment.json(&["keys", "list"], "");
    let algorithms: HashSet<_> =
        keys.as_array().unwrap().iter().map(|key| key["algorithm"].as_str().unwrap()).collect();
    assert_eq!((keys.as_array().unwrap().len(), algorithms.len()), (4, 4), "{keys}");
    let app = deployment.people_and_app(&one.url);
    let (at_one, at_two) = (app.at(&one.url), app.at(&two.url));
    let browser = Browser::new(&one.url);
    assert_eq!(browser.sign_in("ann@example.com", PASSWORD).await.status(), StatusCode::SEE_OTHER);

    // Fifty at once, over both: one successor.
    let first = at_two.redeem(&browser.open(&at_one).await).await.ok();
    let refreshes = (0..50).map(|number| {
        if number % 2 == 0 { &at_one } else { &at_two }.refresh(first.refresh_token())
    });
    let answers = join_all(refreshes).await;
    let tokens: Vec<String> =
        answers.into_iter().map(|answer| answer.ok().refresh_token().to_owned()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    let next = at_two.refresh(&tokens[0]).await.ok();
    // Reuse seen by one is an end at the other.
    at_one.refresh(first.refresh_token()).await.refused("invalid_grant");
    at_two.refresh(next.refresh_token()).await.refused("invalid_grant");

    // Fifty redemptions over both: one answer at most.
    let code = browser.open(&at_one).await;
    let redemptions =
        (0..50).map(|number| if number % 2 == 0 { &at_one } else { &at_two }.redeem(&code));
    let good = join_all(redemptions)
        .await
        .into_iter()
        .filter(|answer| answer.status == StatusCode::OK)
        .count();
    assert_eq!(good, 1);

    // Signed in at one is signed in at the other, and so is signed out.
    let at_other = Browser::new(&two.url);
    at_other.cookies.lock().unwrap().extend(browser.cookies.lock().unwrap().clone());
    assert_eq!(at_other.get("/apps").await.status(), StatusCode::OK);
    at_other.submit("/apps", "/logout", &[]).await;
    assert_eq!(browser.get("/apps").await.status(), StatusCode::SEE_OTHER);
}

async fn survives_kill_9(deployment: Deployment) {
    let port = deployment.public_port;
    let mut server = deployment.serve(port).await;
    let app = deployment.people_and_app(&server.url);
    let browser = Browser::new(&server.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let mut tokens = Vec::new();
    for _ in 0..10 {
        tokens.push(app.redeem(&browser.open(&app).await).await.ok().refresh_token().to_owned());
    }
    for round in 0..3 {
        let answered = Arc::new(AtomicUsize::new(0));
        // Chains, until the server is gone in the middle of them.
        let chains: Vec<_> = tokens
            .into_iter()
            .map(|mut token| {
                let (app, answered) = (app.clone(), Arc::clone(&answered));
                tokio::spawn(async move {
                    let form = |token: &str| {
                        [
                            ("grant_type", "refresh_token".to_owned()),
                            ("refresh_token", token.to_owned()),
                            ("client_id", app.id.clone()),
                        ]
                    };
                    for _ in 0..100_000 {
                        let request = app
                            .http
                            .post(format!("{}/oauth/token", app.url))
                            .header("user-agent", FIREFOX)
                            .form(&form(&token));
                        let Ok(answer) = request.send().await else { return token };
                        let Ok(answer) = answer.json::<Value>().await else { return token };
                        token = answer["refresh_token"]
                            .as_str()
                            .unwrap_or_else(|| panic!("{answer}"))
                            .to_owned();
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    panic!("the server was not killed");
                })
            })
            .collect();
        until("refreshes are under way", || answered.load(Ordering::SeqCst) >= 40 + 20 * round)
            .await;
        server.process.kill().unwrap();
        server.process.wait().unwrap();
        tokens = join_all(chains).await.into_iter().map(Result::unwrap).collect();
        server = deployment.serve(port).await;
        // No family is lost: each goes on with the token its client has, and by one successor alone.
        for token in &mut tokens {
            let (one, two) = tokio::join!(app.refresh(token), app.refresh(token));
            let (one, two) = (one.ok(), two.ok());
            assert_eq!(one.refresh_token(), two.refresh_token());
            *token = one.refresh_token().to_owned();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kill_9_loses_no_family_on_sqlite() {
    survives_kill_9(Deployment::new(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn kill_9_loses_no_family_on_postgresql() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    survives_kill_9(Deployment::new(Some(url))).await;
}

/// Everything that is logged, however much is asked for, while a user signs in, works and is guessed at.
async fn nothing_secret_is_logged(deployment: Deployment) {
    let port = deployment.public_port;
    let mut deployment = deployment;
    deployment.log = "trace";
    let server = deployment.serve(port).await;
    let mut app = deployment.people_and_app(&server.url);
    let args = ["app", "add", "web", "--name", "Web", "--redirect-uri", CALLBACK];
    let secret = deployment.json(&args, "")["client_secret"].as_str().unwrap().to_owned();
    app.id = "web".to_owned();
    app.secret = Some(secret.clone());
    let browser = Browser::new(&server.url);
    browser.sign_in("ann@example.com", "a wrong guess 123").await;
    browser.sign_in("ann@example.com", PASSWORD).await;
    let code = browser.open(&app).await;
    let first = app.redeem(&code).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    app.redeem(&code).await.refused("invalid_grant");
    app.post("/oauth/introspect", &[("token", second.access_token())]).await.ok();
    app.post("/oauth/revoke", &[("token", second.refresh_token())]).await.ok();
    let csrf = browser.csrf("/account").await;
    let cookies: Vec<String> = browser.cookies.lock().unwrap().values().cloned().collect();
    let log =
        std::fs::read_to_string(deployment.folder.path().join(format!("{port}.log"))).unwrap();
    assert!(log.contains("/oauth/token") && log.len() > 10_000, "the log is there: {}", log.len());
    // Who asked, and from where, stands in the line of a request.
    for told in ["address=\"127.0.0.1\"", "client=\"web\"", "user="] {
        assert!(log.contains(told), "{told}");
    }
    let mut secrets = vec![PASSWORD, "a wrong guess 123", &secret, &code, &csrf];
    secrets.extend(
        [&first, &second].iter().flat_map(|answer| [answer.refresh_token(), answer.access_token()]),
    );
    secrets.extend(cookies.iter().map(String::as_str));
    for secret in secrets {
        // A part is enough to be a leak.
        let part = &secret[secret.len() / 4..secret.len() * 3 / 4];
        assert!(!log.contains(part), "a secret is in the log: {secret}");
    }
    assert!(!log.contains("$argon2id"), "a password hash is in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_secret_is_logged_with_sqlite() {
    nothing_secret_is_logged(Deployment::new(None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_secret_is_logged_with_postgresql() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    nothing_secret_is_logged(Deployment::new(Some(url))).await;
}

#[tokio::test]
async fn sigterm_stops_gently() {
    let deployment = Deployment::new(None);
    let mut server = deployment.serve(deployment.public_port).await;
    let pid = server.process.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    // Readiness turns before the socket closes.
    let mut said_no = false;
    for _ in 0..400 {
        match client().get(format!("{}/readyz", server.url)).send().await {
            Ok(answer) if answer.status() == StatusCode::SERVICE_UNAVAILABLE => said_no = true,
            Ok(_) => {}
            Err(_) => break,
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(said_no);
    let mut status = None;
    for _ in 0..600 {
        status = server.process.try_wait().unwrap();
        if status.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status.and_then(|status| status.code()), Some(0));
}

#[tokio::test]
async fn a_wrong_or_missing_secret_is_refused_on_postgresql() {
    let Some(url) = tokio::task::spawn_blocking(testing::postgres).await.unwrap() else { return };
    let deployment = Deployment::new(Some(url));
    deployment.json(&["migrate"], "");
    let secret: PathBuf = deployment.folder.path().join("aa-secret");
    let failure = |command: &mut Command| {
        let output = command.arg("check").output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let missing = failure(deployment.command().env_remove("AA_SECRET_FILE"));
    assert!(missing.contains("head -c 32 /dev/urandom | base64"), "{missing}");
    std::fs::write(&secret, "another secret, which is long enough too").unwrap();
    let wrong = failure(&mut deployment.command());
    assert!(wrong.contains("is not one that this database knows"), "{wrong}");
    std::fs::write(&secret, "too short").unwrap();
    assert!(failure(&mut deployment.command()).contains("at least 32 bytes"));
    // A new one above the old one is how a secret is replaced.
    let both =
        "another secret, which is long enough too\na secret that all replicas share, long enough\n";
    std::fs::write(&secret, both).unwrap();
    deployment.json(&["check"], "");
}

/// What a restored database knows: everything up to the copy. A refresh token that is newer is refused, and ends
/// nothing.
async fn restored(deployment: &Deployment, app: &OAuthApp, at_copy: &str, after_copy: &str) {
    let port = free_port();
    let server = deployment.serve(port).await;
    let app = app.at(&server.url);
    app.refresh(after_copy).await.refused("invalid_grant");
    let next = app.refresh(at_copy).await.ok();
    assert_eq!(app.refresh(next.refresh_token()).await.status, StatusCode::OK);
    let browser = Browser::new(&server.url);
    assert_eq!(browser.sign_in("ann@example.com", PASSWORD).await.status(), StatusCode::SEE_OTHER);
}

/// A family, and its token before and after `copy` is made, while the server runs and others refresh.
async fn copied_while_running(
    deployment: &Deployment,
    server: &Server,
    copy: impl FnOnce(),
) -> (OAuthApp, String, String) {
    let app = deployment.people_and_app(&server.url);
    let browser = Browser::new(&server.url);
    browser.sign_in("ann@example.com", PASSWORD).await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let at_copy = app.refresh(first.refresh_token()).await.ok().refresh_token().to_owned();
    let busy = app.redeem(&browser.open(&app).await).await.ok().refresh_token().to_owned();
    let others = app.clone();
    let answered = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&answered);
    let refreshing = tokio::spawn(async move {
        let mut token = busy;
        loop {
            token = others.refresh(&token).await.ok().refresh_token().to_owned();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let answered = || answered.load(Ordering::SeqCst);
    until("others refresh", || answered() >= 5).await;
    tokio::task::block_in_place(copy);
    let at_copy_end = answered();
    until("others go on", || answered() >= at_copy_end + 5 || refreshing.is_finished()).await;
    assert!(!refreshing.is_finished(), "the server answered all the time");
    refreshing.abort();
    let rotated = app.refresh(&at_copy).await.ok();
    let after_copy = app.refresh(rotated.refresh_token()).await.ok().refresh_token().to_owned();
    (app, at_copy, after_copy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_of_sqlite_made_meanwhile_can_be_restored() {
    let mut deployment = Deployment::new(None);
    let server = deployment.serve(free_port()).await;
    let address = server.url.replace("http://localhost", "127.0.0.1");
    let live = deployment.command().env("AA_LISTEN", address).args(["check", "--live"]).output();
    assert!(live.unwrap().status.success(), "a running server says that it is ready");
    let copy = deployment.folder.path().join("copy.db");
    let path = copy.to_str().unwrap().to_owned();
    let make = || drop(deployment.json(&["backup", &path], ""));
    let (app, at_copy, after_copy) = copied_while_running(&deployment, &server, make).await;
    let again = deployment.command().args(["backup", &path]).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("the file exists already"));
    drop(server);
    deployment.database_url = Some(format!("sqlite://{path}"));
    restored(&deployment, &app, &at_copy, &after_copy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dump_of_postgresql_made_meanwhile_can_be_restored() {
    let databases = || Some((testing::postgres()?, testing::postgres()?));
    let Some((url, new)) = tokio::task::spawn_blocking(databases).await.unwrap() else { return };
    let mut deployment = Deployment::new(Some(url.clone()));
    let server = deployment.serve(free_port()).await;
    let refused = deployment.command().args(["backup", "copy.db"]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("pg_dump"));
    let dump = deployment.folder.path().join("dump");
    let run = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).arg(&dump).output().unwrap();
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let make = || run("pg_dump", &["--format=custom", "--dbname", &url, "--file"]);
    let (app, at_copy, after_copy) = copied_while_running(&deployment, &server, make).await;
    drop(server);
    run("pg_restore", &["--exit-on-error", "--dbname", &new]);
    deployment.database_url = Some(new);
    restored(&deployment, &app, &at_copy, &after_copy).await;
}
