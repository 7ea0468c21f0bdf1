use database::execute;
use foundation::time::Timestamp;

use super::{Result, Store};

impl Store {
    /// Notes that an assertion of a client was used. `false` when one with this hash of its `jti` was before.
    pub async fn use_client_assertion(
        &self,
        client_id: &str,
        jti_hash: &[u8],
        expires_at: Timestamp,
    ) -> Result<bool> {
        let added = execute!(
            self.db.write(),
            "INSERT INTO client_assertions (client_id, jti_hash, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT DO NOTHING",
            client_id,
            jti_hash,
            expires_at.millis()
        )?;
        Ok(added > 0)
    }
}
