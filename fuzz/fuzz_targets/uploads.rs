//! Forms with a file: whatever a body is, it is read or refused, and what is found in it stood in it.
#![no_main]

use aa_server::http::request::upload::parts;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let whole = body.to_vec();
    if let Ok(upload) = parts(whole.into(), "boundary") {
        if let Some(file) = upload.file.filter(|file| !file.is_empty()) {
            assert!(body.windows(file.len()).any(|part| part == &file[..]));
        }
    }
});
