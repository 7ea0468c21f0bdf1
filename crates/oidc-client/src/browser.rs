//! The browser that a token request is made for, as the provider is told.

use std::net::IpAddr;

/// Longest user agent that the provider is told, in bytes.
const MAX_USER_AGENT: usize = 512;

/// The browser that a token request is made for. The authority shows it on the user's session page, and compares it when
/// a refresh token is presented twice; other providers ignore it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Browser {
    ip: Option<IpAddr>,
    user_agent: Option<String>,
    dpop_proof: Option<String>,
}

impl Browser {
    /// A browser at this address, with the `User-Agent` that it sent. What cannot stand in a header is replaced by `?`.
    pub fn new(ip: Option<IpAddr>, user_agent: Option<&[u8]>) -> Self {
        let visible = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '?',
        };
        let user_agent =
            user_agent.map(|text| text.iter().take(MAX_USER_AGENT).map(visible).collect());
        Self { ip: ip.map(|ip| ip.to_canonical()), user_agent, dpop_proof: None }
    }

    /// With the DPoP proof that the browser made for the token request (RFC 9449 §5): the access token is bound to its key.
    #[must_use]
    pub fn with_dpop_proof(self, proof: Option<String>) -> Self {
        Self { dpop_proof: proof, ..self }
    }

    /// The headers of the token request.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let ip = self.ip.map(|ip| ("x-client-ip", ip.to_string()));
        // Without an address the authority does not look at the agent.
        let agent = self.user_agent.clone().filter(|_| self.ip.is_some());
        let proof = self.dpop_proof.clone().map(|proof| ("dpop", proof));
        ip.into_iter().chain(agent.map(|agent| ("x-client-user-agent", agent))).chain(proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_browser_sends_can_stand_in_a_header() {
        let long = [b"a\r\nX-Evil: 1\x00\xff".as_slice(), &[b'b'; 9_000]].concat();
        let ip = "::ffff:203.0.113.7".parse().ok();
        let headers: Vec<_> = Browser::new(ip, Some(&long)).headers().collect();
        assert_eq!(headers[0], ("x-client-ip", "203.0.113.7".to_owned()));
        assert!(headers[1].1.starts_with("a??X-Evil: 1??bbb"), "{}", headers[1].1);
        assert_eq!(headers[1].1.len(), MAX_USER_AGENT);
        assert!(reqwest::header::HeaderValue::from_str(&headers[1].1).is_ok());
        assert_eq!(Browser::new(None, Some(b"x")).headers().count(), 0);
        assert_eq!(Browser::default().headers().count(), 0);
    }
}
