//! The settings of mail and of second factors.

use std::path::Path;
use std::time::Duration;

use foundation::origin::PublicUrl;
use foundation::time::Timestamp;
use secrecy::ExposeSecret as _;
use service::settings::{Settings, SettingsError};

use crate::domain::authentication::FactorPolicy;
use crate::services::mailer::{MailSettings, SmtpUrl};

pub(super) fn read_mail(
    settings: &Settings,
    public_url: &PublicUrl,
    data_dir: &Path,
) -> Result<MailSettings, SettingsError> {
    let url = settings.secret("smtp_url", "smtp_url_file")?;
    let smtp = url
        .map(|url| SmtpUrl::parse(url.expose_secret()))
        .transpose()
        .map_err(|wrong| SettingsError::new(format!("AA_SMTP_URL {wrong}")))?;
    let from: Option<String> = settings.optional("mail_from")?;
    let from = match (from, &smtp) {
        (Some(from), _) => from.parse().map_err(|_| {
            SettingsError::new(
                "AA_MAIL_FROM: a sender such as Acme <no-reply@example.com> is needed",
            )
        })?,
        (None, Some(_)) => {
            return Err(SettingsError::new(
                "AA_MAIL_FROM must be set with AA_SMTP_URL: the sender of mails, such as Acme <no-reply@example.com>",
            ));
        }
        (None, None) => {
            let host = url::Url::parse(public_url.as_str()).ok();
            let host = host.as_ref().and_then(|url| url.domain()).unwrap_or("localhost");
            let address = lettre::Address::new("no-reply", host)
                .or_else(|_| lettre::Address::new("no-reply", "localhost"));
            lettre::message::Mailbox::new(
                None,
                address.map_err(|_| SettingsError::new("AA_MAIL_FROM must be set"))?,
            )
        }
    };
    Ok(MailSettings {
        smtp,
        ca_file: settings.optional("smtp_ca_file")?,
        from,
        folder: data_dir.join("mail"),
    })
}

pub(super) fn read_second_factor(settings: &Settings) -> Result<SecondFactor, SettingsError> {
    let policy: String = settings.get("second_factor")?;
    let policy = policy.parse().map_err(|_| {
        SettingsError::new(format!(
            "AA_SECOND_FACTOR: `{policy}` is not one of optional, admins, everybody"
        ))
    })?;
    let from: Option<String> = settings.optional("second_factor_from")?;
    let from = from.map(|day| {
        let wrong = || {
            SettingsError::new(format!(
                "AA_SECOND_FACTOR_FROM: `{day}` is not a day such as 2027-01-31"
            ))
        };
        Timestamp::from_day(&day).ok_or_else(wrong)
    });
    let remember = settings.duration("remember_browser")?;
    if remember
        .is_some_and(|time| time < Duration::from_hours(1) || time > Duration::from_hours(24 * 365))
    {
        return Err(SettingsError::new("AA_REMEMBER_BROWSER must be from one hour to one year"));
    }
    Ok(SecondFactor { policy, from: from.transpose()?, remember })
}

/// The users who need a second factor, and the browsers where none is asked for.
#[derive(Debug, Clone, Copy)]
pub struct SecondFactor {
    /// The users.
    pub policy: FactorPolicy,
    /// The time from which the policy is in force.
    pub from: Option<Timestamp>,
    /// The time for which a browser may be remembered; `None`: never.
    pub remember: Option<Duration>,
}
