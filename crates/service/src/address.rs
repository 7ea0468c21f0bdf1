//! The address of the client, behind proxies that are trusted.

use std::net::IpAddr;
use std::str::FromStr;

use actix_web::HttpRequest;
use ipnet::IpNet;

/// Networks whose `X-Forwarded-For` counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl FromStr for TrustedProxies {
    type Err = String;

    /// Parses networks and addresses, with commas between them.
    fn from_str(list: &str) -> Result<Self, String> {
        let parse = |text: &str| {
            let network = text.parse::<IpNet>();
            network
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| format!("`{text}` is not a valid network"))
        };
        let trimmed = list.split(',').map(str::trim).filter(|text| !text.is_empty());
        trimmed.map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl TrustedProxies {
    fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// The address of the client: the last one that no trusted proxy has. `None` if there is none, or if a trusted
    /// proxy names one that cannot be read.
    pub fn client_of(&self, request: &HttpRequest) -> Option<IpAddr> {
        let forwarded = request.headers().get_all("x-forwarded-for");
        let lines: Vec<&str> = forwarded.map(|line| line.to_str().unwrap_or("?")).collect();
        self.client(request.peer_addr()?.ip(), &lines)
    }

    /// The client's address, given the connection's and the lines of `X-Forwarded-For`; see
    /// [`client_of`](Self::client_of).
    pub fn client(&self, peer: IpAddr, forwarded: &[&str]) -> Option<IpAddr> {
        let mut address = peer.to_canonical();
        for hop in forwarded.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.contains(address) {
                break;
            }
            address = hop_address(hop.trim())?;
        }
        Some(address)
    }
}

/// An address of `X-Forwarded-For`: some proxies add a port, and then brackets around IPv6.
pub fn hop_address(hop: &str) -> Option<IpAddr> {
    let bracketed = || hop.strip_prefix('[')?.split_once(']').map(|(inner, _)| inner);
    let bare = hop.parse::<IpAddr>().ok();
    let socket = || hop.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let address = bare.or_else(socket).or_else(|| bracketed()?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: TrustedProxies = "10.0.0.0/8, ::1".parse().unwrap();
        let client = |peer: &str, lines: &[&str]| {
            trusted.client(peer.parse().unwrap(), lines).map(|ip| ip.to_string())
        };
        for (peer, lines, expected) in [
            ("203.0.113.7", vec!["6.6.6.6"], Some("203.0.113.7")),
            ("10.0.0.1", vec![], Some("10.0.0.1")),
            ("10.0.0.1", vec!["6.6.6.6, 203.0.113.7"], Some("203.0.113.7")),
            ("10.0.0.1", vec!["6.6.6.6", "203.0.113.7, 10.0.0.2"], Some("203.0.113.7")),
            ("::1", vec!["203.0.113.7:5678"], Some("203.0.113.7")),
            ("::ffff:10.0.0.1", vec!["[2001:db8::7]:443"], Some("2001:db8::7")),
            ("10.0.0.1", vec!["[2001:db8::7]"], Some("2001:db8::7")),
            ("10.0.0.1", vec!["unknown"], None),
            ("10.0.0.1", vec!["203.0.113.7, "], None),
        ] {
            assert_eq!(client(peer, &lines).as_deref(), expected, "{peer} {lines:?}");
        }
        assert!("10.0.0.0/8,x".parse::<TrustedProxies>().unwrap_err().contains("`x`"));
        assert_eq!("".parse(), Ok(TrustedProxies::default()));
    }
}
