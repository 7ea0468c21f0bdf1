//! Mail to a real server: encrypted or not at all, and what becomes of it when the server refuses, puts off or dawdles.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rstest::rstest;
use rstest_reuse::apply;
use serde_json::Value;

use crate::support::{Browser, Engine, TestApp, both_databases, free_port, until};

/// A mail server, and the lines that it has said.
struct Smtpd {
    process: Child,
    port: u16,
    said: Arc<Mutex<Vec<Value>>>,
    folder: tempfile::TempDir,
}

impl Drop for Smtpd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Python that has aiosmtpd: `.ci/run` makes one.
fn python() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/smtpd/bin/python3");
    let has = |python: &Path| {
        let tried =
            Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    };
    let found = [own, PathBuf::from("python3")].into_iter().find(|python| has(python));
    if found.is_none() {
        assert!(!testing::is_ci(), "aiosmtpd is needed (PyPI)");
        eprintln!(
            "SKIPPED: no aiosmtpd; python3 -m venv target/smtpd && target/smtpd/bin/pip install aiosmtpd"
        );
    }
    found
}

impl Smtpd {
    async fn start(encrypted: bool) -> Option<Self> {
        let python = python()?;
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtpd.py")).arg(port.to_string());
        if encrypted {
            let (certificate, key) =
                (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
            let made = Command::new("openssl")
                .args([
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-days",
                    "2",
                ])
                .args([
                    "-subj",
                    "/CN=localhost",
                    "-addext",
                    "subjectAltName=DNS:localhost",
                    "-addext",
                    "basicConstraints=CA:FALSE",
                ])
                .arg("-keyout")
                .arg(&key)
                .arg("-out")
                .arg(&certificate)
                .stderr(Stdio::null())
                .status()
                .unwrap();
            assert!(made.success());
            command.arg(&certificate).arg(&key);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (lines, into) = (BufReader::new(process.stdout.take().unwrap()), Arc::clone(&said));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                into.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let server = Self { process, port, said, folder };
        until("the mail server is ready", || !server.said.lock().unwrap().is_empty()).await;
        Some(server)
    }

    fn mails_to(&self, address: &str) -> Vec<Value> {
        let said = self.said.lock().unwrap();
        said.iter().filter(|line| line["to"][0] == address).cloned().collect()
    }

    /// The settings of an authority that mails by this server.
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("smtp_url", format!("smtp://aa:p%2Bq%40r@localhost:{}", self.port)),
            ("smtp_ca_file", self.folder.path().join("certificate.pem").display().to_string()),
            ("mail_from", "Acme Sign-in <no-reply@acme.example>".to_owned()),
        ]
    }
}

async fn authority(engine: Engine, settings: &[(&'static str, String)]) -> Option<TestApp> {
    let given: Vec<(&'static str, &str)> =
        settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    TestApp::on(engine, &given).await
}

async fn forget_password(t: &TestApp, email: &str) {
    t.add_user(email).await;
    let browser = Browser::new(&t.url);
    browser.submit("/password/forgot", "/password/forgot", &[("email", email)]).await;
}

#[apply(both_databases)]
async fn mail_travels_encrypted_in_two_forms(#[case] engine: Engine) {
    let Some(server) = Smtpd::start(true).await else { return };
    let Some(t) = authority(engine, &server.settings()).await else { return };
    forget_password(&t, "ann@example.com").await;
    until("the mail", || !server.mails_to("ann@example.com").is_empty()).await;
    let mail = server.mails_to("ann@example.com").remove(0);
    assert_eq!(
        (&mail["encrypted"], &mail["sender"]),
        (&true.into(), &"no-reply@acme.example".into())
    );
    let header = |name: &str| mail["headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(header("subject"), "Choose a new password");
    assert_eq!(header("from"), "Acme Sign-in <no-reply@acme.example>");
    assert_eq!(header("auto-submitted"), "auto-generated");
    assert!(header("message-id").ends_with("@acme.example>"), "{}", header("message-id"));
    let (text, html) = (mail["text"].as_str().unwrap(), mail["html"].as_str().unwrap());
    let link = text.lines().find(|line| line.starts_with(&t.url)).unwrap().trim();
    assert!(html.contains(&format!("href=\"{}\"", link.replace('&', "&#38;"))), "{html}");
    assert_eq!(t.authority.mailer.stored().unwrap().len(), 0, "nothing in the folder");
}

#[apply(both_databases)]
async fn what_a_server_refuses_or_puts_off_holds_up_no_other_mail(#[case] engine: Engine) {
    let Some(server) = Smtpd::start(true).await else { return };
    let Some(t) = authority(engine, &server.settings()).await else { return };
    for email in
        ["slow@example.com", "refused@example.com", "greylisted@example.com", "ann@example.com"]
    {
        forget_password(&t, email).await;
    }
    until("the mail to Ann", || !server.mails_to("ann@example.com").is_empty()).await;
    let waiting = async || t.authority.store.deliveries(None, 100).await.unwrap();
    let mut errors = Vec::new();
    for _ in 0..600 {
        errors = waiting().await.into_iter().map(|row| (row.target, row.last_error)).collect();
        if errors.len() == 3 && errors.iter().all(|(_, error)| !error.is_empty()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let error = |address: &str| {
        &errors
            .iter()
            .find(|(target, _)| target == address)
            .unwrap_or_else(|| panic!("{errors:?}"))
            .1
    };
    assert!(error("refused@example.com").contains("no such mailbox"), "{errors:?}");
    assert!(error("greylisted@example.com").contains("greylisted"), "{errors:?}");
    assert!(!error("slow@example.com").is_empty(), "{errors:?}");
    assert!(server.mails_to("greylisted@example.com").is_empty());
    t.advance(60);
    until("the second try", || !server.mails_to("greylisted@example.com").is_empty()).await;
    assert!(server.mails_to("refused@example.com").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_encryption_gets_nothing() {
    let Some(server) = Smtpd::start(false).await else { return };
    let mut settings = server.settings();
    settings.retain(|(name, _)| *name != "smtp_ca_file");
    let t = authority(Engine::Sqlite, &settings).await.unwrap();
    forget_password(&t, "ann@example.com").await;
    let mut error = String::new();
    for _ in 0..300 {
        error = t
            .authority
            .store
            .deliveries(None, 1)
            .await
            .unwrap()
            .pop()
            .map(|row| row.last_error)
            .unwrap_or_default();
        if !error.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(error.to_uppercase().contains("STARTTLS"), "{error}");
    assert_eq!(server.said.lock().unwrap().len(), 1, "no address was named");
    // The same server, named as one of this machine that needs none.
    let settings = [
        ("smtp_url", format!("smtp://localhost:{}?tls=none", server.port)),
        ("mail_from", "no-reply@acme.example".to_owned()),
    ];
    let t = authority(Engine::Sqlite, &settings).await.unwrap();
    forget_password(&t, "ann@example.com").await;
    until("the mail", || !server.mails_to("ann@example.com").is_empty()).await;
}
