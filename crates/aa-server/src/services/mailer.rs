//! Sends mail by SMTP, or puts it into a folder where there is no mail server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use url::Url;

use super::outbox::DeliveryError;
use crate::domain::delivery::DeliveryId;

/// The longest a mail server may take for one command. An attempt of the outbox is given up a little later.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Mails that the folder keeps. The oldest goes.
const MAX_IN_FOLDER: usize = 200;

/// Where mail goes.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// A mail server: `smtp://user:password@host:587` (STARTTLS) or `smtps://…:465`. None: the folder.
    pub smtp: Option<SmtpUrl>,
    /// A certificate of an authority that signs the server's, in PEM, besides those of the system.
    pub ca_file: Option<PathBuf>,
    /// The sender.
    pub from: Mailbox,
    /// The folder for mail where there is no server.
    pub folder: PathBuf,
}

/// The URL of a mail server, checked.
#[derive(Clone, derive_more::Debug)]
#[debug("SmtpUrl {{ host: {host:?}, port: {port:?}, tls: {tls:?}, .. }}")]
pub struct SmtpUrl {
    host: String,
    port: u16,
    tls: TlsMode,
    credentials: Option<(String, String)>,
}

/// Whether and when the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TlsMode {
    /// From the beginning (RFC 8314 §3.3).
    Implicit,
    /// By STARTTLS, or not at all: a server that does not offer it gets no mail.
    StartTls,
    /// Never: on this machine alone.
    None,
}

impl SmtpUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// With a text for the operator. It does not repeat the URL, which may have a password.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text.trim())
            .map_err(|_| "is not a URL such as smtp://user:password@mail.example.com:587")?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err("has no host");
        }
        // Of a scheme that it does not know, the parser leaves addresses as they are.
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let plain = match url.query() {
            None => false,
            Some("tls=none") if is_loopback => true,
            Some("tls=none") => {
                return Err("?tls=none is possible for a server on this machine only");
            }
            Some(_) => return Err("has a query other than ?tls=none"),
        };
        let (tls, port) = match (url.scheme(), plain) {
            ("smtps", false) => (TlsMode::Implicit, 465),
            ("smtp", false) => (TlsMode::StartTls, 587),
            ("smtp", true) => (TlsMode::None, 25),
            ("smtps", true) => return Err("is smtps and says ?tls=none"),
            _ => return Err("must begin with smtp:// or smtps://"),
        };
        if !matches!(url.path(), "" | "/") {
            return Err("must end after the port");
        }
        let decoded =
            |text: &str| percent_decoded(text).ok_or("has a user or password that is not UTF-8");
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) => Some((decoded(user)?, decoded(password)?)),
            _ => return Err("has a user and no password"),
        };
        Ok(Self { host, port: url.port().unwrap_or(port), tls, credentials })
    }

    /// Host and port, without credentials.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    // A form decoder reads `+` as a space, which a password may have.
    let text = text.replace('+', "%2B");
    let (name, _) = url::form_urlencoded::parse(text.as_bytes()).next().unwrap_or_default();
    (!name.contains('\u{fffd}')).then(|| name.into_owned())
}

/// A mail, ready to be sent.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// A mail in the folder.
#[derive(Debug, Clone)]
pub struct StoredLetter {
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
}

#[derive(Debug)]
enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

/// Sends mail.
#[derive(Debug)]
pub struct Mailer {
    transport: Transport,
    from: Mailbox,
}

/// Why mail cannot be sent at all, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The certificate cannot be used.
    #[error("AA_SMTP_CA_FILE: {0}")]
    Certificate(String),
}

impl Mailer {
    /// Puts a mailer together. Nothing is sent yet.
    ///
    /// # Errors
    /// [`MailerError`].
    pub fn new(settings: &MailSettings) -> Result<Self, MailerError> {
        let from = settings.from.clone();
        let Some(smtp) = &settings.smtp else {
            return Ok(Self { transport: Transport::Folder(settings.folder.clone()), from });
        };
        let wrong = |error: &dyn std::fmt::Display| MailerError::Certificate(error.to_string());
        let parameters = || {
            let mut parameters = TlsParameters::builder(smtp.host.clone());
            if let Some(file) = &settings.ca_file {
                let pem = std::fs::read(file)
                    .map_err(|error| wrong(&format!("{}: {error}", file.display())))?;
                parameters = parameters.add_root_certificate(
                    Certificate::from_pem(&pem).map_err(|error| wrong(&error))?,
                );
            }
            parameters.build().map_err(|error| wrong(&error))
        };
        let tls = match smtp.tls {
            TlsMode::Implicit => Tls::Wrapper(parameters()?),
            TlsMode::StartTls => Tls::Required(parameters()?),
            TlsMode::None => Tls::None,
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
            .port(smtp.port)
            .tls(tls)
            .timeout(Some(TIMEOUT));
        if let Some((user, password)) = &smtp.credentials {
            transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(Self { transport: Transport::Smtp(transport.build()), from })
    }

    /// Whether mail goes into a folder only.
    pub fn is_folder(&self) -> bool {
        matches!(self.transport, Transport::Folder(_))
    }

    /// Sends a mail. Its message id is made from the delivery's: a repetition can be recognised.
    ///
    /// # Errors
    /// When the server refuses it or does not answer, without the text of the mail.
    pub async fn send(&self, id: DeliveryId, letter: &Letter) -> Result<(), DeliveryError> {
        let failed = |error: &dyn std::fmt::Display| DeliveryError(error.to_string());
        let to: Mailbox = letter
            .to
            .parse()
            .map_err(|_| DeliveryError("the address cannot be used".to_owned()))?;
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(&letter.subject)
            .message_id(Some(format!("<{id}@{domain}>")))
            .raw_header(auto_submitted())
            .multipart(MultiPart::alternative_plain_html(letter.text.clone(), letter.html.clone()))
            .map_err(|error| failed(&error))?;
        match &self.transport {
            Transport::Smtp(transport) => {
                transport.send(message).await.map(drop).map_err(|error| failed(&error))
            }
            Transport::Folder(folder) => {
                let (folder, name) = (folder.clone(), format!("{id}.eml"));
                let bytes = message.formatted();
                let text = format!("{}\n{}\n\n{}", letter.to, letter.subject, letter.text);
                let write = move || store(&folder, &name, &bytes, &text);
                tokio::task::spawn_blocking(write)
                    .await
                    .map_err(|error| failed(&error))?
                    .map_err(|error| failed(&error))
            }
        }
    }

    /// The mails in the folder, the newest first. None where mail is sent by SMTP.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn stored(&self) -> std::io::Result<Vec<StoredLetter>> {
        let Transport::Folder(folder) = &self.transport else { return Ok(Vec::new()) };
        let mut letters = Vec::new();
        for path in files(folder, "txt")?.into_iter().rev() {
            let text = std::fs::read_to_string(path)?;
            let mut lines = text.splitn(4, '\n');
            let mut next = || lines.next().unwrap_or_default().to_owned();
            let (to, subject, _, text) = (next(), next(), next(), next());
            letters.push(StoredLetter { to, subject, text });
        }
        Ok(letters)
    }
}

/// Says that a program writes, so that no absence notice answers (RFC 3834 §5).
fn auto_submitted() -> lettre::message::header::HeaderValue {
    let name = lettre::message::header::HeaderName::new_from_ascii_str("Auto-Submitted");
    lettre::message::header::HeaderValue::new(name, "auto-generated".to_owned())
}

/// Files with this ending, by their name, which sorts by time.
fn files(folder: &std::path::Path, ending: &str) -> std::io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Writes a mail as it would travel (`.eml`), and as text to be read here, and removes the oldest.
fn store(folder: &std::path::Path, name: &str, mail: &[u8], text: &str) -> std::io::Result<()> {
    service::private_file::make_private_folder(folder)?;
    for ending in ["eml", "txt"] {
        let found = files(folder, ending)?;
        for old in found.iter().take(found.len().saturating_sub(MAX_IN_FOLDER - 1)) {
            std::fs::remove_file(old)?;
        }
    }
    let path = folder.join(name);
    service::private_file::write_private(&path, mail)?;
    service::private_file::write_private(&path.with_extension("txt"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_never_spoken_to_in_the_clear_but_on_this_machine() {
        let read = |text: &str| SmtpUrl::parse(text).map(|url| (url.tls, url.port));
        assert_eq!(read("smtp://mail.example.com"), Ok((TlsMode::StartTls, 587)));
        assert_eq!(read("smtps://mail.example.com:4650"), Ok((TlsMode::Implicit, 4650)));
        assert_eq!(read("smtp://127.0.0.1:2525?tls=none"), Ok((TlsMode::None, 2525)));
        for refused in [
            "smtp://mail.example.com?tls=none",
            "smtps://localhost?tls=none",
            "smtp://mail.example.com?tls=opportunistic",
            "smtp://ann@mail.example.com",
            "http://mail.example.com",
            "smtp:///path",
            "mail.example.com",
            "smtp://mail.example.com/inbox",
        ] {
            assert!(read(refused).is_err(), "{refused}");
        }
        let url = SmtpUrl::parse("smtp://ann%40example.com:p%2Bq+r@mail.example.com").unwrap();
        assert_eq!(url.credentials, Some(("ann@example.com".to_owned(), "p+q+r".to_owned())));
        assert!(!format!("{url:?}").contains("p+q"));
    }
}
