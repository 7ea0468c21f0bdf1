//! The type of the subject identifiers that a client gets (OpenID Connect Core §8).

use serde::{Deserialize, Serialize};
use url::Url;

use super::client::{ClientMetadata, ClientType};

/// Whether clients get the same subject identifier for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SubjectType {
    /// The same one for all clients: the user's id.
    #[default]
    Public,
    /// Another one for each sector (§8.1), so that clients cannot tell by it that they have a user in common.
    Pairwise,
}

/// The sector of a client (§8.1): the host that it is registered with, else the one host of all its redirect URIs.
///
/// # Errors
/// What is to be changed, for a client with pairwise subject identifiers.
pub fn sector(client: &ClientMetadata) -> Result<String, String> {
    if let Some(host) = &client.sector_identifier {
        return match Url::parse(&format!("https://{host}/")) {
            Ok(url) if url.host_str() == Some(host) && url.path() == "/" => Ok(host.clone()),
            _ => Err(format!("sector_identifier: `{host}` is not a host, in lower case")),
        };
    }
    let mut hosts: Vec<Option<String>> = client
        .redirect_uris
        .iter()
        .map(|uri| Url::parse(uri).ok()?.host_str().map(str::to_owned))
        .collect();
    hosts.sort();
    hosts.dedup();
    match hosts.pop() {
        Some(Some(host)) if hosts.is_empty() => Ok(host),
        _ => Err("sector_identifier: pairwise subjects need one, because the redirect_uris have not one host in common"
            .to_owned()),
    }
}

/// Checks what a client declares about its subject identifiers.
///
/// # Errors
/// A text that names the member and says what to change.
pub fn check(client: &ClientMetadata) -> Result<(), String> {
    match client.subject_type {
        SubjectType::Public if client.sector_identifier.is_none() => Ok(()),
        SubjectType::Public => Err("sector_identifier: only for subject_type pairwise".to_owned()),
        SubjectType::Pairwise => match client.kind {
            ClientType::Confidential | ClientType::Public => sector(client).map(drop),
            ClientType::Service | ClientType::Api => {
                Err("subject_type: only apps that people use have subjects".to_owned())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uris: &[&str], sector: Option<&str>) -> ClientMetadata {
        let mut client = ClientMetadata::named("app", "App", ClientType::Confidential);
        client.redirect_uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        client.sector_identifier = sector.map(str::to_owned);
        client.subject_type = SubjectType::Pairwise;
        client
    }

    #[test]
    fn the_sector_is_the_one_host_or_the_declared_one() {
        let one = ["https://a.example/x", "https://a.example:8443/y"];
        assert_eq!(sector(&client(&one, None)).as_deref(), Ok("a.example"));
        let two = ["https://a.example/x", "https://b.example/y"];
        assert_eq!(sector(&client(&two, Some("a.example"))).as_deref(), Ok("a.example"));
        for uris in [&two[..], &["com.example.app:/cb"], &["https://a.example/", "com.example:/"]] {
            assert!(check(&client(uris, None)).unwrap_err().contains("sector_identifier"));
        }
        for host in ["A.example", "a.example/x", "https://a.example", "a.example:1", "", "a b"] {
            assert!(check(&client(&one, Some(host))).is_err(), "{host}");
        }
        let mut public = client(&one, Some("a.example"));
        public.subject_type = SubjectType::Public;
        assert!(check(&public).is_err());
        let mut service = client(&[], Some("a.example"));
        service.kind = ClientType::Service;
        assert!(check(&service).is_err());
    }
}
