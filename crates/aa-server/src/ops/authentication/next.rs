//! The step after a step of a sign-in: another one, or the browser session.

use std::time::Duration;

use secrecy::SecretString;

use crate::authority::Authority;
use crate::domain::authentication::{Authentication, Enrolment, is_multi_factor};
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::domain::ids::BrowserId;
use crate::domain::refresh_token::SecretHash;
use crate::ops::mail;
use crate::store::{self, AttemptKey, NewBrowserSession, PendingSignIn, User};

/// The time after the creation of an account in which no mail tells of a new browser.
const QUIET_AFTER_CREATION: Duration = Duration::from_mins(10);

/// The browser that a sign-in happens in, and where it leads to.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The browser cookie, if there is one.
    pub browser_token: Option<String>,
    /// The session cookie, if there is one: that session ends.
    pub session_token: Option<String>,
    /// The hash of the CSRF cookie: steps under way are bound to it.
    pub binding: SecretHash,
    /// Where the sign-in leads to.
    pub return_to: String,
    /// The demands that the goal makes on the sign-in.
    pub demand: Demand,
}

/// The demands that the goal of a sign-in makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The deployment's policy, no more.
    Policy,
    /// The second factor of a user who has one, also in a remembered browser.
    KnownFactor,
    /// Two factors of every user.
    TwoFactors,
}

/// The tokens of a new sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The browser of the session.
    pub browser_id: BrowserId,
    /// The token for the session cookie.
    pub session_token: SecretString,
    /// The token for the browser cookie, when the browser is new.
    pub browser_token: Option<SecretString>,
}

/// The next step in a sign-in.
#[derive(Debug)]
pub enum Outcome {
    /// No step is left: the user is signed in.
    SignedIn(SignedIn),
    /// The user shows a second factor. The reference names the sign-in under way.
    Verify(String),
    /// The user sets a second factor up.
    Enrol(String),
}

/// Goes on with the sign-in of a user who has done these steps.
///
/// # Errors
/// When the database cannot answer.
pub async fn proceed(
    authority: &Authority,
    user: &User,
    done: Authentication,
    origin: &Origin,
    caller: &Caller,
) -> store::Result<Outcome> {
    let browser = known_browser(authority, origin.browser_token.as_deref()).await?;
    if !done.is_multi_factor() {
        let has_factor = authority.store.factor_counts(user.id).await?.any();
        let skips =
            origin.demand == Demand::Policy && is_remembered(authority, user, browser).await?;
        if has_factor && !skips {
            return Ok(Outcome::Verify(keep(authority, user, done, origin).await?));
        }
        if !has_factor && enrolment(authority, user, origin.demand) != Enrolment::Optional {
            return Ok(Outcome::Enrol(keep(authority, user, done, origin).await?));
        }
    }
    let replaces = origin.session_token.as_deref();
    begin(authority, (user, &done), browser, replaces, caller).await.map(Outcome::SignedIn)
}

/// Whether a user without a second factor has to set one up in this sign-in.
pub(super) fn enrolment(authority: &Authority, user: &User, demand: Demand) -> Enrolment {
    if demand == Demand::TwoFactors {
        return Enrolment::Required;
    }
    let is_admin = user.roles().iter().any(|role| role == "admin");
    let config = &authority.config.second_factor;
    config.policy.enrolment(is_admin, config.from, authority.now())
}

async fn is_remembered(
    authority: &Authority,
    user: &User,
    browser: Option<BrowserId>,
) -> store::Result<bool> {
    match browser {
        Some(browser) if authority.config.second_factor.remember.is_some() => {
            authority.store.is_remembered(user.id, browser, authority.now()).await
        }
        _ => Ok(false),
    }
}

async fn keep(
    authority: &Authority,
    user: &User,
    done: Authentication,
    origin: &Origin,
) -> store::Result<String> {
    let reference = authority.random.token();
    let pending = PendingSignIn {
        user_id: user.id,
        user_epoch: user.epoch,
        done,
        return_to: origin.return_to.clone(),
        must_enrol: origin.demand == Demand::TwoFactors,
    };
    authority
        .store
        .add_pending_sign_in(&key(&reference, &origin.binding), &pending, authority.now())
        .await?;
    Ok(reference)
}

/// The key of a sign-in under way.
pub(super) fn key(reference: &str, binding: &SecretHash) -> AttemptKey {
    AttemptKey { token_hash: SecretHash::of(reference.as_bytes()), browser_hash: binding.clone() }
}

/// A sign-in under way, and its user, who is as they were at the first step.
///
/// # Errors
/// When the database cannot answer.
pub async fn pending(
    authority: &Authority,
    reference: &str,
    binding: &SecretHash,
) -> store::Result<Option<(PendingSignIn, User)>> {
    let found = authority.store.pending_sign_in(&key(reference, binding), authority.now()).await?;
    let Some(pending) = found else { return Ok(None) };
    let user = authority.store.user(pending.user_id).await?;
    Ok(user
        .filter(|user| user.enabled && user.epoch == pending.user_epoch)
        .map(|user| (pending, user)))
}

/// Whether a session is strong enough for what is delicate: two factors, if its user has a second one.
///
/// # Errors
/// When the database cannot answer.
pub async fn is_strong(authority: &Authority, user: &User, amr: &str) -> store::Result<bool> {
    Ok(is_multi_factor(amr) || !authority.store.factor_counts(user.id).await?.any())
}

/// The browser of a cookie.
pub(in crate::ops) async fn known_browser(
    authority: &Authority,
    token: Option<&str>,
) -> Result<Option<BrowserId>, store::Error> {
    match token {
        Some(token) => authority.store.browser(&SecretHash::of(token.as_bytes())).await,
        None => Ok(None),
    }
}

/// Records the sign-in of a user who has done these steps.
pub(in crate::ops) async fn begin(
    authority: &Authority,
    (user, authentication): (&User, &Authentication),
    browser: Option<BrowserId>,
    replaces: Option<&str>,
    caller: &Caller,
) -> Result<SignedIn, store::Error> {
    let now = authority.now();
    let session_token = authority.random.token();
    let browser_token = browser.is_none().then(|| authority.random.token());
    let browser_id = browser.unwrap_or_else(|| authority.random.uuid().into());
    let browser_session = NewBrowserSession {
        id: authority.random.uuid_at(now).into(),
        token_hash: SecretHash::of(session_token.as_bytes()),
        user_id: user.id,
        user_epoch: user.epoch,
        browser_id,
        browser_token_hash: browser_token.as_ref().map(|token| SecretHash::of(token.as_bytes())),
        amr: &authentication.amr(),
        auth_time: authentication.auth_time(),
        ip: &caller.ip,
        user_agent: &caller.user_agent,
        idle_expires_at: now
            + authority.config.ttls.browser_session_idle.min(authority.config.ttls.browser_session),
        expires_at: now + authority.config.ttls.browser_session,
        replaces: replaces.map(|token| SecretHash::of(token.as_bytes())),
    };
    let is_new = match browser {
        Some(browser) => !authority.store.is_known_browser(user.id, browser).await?,
        None => true,
    };
    let mut event = authority
        .event(EventKind::BrowserSessionStarted, Actor::User(user.id), caller)
        .user(user.id)
        .detail(serde_json::json!({ "device": browser_id, "new_device": browser.is_none() }));
    // Not of the first sign-in: the user has just created the account.
    if is_new && now.since(user.created_at) > QUIET_AFTER_CREATION {
        event =
            event.tell(mail::notice(authority, user.id, EventKind::BrowserSessionStarted, caller));
    }
    authority.store.sign_in(&browser_session, event, now).await?;
    Ok(SignedIn {
        browser_id,
        session_token: session_token.into(),
        browser_token: browser_token.map(Into::into),
    })
}
