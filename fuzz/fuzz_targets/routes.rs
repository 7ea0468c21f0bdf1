//! Where the proxy sends a request: never beside its route's upstream. And the file that says so: never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use microapp_bff::Routes;

const FILE: &str = "[[route]]\nprefix = '/api/a'\nupstream = 'http://upstream:1/base/'\n";

fuzz_target!(|input: (&str, &str)| {
    let (path, query) = input;
    let _ = Routes::parse(path);
    let routes = Routes::parse(FILE).unwrap();
    for path in [path.to_owned(), format!("/api/a{path}"), format!("/api/a/{path}")] {
        if let Some(url) = routes.url_for(&path, Some(query)) {
            assert_eq!(url.origin().ascii_serialization(), "http://upstream:1");
            let below = url.path().strip_prefix("/base").unwrap();
            assert!(below.is_empty() || below.starts_with('/'));
            // A reader of the decoded form finds the same place.
            let again = url::Url::parse(url.as_str()).unwrap();
            assert_eq!(again.path(), url.path());
            assert!(!below.split('/').any(|segment| matches!(segment, "." | "..")));
        }
    }
});
