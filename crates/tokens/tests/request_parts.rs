//! The parts of requests that a token check may read.

use actix_web::test::TestRequest;
use http::Request;
use tokens::RequestParts;

fn url_from_http(url: &str, headers: &[(&str, &str)]) -> Option<String> {
    let mut request = Request::builder().method("PUT").uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let parts = RequestParts::from(&request);
    assert_eq!(parts.method(), "PUT");
    parts.url()
}

#[test]
fn request_parts_of_http_give_the_url_if_it_is_known() {
    let absolute = "https://notes.example:8443/notes?limit=5";
    assert_eq!(url_from_http(absolute, &[]).as_deref(), Some(absolute));
    let host = [("host", "notes.example")];
    assert_eq!(url_from_http("/notes", &host), None, "the scheme is not known");
    let request = Request::builder().uri("/notes?limit=5").header("host", "10.0.0.7").body(());
    let request = request.unwrap();
    let parts = RequestParts::from(&request).with_origin("https", "notes.example");
    assert_eq!(parts.url().as_deref(), Some("https://notes.example/notes?limit=5"));
}

#[test]
fn request_parts_of_actix_give_the_url() {
    let request = |hosts: &[&'static str]| {
        let mut request = TestRequest::get().uri("/notes?limit=5");
        for host in hosts {
            request = request.append_header(("host", *host));
        }
        RequestParts::from(&request.to_http_request()).url()
    };
    assert_eq!(request(&["notes.example"]).as_deref(), Some("http://notes.example/notes?limit=5"));
    assert_eq!(request(&[]), None);
    assert_eq!(request(&["notes.example", "evil.example"]), None, "which host is not known");
}

#[test]
fn request_parts_take_a_full_url_apart() {
    let mut headers = http::HeaderMap::new();
    headers.append("x-item", "a".parse().unwrap());
    headers.append("X-Item", "b".parse().unwrap());
    for (given, url) in [
        ("https://notes.example/a?b=c://d", Some("https://notes.example/a?b=c://d")),
        ("https://notes.example", Some("https://notes.example/")),
        ("https://notes.example?a", Some("https://notes.example/?a")),
        ("/a?next=https://evil.example/", None),
    ] {
        assert_eq!(RequestParts::new("GET", given, &headers).url().as_deref(), url, "{given}");
    }
    let parts = RequestParts::new("GET", "/a?secret", &headers);
    assert_eq!(parts.headers("X-ITEM").collect::<Vec<_>>(), [b"a", b"b"]);
    assert!(!format!("{parts:?}").contains("secret"));
}
