//! Finds out which mail is to be sent, and to whom; makes its one-time link; sends it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::letter::{self, Draft};
use super::{Envelope, Mail, Notice};
use crate::authority::Authority;
use crate::domain::confirmation::{ConfirmationKind, code_hash};
use crate::domain::event::EventKind;
use crate::domain::ids::UserId;
use crate::domain::language::Language;
use crate::domain::message::Message;
use crate::domain::refresh_token::SecretHash;
use crate::services::catalogue::Texts;
use crate::services::outbox::{self, DeliveryError};
use crate::store::{self, NewConfirmation, User};

/// Sends a mail. One whose reader is gone is done with.
///
/// # Errors
/// When the mail server refuses it, or the database cannot answer: it is tried again.
pub async fn send(authority: &Authority, message: &outbox::Message) -> Result<(), DeliveryError> {
    let envelope: Envelope = serde_json::from_slice(&message.payload)
        .map_err(|_| DeliveryError("a mail of another version".to_owned()))?;
    let fault = |fault: store::Error| DeliveryError(fault.to_string());
    let Some((to, texts, draft)) = draft(authority, envelope).await.map_err(fault)? else {
        return Ok(());
    };
    let letter = letter::write(authority, &texts, to, draft);
    authority.mailer.send(message.id, &letter).await
}

/// The number of codes to sign in with.
const CODES: u64 = 100_000_000;

type Written = Option<(String, Texts, Draft)>;

/// The letter to be sent, if any: its recipient, and in whose language.
async fn draft(authority: &Authority, envelope: Envelope) -> store::Result<Written> {
    let asked = envelope.language.as_deref().and_then(Language::from_tag);
    let texts_for = |user: Option<&User>| {
        let own = user.and_then(|user| Language::from_tag(&user.language));
        Texts::new(&authority.catalogue, own.or(asked).unwrap_or_default())
            .in_zone(user.and_then(User::zone))
    };
    let written = match envelope.mail {
        Mail::Register { email, name, return_to, browser } => {
            let detail = json!({ "name": name, "return_to": return_to, "browser": browser });
            let draft = registration(authority, &email, &detail).await?;
            Some((email, None, draft))
        }
        Mail::ResetPassword { email } => match user_at(authority, &email).await? {
            None => None,
            Some(user) => {
                let kind = ConfirmationKind::ResetPassword;
                let draft =
                    confirmation(authority, kind, Some(&user), &user.email, &json!({})).await?;
                Some((user.email.clone(), Some(user), draft))
            }
        },
        Mail::SignInCode { email, browser } => match user_at(authority, &email).await? {
            None => None,
            Some(user) => {
                let code = sign_in_code(authority, &user, &browser).await?;
                code.map(|code| {
                    let draft = Draft {
                        code: Some(code),
                        otherwise: "mail-code-otherwise",
                        ..Draft::of("mail-code")
                    };
                    (user.email.clone(), Some(user), draft)
                })
            }
        },
        Mail::ConfirmEmail { user } => match enabled(authority, user).await? {
            None => None,
            Some(user) => {
                let kind = ConfirmationKind::ConfirmEmail;
                let draft =
                    confirmation(authority, kind, Some(&user), &user.email, &json!({})).await?;
                Some((user.email.clone(), Some(user), draft))
            }
        },
        Mail::ChangeEmail { user, email } => match enabled(authority, user).await? {
            None => None,
            Some(user) => {
                let draft = change_of_address(authority, &user, &email).await?;
                Some((email, Some(user), draft))
            }
        },
        Mail::Invitation { email, link } => {
            let link = Some(("mail-invitation-link", link));
            Some((email, None, Draft { link, ..Draft::of("mail-invitation") }))
        }
        Mail::Notice(notice) => match authority.store.user(notice.user).await? {
            None => None,
            Some(user) => {
                let draft = about_event(authority, &texts_for(Some(&user)), &notice);
                let to = notice.email.unwrap_or_else(|| user.email.clone());
                Some((to, Some(user), draft))
            }
        },
    };
    Ok(written.map(|(to, user, draft)| (to, texts_for(user.as_ref()), draft)))
}

async fn user_at(authority: &Authority, email: &str) -> store::Result<Option<User>> {
    let found = authority.store.user_by_email(&email.to_lowercase()).await?;
    Ok(found.filter(|user| user.enabled))
}

async fn enabled(authority: &Authority, user: UserId) -> store::Result<Option<User>> {
    Ok(authority.store.user(user).await?.filter(|user| user.enabled))
}

/// The letter to an address that has an account already.
fn known(authority: &Authority) -> Draft {
    let link = Some(("mail-known-link", authority.config.public_url.join("/password/forgot")));
    Draft { link, ..Draft::of("mail-known") }
}

async fn registration(
    authority: &Authority,
    email: &str,
    detail: &serde_json::Value,
) -> store::Result<Draft> {
    if authority.store.user_by_email(&email.to_lowercase()).await?.is_some() {
        return Ok(known(authority));
    }
    confirmation(authority, ConfirmationKind::Register, None, email, detail).await
}

async fn change_of_address(
    authority: &Authority,
    user: &User,
    email: &str,
) -> store::Result<Draft> {
    let other = authority.store.user_by_email(&email.to_lowercase()).await?;
    if other.is_some_and(|other| other.id != user.id) {
        return Ok(known(authority));
    }
    confirmation(authority, ConfirmationKind::ChangeEmail, Some(user), email, &json!({})).await
}

/// The letter about something that happened.
fn about_event(authority: &Authority, texts: &Texts, notice: &Notice) -> Draft {
    let url = |path: &str| authority.config.public_url.join(path);
    let (id, path) = match EventKind::from_stored(&notice.kind) {
        Some(EventKind::BrowserSessionStarted) => ("mail-new-browser", "/sessions"),
        Some(EventKind::PasswordChanged) => ("mail-password-changed", "/password/forgot"),
        Some(EventKind::PasswordReset) => ("mail-password-reset", "/password/forgot"),
        Some(EventKind::FamilyReuse) => ("mail-reuse", "/sessions"),
        Some(EventKind::DeviceApproved) => ("mail-device-approved", "/sessions"),
        Some(EventKind::AgentAllowed) => ("mail-agent-allowed", "/sessions"),
        Some(EventKind::EmailChanged) => ("mail-email-changed", "/sessions"),
        Some(EventKind::PasskeyAdded) => ("mail-passkey-added", "/account/security"),
        Some(EventKind::PasskeyRemoved) => ("mail-passkey-removed", "/account/security"),
        Some(EventKind::TotpAdded) => ("mail-totp-added", "/account/security"),
        Some(EventKind::TotpRemoved) => ("mail-totp-removed", "/account/security"),
        Some(EventKind::RecoveryCodeUsed) => ("mail-recovery-used", "/account/security"),
        Some(EventKind::FactorsReset) => ("mail-factors-reset", "/account/security"),
        Some(EventKind::UserClosed) => ("mail-closed", "/account"),
        _ => ("mail-activity", "/account/activity"),
    };
    let about = Message::new(id).with("about", notice.about.as_deref().unwrap_or_default());
    let mut facts = vec![texts.moment(notice.at)];
    facts.extend(notice.places.iter().map(|place| letter::place(authority, texts, place)));
    let link = Some(("mail-look-link", url(path)));
    Draft { about, link, facts, otherwise: "mail-not-you", ..Draft::of(id) }
}

/// Makes a code to sign in with, good in the browser with this hash.
async fn sign_in_code(
    authority: &Authority,
    user: &User,
    browser: &str,
) -> store::Result<Option<String>> {
    let Some(browser) = URL_SAFE_NO_PAD.decode(browser).ok().map(SecretHash::from_stored) else {
        return Ok(None);
    };
    let code = format!("{:08}", u64::from_be_bytes(authority.random.bytes()) % CODES);
    let kind = ConfirmationKind::SignInCode;
    let new = NewConfirmation {
        token_hash: code_hash((user.id, user.epoch), &browser, &code),
        kind,
        user: Some((user.id, user.epoch)),
        email: &user.email,
        detail: "{}",
        ttl: kind.ttl(),
    };
    authority.store.add_confirmation(&new, authority.now()).await?;
    Ok(Some(code))
}

/// Makes a one-time link, and the letter with it.
async fn confirmation(
    authority: &Authority,
    kind: ConfirmationKind,
    user: Option<&User>,
    email: &str,
    detail: &serde_json::Value,
) -> store::Result<Draft> {
    let token = authority.random.token();
    let new = NewConfirmation {
        token_hash: SecretHash::of(token.as_bytes()),
        kind,
        user: user.map(|user| (user.id, user.epoch)),
        email,
        detail: &detail.to_string(),
        ttl: kind.ttl(),
    };
    authority.store.add_confirmation(&new, authority.now()).await?;
    let (text, label, path) = match kind {
        ConfirmationKind::Register => ("mail-register", "mail-register-link", "/register/confirm"),
        ConfirmationKind::ResetPassword => ("mail-reset", "mail-reset-link", "/password/reset"),
        ConfirmationKind::ConfirmEmail | ConfirmationKind::SignInCode => {
            ("mail-confirm", "mail-confirm-link", "/account/email/confirm")
        }
        ConfirmationKind::ChangeEmail => {
            ("mail-change", "mail-change-link", "/account/email/change")
        }
    };
    let link = authority.config.public_url.join(&format!("{path}?token={token}"));
    Ok(Draft { link: Some((label, link)), ..Draft::of(text) })
}
