//! The tokens that are rejected, with the reason: a negative test for each claim and each known attack.

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

struct Setup {
    private: Vec<u8>,
    key: SigningKey,
    keys: KeySet,
    verifier: Verifier,
}

fn setup(algorithm: Algorithm) -> Setup {
    let private = SigningKey::generate(algorithm).unwrap();
    let key = SigningKey::from_private(algorithm, &private).unwrap();
    let keys = match key.public_jwk() {
        Some(jwk) => KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap(),
        None => KeySet::default().with_secret(key.id(), &private).unwrap(),
    };
    let verifier = Verifier::new(ISSUER, "notes").algorithms(&Algorithm::ALL);
    Setup { private: private.to_vec(), key, keys, verifier }
}

/// Verifies without a cache, with an empty cache, and with one that may have the token; all must agree.
fn verify_all_ways(
    verifier: &Verifier,
    token: &str,
    keys: &KeySet,
    now: i64,
) -> Result<tokens::Claims, Reject> {
    let cached = CachedVerifier::new(verifier.clone(), 1 << 20);
    let answer = verifier.verify(token, keys, now);
    for attempt in ["first", "second"] {
        let cached_answer = cached.verify(token, keys, now).map(|claims| (*claims).clone());
        assert_eq!(cached_answer, answer, "{attempt} use of the cache: {token:.80}");
    }
    assert_eq!(
        cached.len(),
        usize::from(answer.is_ok()),
        "accepted tokens are cached, and no others"
    );
    answer
}

impl Setup {
    fn verify(&self, token: &str) -> Result<tokens::Claims, Reject> {
        verify_all_ways(&self.verifier, token, &self.keys, NOW)
    }

    fn verify_claims(&self, claims: &Value) -> Result<tokens::Claims, Reject> {
        self.verify(&self.key.sign("at+jwt", claims).unwrap())
    }

    /// A correctly signed token with exactly this text as its header.
    fn with_header(&self, header: &str, claims: &str) -> String {
        let input =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        format!("{input}.{}", self.raw_signature(&input))
    }

    /// The signature of any text; for Ed25519 only.
    fn raw_signature(&self, input: &str) -> String {
        let pair = Ed25519KeyPair::from_pkcs8(&self.private).unwrap();
        URL_SAFE_NO_PAD.encode(pair.sign(input.as_bytes()))
    }
}

#[test]
fn a_valid_token_is_accepted_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let setup = setup(algorithm);
        let accepted = setup.verify_claims(&claims()).unwrap();
        assert_eq!(accepted.client_id, "bff");
        assert!(accepted.scope.contains("notes:read") && !accepted.scope.contains("notes"));
        for media_type in ["AT+JWT", "application/at+jwt"] {
            setup.verify(&setup.key.sign(media_type, &claims()).unwrap()).unwrap();
        }
        setup.verify_claims(&with("aud", json!(["other", "notes"]))).unwrap();
        setup.verify_claims(&with("nbf", json!(NOW + 30))).unwrap();
        setup.verify_claims(&with("exp", json!(NOW - 29))).unwrap();
        setup.verify_claims(&with("unheard_of", json!({ "a": [1] }))).unwrap();
        let service = json!({ "iss": ISSUER, "sub": "app:worker", "aud": "notes", "client_id": "worker",
            "iat": NOW, "exp": NOW + 300, "jti": "one", "scope": "" });
        assert_eq!(setup.verify_claims(&service).unwrap().sub.user(), None);
    }
}

#[test]
fn required_claims_must_be_present_and_of_their_type() {
    let setup = setup(Algorithm::EdDSA);
    for name in
        ["iss", "sub", "aud", "client_id", "iat", "exp", "jti", "sid", "scope", "auth_time", "amr"]
    {
        assert_eq!(setup.verify_claims(&without(name)), Err(Reject::MissingClaim(name)));
        assert_eq!(setup.verify_claims(&with(name, Value::Null)), Err(Reject::InvalidClaim(name)));
        assert_eq!(setup.verify_claims(&with(name, json!({}))), Err(Reject::InvalidClaim(name)));
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
            setup.verify_claims(&with(name, value.clone())),
            Err(Reject::InvalidClaim(name)),
            "{name}: {value}"
        );
    }
}

#[test]
fn wrong_issuer_audience_or_time_is_rejected() {
    let setup = setup(Algorithm::EdDSA);
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
            setup.verify_claims(&with(name, value.clone())),
            Err(expected),
            "{name}: {value}"
        );
    }
    let strict = setup.verifier.clone().leeway(std::time::Duration::ZERO);
    let token = setup.key.sign("at+jwt", &with("exp", json!(NOW))).unwrap();
    assert_eq!(verify_all_ways(&strict, &token, &setup.keys, NOW), Err(Reject::Expired));
    assert!(verify_all_ways(&strict, &token, &setup.keys, NOW - 1).is_ok());
}

#[test]
fn headers_are_checked_before_the_signature() {
    let setup = setup(Algorithm::EdDSA);
    let kid = setup.key.id();
    let claims = claims().to_string();
    let header = |text: &str| text.replace("KID", kid);
    let valid = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID"}"#;
    setup.verify(&setup.with_header(&header(valid), &claims)).unwrap();
    // Keys and key URLs in the header are ignored.
    let own_key = r#"{"typ":"at+jwt","alg":"EdDSA","kid":"KID","jku":"https://evil.example","jwk":{},"x5u":"x","x5c":["x"]}"#;
    setup.verify(&setup.with_header(&header(own_key), &claims)).unwrap();
    for (text, expected) in [
        (r#"{"typ":"JWT","alg":"EdDSA","kid":"KID"}"#, Reject::WrongType),
        (r#"{"typ":"at+jwt;x","alg":"EdDSA","kid":"KID"}"#, Reject::WrongType),
        (r#"{"alg":"EdDSA","kid":"KID"}"#, Reject::WrongType),
        (r#"{"typ":7,"alg":"EdDSA","kid":"KID"}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","alg":"none","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":"None","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":"eddsa","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":"PS384","kid":"KID"}"#, Reject::AlgorithmNotAllowed),
        (r#"{"typ":"at+jwt","alg":["EdDSA"],"kid":"KID"}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","kid":"KID"}"#, Reject::Malformed),
        (r#"{"typ":"at+jwt","alg":"RS256","kid":"KID"}"#, Reject::AlgorithmMismatch),
        (r#"{"typ":"at+jwt","alg":"PS256","kid":"KID"}"#, Reject::AlgorithmMismatch),
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
            setup.verify(&setup.with_header(&header(text), &claims)),
            Err(expected),
            "{text}"
        );
    }
    let duplicate = claims.replacen('{', r#"{"aud":"other","#, 1);
    assert_eq!(
        setup.verify(&setup.with_header(&header(valid), &duplicate)),
        Err(Reject::DuplicateMember)
    );
    let es256_only = setup.verifier.clone().algorithms(&[Algorithm::ES256]);
    let token = setup.with_header(&header(valid), &claims);
    assert_eq!(
        verify_all_ways(&es256_only, &token, &setup.keys, NOW),
        Err(Reject::AlgorithmNotAllowed)
    );
}

#[test]
fn malformed_or_altered_tokens_are_rejected() {
    for algorithm in Algorithm::ALL {
        let setup = setup(algorithm);
        let token = setup.key.sign("at+jwt", &claims()).unwrap();
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
            assert_eq!(setup.verify(&text), Err(expected), "{algorithm} {text:.60}");
        }
        // Another key of the same algorithm.
        let other = self::setup(algorithm);
        let signed_by_other = other.key.sign("at+jwt", &claims()).unwrap();
        assert_eq!(setup.verify(&signed_by_other), Err(Reject::UnknownKey));
        let mut altered = token.clone().into_bytes();
        for index in (header.len() + 1..token.len()).step_by(11) {
            let original = altered[index];
            altered[index] = if original == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(altered.clone()).unwrap();
            assert!(setup.verify(&text).is_err(), "{algorithm}: character {index}");
            altered[index] = original;
        }
    }
}

#[test]
fn cached_tokens_have_their_claims_checked_at_every_use() {
    let setup = setup(Algorithm::EdDSA);
    let cached = CachedVerifier::new(setup.verifier.clone(), 1 << 20);
    let mut with_nbf = with("nbf", json!(NOW - 100));
    with_nbf["exp"] = json!(NOW + 300);
    let token = setup.key.sign("at+jwt", &with_nbf).unwrap();
    let claims = cached.verify(&token, &setup.keys, NOW).unwrap();
    let cached_answer = cached.verify(&token, &setup.keys, NOW + 329).unwrap();
    assert!(std::sync::Arc::ptr_eq(&claims, &cached_answer), "the cached claims are returned");
    assert_eq!(cached.verify(&token, &setup.keys, NOW - 131), Err(Reject::NotYetValid));
    cached.verify(&token, &setup.keys, NOW).unwrap();
    assert_eq!(cached.verify(&token, &setup.keys, NOW + 330), Err(Reject::Expired));
    assert!(cached.is_empty(), "an expired token is removed");

    // A token that differs in one character, or in its length, is not the cached one.
    cached.verify(&token, &setup.keys, NOW).unwrap();
    for index in 0..token.len() {
        let mut altered = token.clone().into_bytes();
        altered[index] = if altered[index] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(altered).unwrap();
        assert!(cached.verify(&altered, &setup.keys, NOW).is_err(), "character {index}");
    }
    assert!(cached.verify(&token[..token.len() - 1], &setup.keys, NOW).is_err());
    assert!(cached.verify(&format!("{token}A"), &setup.keys, NOW).is_err());
    assert_eq!(cached.len(), 1);
}

#[test]
fn cached_tokens_are_dropped_when_the_keys_change() {
    let (one, other) = (setup(Algorithm::EdDSA), setup(Algorithm::EdDSA));
    let cached = CachedVerifier::new(one.verifier.clone(), 1 << 20);
    let token = one.key.sign("at+jwt", &claims()).unwrap();
    cached.verify(&token, &one.keys, NOW).unwrap();
    assert_eq!(
        cached.verify(&token, &other.keys, NOW),
        Err(Reject::UnknownKey),
        "its key was removed"
    );
    let both = one.keys.merged(&other.keys);
    cached.verify(&token, &both, NOW).unwrap();
    cached.verify(&other.key.sign("at+jwt", &claims()).unwrap(), &other.keys, NOW).unwrap();
    assert_eq!(cached.len(), 1, "tokens checked with other keys are removed");
}

#[test]
fn the_cache_is_bounded() {
    let setup = setup(Algorithm::HS256);
    let max_bytes = 256 << 10;
    let cached = CachedVerifier::new(setup.verifier.clone(), max_bytes);
    let disabled = CachedVerifier::new(setup.verifier.clone(), 0);
    for number in 0..1000 {
        let token = setup.key.sign("at+jwt", &with("jti", json!(number.to_string()))).unwrap();
        cached.verify(&token, &setup.keys, NOW).unwrap();
        disabled.verify(&token, &setup.keys, NOW).unwrap();
    }
    assert!(
        cached.bytes() <= max_bytes && cached.len() > 50,
        "{} {}",
        cached.bytes(),
        cached.len()
    );
    assert!(disabled.is_empty());
}

#[test]
fn weak_ed25519_keys_are_ignored() {
    // The neutral element, a point of order four and one of order eight: anyone can forge signatures for them.
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
fn a_public_key_is_never_used_as_an_hmac_secret() {
    let setup = setup(Algorithm::RS256);
    let jwk = setup.key.public_jwk().unwrap().to_string();
    let public_key_as_secret = SigningKey::from_private(Algorithm::HS256, jwk.as_bytes()).unwrap();
    let token = public_key_as_secret.sign("at+jwt", &claims()).unwrap();
    assert_eq!(setup.verify(&token), Err(Reject::UnknownKey));
    let set = json!({ "keys": [{ "kty": "oct", "kid": "x", "alg": "HS256", "k": "AAAA" }] });
    assert!(KeySet::from_jwks(set.to_string().as_bytes()).unwrap().is_empty());
}

#[test]
fn an_rsa_key_has_one_padding_and_ps256_is_not_allowed_by_default() {
    let ps256 = setup(Algorithm::PS256);
    let token = ps256.key.sign("at+jwt", &claims()).unwrap();
    ps256.verify(&token).unwrap();
    let by_default = Verifier::new(ISSUER, "notes");
    let refused = verify_all_ways(&by_default, &token, &ps256.keys, NOW);
    assert_eq!(refused, Err(Reject::AlgorithmNotAllowed));

    // The same key, which says that it is for RS256, or nothing.
    let mut jwk = ps256.key.public_jwk().unwrap();
    jwk["alg"] = json!("RS256");
    let mut silent = jwk.clone();
    silent.as_object_mut().unwrap().remove("alg");
    let rs256 = SigningKey::from_private(Algorithm::RS256, &ps256.private).unwrap();
    for jwk in [jwk, silent] {
        let keys = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        let refused = verify_all_ways(&ps256.verifier, &token, &keys, NOW);
        assert_eq!(refused, Err(Reject::AlgorithmMismatch));
        let signed = rs256.sign("at+jwt", &claims()).unwrap();
        verify_all_ways(&ps256.verifier, &signed, &keys, NOW).unwrap();
        assert_eq!(ps256.verify(&signed), Err(Reject::AlgorithmMismatch));
    }
}

#[test]
fn key_sets_ignore_unusable_keys() {
    let jwk = setup(Algorithm::EdDSA).key.public_jwk().unwrap();
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
    assert!(read(json!([jwk, jwk])).is_err(), "two keys with one id are an error");
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#] {
        assert!(KeySet::from_jwks(text.as_bytes()).is_err(), "{text}");
    }
    assert!(KeySet::default().with_secret("short", &[1; 31]).is_err());
}

#[test]
fn errors_and_debug_output_reveal_nothing_secret() {
    let setup = setup(Algorithm::EdDSA);
    let token = setup.key.sign("at+jwt", &with("iss", json!("https://secret.example"))).unwrap();
    let reason = setup.verify(&token).unwrap_err().to_string();
    assert!(!reason.contains("secret"));
    assert!(!format!("{:?} {:?}", setup.keys, setup.key).contains("SecretOrDer"));
}
