//! Where a request comes from.

use std::net::{IpAddr, Ipv6Addr};

/// The origin of a request, as events and sessions record it.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The address.
    pub ip: String,
    /// What it says it is, cut to 512 characters.
    pub user_agent: String,
    /// The id of the request.
    pub request_id: String,
    /// Whether address and agent are those of a user's browser that a client has told, and not the client's own.
    pub told_by_client: bool,
}

impl Caller {
    /// An operator at the command line.
    pub fn operator() -> Self {
        Self {
            ip: "local".to_owned(),
            user_agent: "aa-server".to_owned(),
            request_id: String::new(),
            told_by_client: false,
        }
    }

    /// Address and agent, as the store takes them.
    pub fn place(&self) -> (&str, &str) {
        (&self.ip, &self.user_agent)
    }

    /// Whether this is another place than the one with this address and agent. Addresses of one IPv6 network (/64) are one
    /// place: browsers change them by themselves.
    pub fn is_elsewhere(&self, ip: &str, user_agent: &str) -> bool {
        self.user_agent != user_agent || network(&self.ip) != network(ip)
    }
}

fn network(ip: &str) -> Result<IpAddr, &str> {
    match ip.parse() {
        Ok(IpAddr::V6(address)) => {
            Ok(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into())
        }
        Ok(address) => Ok(address),
        Err(_) => Err(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_network_or_agent_is_another_place() {
        let caller = |ip: &str| Caller {
            ip: ip.to_owned(),
            user_agent: "Firefox".to_owned(),
            ..Caller::default()
        };
        assert!(!caller("192.0.2.1").is_elsewhere("192.0.2.1", "Firefox"));
        assert!(caller("192.0.2.1").is_elsewhere("192.0.2.1", "curl"));
        assert!(caller("192.0.2.1").is_elsewhere("192.0.2.2", "Firefox"));
        assert!(!caller("2001:db8::1").is_elsewhere("2001:db8::2:3", "Firefox"));
        assert!(caller("2001:db8::1").is_elsewhere("2001:db8:0:1::1", "Firefox"));
        assert!(caller("local").is_elsewhere("", "Firefox"));
    }
}
