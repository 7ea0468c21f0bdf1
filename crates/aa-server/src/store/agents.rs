use database::{all, optional};
use foundation::time::Timestamp;

use super::clients::{DOCUMENTS, add, update};
use super::{ClientChange, Event, Result, Store, inconsistent};
use crate::domain::agent_api::AgentApi;
use crate::domain::client::{ClientMetadata, ClientType};

/// The result of keeping an agent that is described at its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// It is there as it is described now.
    Kept,
    /// It is disabled.
    Disabled,
    /// There are as many as may be.
    Full,
}

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

    /// What the APIs let the agents of metadata documents ask for.
    pub async fn agent_apis(&self) -> Result<Vec<AgentApi>> {
        let mut found = Vec::new();
        for api in self.apis().await? {
            if api.agent_scopes.is_empty() {
                continue;
            }
            found.extend(api.allowed_audiences().into_iter().map(|audience| AgentApi {
                audience: audience.to_owned(),
                scopes: api.agent_scopes.clone(),
            }));
        }
        Ok(found)
    }

    /// Keeps an agent that is described at its id: a new one if there are fewer than `max`, and a known one unless it is disabled.
    /// The events are those of a new and of a changed one.
    pub async fn keep_document(
        &self,
        client: &ClientMetadata,
        (made, changed): (Event, Event),
        max: i64,
        now: Timestamp,
    ) -> Result<Keeping> {
        let known = self.client(&client.client_id).await?;
        if let Some(known) = known {
            if !known.enabled {
                return Ok(Keeping::Disabled);
            }
            // What the APIs allow is not kept with it.
            let agent_apis = client.agent_apis.clone();
            if (ClientMetadata { agent_apis, ..known.metadata }) != *client {
                let mut tx = self.db.begin().await?;
                update(&mut tx, client, now).await?;
                changed.write(&mut tx, now).await?;
                tx.commit().await?;
            }
            return Ok(Keeping::Kept);
        }
        let mut tx = self.db.begin().await?;
        let kept = optional!(
            tx.on(),
            (i64,),
            "SELECT COUNT(*) FROM clients WHERE client_id LIKE $1",
            DOCUMENTS
        )?;
        if kept.is_some_and(|(kept,)| kept >= max) {
            return Ok(Keeping::Full);
        }
        let change = ClientChange { metadata: client, is_new: true, secret: None, event: made };
        match add(&mut tx, &change, now).await {
            // Another user has just allowed it.
            Err(super::Error::Conflict(_)) => return Ok(Keeping::Kept),
            done => done?,
        }
        change.event.write(&mut tx, now).await?;
        tx.commit().await?;
        Ok(Keeping::Kept)
    }
}
