//! Whether the provider accepts this app's id and secret: tried at the start, before anybody signs in.

use std::sync::atomic::{AtomicU8, Ordering};

use tracing::{debug, error, info};

use crate::RelyingParty;

/// At the start nothing is known: 0.
const ACCEPTED: u8 = 1;
const REFUSED: u8 = 2;

/// The provider's judgement of the client secret. A provider that is away gives none.
#[derive(Debug, Default)]
pub(super) struct Credentials(AtomicU8);

impl Credentials {
    /// Whether the provider has refused them, and has not accepted them since.
    pub fn are_refused(&self) -> bool {
        self.0.load(Ordering::SeqCst) == REFUSED
    }

    /// Notes that they were refused, and says so in the log.
    pub fn refused(&self, prefix: &str) {
        self.0.store(REFUSED, Ordering::SeqCst);
        error!(
            "the provider does not accept this app (invalid_client): check {prefix}CLIENT_SECRET_FILE and \
             {prefix}CLIENT_ID; no user can sign in until they are right"
        );
    }

    /// Tries them, unless they are known to be good.
    pub async fn check(&self, party: &RelyingParty, prefix: &str) {
        if self.0.load(Ordering::SeqCst) == ACCEPTED {
            return;
        }
        match party.provider().accepts_credentials(party.now()).await {
            Ok(true) => {
                if self.0.swap(ACCEPTED, Ordering::SeqCst) == REFUSED {
                    info!("the provider accepts this app again");
                }
            }
            Ok(false) => self.refused(prefix),
            Err(error) => debug!(%error, "the provider did not say whether it accepts this app"),
        }
    }
}
