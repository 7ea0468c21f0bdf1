//! Agents whose client id is the address of their metadata: found when they ask for something, and kept when a user allows it.

use std::net::IpAddr;

use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::ClientMetadata;
use crate::domain::client_document::check_address;
use crate::domain::event::{Actor, EventKind};
use crate::services::throttle::{Counter, ThrottleError};
use crate::store::{self, Keeping};

/// Agents that are kept, at most.
pub const MAX_KEPT: i64 = 1_000;

/// The agent that is described at this address. `None` when there is none that may ask for anything: documents are turned off, the
/// address or the document is none, or an operator has disabled the agent.
///
/// # Errors
/// When too many other documents were asked for from this network, or the database cannot answer.
pub async fn find(
    authority: &Authority,
    client_id: &str,
    address: IpAddr,
) -> Result<Option<ClientMetadata>, ThrottleError> {
    let is_development = authority.config.public_url.is_loopback();
    if !authority.config.client_id_metadata || check_address(client_id, is_development).is_err() {
        return Ok(None);
    }
    let kept = authority.store.client(client_id).await?;
    if kept.is_some_and(|kept| !kept.enabled) {
        return Ok(None);
    }
    let (documents, now) = (&authority.client_documents, authority.now());
    let document = match documents.known(client_id, now).await {
        Some(known) => known,
        None => {
            authority.throttle.take(&[Counter::documents(address)], now).await?;
            documents.fetch(client_id, &authority.outbound, now).await
        }
    };
    let Some(mut client) = document else { return Ok(None) };
    client.agent_apis = authority.store.agent_apis().await?;
    Ok(Some(client))
}

/// Keeps an agent that a user allows, as its document describes it now. `false` when an operator has disabled it, or there are as
/// many as may be.
///
/// # Errors
/// When the database cannot answer.
pub async fn keep(
    authority: &Authority,
    client: &ClientMetadata,
    caller: &Caller,
) -> store::Result<bool> {
    let event = |kind| {
        authority
            .event(kind, Actor::Client(client.client_id.clone()), caller)
            .client(&client.client_id)
            .detail(json!({ "metadata_document": true }))
    };
    let events = (event(EventKind::ClientMade), event(EventKind::ClientChanged));
    let kept = authority.store.keep_document(client, events, MAX_KEPT, authority.now()).await?;
    if kept == Keeping::Full {
        tracing::warn!(
            client = client.client_id,
            "there are as many agents with metadata documents as may be: register this one"
        );
    }
    Ok(kept == Keeping::Kept)
}
