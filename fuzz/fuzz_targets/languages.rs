//! `Accept-Language` and `ui_locales`: whatever a browser or a client sends, the answer is a known language or none.
#![no_main]

use aa_server::domain::language::Language;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for found in [Language::from_accept(text), Language::from_list(text), Language::from_tag(text)] {
        if let Some(language) = found {
            assert!(text.to_ascii_lowercase().contains(language.tag()));
        }
    }
});
