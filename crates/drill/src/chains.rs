//! Chains of refreshes: each refresh token is used once and replaced by its successor.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::time::{Clock as _, SystemClock, Timestamp};
use futures_util::future::{join_all, try_join_all};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use service::run::Failure;
use url::Url;

use crate::System;

const CALLBACK: &str = "http://localhost:9/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// The pause between two refreshes of a family.
const PAUSE: Duration = Duration::from_millis(100);
/// After this many refreshes the same token is sent twice at once, as two tabs may do.
const TWICE_EVERY: usize = 5;

/// The client of the families.
#[derive(Clone)]
pub struct App {
    authority: String,
    id: String,
    secret: String,
    http: Client,
}

/// The tokens of a new family.
pub struct Tokens {
    pub access: String,
    pub refresh: String,
}

/// The history of one family.
#[derive(Default)]
pub struct Chain {
    refreshes: u32,
    tokens: Vec<String>,
    /// Unsuccessful responses, with their times.
    failures: Vec<(Timestamp, String)>,
    /// Violations of the rules for refresh tokens.
    pub wrong: Vec<String>,
}

impl App {
    /// The client id and secret.
    pub fn credentials(&self) -> (String, String) {
        (self.id.clone(), self.secret.clone())
    }

    /// Registers the client.
    pub async fn register(system: &impl System, id: &str) -> Result<Self, Failure> {
        Self::register_with(system, id, &[]).await
    }

    /// Registers the client with further flags of `app add`.
    pub async fn register_with(
        system: &impl System,
        id: &str,
        flags: &[&str],
    ) -> Result<Self, Failure> {
        let add = [
            "--json",
            "app",
            "add",
            id,
            "--name",
            id,
            "--redirect-uri",
            CALLBACK,
            "--multiple-sessions",
            "--scope",
            "openid",
            "offline_access",
        ];
        let added: Value = serde_json::from_str(&system.command(&[&add, flags].concat()).await?)?;
        Ok(Self {
            authority: system.urls().authority.clone(),
            id: id.to_owned(),
            secret: added["client_secret"].as_str().ok_or("no secret")?.to_owned(),
            http: Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(10))
                .build()?,
        })
    }

    async fn token(&self, form: &[(&str, &str)]) -> Result<Response, reqwest::Error> {
        let request = self.http.post(format!("{}/oauth/token", self.authority));
        request.basic_auth(&self.id, Some(&self.secret)).form(form).send().await
    }

    /// Sends a refresh token; returns its successor, or the response that had none.
    async fn refresh(&self, token: &str) -> Result<String, String> {
        self.refreshed(token).await.map(|tokens| tokens.refresh)
    }

    /// Sends a refresh token; returns the tokens of the response, or the response that had none.
    pub async fn refreshed(&self, token: &str) -> Result<Tokens, String> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let answer = match self.token(&form).await {
            Ok(answer) => answer,
            Err(error) => return Err(format!("no answer: {}", error.without_url())),
        };
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        match (body["access_token"].as_str(), body["refresh_token"].as_str()) {
            (Some(access), Some(next)) if status.is_success() => {
                Ok(Tokens { access: access.to_owned(), refresh: next.to_owned() })
            }
            _ => Err(format!("{} {}", status.as_u16(), body["error"].as_str().unwrap_or("?"))),
        }
    }

    /// Signs a user in with a new browser, and opens the client.
    pub async fn open(&self) -> Result<Tokens, Failure> {
        let mut cookies = self.sign_in().await?;
        self.open_in(&mut cookies).await
    }

    /// Signs a user in; returns the cookies of the browser.
    pub async fn sign_in(&self) -> Result<HashMap<String, String>, Failure> {
        let mut cookies = HashMap::new();
        let login = format!("{}/login", self.authority);
        let page = self.visit(&login, None, &mut cookies).await?.text().await?;
        let csrf =
            page.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        let csrf = csrf.ok_or("there is no sign-in page")?;
        let form = [("csrf", csrf), ("email", "ann@example.com"), ("password", "tangerine-lamp")];
        let signed_in = self.visit(&login, Some(&form), &mut cookies).await?;
        if signed_in.status() != StatusCode::SEE_OTHER {
            return Err(format!("signing in answered {}", signed_in.status()).into());
        }
        Ok(cookies)
    }

    /// Opens the client in a browser that is signed in.
    pub async fn open_in(&self, cookies: &mut HashMap<String, String>) -> Result<Tokens, Failure> {
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let mut authorize = Url::parse(&format!("{}/oauth/authorize", self.authority))?;
        authorize.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.id),
            ("redirect_uri", CALLBACK),
            ("scope", "openid offline_access"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let answer = self.visit(authorize.as_str(), None, cookies).await?;
        let to = answer.headers().get("location").ok_or("no redirect to the app")?.to_str()?;
        let to = Url::parse(to)?;
        let code = to.query_pairs().find(|(name, _)| name == "code").ok_or("no code")?.1;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let body: Value = self.token(&form).await?.json().await?;
        let text =
            |name: &str| body[name].as_str().map(str::to_owned).ok_or_else(|| body.to_string());
        Ok(Tokens { access: text("access_token")?, refresh: text("refresh_token")? })
    }

    /// Ends a family by its refresh token (RFC 7009), again and again until that is answered with success.
    pub async fn end(&self, refresh_token: &str) {
        let url = format!("{}/oauth/revoke", self.authority);
        loop {
            let form = [("token", refresh_token)];
            let request = self.http.post(&url).basic_auth(&self.id, Some(&self.secret)).form(&form);
            if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn visit(
        &self,
        url: &str,
        form: Option<&[(&str, &str)]>,
        cookies: &mut HashMap<String, String>,
    ) -> Result<Response, Failure> {
        let pairs: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = match form {
            Some(form) => self.http.post(url).form(form),
            None => self.http.get(url),
        };
        let answer = request.header("cookie", pairs.join("; ")).send().await?;
        for value in answer.headers().get_all("set-cookie") {
            let (name, rest) = value.to_str()?.split_once('=').ok_or("an odd cookie")?;
            let value = rest.split(';').next().unwrap_or_default();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        Ok(answer)
    }

    /// Refreshes until told to stop. A request without response, or with a 503, is retried with the same token.
    pub async fn follow(&self, first: String, stop: Arc<AtomicBool>) -> Chain {
        let mut chain = Chain { tokens: vec![first], ..Chain::default() };
        while !stop.load(Ordering::SeqCst) {
            let token = chain.tokens.last().cloned().unwrap_or_default();
            let tabs = if chain.tokens.len().is_multiple_of(TWICE_EVERY) { 2 } else { 1 };
            let answers = join_all((0..tabs).map(|_| self.refresh(&token))).await;
            let mut next: Vec<String> = Vec::new();
            for answer in answers {
                match answer {
                    Ok(token) => next.push(token),
                    Err(said) => {
                        let passing = said.starts_with("503 ") || said.starts_with("no answer");
                        if !passing {
                            chain.wrong.push(said.clone());
                        }
                        chain.failures.push((SystemClock.now(), said));
                    }
                }
            }
            next.dedup();
            if next.len() > 1 {
                chain.wrong.push("two tabs got two different tokens".to_owned());
            }
            if let Some(next) = next.pop() {
                chain.refreshes += 1;
                chain.tokens.push(next);
            }
            if !chain.wrong.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        chain
    }

    /// Checks that one token is live: its predecessor yields it again, and an older token ends the family with it.
    pub async fn has_one_live_token(&self, chain: &Chain) -> Result<(), Failure> {
        let [.., older, predecessor, newest] = chain.tokens.as_slice() else {
            return Err("there were too few refreshes".into());
        };
        let again = self.refresh(predecessor).await?;
        if again != *newest {
            return Err("a predecessor led to another token than the newest".into());
        }
        for token in [older, newest] {
            match self.refresh(token).await {
                Err(said) if said == "400 invalid_grant" => {}
                other => return Err(format!("after a reuse: {other:?}").into()),
            }
        }
        Ok(())
    }
}

/// Refreshes while one replica is killed and restarted, and then both are stopped gracefully in turn.
pub async fn drill(
    system: &impl System,
    families: usize,
    duration: Duration,
) -> Result<(), Failure> {
    let app = App::register(system, "drill").await?;
    let mut first = Vec::new();
    while first.len() < families {
        first.extend(try_join_all((0..families.min(5)).map(|_| app.open())).await?);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let chains: Vec<_> = first
        .into_iter()
        .map(|tokens| {
            let (app, stop) = (app.clone(), Arc::clone(&stop));
            tokio::spawn(async move { app.follow(tokens.refresh, stop).await })
        })
        .collect();

    // A sixth of the time each: all is well · one is dead · it is back · the other is stopped gently · it is back ·
    // the first is stopped gently, and started again.
    let part = duration / 6;
    tokio::time::sleep(part).await;
    system.kill(0).await?;
    println!("replica 1 was killed");
    tokio::time::sleep(part).await;
    system.start(0).await?;
    tokio::time::sleep(part).await;
    let gently = SystemClock.now();
    system.stop(1).await?;
    println!("replica 2 was stopped");
    tokio::time::sleep(part).await;
    system.start(1).await?;
    tokio::time::sleep(part).await;
    system.stop(0).await?;
    println!("replica 1 was stopped");
    system.start(0).await?;
    tokio::time::sleep(part).await;
    stop.store(true, Ordering::SeqCst);

    let mut ended = Vec::new();
    for chain in chains {
        ended.push(chain.await?);
    }
    let refreshes: u32 = ended.iter().map(|chain| chain.refreshes).sum();
    let mut said: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, failure) in ended.iter().flat_map(|chain| &chain.failures) {
        *said.entry(failure.as_str()).or_default() += 1;
    }
    println!("{refreshes} refreshes of {families} families; no success: {said:?}");
    let wrong: Vec<_> = ended.iter().flat_map(|chain| &chain.wrong).collect();
    if !wrong.is_empty() {
        return Err(format!("{wrong:?}").into());
    }
    let failures = ended.iter().flat_map(|chain| &chain.failures);
    let in_rolling: Vec<_> = failures.filter(|(at, _)| *at >= gently).collect();
    if !in_rolling.is_empty() {
        return Err(format!("a gentle stop failed requests: {in_rolling:?}").into());
    }
    println!("no request failed while replicas were stopped gently and started again");
    for chain in &ended {
        app.has_one_live_token(chain).await?;
    }
    println!("no family was lost, and each had one live token");
    Ok(())
}
