//! DPoP (RFC 9449): tokens that are bound to a key of the client.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use futures_util::future::join_all;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::{Value, json};
use testing::dpop::{Key, hash};

use crate::devices::{DEVICE_CODE, Device, television};
use crate::exchanges::{ACCESS_TOKEN, GRANT, World};
use crate::par::{self, request_uri};
use crate::support::{
    Answer, Browser, CALLBACK, Engine, OAuthApp, TestApp, VERIFIER, answer_of, authorize_query,
    both_databases, client, read,
};

/// A good proof for the token endpoint.
fn proof(key: &Key, t: &TestApp) -> String {
    key.proof(&claims(t))
}

/// A good proof for the endpoint of pushed authorization requests.
fn proof_of_push(key: &Key, t: &TestApp) -> String {
    let mut claims = claims(t);
    claims["htu"] = json!(t.authority.config.public_url.join("/oauth/par"));
    key.proof(&claims)
}

/// Good claims of a proof for the token endpoint, with a `jti` of their own.
fn claims(t: &TestApp) -> Value {
    let now = t.authority.now();
    json!({
        "jti": t.authority.random.uuid().to_string(),
        "htm": "POST",
        "htu": t.authority.config.public_url.join("/oauth/token"),
        "iat": now.secs(),
        "nonce": t.authority.dpop.nonce(now),
    })
}

/// A token request with this proof, or without one.
async fn token(app: &OAuthApp, proof: Option<&str>, fields: &[(&str, &str)]) -> Answer {
    post(app, "/oauth/token", proof, fields).await
}

async fn post(app: &OAuthApp, path: &str, proof: Option<&str>, fields: &[(&str, &str)]) -> Answer {
    let mut form = fields.to_vec();
    let mut request = client().post(format!("{}{path}", app.url));
    if let Some(proof) = proof {
        request = request.header("dpop", proof);
    }
    match &app.secret {
        Some(secret) => request = request.basic_auth(&app.id, Some(secret)),
        None => form.push(("client_id", &app.id)),
    }
    read(request.form(&form).send().await.unwrap()).await
}

async fn redeem(app: &OAuthApp, proof: Option<&str>, code: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    token(app, proof, &fields).await
}

async fn refresh(app: &OAuthApp, proof: Option<&str>, refresh_token: &str) -> Answer {
    token(app, proof, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

#[track_caller]
fn is_bound_to(answer: &Answer, key: &Key) {
    assert_eq!(answer.json["token_type"], "DPoP", "{}", answer.json);
    assert_eq!(answer.claims()["cnf"], json!({ "jkt": key.thumbprint() }));
    assert!(answer.headers.contains_key("dpop-nonce"));
}

async fn public(engine: Engine) -> Option<(TestApp, Browser, OAuthApp)> {
    let t = engine.start().await?;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    Some((t, browser, app))
}

#[apply(both_databases)]
async fn a_family_of_a_public_client_is_bound_to_its_key(#[case] engine: Engine) {
    let Some((t, browser, app)) = public(engine).await else { return };
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let first = redeem(&app, Some(&proof(&mine, &t)), &browser.open(&app).await).await.ok();
    is_bound_to(&first, &mine);
    let stolen = first.refresh_token();
    refresh(&app, None, stolen).await.refused("invalid_dpop_proof");
    refresh(&app, Some(&proof(&thiefs, &t)), stolen).await.refused("invalid_dpop_proof");
    assert_eq!(t.family(first.family()).await.state.generation, 1, "nothing was rotated");
    let second = refresh(&app, Some(&proof(&mine, &t)), stolen).await.ok();
    is_bound_to(&second, &mine);
    let third = refresh(&app, Some(&proof(&mine, &t)), second.refresh_token()).await.ok();

    // A thief of an old token cannot end the family, nor get an answer within grace; its owner is told of a reuse.
    for old in [stolen, second.refresh_token()] {
        refresh(&app, None, old).await.refused("invalid_dpop_proof");
        refresh(&app, Some(&proof(&thiefs, &t)), old).await.refused("invalid_dpop_proof");
    }
    assert!(t.is_live(first.family()).await && t.events("family.reuse").await.is_empty());
    refresh(&app, Some(&proof(&mine, &t)), third.refresh_token()).await.ok();
    refresh(&app, Some(&proof(&mine, &t)), stolen).await.refused("invalid_grant");
    assert_eq!(t.events("family.reuse").await.len(), 1);
}

#[apply(both_databases)]
async fn of_many_refreshes_at_once_those_with_the_key_are_answered(#[case] engine: Engine) {
    let Some((t, browser, app)) = public(engine).await else { return };
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let mut last = redeem(&app, Some(&proof(&mine, &t)), &browser.open(&app).await).await.ok();
    for _ in 0..5 {
        let proofs: Vec<Option<String>> = (0..30)
            .map(|n| match n % 3 {
                0 => Some(proof(&mine, &t)),
                1 => Some(proof(&thiefs, &t)),
                _ => None,
            })
            .collect();
        let sent = proofs.iter().map(|proof| refresh(&app, proof.as_deref(), last.refresh_token()));
        let answers = join_all(sent).await;
        for (n, answer) in answers.iter().enumerate() {
            if n % 3 == 0 {
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
                assert_eq!(answer.refresh_token(), answers[0].refresh_token());
            } else {
                answer.refused("invalid_dpop_proof");
            }
        }
        last = answers.into_iter().next().unwrap();
    }
    assert_eq!(t.family(last.family()).await.state.generation, 6);
}

#[apply(both_databases)]
async fn a_code_is_bound_to_the_key_that_the_authorization_request_names(#[case] engine: Engine) {
    let Some((t, browser, app)) = public(engine).await else { return };
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let thumbprint = mine.thumbprint();
    let code = browser.open_with(&app, &[("dpop_jkt", &thumbprint)]).await;
    redeem(&app, None, &code).await.refused("invalid_dpop_proof");
    redeem(&app, Some(&proof(&thiefs, &t)), &code).await.refused("invalid_dpop_proof");
    is_bound_to(&redeem(&app, Some(&proof(&mine, &t)), &code).await.ok(), &mine);
    for wrong in
        ["short", &format!("{thumbprint}x"), &thumbprint.replacen(&thumbprint[..1], "=", 1)]
    {
        let answer = answer_of(&browser.authorize(&app, &[("dpop_jkt", wrong)]).await);
        assert_eq!(answer["error"], "invalid_request", "{wrong}");
    }
}

#[apply(both_databases)]
async fn a_pushed_request_binds_its_code_by_a_proof(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let query = authorize_query(&app.id, &[]);
    let fields: Vec<(String, String)> =
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let push = async |proof: &str, more: &[(&str, &str)]| {
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut fields: Vec<(&str, &str)> =
            fields.filter(|(name, _)| *name != "client_id").collect();
        fields.extend(more);
        post(&app, "/oauth/par", Some(proof), &fields).await
    };
    let jkt = mine.thumbprint();
    push(&proof(&mine, &t), &[]).await.refused("invalid_dpop_proof");
    push(&proof_of_push(&thiefs, &t), &[("dpop_jkt", &jkt)]).await.refused("invalid_dpop_proof");
    for more in [&[][..], &[("dpop_jkt", &*jkt)]] {
        let uri = request_uri(&push(&proof_of_push(&mine, &t), more).await);
        let code = answer_of(&par::redeem(&browser, &app.id, &uri).await)["code"].clone();
        redeem(&app, None, &code).await.refused("invalid_dpop_proof");
        redeem(&app, Some(&proof(&thiefs, &t)), &code).await.refused("invalid_dpop_proof");
        is_bound_to(&redeem(&app, Some(&proof(&mine, &t)), &code).await.ok(), &mine);
    }
}

#[apply(both_databases)]
async fn a_device_binds_its_family_to_its_key(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = television(&t).await;
    let mut metadata = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    metadata.dpop_bound_access_tokens = true;
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let device = Device::of(&app).await;
    let poll = async |proof: Option<&str>| {
        let fields = [("grant_type", DEVICE_CODE), ("device_code", &*device.device_code)];
        token(&app, proof, &fields).await
    };
    poll(None).await.refused("invalid_dpop_proof");
    poll(Some(&proof(&mine, &t))).await.refused("authorization_pending");
    device.approve(&browser).await;
    poll(None).await.refused("invalid_dpop_proof");
    let first = poll(Some(&proof(&mine, &t))).await.ok();
    is_bound_to(&first, &mine);
    let stolen = first.refresh_token();
    refresh(&app, Some(&proof(&thiefs, &t)), stolen).await.refused("invalid_dpop_proof");
    is_bound_to(&refresh(&app, Some(&proof(&mine, &t)), stolen).await.ok(), &mine);
}

#[apply(both_databases)]
async fn an_exchanged_token_is_bound_to_the_key_of_who_exchanged_it(#[case] engine: Engine) {
    let Some(w) = World::on(engine).await else { return };
    let (apps, apis) = (Key::generate(), Key::generate());
    let bound = refresh(&w.shop, Some(&proof(&apps, &w.t)), w.opened.refresh_token()).await.ok();
    is_bound_to(&bound, &apps);
    let exchange = async |proof: Option<&str>| {
        let fields = [
            ("grant_type", GRANT),
            ("subject_token", bound.access_token()),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", "notes"),
        ];
        token(&w.orders, proof, &fields).await
    };
    let plain = exchange(None).await.ok();
    assert_eq!((&plain.json["token_type"], plain.claims().get("cnf")), (&json!("Bearer"), None));
    is_bound_to(&exchange(Some(&proof(&apis, &w.t))).await.ok(), &apis);
    w.change(&w.orders, |client| client.dpop_bound_access_tokens = true).await;
    exchange(None).await.refused("invalid_dpop_proof");
    is_bound_to(&exchange(Some(&proof(&apis, &w.t))).await.ok(), &apis);
}

#[apply(both_databases)]
async fn a_client_that_authenticates_may_change_its_key(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let browser = t.signed_in("ann@example.com").await;
    let app = t.confidential().await;
    let (one, other) = (Key::generate(), Key::generate());
    let jkt = one.thumbprint();
    let code = browser.open_with(&app, &[("dpop_jkt", &jkt)]).await;
    let first = redeem(&app, Some(&proof(&one, &t)), &code).await.ok();
    is_bound_to(&first, &one);
    let second = refresh(&app, Some(&proof(&other, &t)), first.refresh_token()).await.ok();
    is_bound_to(&second, &other);
    let third = refresh(&app, None, second.refresh_token()).await.ok();
    assert_eq!(
        (&third.json["token_type"], &third.claims()["cnf"]),
        (&json!("Bearer"), &Value::Null)
    );
    let asked = [("token", second.access_token())];
    let introspected = app.post("/oauth/introspect", &asked).await.ok();
    assert_eq!(introspected.json["token_type"], "DPoP");
    assert_eq!(introspected.json["cnf"], json!({ "jkt": other.thumbprint() }));
    let service = t.add_client("svc", ClientType::Service, |_| ()).await;
    let grant = [("grant_type", "client_credentials")];
    is_bound_to(&token(&service, Some(&proof(&one, &t)), &grant).await.ok(), &one);
}

#[apply(both_databases)]
async fn a_client_can_be_set_to_have_bound_tokens_alone(#[case] engine: Engine) {
    let Some((t, browser, app)) = public(engine).await else { return };
    let key = Key::generate();
    let unbound = redeem(&app, None, &browser.open(&app).await).await.ok();
    let mut metadata = t.authority.store.client(&app.id).await.unwrap().unwrap().metadata;
    metadata.dpop_bound_access_tokens = true;
    clients::apply(&t.authority, &metadata, &Caller::operator()).await.unwrap();
    // Also where a replica still has the client in its cache as it was.
    refresh(&app, None, unbound.refresh_token()).await.refused("invalid_dpop_proof");
    let bound = refresh(&app, Some(&proof(&key, &t)), unbound.refresh_token()).await.ok();
    is_bound_to(&bound, &key);
    let code = browser.open(&app).await;
    redeem(&app, None, &code).await.refused("invalid_dpop_proof");
    is_bound_to(&redeem(&app, Some(&proof(&key, &t)), &code).await.ok(), &key);
    let service = t
        .add_client("svc", ClientType::Service, |metadata| {
            metadata.dpop_bound_access_tokens = true;
        })
        .await;
    let grant = [("grant_type", "client_credentials")];
    token(&service, None, &grant).await.refused("invalid_dpop_proof");
    token(&service, Some(&proof(&key, &t)), &grant).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_proof_needs_a_nonce_of_any_replica_and_is_good_once() {
    let t = TestApp::sqlite().await;
    let service = t.add_client("svc", ClientType::Service, |_| ()).await;
    let grant = [("grant_type", "client_credentials")];
    let key = Key::generate();
    let with = |nonce: Option<&str>| {
        let mut claims = claims(&t);
        match nonce {
            Some(nonce) => claims["nonce"] = json!(nonce),
            None => drop(claims.as_object_mut().unwrap().remove("nonce")),
        }
        key.proof(&claims)
    };
    let answer = token(&service, Some(&with(None)), &grant).await;
    answer.refused("use_dpop_nonce");
    let nonce = answer.headers["dpop-nonce"].to_str().unwrap().to_owned();
    let proof = with(Some(&nonce));
    token(&service, Some(&proof), &grant).await.ok();
    token(&service, Some(&proof), &grant).await.refused("invalid_dpop_proof");

    // All replicas have the same secret, and none keeps the nonces.
    let other = TestApp::sqlite().await;
    let of_other = other.authority.dpop.nonce(other.authority.now());
    token(&service, Some(&with(Some(&of_other))), &grant).await.ok();
    let altered = format!("{}A", &nonce[..nonce.len() - 1]);
    for wrong in [altered.as_str(), "", "AAAA", &nonce[..11]] {
        if wrong != nonce {
            token(&service, Some(&with(Some(wrong))), &grant).await.refused("use_dpop_nonce");
        }
    }
    t.advance(180);
    token(&service, Some(&with(Some(&nonce))), &grant).await.ok();
    t.advance(181);
    token(&service, Some(&with(Some(&nonce))), &grant).await.refused("use_dpop_nonce");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn proofs_for_something_else_are_refused_and_use_nothing_up() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let code = browser.open(&app).await;
    let key = Key::generate();
    let now = t.authority.now().secs();
    for (name, value) in [
        ("htm", json!("GET")),
        ("htu", json!(t.authority.config.public_url.join("/oauth/userinfo"))),
        ("htu", json!("https://other.example/oauth/token")),
        ("iat", json!(now - 70)),
        ("iat", json!(now + 40)),
        ("jti", json!("")),
    ] {
        let mut claims = claims(&t);
        claims[name] = value.clone();
        let answer = redeem(&app, Some(&key.proof(&claims)), &code).await;
        answer.refused("invalid_dpop_proof");
        assert!(!answer.json.to_string().contains(&key.thumbprint()), "{name} {value}");
    }
    for nonsense in ["", "x", "a.b.c"] {
        redeem(&app, Some(nonsense), &code).await.refused("invalid_dpop_proof");
    }
    is_bound_to(&redeem(&app, Some(&proof(&key, &t)), &code).await.ok(), &key);
}

#[apply(both_databases)]
async fn the_grace_of_a_bound_family_is_long_and_knows_no_places(#[case] engine: Engine) {
    let Some((t, browser, app)) = public(engine).await else { return };
    let key = Key::generate();
    let first = redeem(&app, Some(&proof(&key, &t)), &browser.open(&app).await).await.ok();
    let second = refresh(&app, Some(&proof(&key, &t)), first.refresh_token()).await.ok();
    t.advance(590);
    // With another user agent than before, twice: the key says that it is the owner.
    for agent in ["one", "two"] {
        let proof = proof(&key, &t);
        let request = client().post(format!("{}/oauth/token", app.url));
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", first.refresh_token()),
            ("client_id", &app.id),
        ];
        let request = request.header("dpop", proof).header("user-agent", agent).form(&form);
        let again = read(request.send().await.unwrap()).await.ok();
        assert_eq!(again.refresh_token(), second.refresh_token());
    }
    assert!(t.events("family.grace_elsewhere").await.is_empty());
    t.advance(11);
    refresh(&app, Some(&proof(&key, &t)), first.refresh_token()).await.refused("invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn userinfo_wants_a_proof_for_a_bound_token() {
    let t = TestApp::sqlite().await;
    let browser = t.signed_in("ann@example.com").await;
    let app = t.public().await;
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let bound = redeem(&app, Some(&proof(&mine, &t)), &browser.open(&app).await).await.ok();
    let token = bound.access_token();
    let ask = async |scheme: &str, token: &str, proof: Option<String>| {
        let mut request = client()
            .get(format!("{}/oauth/userinfo", t.url))
            .header("authorization", format!("{scheme} {token}"));
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        read(request.send().await.unwrap()).await
    };
    let proof = |key: &Key, token: &str| {
        let mut claims = claims(&t);
        claims["htm"] = json!("GET");
        claims["htu"] = json!(t.authority.config.public_url.join("/oauth/userinfo"));
        claims["ath"] = json!(hash(token));
        claims.as_object_mut().unwrap().remove("nonce");
        key.proof(&claims)
    };
    let good = proof(&mine, token);
    assert_eq!(ask("DPoP", token, Some(good.clone())).await.ok().json["email"], "ann@example.com");
    for (scheme, proof, error) in [
        ("Bearer", Some(proof(&mine, token)), "invalid_token"),
        ("Bearer", None, "invalid_token"),
        ("DPoP", Some(good), "invalid_dpop_proof"),
        ("DPoP", None, "invalid_dpop_proof"),
        ("DPoP", Some(proof(&mine, "another token")), "invalid_dpop_proof"),
        ("DPoP", Some(proof(&thiefs, token)), "invalid_token"),
    ] {
        let answer = ask(scheme, token, proof).await;
        assert_eq!(
            (answer.status, answer.json["error"].as_str()),
            (StatusCode::UNAUTHORIZED, Some(error))
        );
        let challenge = answer.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.starts_with(scheme), "{challenge}");
    }
    // A bearer token stays one.
    let code = browser.open(&app).await;
    let plain = app.redeem(&code).await.ok();
    let plain = plain.access_token();
    assert_eq!(
        ask("DPoP", plain, Some(proof(&mine, plain))).await.status,
        StatusCode::UNAUTHORIZED
    );
    ask("Bearer", plain, None).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn discovery_names_the_algorithms_of_proofs() {
    let t = TestApp::sqlite().await;
    let url = format!("{}/.well-known/oauth-authorization-server", t.url);
    let document: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    let algorithms = json!(["RS256", "PS256", "ES256", "EdDSA"]);
    assert_eq!(document["dpop_signing_alg_values_supported"], algorithms);
}
