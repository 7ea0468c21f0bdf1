//! What the lines of discovery are tried on: a server, a user, an app, and keys.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::{ClientMetadata, ClientType};
use aa_server::ops::account::picture;
use serde_json::{Value, json};
use tokens::Algorithm;

use super::fapi2::{ASSERTION_TYPE, Key};
use super::{Flow, Mode, Rp, USER, metadata};
use crate::support::{Answer, CALLBACK, OAuthApp, TestApp, client, read};

pub const ALGORITHMS: [&str; 5] = ["RS256", "PS256", "ES256", "EdDSA", "HS256"];
const METHODS: [&str; 5] =
    ["client_secret_basic", "client_secret_post", "private_key_jwt", "none", "client_secret_jwt"];

/// A server, an app with all scopes that is signed in to, and an app with keys.
pub struct World {
    pub rp: Rp,
    pub flow: Flow,
    /// A key for each algorithm of assertions and proofs, in the order of [`ALGORITHMS`].
    pub keys: Vec<Key>,
    pub document: Value,
}

impl World {
    pub async fn start() -> Self {
        let rp = Rp::with(Mode::Query, &[], |app| {
            let scopes = ["openid", "profile", "email", "offline_access", "roles", "groups"];
            app.scopes = scopes.map(str::to_owned).to_vec();
            app.device = true;
            app.client_credentials = true;
        })
        .await;
        let t = &rp.t;
        let user = t.authority.store.user_by_email(USER).await.unwrap().unwrap();
        let mut file = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(1, 1).write_to(&mut file, image::ImageFormat::Png).unwrap();
        let png = Some(file.into_inner());
        picture::set(&t.authority, &user, png, &Caller::operator()).await.unwrap();
        let keys: Vec<Key> = ALGORITHMS[..4].iter().map(|name| Key::new(name)).collect();
        let jwks: Vec<&Value> = keys.iter().map(|key| &key.jwk).collect();
        t.add_client("signed", ClientType::Confidential, |app| {
            app.jwks = Some(json!({ "keys": jwks }));
        })
        .await;
        t.public().await;
        let flow = rp.flow(&[("scope", "openid profile email offline_access roles groups")]).await;
        let document = metadata(t).await;
        Self { rp, flow, keys, document }
    }

    pub fn t(&self) -> &TestApp {
        &self.rp.t
    }

    /// The path of an address of this server.
    pub fn path(&self, name: &str) -> &str {
        let address = self.document[name].as_str().unwrap_or_else(|| panic!("no {name}"));
        address.strip_prefix(&self.t().url).unwrap_or_else(|| panic!("{name}: {address}"))
    }

    pub fn says(&self, name: &str, what: &[&str]) {
        assert_eq!(self.document[name], json!(what), "{name}");
    }

    /// An assertion by this algorithm; with the shared secret by HS256.
    pub fn assertion(&self, algorithm: &str) -> String {
        let now = self.t().authority.now().secs();
        let claims = |id: &str| {
            json!({
                "iss": id,
                "sub": id,
                "aud": self.t().authority.config.public_url.as_str(),
                "exp": now + 60,
                "jti": self.t().authority.random.uuid().to_string(),
            })
        };
        match self.keys.iter().find(|key| key.algorithm == algorithm) {
            Some(key) => key.sign(&json!({ "alg": algorithm }), &claims("signed")),
            None => jsonwebtoken::encode(
                &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
                &claims(&self.rp.app.id),
                &jsonwebtoken::EncodingKey::from_secret(
                    self.rp.app.secret.as_deref().unwrap().as_bytes(),
                ),
            )
            .unwrap(),
        }
    }

    /// Sends fields to an endpoint, with credentials of this method.
    pub async fn by(&self, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let app = &self.rp.app;
        let secret = app.secret.as_deref().unwrap();
        let mut form = fields.to_vec();
        let mut request = client().post(format!("{}{path}", self.t().url));
        let assertion =
            self.assertion(if method == "client_secret_jwt" { "HS256" } else { "ES256" });
        match method {
            "client_secret_basic" => request = request.basic_auth(&app.id, Some(secret)),
            "client_secret_post" => {
                form.extend([("client_id", &*app.id), ("client_secret", secret)]);
            }
            "none" => form.push(("client_id", "native")),
            _ => form.extend([
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &*assertion),
            ]),
        }
        read(request.form(&form).send().await.unwrap()).await
    }

    /// Which of the methods, and which of the algorithms of assertions, an endpoint accepts.
    pub async fn accepted_at(&self, path: &str, fields: &[(&str, &str)]) -> (Vec<&str>, Vec<&str>) {
        let accepts = |answer: &Answer| answer.json["error"] != "invalid_client";
        let (mut methods, mut algorithms) = (Vec::new(), Vec::new());
        for method in METHODS {
            if accepts(&self.by(method, path, fields).await) {
                methods.push(method);
            }
        }
        for algorithm in ALGORITHMS {
            let assertion = self.assertion(algorithm);
            let mut form = fields.to_vec();
            form.push(("client_assertion_type", ASSERTION_TYPE));
            form.push(("client_assertion", &assertion));
            let request = client().post(format!("{}{path}", self.t().url)).form(&form);
            if accepts(&read(request.send().await.unwrap()).await) {
                algorithms.push(algorithm);
            }
        }
        (methods, algorithms)
    }

    pub async fn check_authentication(&self, endpoint: &str, fields: &[(&str, &str)]) {
        let path = self.path(&format!("{endpoint}_endpoint"));
        let (methods, algorithms) = self.accepted_at(path, fields).await;
        self.says(&format!("{endpoint}_endpoint_auth_methods_supported"), &methods);
        self.says(&format!("{endpoint}_endpoint_auth_signing_alg_values_supported"), &algorithms);
    }

    /// The error of an authorization request in this session, if there is one.
    pub async fn error_of(&self, more: &[(&str, &str)]) -> Option<String> {
        let answer = self.rp.ask(more).await;
        answer.headers().get("location")?;
        let to = crate::support::location(&answer).replacen('#', "?", 1);
        let to = url::Url::parse(&to).ok()?;
        to.query_pairs().find(|(name, _)| name == "error").map(|(_, code)| code.into_owned())
    }

    /// Of these values of a parameter, those that are no error.
    pub async fn accepted<'a>(&self, parameter: &str, values: &[&'a str]) -> Vec<&'a str> {
        let mut accepted = Vec::new();
        for value in values {
            if self.error_of(&[(parameter, value)]).await.is_none() {
                accepted.push(*value);
            }
        }
        accepted
    }

    /// An app that is registered with one of the algorithms, and what it gets; none where it cannot be registered.
    pub async fn registered_with(
        &self,
        kind: &str,
        name: &str,
        set: impl Fn(&mut ClientMetadata, Algorithm),
    ) -> Option<(OAuthApp, Answer, Algorithm)> {
        let algorithm: Algorithm = name.parse().ok()?;
        let id = format!("{kind}-{}", name.to_lowercase());
        let mut metadata = ClientMetadata::named(&id, &id, ClientType::Confidential);
        metadata.redirect_uris = vec![CALLBACK.to_owned()];
        set(&mut metadata, algorithm);
        metadata.check().ok()?;
        let app =
            self.t().add_client(&id, ClientType::Confidential, |app| set(app, algorithm)).await;
        let answer = app.redeem(&self.rp.browser.open(&app).await).await.ok();
        Some((app, answer, algorithm))
    }
}

impl World {
    pub fn says_true_or_is_at(&self, name: &str, path: &str) {
        if self.document[name] != true {
            assert_eq!(self.path(name), path);
        }
    }
}
