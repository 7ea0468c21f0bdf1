//! Declarations of apps, addresses, scopes, and the URIs that are compared with them.
#![no_main]

use aa_server::domain::client::ClientMetadata;
use aa_server::domain::user::{Email, Agent};
use libfuzzer_sys::fuzz_target;
use foundation::origin::PublicUrl;
use tokens::Scope;

fuzz_target!(|input: (&str, &str)| {
    let (one, two) = input;
    if let Ok(app) = toml::from_str::<ClientMetadata>(one)
        && app.check().is_ok()
    {
        assert!(!app.allows_redirect(two) || two.contains(':'));
        let _ = app.origins();
    }
    if let Ok(email) = one.parse::<Email>() {
        assert!(!email.as_str().contains(['\r', '\n', ',']));
    }
    if let Ok(scope) = one.parse::<Scope>() {
        assert_eq!(scope.to_string().parse::<Scope>(), Ok(scope));
    }
    let _ = one.parse::<PublicUrl>();
    let _ = Agent::of(one);
});
