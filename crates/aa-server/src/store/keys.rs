use database::{all, execute, optional};
use foundation::time::Timestamp;

use super::{Event, Result, Store, inconsistent};

/// A signing key, its private part sealed.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct KeyRow {
    /// Its id.
    pub kid: String,
    /// The name of its algorithm.
    pub algorithm: String,
    /// The audience, for HS256; else empty.
    pub audience: String,
    /// The number among keys of the same algorithm and audience.
    pub slot: i64,
    /// The private part, sealed.
    pub private_key: Vec<u8>,
    /// The time it was made.
    pub created_at: Timestamp,
    /// The time from which on it signs.
    pub signs_from: Timestamp,
    /// The time at which it is withdrawn.
    pub retires_at: Option<Timestamp>,
}

/// A key to be kept.
#[derive(Debug)]
pub struct NewKey<'a> {
    /// Its id.
    pub kid: &'a str,
    /// The name of its algorithm.
    pub algorithm: &'a str,
    /// The audience, for HS256; else empty.
    pub audience: &'a str,
    /// The number among keys of the same algorithm and audience.
    pub slot: i64,
    /// The private part, sealed.
    pub private_key: &'a [u8],
    /// The time from which on it signs.
    pub signs_from: Timestamp,
}

impl Store {
    /// All keys that still count, newest first.
    pub async fn keys(&self, now: Timestamp) -> Result<Vec<KeyRow>> {
        all!(
            self.db.read(),
            KeyRow,
            "SELECT kid, algorithm, audience, slot, private_key, created_at, signs_from, retires_at
             FROM signing_keys WHERE retires_at IS NULL OR retires_at > $1 ORDER BY slot DESC, kid",
            now.millis()
        )
    }

    /// Keeps a key, unless another replica was first with one of the same algorithm, audience and slot.
    pub async fn add_key(&self, key: &NewKey<'_>, event: Event, now: Timestamp) -> Result<bool> {
        let mut tx = self.db.begin().await?;
        let added = execute!(
            tx.on(),
            "INSERT INTO signing_keys (kid, algorithm, audience, slot, private_key, created_at, signs_from)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            key.kid,
            key.algorithm,
            key.audience,
            key.slot,
            key.private_key,
            now.millis(),
            key.signs_from.millis()
        )? > 0;
        if added {
            event.write(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(added)
    }

    /// Has the keys before this one, of its algorithm and audience, retire at a time, unless another replica has done so.
    pub async fn retire_keys_before(
        &self,
        signing: &KeyRow,
        retires_at: Timestamp,
        event: Event,
        now: Timestamp,
    ) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let retiring = execute!(
            tx.on(),
            "UPDATE signing_keys SET retires_at = $1
             WHERE algorithm = $2 AND audience = $3 AND slot < $4 AND retires_at IS NULL",
            retires_at.millis(),
            signing.algorithm.as_str(),
            signing.audience.as_str(),
            signing.slot
        )?;
        if retiring > 0 {
            event.write(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Keys that have retired by now and are not removed yet, at most a hundred.
    pub async fn retired_keys(&self, now: Timestamp) -> Result<Vec<KeyRow>> {
        all!(
            self.db.read(),
            KeyRow,
            "SELECT kid, algorithm, audience, slot, private_key, created_at, signs_from, retires_at
             FROM signing_keys WHERE retires_at <= $1 ORDER BY retires_at LIMIT 100",
            now.millis()
        )
    }

    /// Removes a key that has retired, unless another replica has.
    pub async fn remove_retired_key(&self, kid: &str, event: Event, now: Timestamp) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let removed = execute!(
            tx.on(),
            "DELETE FROM signing_keys WHERE kid = $1 AND retires_at <= $2",
            kid,
            now.millis()
        )?;
        if removed > 0 {
            event.write(&mut tx, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Replaces the sealed private part of a key, unless another replica has done so.
    pub async fn reseal_key(&self, row: &KeyRow, sealed: &[u8]) -> Result<()> {
        execute!(
            self.db.write(),
            "UPDATE signing_keys SET private_key = $1 WHERE kid = $2 AND private_key = $3",
            sealed,
            row.kid.as_str(),
            row.private_key.as_slice()
        )
        .map(drop)
    }

    /// Removes a key: it neither signs nor is published any more. `None` when there is no such key.
    pub async fn revoke_key(&self, kid: &str, event: Event, now: Timestamp) -> Result<Option<()>> {
        let mut tx = self.db.begin().await?;
        let revoked = execute!(
            tx.on(),
            "DELETE FROM signing_keys WHERE kid = $1 AND (retires_at IS NULL OR retires_at > $2)",
            kid,
            now.millis()
        )?;
        if revoked == 0 {
            return Ok(None);
        }
        event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Some(()))
    }

    /// The fingerprints of secrets that were the newest line once, and since when.
    pub async fn fingerprints(&self) -> Result<Vec<(Vec<u8>, Timestamp)>> {
        all!(
            self.db.read(),
            (Vec<u8>, Timestamp),
            "SELECT fingerprint, created_at FROM secret_fingerprints ORDER BY created_at"
        )
    }

    /// Whether the database knows any of these fingerprints of secrets, or none at all.
    pub async fn accepts_secrets(&self, fingerprints: &[Vec<u8>]) -> Result<bool> {
        let known =
            all!(self.db.read(), (Vec<u8>,), "SELECT fingerprint FROM secret_fingerprints")?;
        Ok(known.is_empty() || known.iter().any(|(known,)| fingerprints.contains(known)))
    }

    /// The salt of pairwise subject identifiers: this one, if there is none yet. Replicas that start at once keep one.
    pub async fn subject_salt(&self, new: [u8; 32]) -> Result<Vec<u8>> {
        let known = optional!(self.db.read(), (Vec<u8>,), "SELECT salt FROM subject_salt")?;
        if let Some((salt,)) = known {
            return Ok(salt);
        }
        execute!(
            self.db.write(),
            "INSERT INTO subject_salt (id, salt) VALUES (1, $1) ON CONFLICT DO NOTHING",
            &new[..]
        )?;
        let kept = optional!(self.db.write(), (Vec<u8>,), "SELECT salt FROM subject_salt")?;
        kept.map(|(salt,)| salt).ok_or_else(|| inconsistent("subject_salt", "salt", 1))
    }

    /// Notes that a secret is in use here.
    pub async fn remember_secret(&self, fingerprint: &[u8], now: Timestamp) -> Result<()> {
        let known = optional!(
            self.db.read(),
            (i64,),
            "SELECT created_at FROM secret_fingerprints WHERE fingerprint = $1",
            fingerprint
        )?;
        if known.is_some() {
            return Ok(());
        }
        execute!(
            self.db.write(),
            "INSERT INTO secret_fingerprints (fingerprint, created_at) VALUES ($1, $2)
             ON CONFLICT DO NOTHING",
            fingerprint,
            now.millis()
        )
        .map(drop)
    }
}
