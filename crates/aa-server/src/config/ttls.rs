//! Lifetimes of tokens, families and browser sessions.

use std::time::Duration;

use crate::domain::agent;
use crate::domain::client::{ClientMetadata, ClientType, RefreshTokenIn};

/// Default grace where a thief of the refresh token needs nothing more to use it.
const GRACE_BEARER: Duration = Duration::from_secs(10);
/// Default grace where the refresh token is kept on a server, and is useless without the client secret.
const GRACE_AUTHENTICATED: Duration = Duration::from_mins(10);

/// Lifetimes of the deployment. A client may be registered with its own.
#[derive(Debug, Clone, Copy)]
pub struct Ttls {
    pub(super) at: Duration,
    pub(super) dt: Duration,
    pub(super) refresh_grace: Option<Duration>,
    pub(super) family_idle: Duration,
    pub(super) family: Duration,
    /// Life of a browser session that is not used.
    pub browser_session_idle: Duration,
    /// Life of a browser session.
    pub browser_session: Duration,
}

impl Ttls {
    /// Life of a client's application tokens.
    pub fn at(&self, client: &ClientMetadata) -> Duration {
        client.lifetimes.at_ttl.unwrap_or_else(|| shorter(client, self.at, agent::AT_TTL))
    }

    /// Life of the application tokens of a client without one of its own.
    pub fn default_at(&self) -> Duration {
        self.at
    }

    /// Life of a client's delegation tokens.
    pub fn dt(&self, client: &ClientMetadata) -> Duration {
        client.lifetimes.dt_ttl.unwrap_or(self.dt)
    }

    /// The time for which the predecessor of a client's newest refresh token is answered with that newest one
    /// (`docs/contract.md#rule-4`). `is_bound` says whether a thief of the token would need a key too.
    pub fn refresh_grace(&self, client: &ClientMetadata, is_bound: bool) -> Duration {
        let default = match (client.kind, client.refresh_token_in) {
            _ if is_bound => GRACE_AUTHENTICATED,
            (ClientType::Confidential, RefreshTokenIn::Server) => GRACE_AUTHENTICATED,
            _ => GRACE_BEARER,
        };
        client.lifetimes.refresh_grace.or(self.refresh_grace).unwrap_or(default)
    }

    /// Life of a client's families that are not used.
    pub fn family_idle(&self, client: &ClientMetadata) -> Duration {
        client
            .lifetimes
            .family_idle_ttl
            .unwrap_or_else(|| shorter(client, self.family_idle, agent::FAMILY_IDLE_TTL))
    }

    /// Life of a client's families, however much they are used.
    pub fn family(&self, client: &ClientMetadata) -> Duration {
        client
            .lifetimes
            .family_ttl
            .unwrap_or_else(|| shorter(client, self.family, agent::FAMILY_TTL))
    }
}

/// The deployment's lifetime; that of agents where it is shorter and the client is one.
fn shorter(client: &ClientMetadata, deployment: Duration, agents: Duration) -> Duration {
    if client.is_agent() { deployment.min(agents) } else { deployment }
}
