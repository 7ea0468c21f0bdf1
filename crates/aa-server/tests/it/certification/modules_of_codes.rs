//! Modules about the code and what it is redeemed for.

use reqwest::StatusCode;

use super::{Mode, Rp, check_token_response, metadata};
use crate::support::{CALLBACK, VERIFIER, challenge, client, location, read};

/// A request, the code, `client_secret_basic`, the ID token, and a call with the access token.
pub async fn oidcc_server(mode: Mode) {
    let rp = Rp::start(mode).await;
    let flow = rp.flow(&[]).await;
    assert!(flow.id_token["auth_time"].is_i64());
}

/// As `oidcc_server`, with the secret in the body (RFC 6749 §2.3.1).
pub async fn oidcc_server_client_secret_post(mode: Mode) {
    let rp = Rp::start(mode).await;
    let callback = rp.authorize(&[]).await;
    rp.check_success(&callback);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &*callback["code"]),
        ("redirect_uri", CALLBACK),
        ("client_id", &*rp.app.id),
        ("client_secret", rp.app.secret.as_deref().unwrap()),
    ];
    let request = client().post(format!("{}/oauth/token", rp.t.url)).form(&fields);
    let tokens = read(request.send().await.unwrap()).await;
    check_token_response(&tokens, "Bearer");
    rp.userinfo(&tokens).await.ok();
}

/// The authorization request as a form (OpenID Connect Core §3.1.2.1).
pub async fn oidcc_ensure_post_request_succeeds(mode: Mode) {
    let rp = Rp::start(mode).await;
    let request = rp.browser.http.post(format!("{}/oauth/authorize", rp.t.url));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let posted = request.body(rp.query(&[])).send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::SEE_OTHER);
    let asked = rp.browser.get(&location(&posted)).await;
    let callback = rp.finish(asked).await;
    rp.flow_of(&callback).await;
}

/// The one module of the plan that sends a `code_challenge` (RFC 7636).
pub async fn oidcc_ensure_request_with_valid_pkce_succeeds(mode: Mode) {
    let rp = Rp::start(mode).await;
    let challenge = challenge();
    let pkce = [("code_challenge", &*challenge), ("code_challenge_method", "S256")];
    let callback = rp.authorize(&pkce).await;
    rp.check_success(&callback);
    let tokens = rp.app.redeem_with(&callback["code"], CALLBACK, Some(VERIFIER)).await;
    check_token_response(&tokens, "Bearer");
}

/// A code is good once (RFC 6749 §4.1.2).
pub async fn oidcc_codereuse(mode: Mode) {
    let rp = Rp::start(mode).await;
    let callback = rp.authorize(&[]).await;
    rp.redeem(&callback).await;
    let again = rp.app.redeem_with(&callback["code"], CALLBACK, None).await;
    again.refused("invalid_grant");
    assert_eq!(again.headers["content-type"], "application/json");
}

/// As `oidcc_codereuse`, half a minute later.
pub async fn oidcc_codereuse_30seconds(mode: Mode) {
    let rp = Rp::start(mode).await;
    let callback = rp.authorize(&[]).await;
    let tokens = rp.redeem(&callback).await;
    rp.userinfo(&tokens).await.ok();
    rp.t.advance(30);
    rp.app.redeem_with(&callback["code"], CALLBACK, None).await.refused("invalid_grant");
    // The suite would warn if the access token still worked (RFC 6749 §4.1.2: SHOULD).
    assert_eq!(rp.userinfo(&tokens).await.status, StatusCode::UNAUTHORIZED);
}

/// Refresh tokens, and that they are of their client alone (RFC 6749 §6, §10.4).
pub async fn oidcc_refresh_token(mode: Mode) {
    let mut rp = Rp::start(mode).await;
    let grants = metadata(&rp.t).await["grant_types_supported"].clone();
    assert!(grants.as_array().unwrap().contains(&"refresh_token".into()));
    // OpenID Connect Core §11: `prompt=consent` belongs to `offline_access`.
    let more = [("scope", "openid offline_access"), ("prompt", "consent")];
    let other = Rp::register(&rp.t, "rp2", |_| ()).await;
    let mut refreshed = Vec::new();
    for app in [rp.app.clone(), other] {
        rp.app = app;
        let first = rp.flow(&more).await;
        // The clocks of the two access tokens differ.
        rp.t.advance(1);
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", first.tokens.refresh_token()),
            ("scope", "openid offline_access"),
        ];
        let second = rp.app.token(&fields).await;
        check_token_response(&second, "Bearer");
        assert_ne!(second.access_token(), first.tokens.access_token());
        // An ID token at a refresh is optional (§12.2), and this app has not asked for it.
        assert_eq!(second.json.get("id_token"), None);
        let userinfo = rp.userinfo(&second).await.ok().json;
        assert_eq!(userinfo["sub"], first.id_token["sub"]);
        refreshed.push((rp.app.clone(), second));
    }
    let [(first, _), (second, seconds)] = &refreshed[..] else { panic!("two apps") };
    first.refresh(seconds.refresh_token()).await.refused("invalid_grant");
    second.refresh(seconds.refresh_token()).await.ok();
}
