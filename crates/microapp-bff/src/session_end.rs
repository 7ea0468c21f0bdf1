//! The end of the session that a stream belongs to.

use std::time::Duration;

use actix_web::web;
use foundation::time::Timestamp;
use relying_party::signin::{AccessToken, Notice};
use relying_party::web::Site;
use relying_party::{Browser, TokenError, TokenRequest};
use service::run::detached;
use tokio::time::sleep;
use tracing::info;

/// Pause before a provider that could not answer is asked again.
const RETRY: Duration = Duration::from_secs(5);
/// Time that a stream may go on after its token has expired, while the provider cannot say whether the session lives.
const UNKNOWN_TIMEOUT: Duration = Duration::from_mins(5);

/// The session of a stream.
pub(crate) struct StreamSession {
    pub site: web::Data<Site>,
    pub session_id: String,
    pub token_request: TokenRequest,
    pub browser: Browser,
    /// The token that the stream began with.
    pub token: AccessToken,
}

impl StreamSession {
    /// Waits until the session has ended, here, at another replica or at the provider; or until its token has expired
    /// and there will be none after it. A token that expires while the session lives is renewed and ends nothing.
    pub async fn over(self) {
        let Self { site, session_id, token_request, browser, token } = self;
        let mut watch = site.party.watch(&session_id, &token);
        let mut expires_at = token.expires_at;
        let mut ask_at = expires_at;
        loop {
            tokio::select! {
                notice = watch.next() => match notice {
                    Notice::Ended(_) => break,
                    Notice::InDoubt => {}
                },
                () = sleep(ask_at.since(site.party.now())) => {}
            }
            let shared = site.clone();
            let (id, request, browser) =
                (session_id.clone(), token_request.clone(), browser.clone());
            let asked = detached(&site.runtime, async move {
                shared.party.access_token(&id, &request, &browser).await
            });
            let now = site.party.now();
            match asked.await {
                Ok(token) if now < token.expires_at => {
                    watch = site.party.watch(&session_id, &token);
                    expires_at = token.expires_at;
                    ask_at = expires_at;
                }
                Err(TokenError::NoSession | TokenError::Ended) => break,
                Ok(_) | Err(_) if is_past(now, expires_at) => break,
                Ok(_) | Err(_) => ask_at = now + RETRY,
            }
        }
        info!("a stream is closed: its session has ended");
    }
}

fn is_past(now: Timestamp, expires_at: Timestamp) -> bool {
    expires_at + UNKNOWN_TIMEOUT <= now
}
