use database::{Tx, all, execute, optional};
use foundation::time::Timestamp;

use super::ends::End;
use super::{Error, Event, Result, Store};
use crate::domain::client::ClientMetadata;
use crate::domain::client_authentication::ClientAuthentication;
use crate::domain::event::EndReason;
use crate::domain::refresh_token::SecretHash;

/// A registered client.
#[derive(Debug, Clone)]
pub struct Client {
    /// The metadata that was declared.
    pub metadata: ClientMetadata,
    /// Whether it gets tokens.
    pub enabled: bool,
    /// Goes up with every change of it or of its secrets.
    pub version: i64,
}

/// The hash of a secret that an app authenticates by.
#[derive(Debug, Clone)]
pub struct ClientSecretHash {
    /// The hash.
    pub hash: SecretHash,
    /// The end of its validity, if another has taken its place.
    pub expires_at: Option<Timestamp>,
}

/// A client to be registered or changed.
#[derive(Debug)]
pub struct ClientChange<'a> {
    /// The metadata that it will have.
    pub metadata: &'a ClientMetadata,
    /// Whether it is to be registered.
    pub is_new: bool,
    /// The hash of the secret of a new client, unless it is public.
    pub secret: Option<SecretHash>,
    /// The event of the change.
    pub event: Event,
}

#[derive(sqlx::FromRow)]
struct ClientRow {
    client_id: String,
    enabled: bool,
    metadata: String,
    version: i64,
}

impl ClientRow {
    fn read(self) -> Result<Client> {
        let metadata = serde_json::from_str(&self.metadata).map_err(|_| Error::Inconsistent {
            table: "clients",
            column: "metadata",
            row: self.client_id,
        })?;
        Ok(Client { metadata, enabled: self.enabled, version: self.version })
    }
}

impl Store {
    /// The app with this id.
    pub async fn client(&self, client_id: &str) -> Result<Option<Client>> {
        let found = optional!(
            self.db.read(),
            ClientRow,
            "SELECT client_id, enabled, metadata, version FROM clients WHERE client_id = $1",
            client_id
        )?;
        let Some(mut found) = found.map(ClientRow::read).transpose()? else { return Ok(None) };
        if found.metadata.is_document() {
            found.metadata.agent_apis = self.agent_apis().await?;
        }
        Ok(Some(found))
    }

    /// Up to `limit` clients by id, after the one with this id; from the first if it is empty.
    pub async fn clients_after(&self, client_id: &str, limit: u32) -> Result<Vec<Client>> {
        all!(
            self.db.read(),
            ClientRow,
            "SELECT client_id, enabled, metadata, version FROM clients
             WHERE client_id > $1 ORDER BY client_id LIMIT $2",
            client_id,
            i64::from(limit)
        )?
        .into_iter()
        .map(ClientRow::read)
        .collect()
    }

    /// A number that increases with every change of a client.
    pub async fn clients_version(&self) -> Result<i64> {
        let sum = optional!(
            self.db.read(),
            (i64,),
            "SELECT CAST(COALESCE(SUM(version + 1), 0) AS BIGINT) FROM clients"
        )?;
        Ok(sum.map_or(0, |(sum,)| sum))
    }

    /// Registers and changes clients, all of them or none.
    ///
    /// # Errors
    /// [`Error::Conflict`] when a client that is to be new is registered already.
    pub async fn change_clients(&self, changes: &[ClientChange<'_>], now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for change in changes {
            if change.is_new {
                add(&mut tx, change, now).await?;
            } else {
                update(&mut tx, change.metadata, now).await?;
                remove_unused_secrets(&mut tx, change.metadata).await?;
            }
            change.event.write(&mut tx, now).await?;
        }
        renew_documents(&mut tx).await?;
        tx.commit().await
    }

    /// Enables or disables a client. `None` when there is none.
    pub async fn set_client_enabled(
        &self,
        client_id: &str,
        enabled: bool,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let found = if enabled {
            execute!(
                tx.on(),
                "UPDATE clients SET enabled = TRUE, updated_at = $1, version = version + 1
                 WHERE client_id = $2",
                now.millis(),
                client_id
            )? > 0
        } else {
            let reason = EndReason::ClientDisabled;
            End::Client(client_id).write(&mut tx, reason, None, &event, now).await?.is_some()
        };
        if !found {
            return Ok(None);
        }
        renew_documents(&mut tx).await?;
        event.write(&mut tx, now).await?;
        self.commit_end(tx).await?;
        Ok(Some(()))
    }

    /// Gives an app a new secret; the ones before work until `overlap_ends`.
    pub async fn rotate_client_secret(
        &self,
        client_id: &str,
        secret: &SecretHash,
        overlap_ends: Timestamp,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "UPDATE client_secrets SET expires_at = $1
             WHERE client_id = $2 AND (expires_at IS NULL OR expires_at > $1)",
            overlap_ends.millis(),
            client_id
        )?;
        execute!(
            tx.on(),
            "INSERT INTO client_secrets (secret_hash, client_id, created_at) VALUES ($1, $2, $3)",
            secret.as_bytes(),
            client_id,
            now.millis()
        )?;
        execute!(
            tx.on(),
            "UPDATE clients SET updated_at = $1, version = version + 1 WHERE client_id = $2",
            now.millis(),
            client_id
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// The version of a client's metadata; `None` if there is no client with this id.
    pub async fn client_version(&self, client_id: &str) -> Result<Option<i64>> {
        let row = optional!(
            self.db.read(),
            (i64,),
            "SELECT version FROM clients WHERE client_id = $1",
            client_id
        )?;
        Ok(row.map(|(version,)| version))
    }

    /// The secrets of an app that count now, and until when.
    pub async fn client_secrets(
        &self,
        client_id: &str,
        now: Timestamp,
    ) -> Result<Vec<ClientSecretHash>> {
        let rows = all!(
            self.db.read(),
            (Vec<u8>, Option<i64>),
            "SELECT secret_hash, expires_at FROM client_secrets
             WHERE client_id = $1 AND (expires_at IS NULL OR expires_at > $2)",
            client_id,
            now.millis()
        )?;
        Ok(rows
            .into_iter()
            .map(|(hash, expires_at)| ClientSecretHash {
                hash: SecretHash::from_stored(hash),
                expires_at: expires_at.map(Timestamp::from_millis),
            })
            .collect())
    }
}

pub(super) async fn add(tx: &mut Tx, change: &ClientChange<'_>, now: Timestamp) -> Result<()> {
    let client = change.metadata;
    execute!(
        tx.on(),
        "INSERT INTO clients (client_id, enabled, outlives_sign_out, metadata, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $5)",
        client.client_id.as_str(),
        true,
        client.outlives_sign_out,
        to_json(client),
        now.millis()
    )?;
    if let Some(secret) = &change.secret {
        execute!(
            tx.on(),
            "INSERT INTO client_secrets (secret_hash, client_id, created_at) VALUES ($1, $2, $3)",
            secret.as_bytes(),
            client.client_id.as_str(),
            now.millis()
        )?;
    }
    Ok(())
}

pub(super) async fn update(tx: &mut Tx, client: &ClientMetadata, now: Timestamp) -> Result<()> {
    execute!(
        tx.on(),
        "UPDATE clients SET outlives_sign_out = $1, metadata = $2, updated_at = $3,
             version = version + 1
         WHERE client_id = $4",
        client.outlives_sign_out,
        to_json(client),
        now.millis(),
        client.client_id.as_str()
    )
    .map(drop)
}

/// Removes the secrets of a client that does not authenticate by one any more, so that none of them revives.
pub(super) async fn remove_unused_secrets(tx: &mut Tx, client: &ClientMetadata) -> Result<()> {
    if client.authenticates_by() == ClientAuthentication::ClientSecret {
        return Ok(());
    }
    let id = client.client_id.as_str();
    execute!(tx.on(), "DELETE FROM client_secrets WHERE client_id = $1", id).map(drop)
}

fn to_json(client: &ClientMetadata) -> String {
    serde_json::to_string(client).expect("metadata is JSON")
}

/// The pattern of ids that are addresses: no registered client has such an id.
pub(super) const DOCUMENTS: &str = "%://%";

/// Lets every process read the agents of metadata documents again, since what they may ask for is said by the APIs.
async fn renew_documents(tx: &mut Tx) -> Result<()> {
    execute!(tx.on(), "UPDATE clients SET version = version + 1 WHERE client_id LIKE $1", DOCUMENTS)
        .map(drop)
}
