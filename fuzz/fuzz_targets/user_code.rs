//! User codes of devices: what is read is eight letters of the alphabet, and is shown in one way.
#![no_main]

use aa_server::domain::device::UserCode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(code) = text.parse::<UserCode>() else { return };
    assert!(code.as_str().len() == 8 && code.as_str().bytes().all(|byte| byte.is_ascii_uppercase()));
    assert_eq!(code.to_string().parse(), Ok(code));
});
