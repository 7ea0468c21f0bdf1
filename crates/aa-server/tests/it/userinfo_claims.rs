//! What clients are told about users and tokens: claims by scope, signed answers, tokens of a client for itself.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::directory::DirectoryData;
use aa_server::ops::account::{NewAccount, picture, profile};
use aa_server::ops::users;
use aa_server::store::Profile;
use reqwest::{Response, StatusCode};
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet};

use crate::support::{
    Browser, Engine, OAuthApp, PASSWORD, TestApp, both_databases, claims_of, client, header_of,
};

/// A picture of one pixel.
fn png() -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(1, 1).write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

async fn ask(t: &TestApp, token: &str) -> Response {
    client().get(format!("{}/oauth/userinfo", t.url)).bearer_auth(token).send().await.unwrap()
}

async fn userinfo(t: &TestApp, token: &str) -> Value {
    ask(t, token).await.json().await.unwrap()
}

/// The claims of a JWT that a published key of this algorithm has signed.
async fn verified(t: &TestApp, text: &str, algorithm: Algorithm) -> Value {
    let jwks = client().get(format!("{}/.well-known/jwks.json", t.url)).send().await.unwrap();
    let keys = KeySet::from_jwks(&jwks.bytes().await.unwrap()).unwrap();
    let token = Compact::parse(text).unwrap();
    keys.check(&token, &[algorithm]).unwrap();
    Value::Object(token.claims().unwrap())
}

async fn with_scopes(t: &TestApp, id: &str, change: impl FnOnce(&mut ClientMetadata)) -> OAuthApp {
    let scopes = ["openid", "profile", "email", "roles", "offline_access", "notes:read"];
    t.add_client(id, ClientType::Confidential, |app| {
        app.scopes = scopes.map(str::to_owned).to_vec();
        change(app);
    })
    .await
}

#[apply(both_databases)]
async fn each_scope_brings_its_claims_and_no_other(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = with_scopes(&t, "web", |_| ()).await;
    let created = t.authority.now().secs();
    t.advance(60);
    let user = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let caller = Caller::operator();
    let tokens = async |scope: &str| {
        app.redeem(&browser.open_with(&app, &[("scope", scope)]).await).await.ok()
    };
    let before = userinfo(&t, tokens("openid profile").await.access_token()).await;
    assert!((created - 5..=created).contains(&before["updated_at"].as_i64().unwrap()), "{before}");
    let typed = Profile { name: "Ann", language: "fr", time_zone: "Europe/Paris" };
    profile::change(&t.authority, &user, typed, &caller).await.unwrap();
    picture::set(&t.authority, &user, Some(png()), &caller).await.unwrap();
    let changed = t.authority.now().secs();

    let only = async |scope: &str| {
        let mut claims = userinfo(&t, tokens(scope).await.access_token()).await;
        let sub = claims.as_object_mut().unwrap().remove("sub");
        assert_eq!(sub, Some(json!(user.id)));
        claims
    };
    assert_eq!(only("openid").await, json!({}));
    let profile = only("openid profile").await;
    assert_eq!(
        profile,
        json!({
            "name": "Ann",
            "preferred_username": "ann@example.com",
            "locale": "fr",
            "zoneinfo": "Europe/Paris",
            "picture": profile["picture"],
            "updated_at": profile["updated_at"],
        })
    );
    assert!((changed - 5..=changed).contains(&profile["updated_at"].as_i64().unwrap()));
    let picture = client().get(profile["picture"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(picture.headers()["content-type"], "image/png");
    assert_eq!(picture.headers()["cross-origin-resource-policy"], "cross-origin");
    let email = json!({ "email": "ann@example.com", "email_verified": false });
    assert_eq!(only("openid email").await, email);
    assert_eq!(only("openid roles").await, json!({ "roles": [] }));
    assert_eq!(only("openid notes:read").await, json!({}));

    // The ID token has no more than before.
    let all = tokens("openid profile email roles").await;
    let id_token = claims_of(all.json["id_token"].as_str().unwrap());
    for name in ["name", "preferred_username", "locale", "zoneinfo", "email", "email_verified"] {
        assert!(id_token.get(name).is_some(), "{name}");
    }
    for name in ["picture", "updated_at", "roles"] {
        assert_eq!(id_token.get(name), None, "{name}");
    }
    // A scope that was taken from the client tells nothing any more.
    let narrow = |app: &mut ClientMetadata| app.scopes = vec!["openid".to_owned()];
    let mut metadata = ClientMetadata::named("web", "web", ClientType::Confidential);
    metadata.redirect_uris = vec![crate::support::CALLBACK.to_owned()];
    narrow(&mut metadata);
    aa_server::ops::clients::apply(&t.authority, &metadata, &caller).await.unwrap();
    assert_eq!(userinfo(&t, all.access_token()).await, json!({ "sub": user.id }));
}

#[apply(both_databases)]
async fn an_operator_vouches_for_an_address_once(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = with_scopes(&t, "web", |_| ()).await;
    let account = NewAccount {
        email: "vouched@example.com".to_owned(),
        name: String::new(),
        password: PASSWORD.into(),
        admin: true,
        email_verified: true,
    };
    users::add(&t.authority, account, &Caller::operator()).await.unwrap();
    let [made] = &t.events("user.made").await[..] else { panic!("one account") };
    assert_eq!(made.detail, json!({ "email_verified": true }));
    let browser = Browser::new(&t.url);
    browser.sign_in("vouched@example.com", PASSWORD).await;
    let scope = [("scope", "openid email roles")];
    let tokens = app.redeem(&browser.open_with(&app, &scope).await).await.ok();
    let claims = userinfo(&t, tokens.access_token()).await;
    assert_eq!((&claims["email_verified"], &claims["roles"]), (&json!(true), &json!(["admin"])));

    let browser = t.signed_in("ann@example.com").await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    let ann = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    assert_eq!(userinfo(&t, tokens.access_token()).await["email_verified"], false);
    for expected in [Some(()), None] {
        let verified = users::verify_email(&t.authority, &ann, &Caller::operator()).await;
        assert_eq!(verified.unwrap(), expected);
    }
    assert_eq!(userinfo(&t, tokens.access_token()).await["email_verified"], true);
    let [event] = &t.events("user.email_confirmed").await[..] else { panic!("one event") };
    assert_eq!((event.actor.as_str(), event.user_id), ("operator", Some(ann.id)));
}

#[apply(both_databases)]
async fn what_a_directory_says_is_in_the_claims_that_ask_for_it(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let app = with_scopes(&t, "web", |app| app.scopes.push("groups".to_owned())).await;
    let browser = t.signed_in("ann@example.com").await;
    let ann = t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    let set = async |data: &DirectoryData| {
        let operator = Caller::operator();
        users::change_directory_data(&t.authority, &ann, data, &operator).await.unwrap()
    };
    let scope = [("scope", "openid profile groups")];
    let tokens = app.redeem(&browser.open_with(&app, &scope).await).await.ok();
    let claims = userinfo(&t, tokens.access_token()).await;
    assert_eq!((claims.get("given_name"), &claims["groups"]), (None, &json!([])));
    t.advance(5);
    let data = DirectoryData {
        given_name: Some("Ann".to_owned()),
        family_name: Some("Lee".to_owned()),
        groups: Some(vec!["Sales EMEA".to_owned(), "ops".to_owned()]),
    };
    assert_eq!((set(&data).await, set(&data).await), (Some(()), None), "once");
    assert_eq!(t.events("user.directory_changed").await.len(), 1);
    let claims = userinfo(&t, tokens.access_token()).await;
    assert_eq!((&claims["given_name"], &claims["family_name"]), (&json!("Ann"), &json!("Lee")));
    assert_eq!(claims["groups"], json!(["Sales EMEA", "ops"]));
    assert_eq!(claims["updated_at"], t.authority.now().secs());
    // The rest stays; and a name is in the ID token, a group is not.
    let none = DirectoryData { groups: Some(Vec::new()), ..DirectoryData::default() };
    assert_eq!(set(&none).await, Some(()));
    let claims = userinfo(&t, tokens.access_token()).await;
    assert_eq!((&claims["family_name"], &claims["groups"]), (&json!("Lee"), &json!([])));
    let tokens = app.redeem(&browser.open_with(&app, &scope).await).await.ok();
    let id_token = claims_of(tokens.json["id_token"].as_str().unwrap());
    assert_eq!((&id_token["given_name"], id_token.get("groups")), (&json!("Ann"), None));
    // Without the scope there is neither.
    let tokens = app.redeem(&browser.open_with(&app, &[("scope", "openid")]).await).await.ok();
    let claims = userinfo(&t, tokens.access_token()).await;
    assert_eq!((claims.get("given_name"), claims.get("groups")), (None, None));
}

#[apply(both_databases)]
async fn userinfo_is_signed_for_a_client_that_is_set_so(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
        let id = format!("app-{algorithm}");
        let set = |app: &mut ClientMetadata| app.userinfo_signed_response_alg = Some(algorithm);
        let app = with_scopes(&t, &id, set).await;
        let tokens = app.redeem(&browser.open(&app).await).await.ok();
        let answer = ask(&t, tokens.access_token()).await;
        assert_eq!(answer.headers()["content-type"], "application/jwt");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let text = answer.text().await.unwrap();
        let claims = verified(&t, &text, algorithm).await;
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(t.url), &json!(id)));
        assert_eq!(claims["email"], "ann@example.com");
        assert_eq!(claims["sub"], claims_of(tokens.access_token())["sub"]);
        // It is neither an application token nor a hint that signs anyone out.
        assert_eq!(ask(&t, &text).await.status(), StatusCode::UNAUTHORIZED);
        let refused = browser.ask(&app, &[("id_token_hint", &text)]).await;
        assert_eq!(crate::support::answer_of(&refused)["error"], "invalid_request");
    }
    let mut app = ClientMetadata::named("a", "A", ClientType::Confidential);
    app.redirect_uris = vec![crate::support::CALLBACK.to_owned()];
    app.userinfo_signed_response_alg = Some(Algorithm::HS256);
    assert!(app.check().unwrap_err().starts_with("userinfo_signed_response_alg"));
}

#[apply(both_databases)]
async fn introspection_is_signed_for_whoever_asks_so(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let audience = |app: &mut ClientMetadata| app.audiences = vec!["notes".to_owned()];
    let app = with_scopes(&t, "web", audience).await;
    let api = t.add_client("notes", ClientType::Api, |_| ()).await;
    let tokens = app.redeem(&browser.open(&app).await).await.ok();
    let signed = "application/token-introspection+jwt";
    let introspect = async |accept: &str, token: &str| {
        let answer =
            api.post_with("/oauth/introspect", &[("token", token)], &[("accept", accept)]).await;
        let media_type = answer.headers["content-type"].to_str().unwrap().to_owned();
        (media_type, answer.ok().json)
    };
    let (media_type, plain) = introspect("application/json", tokens.access_token()).await;
    assert_eq!(media_type, "application/json");
    assert_eq!(plain["active"], true);
    for accept in [signed, "application/json;q=0.5, Application/Token-Introspection+JWT;q=1"] {
        let (media_type, body) = introspect(accept, tokens.access_token()).await;
        assert_eq!(media_type, signed);
        let text = body.as_str().unwrap();
        assert_eq!(header_of(text)["typ"], "token-introspection+jwt");
        let claims = verified(&t, text, Algorithm::RS256).await;
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(t.url), &json!("notes")));
        assert_eq!(claims["iat"], t.authority.now().secs());
        assert_eq!(claims["token_introspection"], plain);
        for name in ["sub", "exp"] {
            assert_eq!(claims.get(name), None, "{name}: it is to be taken for no other token");
        }
        assert_eq!(ask(&t, text).await.status(), StatusCode::UNAUTHORIZED);
    }
    let (_, body) = introspect(signed, "x").await;
    let claims = verified(&t, body.as_str().unwrap(), Algorithm::RS256).await;
    assert_eq!(claims["token_introspection"], json!({ "active": false }));
}

#[apply(both_databases)]
async fn an_app_that_is_registered_for_it_gets_tokens_for_itself(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let set = |app: &mut ClientMetadata| {
        app.client_credentials = true;
        app.audiences = vec!["notes".to_owned()];
    };
    let app = with_scopes(&t, "web", set).await;
    let other = with_scopes(&t, "other", |_| ()).await;
    let grant = ("grant_type", "client_credentials");
    other.token(&[grant]).await.refused("unauthorized_client");
    t.public().await.token(&[grant]).await.refused("unauthorized_client");
    for scope in ["openid", "offline_access", "profile", "roles", "notes:read email"] {
        app.token(&[grant, ("scope", scope)]).await.refused("invalid_scope");
    }
    let answer = app.token(&[grant]).await.ok();
    assert_eq!(answer.json["scope"], "notes:read");
    assert_eq!((answer.json.get("refresh_token"), answer.json.get("id_token")), (None, None));
    let claims = answer.claims();
    assert_eq!((&claims["sub"], &claims["aud"]), (&json!("app:web"), &json!("notes")));
    assert_eq!((claims.get("sid"), claims.get("user_epoch")), (None, None));
    assert_eq!(ask(&t, answer.access_token()).await.status(), StatusCode::UNAUTHORIZED);
    let active = app.post("/oauth/introspect", &[("token", answer.access_token())]).await.ok();
    assert_eq!((&active.json["active"], &active.json["sub"]), (&json!(true), &json!("app:web")));
    // It still acts for users.
    let browser = t.signed_in("ann@example.com").await;
    app.redeem(&browser.open(&app).await).await.ok();
    for kind in [ClientType::Public, ClientType::Api] {
        let mut client = ClientMetadata::named("a", "A", kind);
        client.client_credentials = true;
        if kind == ClientType::Public {
            client.redirect_uris = vec![crate::support::CALLBACK.to_owned()];
        }
        assert!(client.check().unwrap_err().starts_with("client_credentials"));
    }
}
