//! Metadata that clients register and replace (RFC 7591, RFC 7592).
#![no_main]

use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::client_registration::{Registration, Replacement};
use libfuzzer_sys::fuzz_target;
use tokens::Scope;

fuzz_target!(|data: &[u8]| {
    let _ = Replacement::parse(data);
    let Ok(registration) = Registration::parse(data) else { return };
    let base = ClientMetadata::named("id", "id", ClientType::Confidential);
    let allowed: Scope = "openid offline_access notes:read".parse().unwrap_or_default();
    let Ok(client) = registration.on(&base, &allowed) else { return };
    assert!(client.allowed_scopes().is_subset_of(&allowed), "a scope was won");
    assert!(client.audiences.is_empty() && client.exchange.is_empty() && client.claims.is_empty());
    assert!(client.client_id == "id" && client.kind != ClientType::Api);
    if client.check().is_ok() {
        let told = serde_json::to_vec(&Registration::of(&client).to_members()).unwrap_or_default();
        let again = Registration::parse(&told).and_then(|it| it.on(&client, &client.allowed_scopes()));
        assert_eq!(again.as_ref(), Ok(&client), "what is sent back changes nothing");
    }
});
