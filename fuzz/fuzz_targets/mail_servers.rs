//! URLs of mail servers: one that is accepted is encrypted, or on this machine.
#![no_main]

use aa_server::services::mailer::SmtpUrl;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(url) = SmtpUrl::parse(text) else { return };
    let shown = url.shown();
    if text.contains("tls=none") {
        assert!(shown.contains("localhost") || shown.starts_with("127.") || shown.contains(':'), "{shown}");
    }
    assert!(!shown.starts_with(':'), "a server without a name");
});
