//! One table of what is refused, and why: a negative test for every claim and every trick.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokens::{Algorithm, CachedVerifier, KeySet, Reject, SigningKey, Verifier};

const ISSUER: &str = "https://aa.example";
const NOW: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "0190a0a0-0000-7000-8000-000000000001",
        "aud": "notes",
        "client_id": "bff",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": "one",
        "sid": "0190a0a0-0000-7000-8000-000000000002",
        "scope": "openid notes:read",
        "auth_time": NOW - 10,
        "amr": ["pwd"],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

struct World {
    private: Vec<u8>,
    key: SigningKey,
    keys: KeySet,
    verifier: Verifier,
}

fn world(algorithm: Algorithm) -> World {
    let private = SigningKey::generate(algorithm).unwrap();
    let key = SigningKey::from_private(algorithm, &private).unwrap();
    let keys = match key.public_jwk() {
        Some(jwk) => KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap(),
        None => KeySet::default().with_secret(key.id(), &private).unwrap(),
    };
    let verifier = Verifier::new(ISSUER, "notes").algorithms(&Algorithm::ALL);
    World { private: private.to_vec(), key, keys, verifier }
}

fn agreed(
    verifier: &Verifier,
    token: &str,
    keys: &KeySet,
    now: i64,
) -> Result<tokens::Claims, Reject> {
    let cached = CachedVerifier::new(verifier.clone(), 1 << 20);
    let answer = verifier.verify(token, keys, now);
    for turn in ["first", "second"] {
        let again = cached.verify(token, keys, now).map(|claims| (*claims).clone());
        assert_eq!(again, answer, "the {turn} time, remembering: {token:.80}");
    }
    assert_eq!(
        cached.len(),
        usize::from(answer.is_ok()),
        "what is good is remembered, and nothing else"
    );
    answer
}

impl World {
    /// By every path there is, which must agree: without a memory, and with one that does not know the token yet and
    /// then may.
    fn verify(&self, token: &str) -> Result<tokens::Claims, Reject> {
        agreed(&self.verifier, token, &self.keys, NOW)
    }

    fn verify_claims(&self, claims: &Value) -> Result<tokens::Claims, Reject> {
        self.verify(&self.key.sign("at+jwt", claims).unwrap())
    }

    /// A token whose header is exactly this text, signed all the same.
    fn with_header(&self, header: &str, claims: &str) -> String {
        let input =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{input}.{}", self.raw_signature(&input))
    }

    /// By Ed25519 alone.
    fn raw_signature(&self, input: &str) -> String {
        let pair = Ed25519KeyPair::from_pkcs8(&self.private).unwrap();
        URL_SAFE_NO_PAD.encode(pair.sign(input.as_bytes()))
    }
}

#[test]
fn a_good_token_passes_by_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let world = world(algorithm);
        let accepted = world.verify_claims(&claims()).unwrap();
        assert_eq!(accepted.client_id, "bff");
        assert!(accepted.scope.contains("notes:read") && !accepted.scope.contains("notes"));
        for media_type in ["AT+JWT", "application/at+jwt"] {
            world.verify(&world.key.sign(media_type, &claims()).unwrap()).unwrap();
        }
        world.verify_claims(&with("aud", json!(["other", "notes"]))).unwrap();
        world.verify_claims(&with("nbf", json!(NOW + 30))).unwrap();
        world.verify_claims(&with("exp", json!(NOW - 29))).unwrap();
        world.verify_claims(&with("unheard_of", json!({ "a": [1] }))).unwrap();
        let service = json!({ "iss": ISSUER, "sub": "app:worker", "aud": "notes", "client_id": "worker",
            "iat": NOW, "exp": NOW + 300, "jti": "one", "scope": "" });
        assert_eq!(world.verify_claims(&service).unwrap().sub.user(), None);
    }
}

#[test]
fn every_claim_is_needed_with_its_type() {
    let world = world(Algorithm::EdDSA);
    for name in
        ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "sid", "scope", "auth_time", "amr"]
    {
        assert_eq!(world.verify_claims(&without(name)), Err(Reject::MissingClaim(name)));
        assert_eq!(world.verify_claims(&with(name, Value::Null)), Err(Reject::InvalidClaim(name)));
        assert_eq!(world.verify_claims(&with(name, json!({}))), Err(Reject::InvalidClaim(name)));
    }
    let later = NOW + 300;
    for (name, value) in [
        ("iss", json!("")),
        ("iss", json!([ISSUER])),
        ("sub", json!("ann")),
        ("sub", json!("app:")),
        ("sub", json!(7)),
        ("aud", json!([])),
        ("aud", json!([7])),
        ("aud", json!([["notes"]])),
        ("client_id", json!("")),
        ("iat", json!("now")),
        ("exp", json!(later.to_string())),
        ("exp", json!(1.8e300)),
        ("exp", json!(1_800_000_300.5)),
        ("exp", json!(true)),
        ("exp", json!([later])),
        ("nbf", json!(NOW.to_string())),
        ("nbf", Value::Null),
        ("jti", json!(1)),
        ("sid", json!("one")),
        ("scope", json!(["openid"])),
        ("scope", json!("open\"id")),
        ("scope", json!("a  b")),
        ("auth_time", json!("then")),
        ("amr", json!("pwd")),
        ("amr", json!([1])),
        ("act", json!("bff")),
        ("roles", json!("admin")),
        ("roles", json!([null])),
        ("email", json!(1)),
        ("name", json!(["Ann"])),
    ] {
        assert_eq!(
            world.verify_claims(&with(name, value.clone())),
            Err(Reject::InvalidClaim(name)),
            "{name}: {value}"
        );
    }
}

#[test]
fn issuer_audience_and_time_decide() {
    let world = world(Algorithm::EdDSA);
    for (name, value, expected) in [
        ("iss", json!("https://aa.example/"), Reject::WrongIssuer),
        ("iss", json!("https://AA.example"), Reject::WrongIssuer),
        ("aud", json!("note"), Reject::WrongAudience),
        ("aud", json!("notes "), Reject::WrongAudience),
        ("aud", json!(["other"]), Reject::WrongAudience),
        ("exp", json!(NOW - 30), Reject::Expired),
        ("exp", json!(i64::MIN), Reject::Expired),
        ("nbf", json!(NOW + 31), Reject::NotYetValid),
        ("nbf", json!(i64::MAX), Reject::NotYetValid),
    ] {
        assert_eq!(
            world.verify_claims(&with(name, value.clone())),
            Err(expected),
            "{name}: {value}"
        );
    }
    let strict = world.verifier.clone().leeway(std::time::Duration::ZERO);
    let token = world.key.sign("at+jwt", &with("exp", json!(NOW))).unwrap();
    assert_eq!(agreed(&strict, &token, &world.keys, NOW), Err(Reject::Expired));
    assert!(agreed(&strict, &token, &world.keys, NOW - 1).is_ok());
}

#[test]
fn the_header_decides_before_anything_in_it_is_believed() {
    let world = world(Algorithm::EdDSA);
    let kid = world.key.id();
    let claims = claims().to_string();
    let header = |text: &str| text.replace("KID", kid);
    let good = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID"}"#;
    world.verify(&world.with_header(&header(good), &claims)).unwrap();
    // Keys and places that a token brings along are not looked at.
    let own_key = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID","jku":"https://evil.example","jwk":{},"x5u":"x","x5c":["x"]}"#;
    world.verify(&world.with_header(&header(own_key), &claims)).unwrap();
    for (text, expected) in [
        (r#"{"typ":"JWT","alg":"EdDSA","kid":"KID"}"#, Reject::WrongType),
        (r#"{"typ":"at+jwt;x","alg":"EdDSA","kid":"KID"}"#, Reject::WrongType),
        (r#"{"alg":"EdDSA","kid":"KID"}"#, Reject::WrongType),
        (r#"{"typ":7,"alg":"EdDSA","kid":"KID"}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","alg":"none","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":"None","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":"eddsa","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":"PS256","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":["EdDSA"],"kid":"KID"}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","kid":"KID"}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","alg":"RS256","kid":"KID"}"#, Reject::AlgorithmMismatch),
        (r#"{"typ":"at+jwt","alg":"HS256","kid":"KID"}"#, Reject::AlgorithmMismatch),
        (r#"{"typ":"at+jwt","alg":"EdDSA","kid":"other"}"#, Reject::UnknownKey),
        (r#"{"typ":"at+jwt","alg":"EdDSA"}"#, Reject::UnknownKey),
        (r#"{"typ":"at+jwt","alg":"EdDSA","kid":7}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID","crit":["x"],"x":1}"#, Reject::Critical),
        (r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID","crit":[]}"#, Reject::Critical),
        (r#"{"typ":"at+jwt","alg":"EdDSA","alg":"EdDSA","kid":"KID"}"#, Reject::DuplicateMember),
        (r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID""#, Reject::Malformed),
        (r#"["typ"]"#, Reject::Malformed),
        ("", Reject::Malformed),
    ] {
        assert_eq!(
            world.verify(&world.with_header(&header(text), &claims)),
            Err(expected),
            "{text}"
        );
    }
    let twice = claims.replacen('{', r#"{"aud":"other","#, 1);
    assert_eq!(
        world.verify(&world.with_header(&header(good), &twice)),
        Err(Reject::DuplicateMember)
    );
    let narrow = world.verifier.clone().algorithms(&[Algorithm::ES256]);
    let token = world.with_header(&header(good), &claims);
    assert_eq!(agreed(&narrow, &token, &world.keys, NOW), Err(Reject::AlgorithmNotAllowed));
}

#[test]
fn the_shape_and_the_signature_decide() {
    for algorithm in Algorithm::ALL {
        let world = world(algorithm);
        let token = world.key.sign("at+jwt", &claims()).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let (header, payload, signature) = (parts[0], parts[1], parts[2]);
        for (text, expected) in [
            (String::new(), Reject::Malformed),
            ("...".to_owned(), Reject::Malformed),
            (format!("{header}.{payload}"), Reject::Malformed),
            (format!("{header}.{payload}."), Reject::Malformed),
            (format!("{header}.{payload}.{signature}.{signature}"), Reject::Malformed),
            (format!("{header}.{payload}.{signature}="), Reject::Malformed),
            (format!("{header}.{payload}.{signature}\n"), Reject::Malformed),
            (format!(" {token}"), Reject::Malformed),
            (format!("{header}.{payload}=.{signature}"), Reject::BadSignature),
            (format!("{header}.{payload}.AAAA"), Reject::BadSignature),
            ("x".repeat(8 * 1024 + 1), Reject::TooLarge),
        ] {
            assert_eq!(world.verify(&text), Err(expected), "{algorithm} {text:.60}");
        }
        // Another key of the same kind, under this one's id.
        let other = self::world(algorithm);
        let foreign = other.key.sign("at+jwt", &claims()).unwrap();
        assert_eq!(world.verify(&foreign), Err(Reject::UnknownKey));
        let mut altered = token.clone().into_bytes();
        for index in (header.len() + 1..token.len()).step_by(11) {
            let kept = altered[index];
            altered[index] = if kept == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(altered.clone()).unwrap();
            assert!(world.verify(&text).is_err(), "{algorithm}: character {index}");
            altered[index] = kept;
        }
    }
}

#[test]
fn what_is_remembered_is_judged_at_every_use() {
    let world = world(Algorithm::EdDSA);
    let cached = CachedVerifier::new(world.verifier.clone(), 1 << 20);
    let mut shown = with("nbf", json!(NOW - 100));
    shown["exp"] = json!(NOW + 300);
    let token = world.key.sign("at+jwt", &shown).unwrap();
    let claims = cached.verify(&token, &world.keys, NOW).unwrap();
    let again = cached.verify(&token, &world.keys, NOW + 329).unwrap();
    assert!(std::sync::Arc::ptr_eq(&claims, &again), "it was not read again");
    assert_eq!(cached.verify(&token, &world.keys, NOW - 131), Err(Reject::NotYetValid));
    cached.verify(&token, &world.keys, NOW).unwrap();
    assert_eq!(cached.verify(&token, &world.keys, NOW + 330), Err(Reject::Expired));
    assert!(cached.is_empty(), "it is not kept for longer than it lives");

    // One character less or another is another token.
    cached.verify(&token, &world.keys, NOW).unwrap();
    for index in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(cached.verify(&altered, &world.keys, NOW).is_err(), "character {index}");
    }
    assert!(cached.verify(&token[..token.len() - 1], &world.keys, NOW).is_err());
    assert!(cached.verify(&format!("{token}A"), &world.keys, NOW).is_err());
    assert_eq!(cached.len(), 1);
}

#[test]
fn what_is_remembered_goes_with_the_keys() {
    let (one, other) = (world(Algorithm::EdDSA), world(Algorithm::EdDSA));
    let cached = CachedVerifier::new(one.verifier.clone(), 1 << 20);
    let token = one.key.sign("at+jwt", &claims()).unwrap();
    cached.verify(&token, &one.keys, NOW).unwrap();
    assert_eq!(
        cached.verify(&token, &other.keys, NOW),
        Err(Reject::UnknownKey),
        "it was withdrawn"
    );
    let both = one.keys.merged(&other.keys);
    cached.verify(&token, &both, NOW).unwrap();
    cached.verify(&other.key.sign("at+jwt", &claims()).unwrap(), &other.keys, NOW).unwrap();
    assert_eq!(cached.len(), 1, "what was checked with other keys is gone");
}

#[test]
fn what_is_remembered_is_bounded() {
    let world = world(Algorithm::HS256);
    let most = 256 << 10;
    let cached = CachedVerifier::new(world.verifier.clone(), most);
    let nothing = CachedVerifier::new(world.verifier.clone(), 0);
    for number in 0..1000 {
        let token = world.key.sign("at+jwt", &with("jti", json!(number.to_string()))).unwrap();
        cached.verify(&token, &world.keys, NOW).unwrap();
        nothing.verify(&token, &world.keys, NOW).unwrap();
    }
    assert!(cached.bytes() <= most && cached.len() > 50, "{} {}", cached.bytes(), cached.len());
    assert!(nothing.is_empty());
}

#[test]
fn a_weak_key_is_no_key() {
    // The neutral element, a point of order four and one of order eight: signatures "with" them can be made up.
    for x in [
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
    ] {
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "weak", "x": x });
        let keys = json!({ "keys": [jwk] }).to_string();
        assert!(KeySet::from_jwks(keys.as_bytes()).unwrap().is_empty(), "{x}");
    }
}

#[test]
fn a_public_key_is_never_an_hmac_secret() {
    let world = world(Algorithm::RS256);
    let jwk = world.key.public_jwk().unwrap().to_string();
    let confused = SigningKey::from_private(Algorithm::HS256, jwk.as_bytes()).unwrap();
    let token = confused.sign("at+jwt", &claims()).unwrap();
    assert_eq!(world.verify(&token), Err(Reject::UnknownKey));
    let set = json!({ "keys": [{ "kty": "oct", "kid": "x", "alg": "HS256", "k": "AAAA" }] });
    assert!(KeySet::from_jwks(set.to_string().as_bytes()).unwrap().is_empty());
}

#[test]
fn key_sets_keep_what_they_can_use() {
    let jwk = world(Algorithm::EdDSA).key.public_jwk().unwrap();
    let changed = |name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let read = |keys: Value| KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes());
    assert!(!read(json!([jwk])).unwrap().is_empty());
    for unusable in [
        changed("use", json!("enc")),
        changed("alg", json!("ES256")),
        changed("crv", json!("X25519")),
        changed("kty", json!("RSA")),
        changed("kid", json!(7)),
        changed("x", json!("!")),
        json!({}),
        json!({ "kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB" }),
    ] {
        assert!(read(json!([unusable])).unwrap().is_empty(), "{unusable}");
        assert!(!read(json!([unusable, jwk])).unwrap().is_empty());
    }
    assert!(read(json!([jwk, jwk])).is_err(), "an id names one key");
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#] {
        assert!(KeySet::from_jwks(text.as_bytes()).is_err(), "{text}");
    }
    assert!(KeySet::default().with_secret("short", &[1; 31]).is_err());
}

#[test]
fn reasons_tell_nothing_of_the_token() {
    let world = world(Algorithm::EdDSA);
    let token = world.key.sign("at+jwt", &with("iss", json!("https://secret.example"))).unwrap();
    let reason = world.verify(&token).unwrap_err().to_string();
    assert!(!reason.contains("secret"));
    assert!(!format!("{:?} {:?}", world.keys, world.key).contains("SecretOrDer"));
}
