use database::{execute, optional};
use foundation::time::Timestamp;

use super::clients::{remove_unused_secrets, update};
use super::ends::End;
use super::{Event, Result, Store};
use crate::domain::client::ClientMetadata;
use crate::domain::event::EndReason;
use crate::domain::refresh_token::SecretHash;

/// How a client that registered itself is managed (RFC 7592).
#[derive(Debug, Clone)]
pub struct ClientRegistrationRow {
    /// The hash of its registration access token.
    pub token_hash: SecretHash,
    /// The time it was registered.
    pub registered_at: Timestamp,
}

impl Store {
    /// The registration of a client that registered itself. `None` for those of operators, and when it has removed itself.
    pub async fn client_registration(
        &self,
        client_id: &str,
    ) -> Result<Option<ClientRegistrationRow>> {
        let row = optional!(
            self.db.read(),
            (Vec<u8>, Timestamp),
            "SELECT token_hash, registered_at FROM client_registrations WHERE client_id = $1",
            client_id
        )?;
        Ok(row.map(|(hash, registered_at)| ClientRegistrationRow {
            token_hash: SecretHash::from_stored(hash),
            registered_at,
        }))
    }

    /// Replaces the metadata of a client, if it is enabled and still as it was at `version`. `None` if not.
    pub async fn replace_client(
        &self,
        client: &ClientMetadata,
        version: i64,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let unchanged = execute!(
            tx.on(),
            "UPDATE clients SET updated_at = $1 WHERE client_id = $2 AND version = $3 AND enabled",
            now,
            client.client_id.as_str(),
            version
        )?;
        if unchanged == 0 {
            return Ok(None);
        }
        update(&mut tx, client, now).await?;
        remove_unused_secrets(&mut tx, client).await?;
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// Ends a client that removes itself: it is disabled as by an operator, and has no secret and no registration access
    /// token any more. `None` when it has none already.
    pub async fn remove_client(
        &self,
        client_id: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let removed =
            execute!(tx.on(), "DELETE FROM client_registrations WHERE client_id = $1", client_id)?;
        if removed == 0 {
            return Ok(None);
        }
        execute!(tx.on(), "DELETE FROM client_secrets WHERE client_id = $1", client_id)?;
        let end = End::Client(client_id);
        if end.write(&mut tx, EndReason::ClientDisabled, None, &event, now).await?.is_none() {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(()))
    }
}
