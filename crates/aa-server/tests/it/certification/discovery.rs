//! Discovery says exactly what is true: each line of both documents is derived from what the server does.
//!
//! A line that is added to a document without a check here makes the test fail.

use aa_server::domain::client::ClientMetadata;
use aa_server::domain::subject::SubjectType;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokens::Algorithm;

use super::discovery_world::{ALGORITHMS, World};
use super::{Mode, Rp, USER, checked_id_token, list, metadata, sign_in_page, verified};
use crate::support::{Browser, PASSWORD, TestApp, VERIFIER, challenge, client, header_of, read};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_of_both_documents_is_true() {
    let w = World::start().await;
    let lines = w.document.as_object().unwrap().clone();
    let url = format!("{}/.well-known/oauth-authorization-server", w.t().url);
    let other: Value = client().get(url).send().await.unwrap().json().await.unwrap();
    for (name, value) in other.as_object().unwrap() {
        assert_eq!(lines.get(name), Some(value), "{name}: the documents say the same");
    }
    for name in lines.keys() {
        check(&w, name).await;
    }
}

/// The one line that is there only where apps may register themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_is_named_where_it_is_on() {
    for (given, status) in [
        (&[][..], StatusCode::NOT_FOUND),
        (&[("client_registration", "initial_access_token")], StatusCode::UNAUTHORIZED),
    ] {
        let t = TestApp::with(None, given).await;
        let address = format!("{}/oauth/register", t.url);
        let is_on = status == StatusCode::UNAUTHORIZED;
        let said = metadata(&t).await["registration_endpoint"].clone();
        assert_eq!(said, if is_on { json!(address) } else { Value::Null });
        assert_eq!(client().post(address).json(&json!({})).send().await.unwrap().status(), status);
    }
}

async fn check(w: &World, name: &str) {
    let is_known = Box::pin(check_endpoint(w, name)).await
        || Box::pin(check_request(w, name)).await
        || Box::pin(check_client(w, name)).await
        || Box::pin(check_told(w, name)).await;
    assert!(is_known, "no behaviour is known of which `{name}` speaks");
}

/// The lines that are addresses, and what is there.
async fn check_endpoint(w: &World, name: &str) -> bool {
    let t = w.t();
    let app = &w.rp.app;
    match name {
        "issuer" => assert_eq!(w.document[name], w.flow.id_token["iss"]),
        "authorization_endpoint" | "authorization_response_iss_parameter_supported" => {
            w.says_true_or_is_at(name, "/oauth/authorize");
            let callback = w.rp.authorize(&[]).await;
            assert_eq!(callback["iss"], w.document["issuer"]);
        }
        "pushed_authorization_request_endpoint" => {
            let query = w.rp.query(&[]);
            let fields: Vec<(String, String)> =
                url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
            assert_eq!(app.post(w.path(name), &fields).await.status, StatusCode::CREATED);
        }
        "require_pushed_authorization_requests" => {
            assert_eq!(w.document[name], false);
            assert_eq!(w.error_of(&[]).await, None);
            let strict = Rp::with(Mode::Query, &[("require_par", "true")], |_| ()).await;
            assert_eq!(metadata(&strict.t).await[name], true);
            let refused = strict.callback(strict.ask(&[]).await).await;
            strict.check_error(&refused, "invalid_request");
        }
        "token_endpoint" => {
            let fields = [("grant_type", "client_credentials"), ("scope", "")];
            app.post(w.path(name), &fields[..1]).await.ok();
        }
        "device_authorization_endpoint" => {
            let answer = app.post(w.path(name), &[("scope", "openid")]).await.ok();
            assert!(answer.json["user_code"].is_string());
        }
        "revocation_endpoint" => {
            let opened = w.rp.flow(&[("scope", "openid offline_access")]).await;
            let token = opened.tokens.refresh_token();
            app.post(w.path(name), &[("token", token)]).await.ok();
            app.refresh(token).await.refused("invalid_grant");
        }
        "introspection_endpoint" | "introspection_signing_alg_values_supported" => {
            let opened = w.rp.flow(&[]).await;
            let fields = [("token", opened.tokens.access_token())];
            let path = w.path("introspection_endpoint");
            assert_eq!(app.post(path, &fields).await.ok().json["active"], true);
            let signed = [("accept", "application/token-introspection+jwt")];
            let answer = app.post_with(path, &fields, &signed).await.ok();
            let algorithm = header_of(answer.json.as_str().unwrap())["alg"].clone();
            assert_eq!(
                w.document["introspection_signing_alg_values_supported"],
                json!([algorithm])
            );
        }
        "revocations_endpoint" => {
            let url = format!("{}{}", t.url, w.path(name));
            let request = client().get(url).basic_auth(&app.id, app.secret.as_deref());
            let answer = read(request.send().await.unwrap()).await.ok();
            assert!(answer.json["cursor"].is_string());
        }
        "jwks_uri" => {
            let url = format!("{}{}", t.url, w.path(name));
            let keys: Value = client().get(url).send().await.unwrap().json().await.unwrap();
            let kid = &header_of(w.flow.id_token_text())["kid"];
            assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == *kid));
        }
        "userinfo_endpoint" => assert_eq!(w.path(name), "/oauth/userinfo"),
        "end_session_endpoint" => {
            let browser = Browser::new(&t.url);
            browser.sign_in(USER, PASSWORD).await;
            let asked = browser.get(w.path(name)).await.text().await.unwrap();
            assert!(asked.contains("Sign out?"));
        }
        // `back_channel_logout_op` has a logout token, and its `sid`.
        "backchannel_logout_supported" | "backchannel_logout_session_supported" => {
            assert_eq!(w.document[name], true);
        }
        _ => return false,
    }
    true
}

/// The lines about authorization requests.
async fn check_request(w: &World, name: &str) -> bool {
    let t = w.t();
    match name {
        "scopes_supported" => {
            let mut asked = list(&w.document, name);
            asked.push("address".to_owned());
            let opened = w.rp.flow(&[("scope", &asked.join(" "))]).await;
            asked.pop();
            assert_eq!(opened.tokens.json["scope"], asked.join(" "));
        }
        "response_types_supported" => {
            let types = ["code", "token", "id_token", "code id_token", "none"];
            w.says(name, &w.accepted("response_type", &types).await);
        }
        "response_modes_supported" => {
            let modes = ["query", "fragment", "form_post", "query.jwt", "web_message"];
            w.says(name, &w.accepted("response_mode", &modes).await);
        }
        "code_challenge_methods_supported" => {
            let challenge = challenge();
            let mut known = Vec::new();
            for (method, value) in [("S256", &*challenge), ("plain", VERIFIER)] {
                let more = [("code_challenge", value), ("code_challenge_method", method)];
                if w.error_of(&more).await.is_none() {
                    known.push(method);
                }
            }
            w.says(name, &known);
        }
        "prompt_values_supported" => {
            let prompts = ["none", "login", "consent", "select_account", "create", "dance"];
            w.says(name, &w.accepted("prompt", &prompts).await);
        }
        "acr_values_supported" => {
            let mut known = Vec::new();
            for level in ["aal1", "aal2", "aal3", "gold"] {
                let acr = json!({ "essential": true, "values": [level] });
                let claims = json!({ "id_token": { "acr": acr } }).to_string();
                let error = w.error_of(&[("claims", &claims)]).await;
                match error.as_deref() {
                    None => known.push(level),
                    Some(error) => assert_eq!(error, "unmet_authentication_requirements"),
                }
            }
            w.says(name, &known);
        }
        "ui_locales_supported" => {
            let mut known = Vec::new();
            let mut asked = list(&w.document, name);
            asked.push("se".to_owned());
            for locale in &asked {
                let browser = Browser::new(&t.url);
                let page = browser.get(&format!("/login?ui_locales={locale}")).await;
                if page.text().await.unwrap().contains(&format!("<html lang=\"{locale}\"")) {
                    known.push(locale.as_str());
                }
            }
            w.says(name, &known);
        }
        "claims_parameter_supported" => {
            let claims = r#"{"id_token":{"email":null}}"#;
            let opened = w.rp.flow(&[("scope", "openid"), ("claims", claims)]).await;
            assert_eq!(opened.id_token["email"], USER);
            assert_eq!(w.document[name], true);
        }
        "display_values_supported" => {
            for display in list(&w.document, name) {
                let anonymous = Browser::new(&t.url);
                let path = format!("/oauth/authorize?{}", w.rp.query(&[("display", &display)]));
                let page = sign_in_page(&anonymous.get(&path).await).unwrap();
                assert_eq!(anonymous.get(&page).await.status(), StatusCode::OK);
            }
        }
        "request_parameter_supported" => {
            assert_eq!(w.document[name], false);
            let error = w.error_of(&[("request", "e30.e30.")]).await;
            assert_eq!(error.as_deref(), Some("request_not_supported"));
        }
        "request_uri_parameter_supported" | "require_request_uri_registration" => {
            assert_eq!(w.document[name], false);
            let error = w.error_of(&[("request_uri", "https://rp.example/r")]).await;
            assert_eq!(error.as_deref(), Some("request_uri_not_supported"));
        }
        _ => return false,
    }
    true
}

/// The lines about clients at the endpoints that they call.
async fn check_client(w: &World, name: &str) -> bool {
    let t = w.t();
    let app = &w.rp.app;
    let bogus = [("token", "rt_nonsense")];
    match name {
        "grant_types_supported" => {
            let grants = [
                "authorization_code",
                "refresh_token",
                "client_credentials",
                "urn:ietf:params:oauth:grant-type:device_code",
                "urn:ietf:params:oauth:grant-type:token-exchange",
                "password",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "urn:openid:params:grant-type:ciba",
            ];
            let mut known = Vec::new();
            for grant in grants {
                let answer = app.token(&[("grant_type", grant)]).await;
                if answer.json["error"] != "unsupported_grant_type" {
                    known.push(grant);
                }
            }
            w.says(name, &known);
        }
        "token_endpoint_auth_methods_supported"
        | "token_endpoint_auth_signing_alg_values_supported" => {
            let fields = [("grant_type", "refresh_token"), ("refresh_token", "rt_nonsense")];
            w.check_authentication("token", &fields).await;
        }
        "revocation_endpoint_auth_methods_supported"
        | "revocation_endpoint_auth_signing_alg_values_supported" => {
            w.check_authentication("revocation", &bogus).await;
        }
        "introspection_endpoint_auth_methods_supported"
        | "introspection_endpoint_auth_signing_alg_values_supported" => {
            w.check_authentication("introspection", &bogus).await;
        }
        "dpop_signing_alg_values_supported" => {
            let mut good = Vec::new();
            for key in &w.keys {
                let now = t.authority.now();
                let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm, "jwk": key.jwk });
                let claims = json!({
                    "jti": t.authority.random.uuid().to_string(),
                    "htm": "POST",
                    "htu": t.authority.config.public_url.join("/oauth/token"),
                    "iat": now.secs(),
                    "nonce": t.authority.dpop.nonce(now),
                });
                let proof = key.sign(&header, &claims);
                let fields = [("grant_type", "client_credentials")];
                let headers = [("dpop", proof.as_str())];
                let answer = app.post_with("/oauth/token", &fields, &headers).await;
                if answer.json["token_type"] == "DPoP" {
                    good.push(key.algorithm);
                }
            }
            w.says(name, &good);
        }
        _ => return false,
    }
    true
}

/// The lines about what clients are told.
async fn check_told(w: &World, name: &str) -> bool {
    let t = w.t();
    match name {
        "subject_types_supported" => {
            w.says(name, &["public", "pairwise"]);
            let id = t.authority.store.user_by_email(USER).await.unwrap().unwrap().id;
            assert_eq!(w.flow.id_token["sub"], json!(id));
            let set = |app: &mut ClientMetadata, _| app.subject_type = SubjectType::Pairwise;
            let (app, answer, _) = w.registered_with("pairwise", "RS256", set).await.unwrap();
            let claims = checked_id_token(t, &answer, &app.id, Algorithm::RS256).await;
            assert_ne!(claims["sub"], json!(id));
        }
        "id_token_signing_alg_values_supported" => {
            let mut good = Vec::new();
            for name in ALGORITHMS {
                let set = |app: &mut ClientMetadata, it| app.id_token_alg = Some(it);
                let Some(made) = w.registered_with("id-token", name, set).await else { continue };
                let (app, answer, algorithm) = made;
                checked_id_token(t, &answer, &app.id, algorithm).await;
                good.push(name);
            }
            w.says(name, &good);
        }
        "userinfo_signing_alg_values_supported" => {
            let mut good = Vec::new();
            for name in ALGORITHMS {
                let set =
                    |app: &mut ClientMetadata, it| app.userinfo_signed_response_alg = Some(it);
                let Some(made) = w.registered_with("userinfo", name, set).await else { continue };
                let (_, answer, algorithm) = made;
                let url = format!("{}/oauth/userinfo", t.url);
                let request = client().get(url).bearer_auth(answer.access_token());
                let text = request.send().await.unwrap().text().await.unwrap();
                verified(t, &text, algorithm).await;
                good.push(name);
            }
            w.says(name, &good);
        }
        "claim_types_supported" => {
            w.says(name, &["normal"]);
            assert_eq!(w.flow.userinfo.get("_claim_names"), None);
        }
        "claims_supported" => {
            let mut seen: Vec<String> = Vec::new();
            for claims in [&w.flow.id_token, &w.flow.userinfo] {
                seen.extend(claims.as_object().unwrap().keys().cloned());
            }
            seen.sort_unstable();
            seen.dedup();
            let mut said = list(&w.document, name);
            said.sort_unstable();
            assert_eq!(seen, said);
        }
        _ => return false,
    }
    true
}
