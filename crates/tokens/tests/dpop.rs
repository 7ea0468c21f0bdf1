//! Tokens that are bound to a key: the guard accepts them with a proof of it, and nothing else (RFC 9449 §7).

use std::time::Duration;

use http::Request;
use serde_json::{Value, json};
use testing::dpop::{Key, hash};
use tokens::dpop::ProofError;
use tokens::{AccessToken, Algorithm, Denied, Guard, Reject, RequestParts, SigningKey};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

const NOW: i64 = 1_800_000_000;
const ORIGIN: &str = "https://notes.example";

/// Good claims of a proof for `GET /notes?limit=5`.
fn claims(token: &str, jti: &str) -> Value {
    json!({
        "jti": jti,
        "htm": "GET",
        "htu": format!("{ORIGIN}/notes"),
        "iat": NOW,
        "ath": hash(token),
    })
}

struct World {
    _server: MockServer,
    guard: Guard,
    issuer: String,
    authority: SigningKey,
}

impl World {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let private = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let authority = SigningKey::from_private(Algorithm::EdDSA, &private).unwrap();
        let jwks = json!({ "keys": [authority.public_jwk()] });
        Mock::given(path("/.well-known/jwks.json"))
            .respond_with(ResponseTemplate::new(200).set_body_json(jwks))
            .mount(&server)
            .await;
        let guard = Guard::connect(&server.uri(), "notes").unwrap().with_clock(|| NOW);
        while !guard.is_ready() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self { issuer: server.uri(), guard: guard.dpop(ORIGIN), authority, _server: server }
    }

    fn token(&self, cnf: Option<Value>) -> String {
        let mut claims = json!({ "iss": self.issuer, "sub": "app:worker", "aud": "notes",
            "client_id": "worker", "iat": NOW, "exp": NOW + 300, "jti": "one", "scope": "" });
        if let Some(cnf) = cnf {
            claims["cnf"] = cnf;
        }
        self.authority.sign("at+jwt", &claims).unwrap()
    }

    fn bound(&self, key: &Key) -> String {
        self.token(Some(json!({ "jkt": key.thumbprint() })))
    }
}

/// A request for `GET /notes?limit=5`, as it arrives behind a proxy.
async fn ask(
    guard: &Guard,
    scheme: &str,
    token: &str,
    proofs: &[&str],
) -> Result<AccessToken, Denied> {
    let mut request = Request::builder()
        .uri("/notes?limit=5")
        .header("host", "127.0.0.1:8081")
        .header("authorization", format!("{scheme} {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    guard.authenticate(&RequestParts::from(&request.body(()).unwrap())).await
}

#[tokio::test]
async fn a_bound_token_needs_a_proof_of_its_key_for_each_request() {
    let w = World::start().await;
    let (mine, thiefs) = (Key::generate(), Key::generate());
    let token = w.bound(&mine);
    let proof = mine.sign(&mine.header(), &claims(&token, "1"));
    let accepted = ask(&w.guard, "DPoP", &token, &[&proof]).await.unwrap();
    assert_eq!(accepted.cnf.as_ref().unwrap().jkt, mine.thumbprint());

    let refused = |why| Err::<AccessToken, _>(Denied::InvalidProof(why));
    let again = ask(&w.guard, "dpop", &token, &[&proof]).await;
    assert_eq!(again, refused(ProofError::Replayed));
    assert_eq!(ask(&w.guard, "DPoP", &token, &[]).await, refused(ProofError::Missing));
    let two = [proof.as_str(), proof.as_str()];
    assert_eq!(ask(&w.guard, "DPoP", &token, &two).await, refused(ProofError::Several));
    let of_thief = thiefs.sign(&thiefs.header(), &claims(&token, "2"));
    let answer = ask(&w.guard, "DPoP", &token, &[&of_thief]).await;
    assert_eq!(answer, refused(ProofError::WrongKey));
    let with_my_key_named = thiefs.sign(&mine.header(), &claims(&token, "3"));
    let answer = ask(&w.guard, "DPoP", &token, &[&with_my_key_named]).await;
    assert_eq!(answer, refused(ProofError::BadSignature));

    // As a bearer token it is worth nothing, with a proof or without.
    for proofs in [&[][..], &[proof.as_str()]] {
        let denied = ask(&w.guard, "Bearer", &token, proofs).await.unwrap_err();
        assert_eq!(denied, Denied::InvalidToken(Reject::Bound));
        assert!(denied.challenge("notes").unwrap().starts_with("DPoP realm=\"notes\""));
    }
    // A token that is bound to nothing is a bearer token alone.
    let plain = w.token(None);
    let proof = mine.sign(&mine.header(), &claims(&plain, "4"));
    let answer = ask(&w.guard, "DPoP", &plain, &[&proof]).await;
    assert_eq!(answer.unwrap_err(), Denied::InvalidToken(Reject::NotBound));
    ask(&w.guard, "Bearer", &plain, &[]).await.unwrap();
}

#[tokio::test]
async fn proofs_with_a_wrong_claim_or_header_are_refused() {
    let w = World::start().await;
    let key = Key::generate();
    let token = w.bound(&key);
    for (name, value, why) in [
        ("htm", json!("POST"), ProofError::WrongRequest),
        ("htm", json!("get"), ProofError::WrongRequest),
        ("htm", Value::Null, ProofError::WrongRequest),
        ("htu", json!("https://notes.example/other"), ProofError::WrongRequest),
        ("htu", json!("http://notes.example/notes"), ProofError::WrongRequest),
        ("htu", json!("https://127.0.0.1:8081/notes"), ProofError::WrongRequest),
        ("htu", json!("/notes"), ProofError::WrongRequest),
        ("htu", Value::Null, ProofError::WrongRequest),
        ("iat", json!(NOW - 61), ProofError::WrongTime),
        ("iat", json!(NOW + 31), ProofError::WrongTime),
        ("iat", json!("now"), ProofError::WrongTime),
        ("iat", Value::Null, ProofError::WrongTime),
        ("jti", json!(""), ProofError::WrongId),
        ("jti", json!("x".repeat(257)), ProofError::WrongId),
        ("jti", Value::Null, ProofError::WrongId),
        ("ath", json!("x"), ProofError::WrongToken),
        ("ath", Value::Null, ProofError::WrongToken),
        ("nonce", json!(7), ProofError::Malformed),
    ] {
        let mut claims = claims(&token, "1");
        match &value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
        let proof = key.sign(&key.header(), &claims);
        let denied = ask(&w.guard, "DPoP", &token, &[&proof]).await.unwrap_err();
        assert_eq!(denied, Denied::InvalidProof(why), "{name} {value}");
        assert_eq!(denied.status(), 401);
        assert!(denied.challenge("notes").unwrap().contains("error=\"invalid_dpop_proof\""));
    }
    let mut private = key.jwk();
    private["d"] = json!("AA");
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", Value::Null),
        ("alg", json!("HS256")),
        ("alg", json!("none")),
        ("jwk", Value::Null),
        ("jwk", private),
        ("jwk", json!({ "kty": "oct", "k": "AA" })),
        ("crit", json!(["x"])),
    ] {
        let mut header = key.header();
        match &value {
            Value::Null => drop(header.as_object_mut().unwrap().remove(name)),
            value => header[name] = value.clone(),
        }
        let proof = key.sign(&header, &claims(&token, "1"));
        let denied = ask(&w.guard, "DPoP", &token, &[&proof]).await.unwrap_err();
        assert_eq!(denied, Denied::InvalidProof(ProofError::Malformed), "{name} {value}");
    }
    // None of them has used its `jti` up.
    let mut good = claims(&token, "1");
    good["htu"] = json!("HTTPS://NOTES.example:443/notes?other=1#here");
    ask(&w.guard, "DPoP", &token, &[&key.sign(&key.header(), &good)]).await.unwrap();
}

#[tokio::test]
async fn a_guard_that_checks_no_proofs_and_a_binding_of_another_kind_refuse_the_token() {
    let w = World::start().await;
    let key = Key::generate();
    let token = w.bound(&key);
    let proof = key.sign(&key.header(), &claims(&token, "1"));
    let plain = Guard::connect(&w.issuer, "notes").unwrap().with_clock(|| NOW);
    while !plain.is_ready() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for scheme in ["Bearer", "DPoP"] {
        let denied = ask(&plain, scheme, &token, &[&proof]).await.unwrap_err();
        assert_eq!(denied, Denied::InvalidToken(Reject::Bound), "{scheme}");
    }
    for cnf in [
        json!({ "x5t#S256": "hash" }),
        json!({ "jkt": key.thumbprint(), "x5t#S256": "hash" }),
        json!({ "jkt": 1 }),
        json!({}),
        json!(null),
    ] {
        let denied = ask(&w.guard, "Bearer", &w.token(Some(cnf.clone())), &[]).await.unwrap_err();
        assert_eq!(denied, Denied::InvalidToken(Reject::InvalidClaim("cnf")), "{cnf}");
    }
}
