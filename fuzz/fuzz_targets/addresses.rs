//! The client's address behind proxies: never a panic, and only a trusted proxy is believed.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use service::address::TrustedProxies;

fuzz_target!(|input: (u32, &str, &str, &str)| {
    let (peer, first, second, networks) = input;
    let _ = networks.parse::<TrustedProxies>();
    let trusted: TrustedProxies = "10.0.0.0/8".parse().unwrap();
    let peer = Ipv4Addr::from_bits(peer);
    let found = trusted.client(IpAddr::V4(peer), &[first, second]);
    if peer.octets()[0] != 10 {
        assert_eq!(found, Some(IpAddr::V4(peer)));
    }
});
