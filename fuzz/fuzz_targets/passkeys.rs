//! Answers of browsers about passkeys, and the states that come back with them: none but a true one is accepted.
#![no_main]

use aa_server::domain::refresh_token::SecretHash;
use aa_server::services::passkeys::Passkeys;
use foundation::origin::PublicUrl;
use foundation::seal::MasterSecret;
use foundation::time::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (state, answer) = input;
    let secrets = [MasterSecret::new(vec![7; 32]).expect("long enough")];
    let url: PublicUrl = "http://localhost:8080".parse().expect("a URL");
    let passkeys = Passkeys::new(&url, "Authority", &secrets);
    let binding = SecretHash::of(b"browser");
    let now = Timestamp::from_millis(0);
    let _ = passkeys.identify(answer);
    assert!(passkeys.finish_registration((state, answer), &binding, now).is_err());
    assert!(passkeys.finish_sign_in((state, answer), "{}", &binding, now).is_err());
    assert!(passkeys.finish_verification((state, answer), "{}", &binding, now).is_err());
});
