//! The audience of an application token (RFC 8707): one of those that the client may have, and of those that the
//! authorization request named.

use super::client::ClientMetadata;

/// The client is not registered for the requested audience, or its family was not granted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownResource;

/// The audiences that a family was granted.
#[derive(Debug, Clone, Copy)]
pub struct GrantedAudience<'a> {
    /// The audience where a token request names none.
    pub default: &'a str,
    /// The audiences that the authorization request named; if none, the client may choose any of its own.
    pub named: &'a [String],
}

impl ClientMetadata {
    /// The audiences its tokens may be for: never none, but of an agent that is described at its id, to which no API is open.
    pub fn allowed_audiences(&self) -> Vec<&str> {
        if self.is_document() {
            return self.agent_apis.iter().map(|api| api.audience.as_str()).collect();
        }
        if self.audiences.is_empty() {
            vec![&self.client_id]
        } else {
            self.audiences.iter().map(String::as_str).collect()
        }
    }

    /// Chooses the audience of a token: the one that `resource` names, else the default of the family, else the first that
    /// is left. What was taken from the client since is not chosen.
    ///
    /// # Errors
    /// [`UnknownResource`] when `resource` is not an audience of the client or the family, or none is left.
    pub fn choose_audience<'a>(
        &'a self,
        resource: Option<&str>,
        granted: Option<GrantedAudience<'_>>,
    ) -> Result<&'a str, UnknownResource> {
        let is_granted = |audience: &&str| {
            granted.is_none_or(|granted| {
                granted.named.is_empty() || granted.named.iter().any(|named| named == audience)
            })
        };
        let mut choice = self.allowed_audiences();
        choice.retain(is_granted);
        let find = |wanted: &str| choice.iter().copied().find(|audience| *audience == wanted);
        match resource {
            Some(resource) => find(resource),
            None => granted
                .and_then(|granted| find(granted.default))
                .or_else(|| choice.first().copied()),
        }
        .ok_or(UnknownResource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::ClientType;

    #[test]
    fn a_family_chooses_among_what_it_was_granted_and_the_client_still_has() {
        let mut client = ClientMetadata::named("app", "App", ClientType::Confidential);
        let choose = |client: &ClientMetadata, resource, named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            let default = named.first().map_or("one", String::as_str);
            let granted = GrantedAudience { default, named: &named };
            client.choose_audience(resource, Some(granted)).map(str::to_owned)
        };
        assert_eq!(choose(&client, None, &[]).as_deref(), Ok("app"), "its own id");
        client.audiences = ["one", "two", "three"].map(str::to_owned).to_vec();
        for (resource, named, expected) in [
            (None, &[][..], Ok("one")),
            (Some("three"), &[], Ok("three")),
            (None, &["two"], Ok("two")),
            (Some("three"), &["two"], Err(UnknownResource)),
            (Some("three"), &["two", "three"], Ok("three")),
            (Some("four"), &[], Err(UnknownResource)),
            (None, &["four", "two"], Ok("two")),
            (None, &["four"], Err(UnknownResource)),
        ] {
            let chosen = choose(&client, resource, named);
            assert_eq!(chosen, expected.map(str::to_owned), "{resource:?} {named:?}");
        }
    }
}
