//! What the tests of the FAPI 2.0 Security Profile share (`fapi2-security-profile-final-test-plan`): two clients with
//! `private_key_jwt` and DPoP, of the variant `plain_fapi` with OpenID Connect.

use std::collections::HashMap;

use aa_server::domain::client::ClientType;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256,
    RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokens::{Algorithm, SigningKey};
use url::form_urlencoded;

use super::{USER, check_token_response, checked_id_token, query_of, sign_in, sign_in_page};
use crate::par::{redeem, request_uri};
use crate::support::{
    Answer, Browser, CALLBACK, TestApp, VERIFIER, authorize_query, client, location, read,
};

/// The redirect URI of the second client.
pub const WITH_QUERY: &str = "http://localhost:9/callback?dummy1=lorem&dummy2=ipsum";
/// The algorithm of the ID tokens of both clients.
pub const ID_TOKEN_ALGORITHM: Algorithm = Algorithm::PS256;

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// A key of a client, and its public part.
pub struct Key {
    pair: Pair,
    /// The name of its algorithm.
    pub algorithm: &'static str,
    /// The public part, without `alg` and `kid`.
    pub jwk: Value,
}

impl Key {
    pub fn new(algorithm: &'static str) -> Self {
        let kind = match algorithm {
            "RS256" | "PS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" => Algorithm::EdDSA,
            other => panic!("{other}"),
        };
        let private = SigningKey::generate(kind).unwrap();
        let mut jwk = SigningKey::from_private(kind, &private).unwrap().public_jwk().unwrap();
        jwk.as_object_mut()
            .unwrap()
            .retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&&**name));
        let pair = match kind {
            Algorithm::ES256 => Pair::Ec(
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private).unwrap(),
            ),
            Algorithm::EdDSA => {
                Pair::Ed(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&private).unwrap())
            }
            _ => Pair::Rsa(RsaKeyPair::from_pkcs8(&private).unwrap()),
        };
        Self { pair, algorithm, jwk }
    }

    /// The thumbprint of RFC 7638, whose members are in the order of their names, as they are here.
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.jwk.to_string().as_bytes()))
    }

    /// Signs with the algorithm that the header names, or with the key's if it names none.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let algorithm = header["alg"].as_str().unwrap_or(self.algorithm);
        let input = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let scheme = if algorithm == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(scheme, &random, input.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => {
                pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap().as_ref().to_vec()
            }
            Pair::Ed(pair) => pair.sign(input.as_bytes()).as_ref().to_vec(),
        };
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A client that follows the profile.
pub struct FapiClient {
    pub id: &'static str,
    /// The key of its assertions.
    pub key: Key,
    /// The key of its proofs.
    pub dpop: Key,
    pub redirect_uri: &'static str,
}

/// A server, two clients, and a browser in which the user has not signed in yet.
pub struct Fapi {
    pub t: TestApp,
    pub browser: Browser,
    pub first: FapiClient,
    pub second: FapiClient,
}

/// A proof before it is signed.
pub struct Proof {
    pub header: Value,
    pub claims: Value,
}

impl Fapi {
    pub async fn start() -> Self {
        let t = TestApp::sqlite().await;
        t.add_user(USER).await;
        // The suite signs with PS256 where it is told nothing.
        let new = |id, redirect_uri, algorithm| FapiClient {
            id,
            key: Key::new(algorithm),
            dpop: Key::new("PS256"),
            redirect_uri,
        };
        let first = new("fapi-1", CALLBACK, "PS256");
        let second = new("fapi-2", WITH_QUERY, "ES256");
        for client in [&first, &second] {
            let mut jwk = client.key.jwk.clone();
            jwk["kid"] = json!(client.id);
            t.add_client(client.id, ClientType::Confidential, |app| {
                app.jwks = Some(json!({ "keys": [jwk] }));
                app.par = true;
                app.dpop_bound_access_tokens = true;
                app.id_token_alg = Some(ID_TOKEN_ALGORITHM);
                app.redirect_uris = vec![client.redirect_uri.to_owned()];
            })
            .await;
        }
        let browser = Browser::new(&t.url);
        Self { t, browser, first, second }
    }

    /// Good claims of an assertion: the issuer is the audience.
    pub fn assertion_claims(&self, client: &FapiClient) -> Value {
        let now = self.t.authority.now().secs();
        json!({
            "iss": client.id,
            "sub": client.id,
            "aud": self.t.authority.config.public_url.as_str(),
            "iat": now,
            "nbf": now,
            "exp": now + 60,
            "jti": self.t.authority.random.uuid().to_string(),
        })
    }

    pub fn assertion(&self, client: &FapiClient) -> String {
        let header = json!({ "alg": client.key.algorithm, "kid": client.id });
        client.key.sign(&header, &self.assertion_claims(client))
    }

    /// A good proof for a request, without a nonce.
    pub fn proof(&self, key: &Key, method: &str, path: &str) -> Proof {
        let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm, "jwk": key.jwk });
        let claims = json!({
            "jti": self.t.authority.random.uuid().to_string(),
            "htm": method,
            "htu": self.t.authority.config.public_url.join(path),
            "iat": self.t.authority.now().secs(),
        });
        Proof { header, claims }
    }

    /// Sends a form with these headers, and nothing added to it.
    pub async fn send(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = client().post(format!("{}{path}", self.t.url)).form(fields);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send().await.unwrap()).await
    }

    /// As the client: with an assertion, and with a proof of this key if there is one. A nonce is asked for, as the suite does:
    /// the first request has none.
    pub async fn post(
        &self,
        client: &FapiClient,
        path: &str,
        fields: &[(&str, &str)],
        key: Option<&Key>,
        change: impl Fn(&mut Proof),
    ) -> Answer {
        let mut nonce = None;
        loop {
            let assertion = self.assertion(client);
            let mut form = fields.to_vec();
            form.push(("client_assertion_type", ASSERTION_TYPE));
            form.push(("client_assertion", &assertion));
            let proof = key.map(|key| {
                let mut proof = self.proof(key, "POST", path);
                if let Some(nonce) = &nonce {
                    proof.claims["nonce"] = json!(nonce);
                }
                change(&mut proof);
                key.sign(&proof.header, &proof.claims)
            });
            let headers: Vec<_> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
            let answer = self.send(path, &form, &headers).await;
            if nonce.is_some() || answer.json["error"] != "use_dpop_nonce" {
                return answer;
            }
            nonce = Some(answer.headers["dpop-nonce"].to_str().unwrap().to_owned());
        }
    }

    /// The parameters of the suite's request, but for `more`; an empty value leaves one out.
    pub fn parameters(client: &FapiClient, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut params = vec![("redirect_uri", client.redirect_uri), ("scope", "openid email")];
        params.extend_from_slice(more);
        let query = authorize_query(client.id, &params);
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Pushes an authorization request.
    pub async fn push(&self, client: &FapiClient, more: &[(&str, &str)]) -> Answer {
        self.push_with(client, more, None).await
    }

    pub async fn push_with(
        &self,
        client: &FapiClient,
        more: &[(&str, &str)],
        key: Option<&Key>,
    ) -> Answer {
        let params = Self::parameters(client, more);
        let fields: Vec<_> = params.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.post(client, "/oauth/par", &fields, key, |_| ()).await
    }

    /// Pushes a request, and goes through the browser's part. Returns what reaches the client.
    pub async fn authorize(
        &self,
        client: &FapiClient,
        more: &[(&str, &str)],
    ) -> HashMap<String, String> {
        let pushed = self.push(client, more).await;
        assert!(pushed.json["expires_in"].as_u64().is_some_and(|life| (5..600).contains(&life)));
        let answer = redeem(&self.browser, client.id, &request_uri(&pushed)).await;
        self.finish(client, answer).await
    }

    /// Signs in if this answer asks for it, and returns the parameters that reach the client.
    pub async fn finish(&self, client: &FapiClient, answer: Response) -> HashMap<String, String> {
        let answer = match sign_in_page(&answer) {
            Some(page) => sign_in(&self.t, &self.browser, &page).await,
            None => answer,
        };
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let mut callback = query_of(&location(&answer), client.redirect_uri);
        if client.redirect_uri == WITH_QUERY {
            assert_eq!(callback.remove("dummy1").as_deref(), Some("lorem"));
            assert_eq!(callback.remove("dummy2").as_deref(), Some("ipsum"));
        }
        callback
    }

    /// The code of a successful answer: with `iss` (RFC 9207), and as hard to guess as RFC 6749 §10.10 wants it.
    pub fn code_of(&self, callback: &HashMap<String, String>) -> String {
        assert_eq!(callback.get("error"), None, "{callback:?}");
        assert_eq!(callback["iss"], self.t.authority.config.public_url.as_str());
        assert!(callback["code"].len() >= 22);
        callback["code"].clone()
    }

    pub async fn code(&self, client: &FapiClient, more: &[(&str, &str)]) -> String {
        self.code_of(&self.authorize(client, more).await)
    }

    /// A token request of a client with its own key.
    pub async fn token(&self, client: &FapiClient, fields: &[(&str, &str)]) -> Answer {
        self.post(client, "/oauth/token", fields, Some(&client.dpop), |_| ()).await
    }

    pub async fn redeem(&self, client: &FapiClient, code: &str) -> Answer {
        self.token(client, &redemption(client, code)).await
    }

    /// Checks the answer of a redemption, and returns the claims of its ID token.
    pub async fn check_tokens(&self, client: &FapiClient, answer: &Answer) -> Value {
        check_token_response(answer, "DPoP");
        assert_eq!(answer.claims()["cnf"], json!({ "jkt": client.dpop.thumbprint() }));
        checked_id_token(&self.t, answer, client.id, ID_TOKEN_ALGORITHM).await
    }

    /// From the request to the `UserInfo` endpoint. Returns the answer of the token endpoint and the claims of the ID token.
    pub async fn flow(&self, client: &FapiClient, more: &[(&str, &str)]) -> (Answer, Value) {
        let code = self.code(client, more).await;
        let answer = self.redeem(client, &code).await;
        let id_token = self.check_tokens(client, &answer).await;
        let userinfo = self.userinfo(&client.dpop, &answer, |_| ()).await.ok();
        assert_eq!(userinfo.json["sub"], id_token["sub"]);
        (answer, id_token)
    }

    /// A good proof for the `UserInfo` endpoint.
    pub fn userinfo_proof(&self, key: &Key, access_token: &str) -> Proof {
        let mut proof = self.proof(key, "GET", "/oauth/userinfo");
        let hash = digest(&SHA256, access_token.as_bytes());
        proof.claims["ath"] = json!(URL_SAFE_NO_PAD.encode(hash));
        proof
    }

    /// Asks for claims with a proof of this key, as `change` makes it.
    pub async fn userinfo(
        &self,
        key: &Key,
        tokens: &Answer,
        change: impl FnOnce(&mut Proof),
    ) -> Answer {
        let mut proof = self.userinfo_proof(key, tokens.access_token());
        change(&mut proof);
        let proof = key.sign(&proof.header, &proof.claims);
        self.ask_userinfo("DPoP", tokens, &[&proof]).await
    }

    /// With this scheme, and a header for each of these proofs.
    pub async fn ask_userinfo(&self, scheme: &str, tokens: &Answer, proofs: &[&str]) -> Answer {
        let url = format!("{}/oauth/userinfo", self.t.url);
        let authorization = format!("{scheme} {}", tokens.access_token());
        let mut request = client().get(url).header("authorization", authorization);
        for proof in proofs {
            request = request.header("dpop", *proof);
        }
        read(request.send().await.unwrap()).await
    }
}

/// The fields of a good redemption.
pub fn redemption<'a>(client: &FapiClient, code: &'a str) -> [(&'static str, &'a str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", client.redirect_uri),
        ("code_verifier", VERIFIER),
    ]
}

/// RFC 7523 §2.2.
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// An error as RFC 6749 §5.2 has it: in JSON, and one of these.
#[track_caller]
pub fn is_error(answer: &Answer, status: StatusCode, code: &str) {
    assert_eq!((answer.status, answer.json["error"].as_str()), (status, Some(code)));
    assert_eq!(answer.headers["content-type"], "application/json");
    let printable = |c: char| matches!(c, ' '..='~') && !"\"\\".contains(c);
    let description = answer.json["error_description"].as_str().unwrap_or_default();
    assert!(description.chars().all(printable), "{description}");
}
