//! The type of the subject identifiers that a client gets (OpenID Connect Core §8).

use serde::{Deserialize, Serialize};
use url::Url;

/// Whether clients get the same subject identifier for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SubjectType {
    /// The same one for all clients: the user's id.
    #[default]
    Public,
    /// A different one for each sector (§8.1), so that clients cannot tell by it that they have a user in common.
    Pairwise,
}

/// The sector of a client (§8.1): the host that it is registered with, else the one host of all its redirect URIs.
///
/// # Errors
/// The setting that is to be changed for a client with pairwise subject identifiers.
pub fn sector(sector_identifier: Option<&str>, redirect_uris: &[String]) -> Result<String, String> {
    if let Some(host) = sector_identifier {
        return match Url::parse(&format!("https://{host}/")) {
            Ok(url) if url.host_str() == Some(host) && url.path() == "/" => Ok(host.to_owned()),
            _ => Err(format!("sector_identifier: `{host}` is not a host, in lower case")),
        };
    }
    let mut hosts: Vec<Option<String>> = redirect_uris
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sector_is_the_one_host_or_the_declared_one() {
        let uris = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>();
        let one = uris(&["https://a.example/x", "https://a.example:8443/y"]);
        assert_eq!(sector(None, &one).as_deref(), Ok("a.example"));
        let two = ["https://a.example/x", "https://b.example/y"];
        assert_eq!(sector(Some("a.example"), &uris(&two)).as_deref(), Ok("a.example"));
        for none in [&two[..], &["com.example.app:/cb"], &["https://a.example/", "com.example:/"]] {
            assert!(sector(None, &uris(none)).unwrap_err().contains("sector_identifier"));
        }
        for host in ["A.example", "a.example/x", "https://a.example", "a.example:1", "", "a b"] {
            assert!(sector(Some(host), &one).is_err(), "{host}");
        }
    }
}
