//! The modules of the OpenID Foundation's conformance suite, one test for each, with the module's name.
//!
//! Each test sends what the module sends, and checks what it checks. Where the suite accepts several answers, the test demands
//! ours and says which it is. `docs/standards.md` lists all modules with their results, also those that have no test.
//!
//! What the suite cannot know: the apps here are registered by an operator (its `static_client`), and the clock is advanced
//! where the suite waits.

mod back_channel_logout_op;
mod basic_op;
mod config_op;
mod discovery;
mod discovery_world;
mod fapi2;
mod fapi2_assertions;
mod fapi2_dpop;
mod fapi2_requests;
mod fapi2_tokens;
mod form_post_op;
mod modules_of_claims;
mod modules_of_codes;
mod modules_of_requests;
mod rp_initiated_logout_op;
mod third_party_initiated_login_op;

use std::collections::HashMap;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::domain::directory::DirectoryData;
use aa_server::ops::account::profile;
use aa_server::ops::users;
use aa_server::store::Profile;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokens::jws::Compact;
use tokens::{Algorithm, KeySet};
use url::{Url, form_urlencoded};

use crate::support::{
    Answer, Browser, CALLBACK, OAuthApp, PASSWORD, TestApp, authorize_query, client, header_of,
    location, read,
};

/// The user of all modules.
pub const USER: &str = "ann@example.com";
/// The redirect URIs after sign-out.
pub const SIGNED_OUT: &str = "http://localhost:9/post_logout_redirect";

/// How the authorization endpoint answers: what the plans Basic OP and Form Post OP differ in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the query of the redirect URI, the default of the response type `code`.
    Query,
    /// By a form (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// A server, an app, and a browser in which the user has not signed in yet.
pub struct Rp {
    pub t: TestApp,
    pub app: OAuthApp,
    pub browser: Browser,
    pub mode: Mode,
}

/// What a whole flow has given.
pub struct Flow {
    pub tokens: Answer,
    /// The claims of the ID token.
    pub id_token: Value,
    /// The answer of the `UserInfo` endpoint.
    pub userinfo: Value,
}

impl Flow {
    pub fn id_token_text(&self) -> &str {
        self.tokens.json["id_token"].as_str().unwrap()
    }
}

impl Rp {
    pub async fn start(mode: Mode) -> Self {
        Self::with(mode, &[], |_| ()).await
    }

    /// The suite sends no `code_challenge` in these plans, so the app is one of those that do without PKCE.
    pub async fn with(
        mode: Mode,
        given: &[(&'static str, &str)],
        change: impl FnOnce(&mut ClientMetadata),
    ) -> Self {
        let t = TestApp::with(None, given).await;
        t.add_user(USER).await;
        let user = t.authority.store.user_by_email(USER).await.unwrap().unwrap();
        let typed = Profile { name: "Ann Lee", language: "en", time_zone: "Europe/Paris" };
        profile::change(&t.authority, &user, typed, &Caller::operator()).await.unwrap();
        let data = DirectoryData {
            given_name: Some("Ann".to_owned()),
            family_name: Some("Lee".to_owned()),
            groups: Some(vec!["ops".to_owned()]),
        };
        users::change_directory_data(&t.authority, &user, &data, &Caller::operator())
            .await
            .unwrap();
        let app = Self::register(&t, "rp", change).await;
        let browser = Browser::new(&t.url);
        Self { t, app, browser, mode }
    }

    /// One more app, with other credentials.
    pub async fn register(
        t: &TestApp,
        id: &str,
        change: impl FnOnce(&mut ClientMetadata),
    ) -> OAuthApp {
        t.add_client(id, ClientType::Confidential, |app| {
            app.no_pkce = true;
            app.post_logout_uris = vec![SIGNED_OUT.to_owned()];
            change(app);
        })
        .await
    }

    /// The query of the suite's request, but for `more`; an empty value leaves a parameter out.
    pub fn query(&self, more: &[(&str, &str)]) -> String {
        let mut params = vec![("scope", "openid")];
        params.extend([("code_challenge", ""), ("code_challenge_method", "")]);
        if self.mode == Mode::FormPost {
            params.push(("response_mode", "form_post"));
        }
        params.extend_from_slice(more);
        authorize_query(&self.app.id, &params)
    }

    pub async fn ask(&self, more: &[(&str, &str)]) -> Response {
        self.browser.get(&format!("/oauth/authorize?{}", self.query(more))).await
    }

    /// The whole of the browser's part: it signs in if it is asked to.
    pub async fn authorize(&self, more: &[(&str, &str)]) -> HashMap<String, String> {
        let answer = self.ask(more).await;
        self.finish(answer).await
    }

    /// Signs in if this answer asks for it, and returns the parameters that reach the app.
    pub async fn finish(&self, answer: Response) -> HashMap<String, String> {
        let answer = match sign_in_page(&answer) {
            Some(page) => sign_in(&self.t, &self.browser, &page).await,
            None => answer,
        };
        self.callback(answer).await
    }

    /// The parameters that reach the app, by the response mode of the plan and by no other.
    pub async fn callback(&self, answer: Response) -> HashMap<String, String> {
        if self.mode == Mode::FormPost {
            assert_eq!(answer.status(), StatusCode::OK);
            return posted_form(&answer.text().await.unwrap());
        }
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        query_of(&location(&answer), CALLBACK)
    }

    /// Redeems the code of a successful answer, and checks all that the suite checks of tokens.
    pub async fn redeem(&self, callback: &HashMap<String, String>) -> Answer {
        self.check_success(callback);
        let answer = self.app.redeem_with(&callback["code"], CALLBACK, None).await;
        check_token_response(&answer, "Bearer");
        answer
    }

    /// Nothing but `code`, `state` and `iss` (RFC 9207).
    pub fn check_success(&self, callback: &HashMap<String, String>) {
        assert_eq!(callback.len(), 3, "{callback:?}");
        assert_eq!(callback["state"], "some state");
        assert_eq!(callback["iss"], self.t.url);
        assert!(callback["code"].len() >= 22, "128 bits at least");
    }

    /// An error as OpenID Connect Core §3.1.2.6 has it: with the state, and with no code.
    #[track_caller]
    pub fn check_error(&self, callback: &HashMap<String, String>, code: &str) {
        assert_eq!(callback["error"], code, "{callback:?}");
        assert_eq!(callback["state"], "some state");
        assert_eq!(callback["iss"], self.t.url);
        assert!(!callback.contains_key("code"));
        let printable = |c: char| matches!(c, ' '..='~') && !"\"\\".contains(c);
        assert!(callback["error_description"].chars().all(printable));
    }

    /// The flow from the request to the answer of the `UserInfo` endpoint.
    pub async fn flow(&self, more: &[(&str, &str)]) -> Flow {
        let callback = self.authorize(more).await;
        self.flow_of(&callback).await
    }

    pub async fn flow_of(&self, callback: &HashMap<String, String>) -> Flow {
        let tokens = self.redeem(callback).await;
        let id_token = checked_id_token(&self.t, &tokens, &self.app.id, Algorithm::RS256).await;
        assert_eq!(id_token["nonce"], "some nonce");
        let userinfo = self.userinfo(&tokens).await.ok().json;
        assert_eq!(userinfo["sub"], id_token["sub"], "OpenID Connect Core §5.3.2");
        Flow { tokens, id_token, userinfo }
    }

    pub async fn userinfo(&self, tokens: &Answer) -> Answer {
        let url = format!("{}/oauth/userinfo", self.t.url);
        read(client().get(url).bearer_auth(tokens.access_token()).send().await.unwrap()).await
    }
}

/// The sign-in page that an answer leads to, if it does.
pub fn sign_in_page(answer: &Response) -> Option<String> {
    let to = answer.headers().get("location")?.to_str().unwrap();
    to.starts_with("/login?").then(|| to.to_owned())
}

/// Signs the user in on this page, and goes back to where they came from.
pub async fn sign_in(t: &TestApp, browser: &Browser, page: &str) -> Response {
    let query = page.split_once('?').unwrap().1;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let return_to = pairs.find(|(name, _)| name == "return_to").unwrap().1.into_owned();
    // Typing a password takes a second.
    t.advance(1);
    let fields = [("email", USER), ("password", PASSWORD), ("return_to", &*return_to)];
    let answer = browser.submit(page, "/login", &fields).await;
    assert_eq!(location(&answer), return_to);
    browser.get(&return_to).await
}

/// The parameters of a redirect to this address, in its query and not in the fragment.
pub fn query_of(to: &str, redirect_uri: &str) -> HashMap<String, String> {
    assert!(to.starts_with(redirect_uri), "{to}");
    let to = Url::parse(to).unwrap();
    assert_eq!(to.fragment(), None);
    to.query_pairs().into_owned().collect()
}

/// The fields of a form that posts itself to the app.
fn posted_form(page: &str) -> HashMap<String, String> {
    let form = page.split_once("<form method=\"post\"").unwrap_or_else(|| panic!("{page}")).1;
    let (form, rest) = form.split_once("</form>").unwrap();
    assert!(form.starts_with(&format!(" action=\"{CALLBACK}\"")), "{form}");
    assert!(rest.contains(".submit()"), "the page sends the form by itself: {rest}");
    let value = |part: &str, name: &str| {
        let rest = part.split_once(&format!("{name}=\"")).unwrap().1;
        rest.split('"').next().unwrap().to_owned()
    };
    let fields = form.split("<input type=\"hidden\"").skip(1);
    fields.map(|field| (value(field, "name"), value(field, "value"))).collect()
}

/// A successful answer of the token endpoint (RFC 6749 §5.1).
#[track_caller]
pub fn check_token_response(answer: &Answer, token_type: &str) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["pragma"], "no-cache");
    assert_eq!(answer.json["token_type"], token_type);
    assert!(answer.json["expires_in"].as_u64().unwrap() > 0);
    // RFC 6749 §10.10: the suite estimates 96 bits by the length.
    assert!(answer.access_token().len() > 100);
    if let Some(refresh_token) = answer.json.get("refresh_token") {
        let text = refresh_token.as_str().unwrap();
        assert!(text.len() >= 43 && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
    }
}

/// The claims of an ID token that holds (OpenID Connect Core §2, §3.1.3.7).
pub async fn checked_id_token(
    t: &TestApp,
    tokens: &Answer,
    client_id: &str,
    algorithm: Algorithm,
) -> Value {
    let text = tokens.json["id_token"].as_str().unwrap_or_else(|| panic!("{tokens:?}"));
    assert!(header_of(text)["kid"].is_string(), "OpenID Connect Core §10.1");
    let claims = verified(t, text, algorithm).await;
    let now = t.authority.now().secs();
    assert_eq!(claims["iss"], t.authority.config.public_url.as_str());
    assert_eq!(claims["aud"], client_id);
    assert!(claims.get("azp").is_none_or(|azp| azp == client_id));
    let sub = claims["sub"].as_str().unwrap();
    assert!((1..=255).contains(&sub.len()) && sub.is_ascii());
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!((iat - now).abs() <= 300 && exp > now, "{claims}");
    if let Some(hash) = claims.get("at_hash") {
        assert_eq!(hash, &half_hash(tokens.access_token()));
    }
    claims
}

/// `at_hash`: the left half of the hash (OpenID Connect Core §3.1.3.6).
fn half_hash(text: &str) -> String {
    use base64::Engine as _;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16])
}

/// The claims of a JWT that a published key has signed, by this algorithm.
pub async fn verified(t: &TestApp, text: &str, algorithm: Algorithm) -> Value {
    let jwks = client().get(format!("{}/.well-known/jwks.json", t.url)).send().await.unwrap();
    let keys = KeySet::from_jwks(&jwks.bytes().await.unwrap()).unwrap();
    let token = Compact::parse(text).unwrap();
    keys.check(&token, &[algorithm]).unwrap();
    Value::Object(token.claims().unwrap())
}

/// A JWT with another signature, of the same length.
pub fn altered(text: &str) -> String {
    let (signed, signature) = text.rsplit_once('.').unwrap();
    let (head, tail) = signature.split_at(signature.len() / 2);
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{head}{other}{}", &tail[1..])
}

/// The discovery document of OpenID Connect.
pub async fn metadata(t: &TestApp) -> Value {
    let url = format!("{}/.well-known/openid-configuration", t.url);
    let answer = client().get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    answer.json().await.unwrap()
}

/// The texts of a list in a JSON document.
pub fn list(document: &Value, name: &str) -> Vec<String> {
    let values = document[name].as_array().unwrap_or_else(|| panic!("no {name} in {document}"));
    values.iter().map(|value| value.as_str().unwrap().to_owned()).collect()
}

/// Makes a test of each module, by the body of the same name.
macro_rules! plan {
    ($mode:expr; $($from:ident: $($module:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $module() {
                super::$from::$module($mode).await;
            }
        )+)+
    };
}
use plan;
