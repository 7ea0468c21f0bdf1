use database::all;

use super::{Result, Store, inconsistent};
use crate::domain::client::{ClientMetadata, ClientType};

impl Store {
    /// The enabled APIs. Their kind is in the metadata, so the text narrows them down and the metadata decide.
    pub async fn apis(&self) -> Result<Vec<ClientMetadata>> {
        let rows = all!(
            self.db.read(),
            (String, String),
            "SELECT client_id, metadata FROM clients
             WHERE enabled AND metadata LIKE $1 ORDER BY client_id",
            r#"%"kind":"api"%"#
        )?;
        let mut apis = Vec::with_capacity(rows.len());
        for (client_id, metadata) in rows {
            let api: ClientMetadata = serde_json::from_str(&metadata)
                .map_err(|_| inconsistent("clients", "metadata", client_id))?;
            apis.extend(Some(api).filter(|api| api.kind == ClientType::Api));
        }
        Ok(apis)
    }
}
