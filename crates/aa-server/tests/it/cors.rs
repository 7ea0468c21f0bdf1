//! CORS: which pages may call the endpoints of clients, and that a page that may not costs a user nothing.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, Response, StatusCode};
use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{CALLBACK, Engine, OAuthApp, TestApp, VERIFIER, both_databases, client, read};

const PAGE: &str = "https://spa.example";
const ENDPOINTS: [(&str, &str); 5] = [
    ("/oauth/token", "POST"),
    ("/oauth/revoke", "POST"),
    ("/oauth/device", "POST"),
    ("/oauth/par", "POST"),
    ("/oauth/userinfo", "GET, POST"),
];

async fn spa(t: &TestApp) -> OAuthApp {
    let redirect_uris = vec![CALLBACK.to_owned(), format!("{PAGE}/cb")];
    t.add_client("spa", ClientType::Public, |app| app.redirect_uris = redirect_uris).await
}

async fn preflight(t: &TestApp, path: &str, origin: &str) -> Response {
    client()
        .request(Method::OPTIONS, format!("{}{path}", t.url))
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,dpop")
        .send()
        .await
        .unwrap()
}

fn header(headers: &HeaderMap, name: &'static str) -> Option<String> {
    headers.get(HeaderName::from_static(name)).map(|value| value.to_str().unwrap().to_owned())
}

/// Whether a browser would hand the answer to a page of this origin that asked with credentials.
fn is_readable(headers: &HeaderMap, origin: &str) -> bool {
    header(headers, "access-control-allow-origin").as_deref() == Some(origin)
        && header(headers, "access-control-allow-credentials").as_deref() == Some("true")
        && header(headers, "vary").is_some_and(|vary| vary.contains("Origin"))
}

fn is_for_no_page(headers: &HeaderMap) -> bool {
    !headers.keys().any(|name| name.as_str().starts_with("access-control-"))
}

#[apply(both_databases)]
async fn a_browser_app_redeems_refreshes_reads_userinfo_and_revokes(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = spa(&t).await;
    for (path, methods) in ENDPOINTS {
        let answer = preflight(&t, path, PAGE).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{path}");
        let headers = answer.headers();
        assert!(is_readable(headers, PAGE), "{path}: {headers:?}");
        assert_eq!(header(headers, "access-control-allow-methods").as_deref(), Some(methods));
        let allowed = header(headers, "access-control-allow-headers").unwrap();
        for name in ["authorization", "content-type", "dpop"] {
            assert!(allowed.contains(name), "{path}: {allowed}");
        }
        assert_eq!(header(headers, "access-control-max-age").as_deref(), Some("600"));
    }
    let browser = t.signed_in("ann@example.com").await;
    let headers = [("origin", PAGE)];
    let code = browser.open(&app).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let redeemed = app.post_with("/oauth/token", &fields, &headers).await.ok();
    assert!(is_readable(&redeemed.headers, PAGE), "{:?}", redeemed.headers);
    let exposed = header(&redeemed.headers, "access-control-expose-headers").unwrap();
    for name in ["WWW-Authenticate", "DPoP-Nonce", "Retry-After"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    let token = redeemed.refresh_token();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let refreshed = app.post_with("/oauth/token", &fields, &headers).await.ok();
    assert!(is_readable(&refreshed.headers, PAGE));
    for method in [Method::GET, Method::POST] {
        let request = client().request(method, format!("{}/oauth/userinfo", t.url));
        let request = request.bearer_auth(refreshed.access_token()).header("origin", PAGE);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(is_readable(answer.headers(), PAGE));
    }
    let fields = [("token", refreshed.refresh_token())];
    let revoked = app.post_with("/oauth/revoke", &fields, &headers).await.ok();
    assert!(is_readable(&revoked.headers, PAGE));
    // A page can read why it is refused.
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refreshed.refresh_token())];
    let refused = app.post_with("/oauth/token", &fields, &headers).await;
    refused.refused("invalid_grant");
    assert!(is_readable(&refused.headers, PAGE));
    let anonymous = client().get(format!("{}/oauth/userinfo", t.url)).header("origin", PAGE);
    let anonymous = anonymous.send().await.unwrap();
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    assert!(is_readable(anonymous.headers(), PAGE));
}

#[apply(both_databases)]
async fn a_page_of_another_origin_costs_neither_code_nor_refresh_token(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = spa(&t).await;
    // An origin of another public app, and none at all.
    let others = vec!["https://other.example/cb".to_owned()];
    t.add_client("other", ClientType::Public, |app| app.redirect_uris = others).await;
    let browser = t.signed_in("ann@example.com").await;
    let code = browser.open(&app).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let foreign = ["https://evil.example", "null", "http://spa.example", "https://other.example"];
    for origin in foreign {
        let refused = app.post_with("/oauth/token", &fields, &[("origin", origin)]).await;
        refused.refused("invalid_request");
        assert!(!is_readable(&refused.headers, PAGE));
    }
    let redeemed = app.post_with("/oauth/token", &fields, &[("origin", PAGE)]).await.ok();
    let token = redeemed.refresh_token();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    for origin in foreign {
        let refused = app.post_with("/oauth/token", &fields, &[("origin", origin)]).await;
        refused.refused("invalid_request");
        let fields = [("token", token)];
        let refused = app.post_with("/oauth/revoke", &fields, &[("origin", origin)]).await;
        refused.refused("invalid_request");
    }
    assert_eq!(t.family(redeemed.family()).await.state.generation, 1, "nothing was used up");
    assert!(t.is_live(redeemed.family()).await);
    // Without an origin, as native apps and servers ask, and from the authority's own pages.
    let redeemed = app.refresh(token).await.ok();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", redeemed.refresh_token())];
    app.post_with("/oauth/token", &fields, &[("origin", &t.url)]).await.ok();
}

/// The origins are those of up to two seconds ago: the page could not read the answer, so its code must still be good.
#[tokio::test]
async fn a_page_whose_origin_is_not_known_yet_uses_up_nothing() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    assert_eq!(preflight(&t, "/oauth/token", PAGE).await.status(), StatusCode::FORBIDDEN);
    let app = spa(&t).await;
    let code = browser.open(&app).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let headers = [("origin", PAGE)];
    app.post_with("/oauth/token", &fields, &headers).await.refused("invalid_request");
    t.advance(2);
    app.post_with("/oauth/token", &fields, &headers).await.ok();
}

#[apply(both_databases)]
async fn an_origin_goes_with_its_client_and_comes_with_it(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    assert_eq!(preflight(&t, "/oauth/token", PAGE).await.status(), StatusCode::FORBIDDEN);
    spa(&t).await;
    t.advance(2);
    assert!(is_readable(preflight(&t, "/oauth/token", PAGE).await.headers(), PAGE));
    clients::set_enabled(&t.authority, "spa", false, &Caller::operator()).await.unwrap();
    t.advance(2);
    let answer = preflight(&t, "/oauth/token", PAGE).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(is_for_no_page(answer.headers()));
    clients::set_enabled(&t.authority, "spa", true, &Caller::operator()).await.unwrap();
    t.advance(2);
    assert!(is_readable(preflight(&t, "/oauth/token", PAGE).await.headers(), PAGE));
}

#[tokio::test]
async fn the_origins_of_clients_with_a_secret_and_of_own_schemes_are_for_no_page() {
    let t = TestApp::sqlite().await;
    let uris = vec![format!("{PAGE}/cb")];
    t.add_client("backend", ClientType::Confidential, |app| app.redirect_uris = uris).await;
    let uris = vec!["com.example.app:/cb".to_owned(), "http://127.0.0.1/cb".to_owned()];
    t.add_client("native", ClientType::Public, |app| app.redirect_uris = uris).await;
    for origin in [PAGE, "com.example.app:", "com.example.app://", "null", "*", "http://localhost"]
    {
        for (path, _) in ENDPOINTS {
            let answer = preflight(&t, path, origin).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {origin}");
            assert!(is_for_no_page(answer.headers()), "{path} {origin}");
            assert_eq!(header(answer.headers(), "vary").as_deref(), Some("Origin"));
        }
    }
    for origin in ["http://127.0.0.1", "http://127.0.0.1:5173", "http://127.0.0.1:65535"] {
        assert!(is_readable(preflight(&t, "/oauth/token", origin).await.headers(), origin));
    }
}

#[tokio::test]
async fn a_backend_may_send_any_origin_and_no_page_reads_its_answer() {
    let t = TestApp::sqlite().await;
    let app = t.confidential().await;
    spa(&t).await;
    let browser = t.signed_in("ann@example.com").await;
    let redeemed = app.redeem(&browser.open(&app).await).await.ok();
    let fields = [("grant_type", "refresh_token"), ("refresh_token", redeemed.refresh_token())];
    let answer = app.post_with("/oauth/token", &fields, &[("origin", "https://any.example")]).await;
    assert!(is_for_no_page(&answer.ok().headers));
}

#[tokio::test]
async fn documents_are_for_every_page_and_all_else_is_for_none() {
    let t = TestApp::sqlite().await;
    spa(&t).await;
    for route in aa_server::http::ROUTES {
        let path = route.path.replace(['{', '}'], "");
        let answer = preflight(&t, &path, PAGE).await;
        let allowed = header(answer.headers(), "access-control-allow-origin");
        let expected = match route.path {
            "/.well-known/openid-configuration"
            | "/.well-known/oauth-authorization-server"
            | "/.well-known/jwks.json" => Some("*".to_owned()),
            path if ENDPOINTS.iter().any(|(known, _)| *known == path) => Some(PAGE.to_owned()),
            _ => None,
        };
        assert_eq!(allowed, expected, "{}", route.path);
        if expected.as_deref() == Some("*") {
            let headers = answer.headers();
            assert_eq!(header(headers, "access-control-allow-methods").as_deref(), Some("GET"));
            assert_eq!(header(headers, "access-control-allow-credentials"), None);
        }
    }
    // What a page posts to the introspection endpoint is not refused for its origin, and not readable.
    let api = t.add_client("api", ClientType::Api, |_| ()).await;
    let answer = api.post_with("/oauth/introspect", &[("token", "x")], &[("origin", PAGE)]).await;
    assert!(is_for_no_page(&answer.ok().headers));
}

#[tokio::test]
async fn userinfo_takes_a_post_without_a_body_of_any_type() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let redeemed = app.redeem(&browser.open(&app).await).await.ok();
    let post = |media_type: Option<&'static str>, body: &'static str| {
        let mut request = client().post(format!("{}/oauth/userinfo", t.url));
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        let request = request.bearer_auth(redeemed.access_token()).body(body);
        async move { read(request.send().await.unwrap()).await }
    };
    let form = Some("application/x-www-form-urlencoded");
    for media_type in [None, form, Some("application/json"), Some("text/plain"), Some("nonsense")] {
        let answer = post(media_type, "").await.ok();
        assert_eq!(answer.json["email"], "ann@example.com", "{media_type:?}");
    }
    post(form, "other=1").await.ok();
    for media_type in [None, Some("application/json")] {
        let refused = post(media_type, "{}").await;
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media_type:?}");
    }
}
