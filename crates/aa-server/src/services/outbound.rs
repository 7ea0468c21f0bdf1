//! Requests to the systems of others. An address that a registration names must not lead into the operator's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use url::{Host, Url};

use super::outbox::DeliveryError;

const TIMEOUT: Duration = Duration::from_secs(10);
/// The characters of an answer that go into a report.
const MAX_REPORT: usize = 200;

/// Sends requests to public addresses, and to those in networks that the operator has listed.
#[derive(derive_more::Debug)]
#[debug("Outbound {{ allowed: {allowed:?}, .. }}")]
pub struct Outbound {
    http: reqwest::Client,
    allowed: Vec<IpNet>,
}

impl Outbound {
    /// With the networks beside public addresses that may be reached.
    ///
    /// # Panics
    /// When no TLS can be set up.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .dns_resolver(std::sync::Arc::new(CheckedResolver(allowed.clone())))
            .build()
            .expect("TLS can be set up");
        Self { http, allowed }
    }

    /// Posts a form. Every answer but a success is an error.
    ///
    /// # Errors
    /// [`DeliveryError`], in words for the operator.
    pub async fn post_form(&self, url: &str, form: &[(&str, &str)]) -> Result<(), DeliveryError> {
        Self::send(self.http.post(self.checked(url)?).form(form)).await
    }

    /// Posts a body with these headers. Every answer but a success is an error.
    ///
    /// # Errors
    /// [`DeliveryError`], in words for the operator.
    pub async fn post<'h>(
        &self,
        url: &str,
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
        body: String,
    ) -> Result<(), DeliveryError> {
        let request = self.http.post(self.checked(url)?).body(body);
        Self::send(headers.fold(request, |request, (name, value)| request.header(name, value)))
            .await
    }

    /// Gets a document of at most `most` bytes. Every answer but a success is an error.
    ///
    /// # Errors
    /// [`DeliveryError`], in words for the operator.
    pub async fn get(&self, url: &str, most: usize) -> Result<Vec<u8>, DeliveryError> {
        let failed = |error: reqwest::Error| DeliveryError(in_words(&error));
        let mut answer = self.http.get(self.checked(url)?).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            return Err(DeliveryError(format!("it answered {}", answer.status())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > most {
                return Err(DeliveryError(format!("it answered with more than {most} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    async fn send(request: reqwest::RequestBuilder) -> Result<(), DeliveryError> {
        let answer = request.send().await.map_err(|error| DeliveryError(in_words(&error)))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let text: String = answer.text().await.unwrap_or_default();
        let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_REPORT).collect();
        Err(DeliveryError(format!("it answered {status}: {text}")))
    }

    /// A name is checked when it is resolved, so that what is checked is what is connected to.
    fn checked(&self, url: &str) -> Result<Url, DeliveryError> {
        let url = Url::parse(url).map_err(|error| DeliveryError(error.to_string()))?;
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            Some(Host::Domain(_)) | None => None,
        };
        match ip.filter(|ip| !may_reach(*ip, &self.allowed)) {
            Some(ip) => Err(DeliveryError(not_public(ip))),
            None => Ok(url),
        }
    }
}

fn in_words(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn not_public(ip: IpAddr) -> String {
    format!("{ip} is not a public address; AA_DELIVERY_NETWORKS lists others that may be reached")
}

struct CheckedResolver(Vec<IpNet>);

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.0.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let (good, bad): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|address| may_reach(address.ip(), &allowed));
            match (good.is_empty(), bad.first()) {
                (true, Some(bad)) => Err(not_public(bad.ip()).into()),
                _ => Ok(Box::new(good.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether a request may go to this address.
pub fn may_reach(ip: IpAddr, allowed: &[IpNet]) -> bool {
    let ip = ip.to_canonical();
    is_public(ip) || allowed.iter().any(|network| network.contains(&ip))
}

/// Whether an address is reachable globally, by the registries of special addresses (RFC 6890).
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = (a, b, c) == (192, 0, 0) || (a, b, c) == (192, 88, 99);
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || is_shared
        || is_protocol
        || is_benchmark)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // NAT64 (RFC 6052): what it leads to.
    if segments[..6] == [0x64, 0xff9b, 0, 0, 0, 0] {
        let [.., high, low] = segments;
        return is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    }
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_6to4 = segments[0] == 0x2002;
    // Teredo, ORCHID and others of 2001::/23, and documentation.
    let is_special = segments[0] == 0x2001 && (segments[1] < 0x200 || segments[1] == 0xdb8);
    let is_documentation = segments[0] == 0x3fff && segments[1] < 0x1000;
    is_global && !is_6to4 && !is_special && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_to_public_addresses_and_to_listed_ones() {
        for public in
            ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(may_reach(public.parse().unwrap(), &[]), "{public}");
        }
        for inner in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!may_reach(inner.parse().unwrap(), &[]), "{inner}");
        }
        let allowed = ["10.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
        assert!(may_reach("10.1.2.3".parse().unwrap(), &allowed));
        assert!(may_reach("::ffff:10.1.2.3".parse().unwrap(), &allowed));
        assert!(may_reach("::1".parse().unwrap(), &allowed));
        assert!(!may_reach("127.0.0.1".parse().unwrap(), &allowed));
    }
}
