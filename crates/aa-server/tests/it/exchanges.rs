//! Tokens are exchanged for those of other APIs, on behalf of the same user (RFC 8693).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::{clients, users};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokens::{Algorithm, Verifier};

use rstest::rstest;
use rstest_reuse::apply;

use crate::support::{
    Answer, Browser, Engine, OAuthApp, TestApp, both_databases, claims_of, until,
};

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SCOPE: &str = "openid offline_access orders:read notes:read notes:write";

/// An app, the API that it calls, and the APIs that these call in turn.
pub struct World {
    pub t: TestApp,
    pub browser: Browser,
    pub shop: OAuthApp,
    pub orders: OAuthApp,
    notes: OAuthApp,
    /// The tokens of the app.
    pub opened: Answer,
}

impl World {
    pub async fn on(engine: Engine) -> Option<Self> {
        let t = engine.start().await?;
        let browser = t.signed_in("ann@example.com").await;
        let shop = t
            .add_client("shop", ClientType::Confidential, |app| {
                app.audiences = vec!["orders".to_owned()];
                app.scopes = SCOPE.split(' ').map(str::to_owned).collect();
            })
            .await;
        let orders = api(&t, "orders", &["notes:notes:read", "ledger"]).await;
        let notes = api(&t, "notes", &["ledger:notes:read"]).await;
        let opened = shop.redeem(&browser.open_with(&shop, &[("scope", SCOPE)]).await).await.ok();
        Some(Self { t, browser, shop, orders, notes, opened })
    }

    /// An exchange by `orders` of the app's token for one of `notes`.
    async fn exchange(&self) -> Answer {
        exchange(&self.orders, self.opened.access_token(), &[("audience", "notes")]).await
    }

    pub async fn change(&self, client: &OAuthApp, change: impl FnOnce(&mut ClientMetadata)) {
        let known = self.t.authority.store.client(&client.id).await.unwrap().unwrap();
        let mut metadata = known.metadata;
        change(&mut metadata);
        clients::apply(&self.t.authority, &metadata, &Caller::operator()).await.unwrap();
    }

    async fn enable(&self, client: &OAuthApp, enabled: bool) {
        let operator = Caller::operator();
        clients::set_enabled(&self.t.authority, &client.id, enabled, &operator).await.unwrap();
    }
}

async fn api(t: &TestApp, id: &str, pairs: &[&str]) -> OAuthApp {
    t.add_client(id, ClientType::Api, |api| {
        api.exchange = pairs.iter().map(|pair| pair.parse().unwrap()).collect();
    })
    .await
}

/// `more` replaces or adds parameters; an empty value leaves one out.
async fn exchange(client: &OAuthApp, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut fields =
        vec![("grant_type", GRANT), ("subject_token", token), ("subject_token_type", ACCESS_TOKEN)];
    for (name, value) in more {
        fields.retain(|(known, _)| known != name);
        fields.push((name, value));
    }
    fields.retain(|(_, value)| !value.is_empty());
    client.token(&fields).await
}

async fn introspect(client: &OAuthApp, token: &str) -> Value {
    client.post("/oauth/introspect", &[("token", token)]).await.ok().json
}

async fn is_active(client: &OAuthApp, token: &str) -> bool {
    introspect(client, token).await["active"] == true
}

#[apply(both_databases)]
async fn a_token_becomes_one_of_another_api_for_the_same_user(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let before = w.opened.claims();
    w.t.advance(60);
    let answer = w.exchange().await.ok();
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(
        (&answer.json["issued_token_type"], &answer.json["token_type"], &answer.json["scope"]),
        (&json!(ACCESS_TOKEN), &json!("Bearer"), &json!("notes:read"))
    );
    for absent in ["refresh_token", "id_token"] {
        assert!(answer.json.get(absent).is_none(), "{absent}");
    }
    let claims = answer.claims();
    for same in ["iss", "sub", "sid", "user_epoch", "auth_time", "amr"] {
        assert_eq!(claims[same], before[same], "{same}");
    }
    assert_eq!((&claims["aud"], &claims["client_id"]), (&json!("notes"), &json!("orders")));
    assert_eq!(claims["act"], json!({ "sub": "orders", "act": { "sub": "shop" } }));
    assert_ne!(claims["jti"], before["jti"]);
    assert_eq!(claims["exp"], before["exp"], "a new token lives as long as the old one");
    assert_eq!(answer.json["expires_in"], 240);

    // An API reads it offline, with those who act.
    let verifier = Verifier::new(&w.t.url, "notes");
    let keys = w.t.authority.keyring.public_keys();
    let read = verifier.verify(answer.access_token(), &keys, w.t.authority.now().secs()).unwrap();
    let chain: Vec<&str> = read.act.as_ref().unwrap().chain().map(|actor| &*actor.sub).collect();
    assert_eq!(chain, ["orders", "shop"]);
    // Those it concerns introspect it.
    for client in [&w.notes, &w.orders] {
        let known = introspect(client, answer.access_token()).await;
        assert_eq!((&known["active"], &known["act"]), (&json!(true), &claims["act"]));
        assert_eq!(known["scope"], "notes:read");
    }
    assert_eq!(introspect(&w.shop, answer.access_token()).await, json!({ "active": false }));
    // The claims about the user are those that the exchanging client is set to receive.
    assert!(claims.get("email").is_none());
    w.change(&w.orders, |orders| orders.claims = vec!["email".to_owned()]).await;
    assert_eq!(w.exchange().await.ok().claims()["email"], "ann@example.com");
}

#[apply(both_databases)]
async fn a_scope_only_shrinks(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let token = w.opened.access_token();
    let ask = |audience: &'static str, scope: &'static str| {
        let orders = w.orders.clone();
        async move { exchange(&orders, token, &[("audience", audience), ("scope", scope)]).await }
    };
    assert_eq!(ask("notes", "notes:read").await.ok().json["scope"], "notes:read");
    // The token has it, the pair does not.
    ask("notes", "notes:write").await.refused("invalid_scope");
    ask("notes", "notes:read notes:write").await.refused("invalid_scope");
    ask("notes", "admin").await.refused("invalid_scope");
    // A pair without scopes gives tokens without any.
    assert_eq!(ask("ledger", "").await.ok().json["scope"], "");
    ask("ledger", "notes:read").await.refused("invalid_scope");
    // The pair has it, the token does not.
    let narrow = [("scope", "openid orders:read")];
    let narrow = w.shop.redeem(&w.browser.open_with(&w.shop, &narrow).await).await.ok();
    for scope in ["notes:read", ""] {
        let more = [("audience", "notes"), ("scope", scope)];
        exchange(&w.orders, narrow.access_token(), &more).await.refused("invalid_scope");
    }
}

#[apply(both_databases)]
async fn only_a_token_for_the_client_itself_is_exchanged(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let token = w.opened.access_token();
    let notes = [("audience", "notes")];
    // Another client with the same pair, and one that calls the audience but is not it.
    let other = api(&w.t, "other", &["notes:notes:read"]).await;
    exchange(&other, token, &notes).await.refused("invalid_request");
    w.change(&w.shop, |shop| shop.exchange = vec!["notes:notes:read".parse().unwrap()]).await;
    exchange(&w.shop, token, &notes).await.refused("invalid_request");
    let caller =
        w.t.add_client("caller", ClientType::Confidential, |app| {
            app.audiences = vec!["orders".to_owned()];
            app.exchange = vec!["notes:notes:read".parse().unwrap()];
        })
        .await;
    exchange(&caller, token, &notes).await.refused("invalid_request");
    // An app whose tokens are for itself, and an API under another name.
    let own =
        w.t.add_client("own", ClientType::Confidential, |app| {
            app.scopes = SCOPE.split(' ').map(str::to_owned).collect();
            app.exchange = vec!["orders:orders:read".parse().unwrap()];
        })
        .await;
    let opened = own.redeem(&w.browser.open_with(&own, &[("scope", SCOPE)]).await).await.ok();
    let first = exchange(&own, opened.access_token(), &[("audience", "orders")]).await.ok();
    assert_eq!(first.claims()["act"], json!({ "sub": "own" }));
    let second = exchange(&w.orders, first.access_token(), &[("audience", "ledger")]).await.ok();
    assert_eq!(second.claims()["act"], json!({ "sub": "orders", "act": { "sub": "own" } }));
    w.change(&w.orders, |orders| orders.audiences = vec!["https://orders.example".to_owned()])
        .await;
    w.change(&own, |own| own.exchange[0].audience = "https://orders.example".to_owned()).await;
    let named = [("audience", "https://orders.example")];
    let named = exchange(&own, opened.access_token(), &named).await.ok();
    exchange(&w.orders, named.access_token(), &[("audience", "ledger")]).await.ok();
    // Clients without the setting, public ones, and no client at all.
    w.notes.token(&[("grant_type", GRANT)]).await.refused("invalid_request");
    let plain = w.t.confidential().await;
    exchange(&plain, token, &notes).await.refused("unauthorized_client");
    let public = w.t.public().await;
    exchange(&public, token, &notes).await.refused("unauthorized_client");
    let thief = OAuthApp { secret: Some("x".to_owned()), ..w.orders.clone() };
    assert_eq!(exchange(&thief, token, &notes).await.status, StatusCode::UNAUTHORIZED);
}

#[apply(both_databases)]
async fn requests_that_are_wrong_are_told_so(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let token = w.opened.access_token();
    let refresh_token = "urn:ietf:params:oauth:token-type:refresh_token";
    for (more, error) in [
        (&[("audience", "")][..], "invalid_request"),
        (&[("audience", "nowhere")], "invalid_target"),
        (&[("audience", ""), ("resource", "orders")], "invalid_target"),
        (&[("audience", "notes"), ("resource", "ledger")], "invalid_target"),
        (&[("subject_token", "")], "invalid_request"),
        (&[("subject_token", "a.b.c")], "invalid_request"),
        (&[("subject_token_type", "")], "invalid_request"),
        (&[("subject_token_type", refresh_token)], "invalid_request"),
        (&[("subject_token", w.opened.refresh_token())], "invalid_request"),
        (&[("requested_token_type", refresh_token)], "invalid_request"),
        (&[("actor_token", token), ("actor_token_type", ACCESS_TOKEN)], "invalid_request"),
        (&[("scope", "\u{7f}")], "invalid_scope"),
    ] {
        let more: Vec<_> =
            [("audience", "notes")].into_iter().chain(more.iter().copied()).collect();
        let mut last: Vec<(&str, &str)> = Vec::new();
        for (name, value) in more {
            last.retain(|(known, _)| *known != name);
            last.push((name, value));
        }
        let answer = exchange(&w.orders, token, &last).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json["error"].as_str()),
            (400, Some(error)),
            "{last:?}"
        );
    }
    // A token that was altered, and one of a service, which has no user.
    let altered = format!("{}A", &token[..token.len() - 1]);
    let altered =
        if altered == token { format!("{}B", &token[..token.len() - 1]) } else { altered };
    exchange(&w.orders, &altered, &[("audience", "notes")]).await.refused("invalid_request");
    let service =
        w.t.add_client("nightly", ClientType::Service, |app| {
            app.audiences = vec!["orders".to_owned()];
            app.scopes = vec!["notes:read".to_owned()];
        })
        .await;
    let of_service = service.token(&[("grant_type", "client_credentials")]).await.ok();
    let more = [("audience", "notes")];
    exchange(&w.orders, of_service.access_token(), &more).await.refused("invalid_request");
    let jwt = "urn:ietf:params:oauth:token-type:jwt";
    let more = [("resource", "notes"), ("subject_token_type", jwt)];
    exchange(&w.orders, token, &more).await.ok();
}

#[apply(both_databases)]
async fn a_new_token_never_outlives_the_old_one_or_the_family(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    w.change(&w.orders, |orders| orders.lifetimes.at_ttl = Some(Duration::from_hours(1))).await;
    w.t.advance(299);
    let last = w.exchange().await.ok();
    assert_eq!(last.claims()["exp"], w.opened.claims()["exp"]);
    assert_eq!(last.json["expires_in"], 1);
    w.t.advance(1);
    w.exchange().await.refused("invalid_request");
    // Its own client may set a shorter life.
    let fresh = w.shop.refresh(w.opened.refresh_token()).await.ok();
    w.change(&w.orders, |orders| orders.lifetimes.at_ttl = Some(Duration::from_secs(7))).await;
    let short = exchange(&w.orders, fresh.access_token(), &[("audience", "notes")]).await.ok();
    assert_eq!(short.json["expires_in"], 7);
    // The family ends before the token does, as nothing uses it.
    w.change(&w.orders, |orders| orders.lifetimes.at_ttl = None).await;
    w.change(&w.shop, |shop| shop.lifetimes.family_idle_ttl = Some(Duration::from_mins(2))).await;
    let brief = w.shop.redeem(&w.browser.open_with(&w.shop, &[("scope", SCOPE)]).await).await.ok();
    let brief = exchange(&w.orders, brief.access_token(), &[("audience", "notes")]).await.ok();
    assert_eq!(brief.json["expires_in"], 120);
}

#[apply(both_databases)]
async fn every_exchange_checks_the_user_the_session_and_the_clients(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let exchanged = w.exchange().await.ok();
    let token = exchanged.access_token();
    // The app whose session it is, and the API that exchanged: their tokens count again when they are enabled again.
    for client in [&w.shop, &w.orders] {
        w.enable(client, false).await;
        assert!(!is_active(&w.notes, token).await, "{}", client.id);
        let more = [("audience", "ledger")];
        exchange(&w.notes, token, &more).await.refused("invalid_request");
        let direct = w.exchange().await;
        assert_ne!(direct.status, StatusCode::OK, "{}", client.id);
        w.enable(client, true).await;
        exchange(&w.notes, token, &more).await.ok();
    }
    assert!(is_active(&w.notes, token).await);
    // The session.
    w.browser.submit("/apps", "/logout", &[]).await;
    w.exchange().await.refused("invalid_request");
    assert!(!is_active(&w.notes, token).await);
    // One family.
    w.browser.sign_in("ann@example.com", crate::support::PASSWORD).await;
    let again = w.shop.redeem(&w.browser.open_with(&w.shop, &[("scope", SCOPE)]).await).await.ok();
    let notes = [("audience", "notes")];
    let second = exchange(&w.orders, again.access_token(), &notes).await.ok();
    // The client that exchanged cannot end the family, the app can.
    let foreign = w.orders.post("/oauth/revoke", &[("token", second.access_token())]).await;
    assert_ne!(foreign.status, StatusCode::OK);
    assert!(is_active(&w.notes, second.access_token()).await);
    w.shop.post("/oauth/revoke", &[("token", again.refresh_token())]).await.ok();
    assert!(!is_active(&w.notes, second.access_token()).await);
    exchange(&w.orders, again.access_token(), &notes).await.refused("invalid_request");
    // The user.
    let third = w.shop.redeem(&w.browser.open_with(&w.shop, &[("scope", SCOPE)]).await).await.ok();
    let user = w.t.authority.store.user_by_email("ann@example.com").await.unwrap().unwrap();
    users::set_enabled(&w.t.authority, &user, false, &Caller::operator()).await.unwrap();
    exchange(&w.orders, third.access_token(), &notes).await.refused("invalid_request");
    users::set_enabled(&w.t.authority, &user, true, &Caller::operator()).await.unwrap();
    exchange(&w.orders, third.access_token(), &notes).await.refused("invalid_request");
}

#[apply(both_databases)]
async fn what_is_taken_from_a_client_is_gone_from_exchanged_tokens(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    w.change(&w.orders, |orders| {
        orders.exchange[0].scopes = vec!["notes:read".to_owned(), "notes:write".to_owned()];
    })
    .await;
    let exchanged = w.exchange().await.ok();
    let token = exchanged.access_token();
    assert_eq!(exchanged.json["scope"], "notes:read notes:write");
    // From the app.
    let kept = SCOPE.replace(" notes:write", "");
    w.change(&w.shop, |shop| shop.scopes = kept.split(' ').map(str::to_owned).collect()).await;
    assert_eq!(introspect(&w.notes, token).await["scope"], "notes:read");
    assert_eq!(w.exchange().await.ok().json["scope"], "notes:read");
    // From the pair, and the pair itself.
    w.change(&w.orders, |orders| orders.exchange[0].scopes = vec!["notes:write".to_owned()]).await;
    assert_eq!(introspect(&w.notes, token).await["scope"], "");
    w.exchange().await.refused("invalid_scope");
    w.change(&w.orders, |orders| drop(orders.exchange.remove(0))).await;
    assert_eq!(introspect(&w.notes, token).await, json!({ "active": false }));
    w.exchange().await.refused("invalid_target");
    exchange(&w.notes, token, &[("audience", "ledger")]).await.refused("invalid_request");
}

#[apply(both_databases)]
async fn a_chain_of_exchanges_has_an_end(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let ledger = api(&w.t, "ledger", &["archive:notes:read"]).await;
    let archive = api(&w.t, "archive", &["vault:notes:read"]).await;
    let first = w.exchange().await.ok();
    let second = exchange(&w.notes, first.access_token(), &[("audience", "ledger")]).await.ok();
    let third = exchange(&ledger, second.access_token(), &[("audience", "archive")]).await.ok();
    let act = json!({ "sub": "ledger", "act": { "sub": "notes", "act": { "sub": "orders", "act": { "sub": "shop" } } } });
    assert_eq!(third.claims()["act"], act);
    assert_eq!(third.claims()["exp"], w.opened.claims()["exp"]);
    assert_eq!(introspect(&archive, third.access_token()).await["act"], act);
    let fourth = exchange(&archive, third.access_token(), &[("audience", "vault")]).await;
    fourth.refused("invalid_request");
    assert!(fourth.json["error_description"].as_str().unwrap().contains("as often as is allowed"));
    // A client in the middle is disabled: everything after it has ended.
    w.enable(&w.notes, false).await;
    assert!(!is_active(&archive, third.access_token()).await);
    exchange(&ledger, second.access_token(), &[("audience", "archive")])
        .await
        .refused("invalid_request");
    assert!(is_active(&w.orders, first.access_token()).await);
}

/// The analogue of rule 9: whatever an exchange under way still gives is not accepted once an end has been answered.
#[apply(both_databases)]
async fn an_end_wins_against_exchanges_under_way(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    for round in 0..4 {
        let opened =
            w.shop.redeem(&w.browser.open_with(&w.shop, &[("scope", SCOPE)]).await).await.ok();
        let answered = Arc::new(AtomicUsize::new(0));
        let worker = || {
            let (orders, token) = (w.orders.clone(), opened.access_token().to_owned());
            let answered = Arc::clone(&answered);
            tokio::spawn(async move {
                let mut given = Vec::new();
                for _ in 0..200 {
                    let answer = exchange(&orders, &token, &[("audience", "notes")]).await;
                    if answer.status != StatusCode::OK {
                        answer.refused("invalid_request");
                        break;
                    }
                    given.push(answer.access_token().to_owned());
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                given
            })
        };
        let workers: Vec<_> = (0..8).map(|_| worker()).collect();
        until("exchanges are under way", || answered.load(Ordering::SeqCst) >= 8).await;
        if round % 2 == 0 {
            w.shop.post("/oauth/revoke", &[("token", opened.refresh_token())]).await.ok();
        } else {
            w.browser.submit("/sessions", "/sessions/revoke-others", &[]).await;
            let path = format!("/sessions/{}/revoke", opened.family());
            w.browser.submit("/sessions", &path, &[]).await;
        }
        exchange(&w.orders, opened.access_token(), &[("audience", "notes")])
            .await
            .refused("invalid_request");
        let given: Vec<String> =
            join_all(workers).await.into_iter().flat_map(Result::unwrap).collect();
        assert!(given.len() >= 8);
        for token in given.iter().rev().take(40) {
            assert_eq!(claims_of(token)["sid"], json!(opened.family()), "the feed names it");
            assert!(!is_active(&w.notes, token).await);
        }
    }
}

#[tokio::test]
async fn a_pair_of_hs256_needs_a_secret_of_its_audience() {
    let t = TestApp::sqlite().await;
    let mut metadata = ClientMetadata::named("orders", "Orders", ClientType::Api);
    metadata.at_alg = Some(Algorithm::HS256);
    metadata.exchange = vec!["notes".parse().unwrap()];
    aa_server::ops::keys::add_audience_secret(&t.authority, "orders", &Caller::operator())
        .await
        .unwrap();
    let refused = clients::add(&t.authority, &metadata, &Caller::operator()).await.unwrap_err();
    assert!(refused.to_string().contains("aa-server keys add notes"), "{refused}");
}
