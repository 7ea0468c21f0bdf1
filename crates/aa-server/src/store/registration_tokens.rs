use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::clients::{self, ClientChange};
use super::{Event, Result, Store};
use crate::domain::refresh_token::SecretHash;

/// A token that clients are registered with (RFC 7591 §3): all but the token itself.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RegistrationToken {
    /// Its name.
    pub name: String,
    /// What its clients may ask for: names, separated by spaces.
    pub scopes: String,
    /// Clients that were registered with it so far.
    pub registrations: i64,
    /// How many may be; `None` for any number.
    pub max_registrations: Option<i64>,
    /// Those of them that there are now.
    pub clients: i64,
    /// How many there may be at the same time.
    pub max_clients: i64,
    /// The time it was made.
    pub created_at: Timestamp,
    /// The end of its validity.
    pub expires_at: Timestamp,
}

/// A token to be kept.
#[derive(Debug)]
pub struct NewRegistrationToken<'a> {
    /// Its name.
    pub name: &'a str,
    /// The hash of the token.
    pub token_hash: SecretHash,
    /// What its clients may ask for.
    pub scopes: &'a str,
    /// How many clients may be registered with it; `None` for any number.
    pub max_registrations: Option<i64>,
    /// How many of these there may be at the same time.
    pub max_clients: i64,
    /// The end of its validity.
    pub expires_at: Timestamp,
}

/// What became of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registering {
    /// The client is registered.
    Done,
    /// The token does not count any more.
    TokenIsOver,
    /// There are as many clients of this token as there may be.
    TooManyClients,
}

impl Store {
    /// Keeps a token to register clients with.
    ///
    /// # Errors
    /// [`super::Error::Conflict`] when there is one with this name.
    pub async fn add_registration_token(
        &self,
        token: &NewRegistrationToken<'_>,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO registration_tokens
                 (name, token_hash, scopes, registrations, max_registrations, max_clients, created_at, expires_at)
             VALUES ($1, $2, $3, 0, $4, $5, $6, $7)",
            token.name,
            token.token_hash.as_bytes(),
            token.scopes,
            token.max_registrations,
            token.max_clients,
            now,
            token.expires_at
        )?;
        event.write(&mut tx, now).await?;
        tx.commit().await
    }

    /// Removes a token: nothing more is registered with it. `None` when there is none with this name.
    pub async fn remove_registration_token(
        &self,
        name: &str,
        event: Event,
        now: Timestamp,
    ) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        if execute!(tx.on(), "DELETE FROM registration_tokens WHERE name = $1", name)? == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// The token with this hash, expired and used up ones too.
    pub async fn registration_token(
        &self,
        token_hash: &SecretHash,
    ) -> Result<Option<RegistrationToken>> {
        optional!(
            self.db.read(),
            RegistrationToken,
            "SELECT t.name, t.scopes, t.registrations, t.max_registrations, t.max_clients, t.created_at, t.expires_at,
                    (SELECT COUNT(*) FROM client_registrations c WHERE c.registered_with = t.name) AS clients
             FROM registration_tokens t WHERE t.token_hash = $1",
            token_hash.as_bytes()
        )
    }

    /// Up to `limit` tokens by name, after the one with this name; from the first if it is empty.
    pub async fn registration_tokens_after(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<RegistrationToken>> {
        all!(
            self.db.read(),
            RegistrationToken,
            "SELECT t.name, t.scopes, t.registrations, t.max_registrations, t.max_clients, t.created_at, t.expires_at,
                    (SELECT COUNT(*) FROM client_registrations c WHERE c.registered_with = t.name) AS clients
             FROM registration_tokens t WHERE t.name > $1 ORDER BY t.name LIMIT $2",
            name,
            i64::from(limit)
        )
    }

    /// Registers a client with a token, which is used once more by it. The row of the token is locked first, so that clients
    /// that are registered at the same time are counted one after the other.
    ///
    /// # Errors
    /// [`super::Error::Conflict`] when the client is registered already.
    pub async fn register_client(
        &self,
        with: &SecretHash,
        client: &ClientChange<'_>,
        access_token: &SecretHash,
        now: Timestamp,
    ) -> Result<Registering> {
        let mut tx = self.db.begin().await?;
        let token = optional!(
            tx.on(),
            (String, i64),
            "UPDATE registration_tokens SET registrations = registrations + 1
             WHERE token_hash = $1 AND expires_at > $2
               AND (max_registrations IS NULL OR registrations < max_registrations)
             RETURNING name, max_clients",
            with.as_bytes(),
            now
        )?;
        let Some((name, max_clients)) = token else { return Ok(Registering::TokenIsOver) };
        let counted = optional!(
            tx.on(),
            (i64,),
            "SELECT COUNT(*) FROM client_registrations WHERE registered_with = $1",
            name.as_str()
        )?;
        if counted.is_none_or(|(clients,)| clients >= max_clients) {
            return Ok(Registering::TooManyClients);
        }
        clients::add(&mut tx, client, now).await?;
        execute!(
            tx.on(),
            "INSERT INTO client_registrations (client_id, token_hash, registered_with, registered_at)
             VALUES ($1, $2, $3, $4)",
            client.metadata.client_id.as_str(),
            access_token.as_bytes(),
            name.as_str(),
            now
        )?;
        client.event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Registering::Done)
    }
}
