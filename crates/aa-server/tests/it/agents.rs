//! Agents: every session is allowed by the user, on a page that says what the agent asks for; it is narrow, short and marked.

use aa_server::domain::client::{ClientMetadata, ClientType};
use foundation::time::Timestamp;
use reqwest::StatusCode;
use rstest::rstest;
use rstest_reuse::apply;
use serde_json::json;

use crate::processes::Deployment;
use crate::support::{
    Browser, CALLBACK, Engine, OAuthApp, TestApp, answer_of, both_databases, location,
};

/// An agent that may read notes, and the API with them.
async fn agent(t: &TestApp, change: impl FnOnce(&mut ClientMetadata)) -> OAuthApp {
    t.add_client("notes-api", ClientType::Api, |api| {
        api.name = "Notes".to_owned();
        api.audiences = vec!["notes".to_owned()];
        api.scope_texts = [("notes:read".to_owned(), "Read your notes".to_owned())].into();
    })
    .await;
    t.add_client("bot", ClientType::Agent, |agent| {
        agent.name = "Night Owl".to_owned();
        agent.launch_url = None;
        agent.audiences = vec!["notes".to_owned()];
        agent.scopes = vec!["notes:read".to_owned(), "offline_access".to_owned()];
        change(agent);
    })
    .await
}

const ALL: (&str, &str) = ("scope", "openid email notes:read notes:write offline_access");

/// The address of the page that the user is asked on.
async fn question(browser: &Browser, agent: &OAuthApp) -> String {
    let to = location(&browser.ask(agent, &[ALL]).await);
    assert!(to.starts_with("/continue?"), "{to}");
    to
}

#[apply(both_databases)]
async fn every_session_of_an_agent_is_allowed_on_a_page_that_says_what_it_asks_for(
    #[case] engine: Engine,
) {
    let Some(t) = engine.start().await else { return };
    let agent = agent(&t, |_| ()).await;
    let browser = t.signed_in("ann@example.com").await;
    let page = question(&browser, &agent).await;
    let shown = browser.get(&page).await;
    let csp = shown.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(csp.contains(" http://localhost:9"), "{csp}");
    let html = shown.text().await.unwrap();
    for text in [
        "Allow Night Owl?",
        "ann@example.com",
        ">bot<",
        "localhost:9, a program on this device",
        "<li>Read your notes (notes:read)</li>",
        "<li>Go on while you are away</li>",
        ">Notes<",
        "8 hours at most",
        "not used for 1 hour.",
    ] {
        assert!(html.contains(text), "{text}: {html}");
    }
    for text in ["notes:write", "your email address", "which account"] {
        assert!(!html.contains(text), "{text}");
    }
    assert!(t.events("agent.allowed").await.is_empty());
    let code = answer_of(&browser.continue_to(&page, "continue").await)["code"].clone();
    let tokens = agent.redeem(&code).await.ok();
    assert_eq!(tokens.claims()["scope"], "notes:read offline_access");
    assert_eq!(tokens.claims()["aud"], "notes");
    let [event] = &t.events("agent.allowed").await[..] else { panic!("one event") };
    assert_eq!(event.family_id, Some(tokens.family()));
    assert_eq!(event.client_id.as_deref(), Some("bot"));
    let mail = t.mail("ann@example.com", "An agent was allowed to act for you").await;
    assert!(mail.text.contains("Night Owl") && mail.text.contains("Firefox on Linux"));

    // It is open in this browser, and asks again all the same; silence is no answer.
    let again = question(&browser, &agent).await;
    assert_eq!(browser.get(&again).await.status(), StatusCode::OK);
    let silent = answer_of(&browser.ask(&agent, &[ALL, ("prompt", "none")]).await);
    assert_eq!(silent["error"], "interaction_required");
    let denied = answer_of(&browser.continue_to(&again, "cancel").await);
    assert_eq!((&*denied["error"], &*denied["state"]), ("access_denied", "some state"));
    assert_eq!(t.events("agent.denied").await[0].client_id.as_deref(), Some("bot"));
    assert!(t.is_live(tokens.family()).await);
}

#[apply(both_databases)]
async fn the_answer_is_the_users_own(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let agent = agent(&t, |agent| agent.redirect_uris = vec!["https://bot.example/cb".into()]);
    let agent = agent.await;
    let ann = t.signed_in("ann@example.com").await;
    let ask = async |browser: &Browser| {
        let redirect = ("redirect_uri", "https://bot.example/cb");
        location(&browser.ask(&agent, &[ALL, redirect]).await)
    };
    let page = ask(&ann).await;
    assert!(page.starts_with("/continue?"), "though its identity is assured: {page}");
    let attempt = page.strip_prefix("/continue?attempt=").unwrap();
    let ben = t.signed_in("ben@example.com").await;
    let fields = [("attempt", attempt), ("answer", "continue")];
    assert_eq!(ann.post("/continue", &fields, &[]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(ben.submit("/sessions", "/continue", &fields).await.status(), StatusCode::GONE);
    assert_eq!(location(&ann.submit("/apps", "/continue", &fields).await), page);
    let back = ann.get(&format!("/oauth/authorize?attempt={attempt}")).await;
    assert_eq!(location(&back), page, "the reference alone is no answer");
    assert!(location(&ann.continue_to(&page, "continue").await).contains("code="));
}

#[apply(both_databases)]
async fn a_session_of_an_agent_is_short_unless_it_is_registered_with_more(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let bot = agent(&t, |_| ()).await;
    let scopes = ["notes:read".to_owned(), "offline_access".to_owned()];
    let long = t
        .add_client("long", ClientType::Agent, |agent| {
            agent.scopes = scopes.to_vec();
            agent.lifetimes.at_ttl = Some(std::time::Duration::from_mins(10));
            agent.lifetimes.family_idle_ttl = Some(std::time::Duration::from_hours(24));
            agent.lifetimes.family_ttl = Some(std::time::Duration::from_hours(72));
        })
        .await;
    let narrow = t.add_client("narrow", ClientType::Agent, |agent| {
        agent.scopes = vec!["notes:read".to_owned()];
    });
    let narrow = narrow.await;
    let browser = t.signed_in("ann@example.com").await;
    for (app, at, idle, most) in [(&bot, 300, 3600, 8 * 3600), (&long, 600, 86_400, 3 * 86_400)] {
        let began = t.authority.now();
        let tokens = app.redeem(&browser.open_with(app, &[ALL]).await).await.ok();
        let family = t.family(tokens.family()).await;
        let lives = |until: Timestamp| until.since(began).as_secs();
        assert_eq!(tokens.json["expires_in"], at);
        assert_eq!(lives(family.state.expires_at), most);
        assert!(lives(family.state.idle_expires_at).abs_diff(idle) < 60);
        t.advance(idle + 60);
        app.refresh(tokens.refresh_token()).await.refused("invalid_grant");
    }
    let tokens = narrow.redeem(&browser.open_with(&narrow, &[ALL]).await).await.ok();
    assert_eq!(tokens.claims()["scope"], "notes:read");
    assert!(tokens.json.get("refresh_token").is_none() && tokens.json.get("id_token").is_none());
    // Nothing that it may have: no page, and no code.
    let identity = answer_of(&browser.ask(&narrow, &[("scope", "openid profile")]).await);
    assert_eq!(identity["error"], "invalid_scope");
}

#[apply(both_databases)]
async fn a_session_of_an_agent_is_marked_and_ended_on_the_sessions_page(#[case] engine: Engine) {
    let Some(t) = engine.start().await else { return };
    let agent = agent(&t, |_| ()).await;
    let app = t.add_client("board", ClientType::Confidential, |_| ()).await;
    let browser = t.signed_in("ann@example.com").await;
    app.redeem(&browser.open(&app).await).await.ok();
    let tokens = agent.redeem(&browser.open_with(&agent, &[ALL]).await).await.ok();
    let marked = "<strong>Night Owl</strong> <span class=\"badge plain\">Agent</span>";
    let html = browser.get("/sessions").await.text().await.unwrap();
    assert!(html.contains(marked) && html.contains("<strong>board</strong><br>"), "{html}");
    let copy = browser.get("/account/export").await.text().await.unwrap();
    let copy: serde_json::Value = serde_json::from_str(&copy).unwrap();
    let mut sessions: Vec<_> = copy["sessions"].as_array().unwrap().clone();
    sessions.sort_by_key(|session| session["client_id"].to_string());
    let kinds: Vec<_> = sessions.iter().map(|session| session["is_agent"].clone()).collect();
    assert_eq!(kinds, [json!(false), json!(true)]);
    let end = format!("/sessions/{}/revoke", tokens.family());
    browser.submit("/sessions", &end, &[]).await;
    agent.refresh(tokens.refresh_token()).await.refused("invalid_grant");
    assert!(browser.get("/sessions").await.text().await.unwrap().contains(marked));
}

#[test]
fn an_agent_is_added_with_its_scopes_and_has_no_secret() {
    let deployment = Deployment::migrated();
    let add = ["app", "add", "bot", "--name", "Bot", "--kind", "agent", "--redirect-uri", CALLBACK];
    let without = deployment.command().args(add).output().unwrap();
    assert!(String::from_utf8(without.stderr).unwrap().contains("scopes: an agent has no others"));
    let made = deployment.json(&[&add[..], &["--scope", "notes:read"]].concat(), "");
    assert_eq!(made, json!({ "client_id": "bot" }));
    assert_eq!(deployment.json(&["app", "show", "bot"], "")["kind"], "agent");
    let text = "notes:read=Read your notes";
    let api = ["app", "add", "notes", "--name", "Notes", "--kind", "api", "--scope-text", text];
    deployment.json(&api, "");
    let shown = deployment.json(&["app", "show", "notes"], "");
    assert_eq!(shown["scope_texts"], json!({ "notes:read": "Read your notes" }));
}
