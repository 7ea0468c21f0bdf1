//! Form-encoded parameters: what is read can be written and read again.
#![no_main]

use aa_server::http::request::params::Params;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(params) = Params::parse(data) else { return };
    let again = Params::parse(params.encode().as_bytes()).expect("what was read");
    assert_eq!(again.repeated("resource"), params.repeated("resource"));
    assert_eq!(again.get("scope"), params.get("scope"));
});
