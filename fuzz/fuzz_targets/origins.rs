//! An `Origin` header: only what a browser writes for a registered redirect URI is accepted.

#![no_main]

use aa_server::domain::browser_origin::BrowserOrigins;
use aa_server::domain::client::{ClientMetadata, ClientType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|origin: &str| {
    let mut client = ClientMetadata::named("app", "App", ClientType::Public);
    client.redirect_uris =
        ["https://app.example/cb", "http://127.0.0.1/cb", "com.example.app:/cb"].map(str::to_owned).to_vec();
    if BrowserOrigins::of(&client).contains(origin) {
        let port = origin.strip_prefix("http://127.0.0.1").map(|rest| rest.strip_prefix(':').unwrap_or(rest));
        let is_loopback = port.is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok());
        assert!(origin == "https://app.example" || is_loopback, "{origin}");
    }
});
