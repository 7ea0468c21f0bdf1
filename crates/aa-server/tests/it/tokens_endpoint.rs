//! The endpoints that apps call: token, revoke, introspect, userinfo, discovery, keys.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use aa_server::ops::{key_phases, keys};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokens::{Algorithm, KeySet, Verifier};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    CALLBACK, Engine, TestApp, VERIFIER, both_databases, claims_of, client, header_of, read,
};

async fn jwks(t: &TestApp) -> KeySet {
    let url = format!("{}/.well-known/jwks.json", t.url);
    KeySet::from_jwks(&client().get(url).send().await.unwrap().bytes().await.unwrap()).unwrap()
}

#[apply(both_databases)]
async fn an_access_token_is_accepted_by_the_apps_check(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let now = t.authority.now().secs();
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let app = t
            .add_client(algorithm.name(), ClientType::Confidential, |app| {
                app.at_alg = Some(algorithm);
                app.audiences = vec!["notes".to_owned()];
            })
            .await;
        let answer = app.redeem(&browser.open(&app).await).await.ok();
        let header = header_of(answer.access_token());
        assert_eq!(
            (header["typ"].as_str(), header["alg"].as_str()),
            (Some("at+jwt"), Some(algorithm.name()))
        );
        let verifier = Verifier::new(&t.url, "notes");
        let claims = verifier.verify(answer.access_token(), &jwks(&t).await, now).unwrap();
        assert_eq!(claims.client_id, app.id);
        assert_eq!(claims.sid, Some(answer.family().uuid()));
        assert_eq!(claims.amr, Some(vec!["pwd".to_owned()]));
        assert!(verifier.verify(answer.access_token(), &jwks(&t).await, claims.exp + 30).is_err());
        assert!(
            Verifier::new(&t.url, "other")
                .verify(answer.access_token(), &jwks(&t).await, now)
                .is_err()
        );
    }
}

#[apply(both_databases)]
async fn hs256_has_a_secret_per_audience_that_is_published_nowhere(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let made =
        keys::add_audience_secret(&t.authority, "ledger", &Caller::operator()).await.unwrap();
    let app = t
        .add_client("closed", ClientType::Confidential, |app| {
            app.at_alg = Some(Algorithm::HS256);
            app.audiences = vec!["ledger".to_owned()];
        })
        .await;
    let answer = app.redeem(&browser.open(&app).await).await.ok();
    assert_eq!(header_of(answer.access_token())["kid"], made.kid);
    assert!(!jwks(&t).await.contains(&made.kid));
    use base64::Engine as _;
    let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(made.secret.expose_secret())
        .unwrap();
    let known = KeySet::default().with_secret(&made.kid, &secret).unwrap();
    let verifier = Verifier::new(&t.url, "ledger").algorithms(&[Algorithm::HS256]);
    verifier.verify(answer.access_token(), &known, t.authority.now().secs()).unwrap();
    let other = aa_server::domain::client::ClientMetadata {
        at_alg: Some(Algorithm::HS256),
        redirect_uris: vec![CALLBACK.to_owned()],
        ..aa_server::domain::client::ClientMetadata::named(
            "other",
            "Other",
            ClientType::Confidential,
        )
    };
    assert!(
        clients::add(&t.authority, &other, &Caller::operator()).await.is_err(),
        "no secret for that audience yet"
    );
}

#[apply(both_databases)]
async fn an_id_token_says_who_signed_in(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let answer = app.redeem(&browser.open(&app).await).await.ok();
    let id_token = answer.json["id_token"].as_str().unwrap();
    assert_eq!(header_of(id_token)["alg"], "RS256");
    assert_eq!(header_of(id_token)["typ"], "JWT");
    let claims = claims_of(id_token);
    assert_eq!(claims["iss"], t.url);
    assert_eq!(claims["aud"], "backend");
    assert_eq!(claims["nonce"], "some nonce");
    assert_eq!(claims["email"], "ann@example.com");
    assert_eq!(claims["sub"], answer.claims()["sub"]);
    assert_eq!(claims["sid"], answer.claims()["sid"]);
    assert!(claims["exp"].as_i64() > claims["iat"].as_i64());
    assert!(claims["auth_time"].is_i64() && claims["at_hash"].is_string());
    let refreshed = app.refresh(answer.refresh_token()).await.ok();
    assert!(refreshed.json.get("id_token").is_none(), "only an app that asks gets one at refresh");
    // An ID token is no application token.
    let userinfo = client()
        .get(format!("{}/oauth/userinfo", t.url))
        .bearer_auth(id_token)
        .send()
        .await
        .unwrap();
    assert_eq!(userinfo.status(), StatusCode::UNAUTHORIZED);
}

#[apply(both_databases)]
async fn scopes_and_settings_decide_what_comes_back(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open_with(&app, &[("scope", "profile")]).await;
    let answer = app.redeem(&code).await.ok();
    assert!(answer.json.get("refresh_token").is_none() && answer.json.get("id_token").is_none());
    assert_eq!(answer.json["scope"], "profile");
    let eager = t
        .add_client("eager", ClientType::Confidential, |app| {
            app.always_refresh = true;
            app.id_token_on_refresh = true;
            app.claims = vec!["email".to_owned(), "roles".to_owned(), "name".to_owned()];
            app.audiences = vec!["one".to_owned(), "two".to_owned()];
            app.scopes = vec!["openid".to_owned(), "things:read".to_owned()];
        })
        .await;
    let answer = eager
        .redeem(&browser.open_with(&eager, &[("scope", "openid things:read")]).await)
        .await
        .ok();
    assert_eq!(answer.claims()["email"], "ann@example.com");
    assert_eq!(answer.claims()["roles"], json!([]));
    assert_eq!(answer.claims()["aud"], "one");
    let refresh = |more: Vec<(&'static str, &'static str)>, token: String| {
        let eager = eager.clone();
        async move {
            let mut fields =
                vec![("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            fields.extend(more);
            eager.token(&fields).await
        }
    };
    let token = answer.refresh_token().to_owned();
    refresh(vec![("resource", "three")], token.clone()).await.refused("invalid_target");
    refresh(vec![("scope", "openid email")], token.clone()).await.refused("invalid_scope");
    let two = refresh(vec![("resource", "two"), ("scope", "things:read")], token).await.ok();
    assert_eq!(
        (two.claims()["aud"].as_str(), two.claims()["scope"].as_str()),
        (Some("two"), Some("things:read"))
    );
    assert!(two.json.get("id_token").is_some());
    let back = refresh(vec![], two.refresh_token().to_owned()).await.ok();
    assert_eq!(
        back.claims()["scope"],
        "openid things:read",
        "a narrower token narrows nothing for ever"
    );
}

#[apply(both_databases)]
async fn what_an_app_is_set_to_receive_comes_at_every_refresh(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let with_claims = t
        .add_client("claims", ClientType::Confidential, |app| app.claims = vec!["email".to_owned()])
        .await;
    let with_id_token = t
        .add_client("identity", ClientType::Confidential, |app| app.id_token_on_refresh = true)
        .await;
    for (app, email, id_token) in [(&with_claims, true, false), (&with_id_token, false, true)] {
        let first = app.redeem(&browser.open(app).await).await.ok();
        let answer = app.refresh(first.refresh_token()).await.ok();
        assert_eq!(answer.claims().get("email").is_some(), email, "{}", app.id);
        assert!(answer.claims().get("name").is_none() && answer.claims().get("roles").is_none());
        assert_eq!(answer.json.get("id_token").is_some(), id_token, "{}", app.id);
    }
}

#[apply(both_databases)]
async fn services_speak_for_themselves(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let service = t
        .add_client("worker", ClientType::Service, |app| {
            app.audiences = vec!["notes".to_owned()];
            app.scopes = vec!["notes:read".to_owned(), "notes:write".to_owned()];
        })
        .await;
    let answer =
        service.token(&[("grant_type", "client_credentials"), ("scope", "notes:read")]).await.ok();
    let claims = answer.claims();
    assert_eq!(
        (claims["sub"].as_str(), claims["aud"].as_str()),
        (Some("app:worker"), Some("notes"))
    );
    assert_eq!(claims["scope"], "notes:read");
    assert_eq!(answer.json["expires_in"], 300);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
    for absent in ["sid", "auth_time", "amr"] {
        assert!(claims.get(absent).is_none());
    }
    assert!(answer.json.get("refresh_token").is_none());
    let now = t.authority.now().secs();
    Verifier::new(&t.url, "notes").verify(answer.access_token(), &jwks(&t).await, now).unwrap();
    let all = service.token(&[("grant_type", "client_credentials")]).await.ok();
    assert_eq!(all.json["scope"], "notes:read notes:write");
    service
        .token(&[("grant_type", "client_credentials"), ("scope", "openid")])
        .await
        .refused("invalid_scope");
    service
        .token(&[("grant_type", "client_credentials"), ("scope", "x")])
        .await
        .refused("invalid_scope");
    service
        .token(&[("grant_type", "client_credentials"), ("resource", "x")])
        .await
        .refused("invalid_target");
    let app = t.confidential().await;
    app.token(&[("grant_type", "client_credentials")]).await.refused("unauthorized_client");
    service.refresh("rt_x").await.refused("unauthorized_client");
}

#[apply(both_databases)]
async fn apps_prove_who_they_are(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = t.confidential().await;
    let public = t.public().await;
    let url = format!("{}/oauth/token", t.url);
    let secret = app.secret.clone().unwrap();
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "rt_x")];
    let post = |form: Vec<(&'static str, String)>, basic: Option<(String, String)>| {
        let mut request = client().post(&url);
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        let mut all: Vec<(&str, String)> =
            grant.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        all.extend(form);
        async move { read(request.form(&all).send().await.unwrap()).await }
    };
    // Known, by either way.
    post(vec![], Some(("backend".into(), secret.clone()))).await.refused("invalid_grant");
    let by_post = vec![("client_id", "backend".to_owned()), ("client_secret", secret.clone())];
    post(by_post.clone(), None).await.refused("invalid_grant");
    public.refresh("rt_x").await.refused("invalid_grant");
    // Two ways at once.
    post(by_post, Some(("backend".into(), secret.clone()))).await.refused("invalid_request");
    let other = vec![("client_id", "native".to_owned())];
    post(other, Some(("backend".into(), secret.clone()))).await.refused("invalid_request");
    // Not known.
    let wrong = [
        post(vec![], None).await,
        post(vec![("client_id", "backend".to_owned())], None).await,
        post(vec![("client_id", "unknown".to_owned())], None).await,
        post(vec![("client_id", "native".to_owned()), ("client_secret", "x".to_owned())], None)
            .await,
        post(vec![], Some(("backend".into(), "wrong".into()))).await,
        post(vec![], Some(("unknown".into(), secret.clone()))).await,
        post(vec![], Some((String::new(), String::new()))).await,
        post(vec![], Some(("a%00b".into(), "x".into()))).await,
    ];
    for (index, answer) in wrong.iter().enumerate() {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{index}: {answer:?}");
        assert_eq!(answer.json["error"], "invalid_client");
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"token\"", "{index}");
    }
    // The secret before a new one works for a day.
    let new = clients::rotate_secret(
        &t.authority,
        "backend",
        clients::SECRET_OVERLAP,
        &Caller::operator(),
    )
    .await
    .unwrap();
    app.refresh("rt_x").await.refused("invalid_grant");
    let mut rotated = app.clone();
    rotated.secret = Some(new.expose_secret().to_owned());
    rotated.refresh("rt_x").await.refused("invalid_grant");
    t.advance(24 * 3600 + 1);
    assert_eq!(app.refresh("rt_x").await.status, StatusCode::UNAUTHORIZED);
    rotated.refresh("rt_x").await.refused("invalid_grant");
}

#[apply(both_databases)]
async fn malformed_requests_are_refused_and_cost_nothing(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let code = browser.open(&app).await;
    let good = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    app.token(&[]).await.refused("invalid_request");
    app.token(&[("grant_type", "password"), ("username", "a"), ("password", "b")])
        .await
        .refused("unsupported_grant_type");
    for left_out in ["code", "redirect_uri"] {
        let fields: Vec<_> = good.iter().filter(|(name, _)| *name != left_out).copied().collect();
        app.token(&fields).await.refused("invalid_request");
    }
    for twice in ["code", "grant_type", "redirect_uri", "code_verifier", "unheard_of"] {
        let mut fields = good.to_vec();
        fields.extend([(twice, "x"), (twice, "x")]);
        app.token(&fields).await.refused("invalid_request");
    }
    let mut nul = good.to_vec();
    nul[1].1 = "dt_\0";
    app.token(&nul).await.refused("invalid_request");
    let long = "x".repeat(9_000);
    let mut fields = good.to_vec();
    fields.push(("state", &long));
    app.token(&fields).await.refused("invalid_request");
    let post = |kind: &'static str, body: String| {
        let request = client()
            .post(format!("{}/oauth/token", t.url))
            .basic_auth("backend", app.secret.clone());
        async move { read(request.header("content-type", kind).body(body).send().await.unwrap()).await }
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(
        post("application/json", "{}".into()).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    assert_eq!(post(form, "a".repeat(70_000)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    post(form, "grant_type=%ff".into()).await.refused("invalid_request");
    post(form, "&=&=&".into()).await.refused("invalid_request");
    // The code was not used up by any of this.
    app.redeem(&code).await.ok();
}

#[apply(both_databases)]
async fn a_token_that_is_given_back_ends_its_family(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let other = t.add_client("other", ClientType::Confidential, |_| ()).await;
    for which in ["newest", "older", "access"] {
        let first = app.redeem(&browser.open(&app).await).await.ok();
        let second = app.refresh(first.refresh_token()).await.ok();
        let token = match which {
            "newest" => second.refresh_token(),
            "older" => first.refresh_token(),
            _ => second.access_token(),
        };
        other.post("/oauth/revoke", &[("token", token)]).await.refused("invalid_grant");
        assert!(t.is_live(first.family()).await);
        for _ in 0..2 {
            app.post("/oauth/revoke", &[("token", token), ("token_type_hint", "nonsense")])
                .await
                .ok();
        }
        assert!(!t.is_live(first.family()).await, "{which}");
        app.refresh(second.refresh_token()).await.refused("invalid_grant");
    }
    for nonsense in ["x", "rt_", "a.b.c"] {
        app.post("/oauth/revoke", &[("token", nonsense)]).await.ok();
    }
    app.post("/oauth/revoke", &[]).await.refused("invalid_request");
}

#[apply(both_databases)]
async fn introspection_tells_those_it_concerns(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t
        .add_client("web", ClientType::Confidential, |app| app.audiences = vec!["notes".to_owned()])
        .await;
    let api = t.add_client("notes", ClientType::Service, |_| ()).await;
    let other = t.add_client("other", ClientType::Confidential, |_| ()).await;
    let public = t.public().await;
    let first = app.redeem(&browser.open(&app).await).await.ok();
    let second = app.refresh(first.refresh_token()).await.ok();
    let inactive = json!({ "active": false });
    let ask = |who: &crate::support::OAuthApp, token: &str| {
        let (who, token) = (who.clone(), token.to_owned());
        async move { who.post("/oauth/introspect", &[("token", &token)]).await }
    };
    let known = ask(&app, second.refresh_token()).await.ok().json;
    assert_eq!((known["active"].as_bool(), known["client_id"].as_str()), (Some(true), Some("web")));
    assert_eq!(known["sid"], json!(first.family()));
    for who in [&app, &api] {
        let known = ask(who, second.access_token()).await.ok().json;
        assert_eq!((known["active"].as_bool(), known["aud"].as_str()), (Some(true), Some("notes")));
    }
    for (who, token) in [
        (&other, second.access_token()),
        (&other, second.refresh_token()),
        (&app, first.refresh_token()),
        (&app, "x"),
        (&app, "a.b.c"),
    ] {
        assert_eq!(ask(who, token).await.ok().json, inactive);
    }
    assert_eq!(ask(&public, second.refresh_token()).await.status, StatusCode::UNAUTHORIZED);
    browser.submit("/apps", "/logout", &[]).await;
    for token in [second.access_token(), second.refresh_token()] {
        assert_eq!(ask(&app, token).await.ok().json, inactive, "what has ended is known at once");
    }
}

#[apply(both_databases)]
async fn userinfo_tells_what_the_scope_allows(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let url = format!("{}/oauth/userinfo", t.url);
    let answer = app.redeem(&browser.open(&app).await).await.ok();
    let get = |token: String| client().get(&url).bearer_auth(token).send();
    let known: Value = get(answer.access_token().to_owned()).await.unwrap().json().await.unwrap();
    assert_eq!(
        (known["email"].as_str(), &known["sub"]),
        (Some("ann@example.com"), &answer.claims()["sub"])
    );
    let form = [("access_token", answer.access_token())];
    let posted = client().post(&url).form(&form).send().await.unwrap();
    assert_eq!(posted.json::<Value>().await.unwrap(), known);
    let both =
        client().post(&url).form(&form).bearer_auth(answer.access_token()).send().await.unwrap();
    assert_eq!(both.status(), StatusCode::BAD_REQUEST);
    let none = client().get(&url).send().await.unwrap();
    assert_eq!(none.headers()["www-authenticate"], "Bearer realm=\"userinfo\"");
    assert_eq!(none.json::<Value>().await.unwrap(), json!({ "error": "invalid_token" }));
    let bad = get("x".to_owned()).await.unwrap();
    assert!(
        bad.headers()["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\"")
    );
    let no_openid = app.redeem(&browser.open_with(&app, &[("scope", "email")]).await).await.ok();
    let refused = get(no_openid.access_token().to_owned()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.headers()["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
    // The newer redemption ended the first family.
    assert_eq!(
        get(answer.access_token().to_owned()).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    t.advance(301);
    assert_eq!(
        get(no_openid.access_token().to_owned()).await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
}

#[apply(both_databases)]
async fn new_keys_are_published_before_they_sign_and_old_ones_stay(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let before = app.redeem(&browser.open(&app).await).await.ok();
    let kid = |answer: &crate::support::Answer| {
        header_of(answer.access_token())["kid"].as_str().unwrap().to_owned()
    };
    let made = keys::rotate(&t.authority, &Caller::operator()).await.unwrap();
    let published = jwks(&t).await;
    assert!(made.iter().all(|kid| published.contains(kid)));
    let still = app.refresh(before.refresh_token()).await.ok();
    assert_eq!(kid(&still), kid(&before), "not yet");
    t.advance(601);
    let after = app.refresh(still.refresh_token()).await.ok();
    assert!(made.contains(&kid(&after)));
    key_phases::advance(&t.authority).await.unwrap();
    t.authority.keyring.reload(&t.authority.store, t.authority.now()).await.unwrap();
    assert!(jwks(&t).await.contains(&kid(&before)), "until its last token is dead");
    t.advance(25 * 3600);
    t.authority.keyring.reload(&t.authority.store, t.authority.now()).await.unwrap();
    assert!(!jwks(&t).await.contains(&kid(&before)));
    app.refresh(after.refresh_token()).await.ok();
}

#[tokio::test]
async fn discovery_names_what_there_is() {
    let t = TestApp::sqlite().await;
    for path in ["openid-configuration", "oauth-authorization-server"] {
        let answer = client().get(format!("{}/.well-known/{path}", t.url)).send().await.unwrap();
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        let document: Value = answer.json().await.unwrap();
        assert_eq!(document["issuer"], t.url);
        for endpoint in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "revocation_endpoint",
            "introspection_endpoint",
        ] {
            let url = document[endpoint].as_str().unwrap();
            assert!(url.starts_with(&t.url), "{endpoint}");
            let there = client().get(url).send().await.unwrap().status();
            assert_ne!(there, StatusCode::NOT_FOUND, "{endpoint}");
        }
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    }
    // What each of these means is tested in `userinfo_claims` and `pairwise`.
    let document: Value = client()
        .get(format!("{}/.well-known/openid-configuration", t.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(document["subject_types_supported"], json!(["public", "pairwise"]));
    assert_eq!(
        document["userinfo_signing_alg_values_supported"],
        json!(["RS256", "PS256", "ES256", "EdDSA"])
    );
    assert_eq!(document["introspection_signing_alg_values_supported"], json!(["RS256"]));
    let has = |list: &str, name: &str| document[list].as_array().unwrap().contains(&json!(name));
    for claim in aa_server::domain::claims::USER_CLAIMS {
        assert!(has("claims_supported", claim.name), "{}", claim.name);
        assert!(has("scopes_supported", claim.scope), "{}", claim.scope);
    }
    assert!(!has("claims_supported", "address") && !has("scopes_supported", "address"));
    let keys: Value = client()
        .get(format!("{}/.well-known/jwks.json", t.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    for key in keys["keys"].as_array().unwrap() {
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none());
        }
    }
}
