//! (a) The offline check and signing, each beside the primitive it cannot be faster than.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ::tokens::{Algorithm, CachedVerifier, KeySet, SigningKey, Verifier};
use aa_server::services::password_hasher::PasswordHasher;
use argon2::PasswordHasher as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use ed25519_dalek::Verifier as _;
use serde_json::json;

use crate::report::{Figure, Report, Target};

const GROUP: &str = "tokens, one core";
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://aa.example";

/// The operations that are measured, by name.
type Entrant<'a> = (&'static str, Box<dyn FnMut() + 'a>);

/// Alternating rounds of everything that is compared, so that a machine that is shared is shared alike. The best round
/// of each counts.
struct Contest<'a> {
    entrants: Vec<Entrant<'a>>,
    /// Repetitions between two looks at the clock.
    at_once: u64,
}

impl<'a> Contest<'a> {
    fn new() -> Self {
        Self { entrants: Vec::new(), at_once: 64 }
    }

    fn enter(mut self, name: &'static str, run: impl FnMut() + 'a) -> Self {
        self.entrants.push((name, Box::new(run)));
        self
    }

    /// For what takes milliseconds.
    fn one_by_one(mut self) -> Self {
        self.at_once = 1;
        self
    }

    /// Operations per second.
    fn run(mut self, report: &mut Report) -> Vec<f64> {
        const ROUNDS: usize = 15;
        const ROUND: Duration = Duration::from_millis(60);
        let mut best = vec![0.0_f64; self.entrants.len()];
        for _ in 0..ROUNDS {
            for ((_, run), best) in self.entrants.iter_mut().zip(&mut best) {
                let (began, mut count) = (Instant::now(), 0_u64);
                while began.elapsed() < ROUND {
                    for _ in 0..self.at_once {
                        run();
                    }
                    count += self.at_once;
                }
                *best = best.max(count as f64 / began.elapsed().as_secs_f64());
            }
        }
        for ((name, _), rate) in self.entrants.iter().zip(&best) {
            report.add(Figure {
                group: GROUP.into(),
                name: (*name).into(),
                per_second: *rate,
                ..Figure::default()
            });
        }
        best
    }
}

fn claims(number: usize) -> serde_json::Value {
    json!({
        "iss": ISSUER,
        "sub": "0190a0a0-0000-7000-8000-000000000001",
        "aud": "notes",
        "client_id": "bff",
        "iat": NOW,
        "exp": NOW + 300,
        "jti": format!("0190a0a0-0000-7000-8000-{number:012}"),
        "sid": "0190a0a0-0000-7000-8000-000000000002",
        "scope": "openid profile email offline_access notes:read notes:write",
        "auth_time": NOW - 10,
        "amr": ["pwd"],
    })
}

/// Measures.
pub fn measure(report: &mut Report) {
    passwords(report);
    signatures(report);
}

fn passwords(report: &mut Report) {
    let password_hasher = PasswordHasher::new(1);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let passwords = Contest::new()
        .enter("password: memory anew for each", || {
            let hash =
                argon2::Argon2::default().hash_password_with_salt(b"tangerine lamp", &[1; 16]);
            black_box(hash.expect("a hash"));
        })
        .enter("password: memory kept", || {
            black_box(
                runtime
                    .block_on(password_hasher.hash("ann", "tangerine lamp".into(), [1; 16]))
                    .expect("a hash"),
            );
        })
        .one_by_one()
        .run(report);
    report.compare("hash a password: memory kept ÷ anew", passwords[1] / passwords[0], None);
}

#[expect(clippy::too_many_lines, reason = "one list of what is compared")]
fn signatures(report: &mut Report) {
    let private = SigningKey::generate(Algorithm::EdDSA).expect("a key");
    let key = SigningKey::from_private(Algorithm::EdDSA, &private).expect("a key");
    let jwk = key.public_jwk().expect("a public key");
    let keys = KeySet::from_jwks(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("keys");
    let verifier = Verifier::new(ISSUER, "notes");
    let claims_of_one: serde_json::Value = claims(1);
    let token = key.sign("at+jwt", &claims_of_one).expect("a token");
    let (message, _) = token.rsplit_once('.').expect("a token");

    let pair = Ed25519KeyPair::from_pkcs8(&private).expect("a key");
    let signature = pair.sign(message.as_bytes());
    let signature: [u8; 64] = signature.as_ref().try_into().expect("64 bytes");
    let public: [u8; 32] = pair.public_key().as_ref().try_into().expect("32 bytes");
    let aws = UnparsedPublicKey::new(&ED25519, public);
    let dalek = ed25519_dalek::VerifyingKey::from_bytes(&public).expect("a key");
    let dalek_signature = ed25519_dalek::Signature::from_bytes(&signature);
    let jwt_key = jsonwebtoken::DecodingKey::from_ed_der(&public);
    let mut jwt_rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::EdDSA);
    jwt_rules.set_audience(&["notes"]);
    jwt_rules.set_issuer(&[ISSUER]);
    // Its clock cannot be set; the token here is of another day.
    jwt_rules.validate_exp = false;
    let jwt_signing = jsonwebtoken::EncodingKey::from_ed_der(&private);
    let mut jwt_header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
    jwt_header.kid = Some(key.id().to_owned());

    let verified = Contest::new()
        .enter("verify: raw ed25519-dalek", || {
            dalek.verify(black_box(message.as_bytes()), &dalek_signature).expect("it holds");
        })
        .enter("verify: a whole token", || {
            black_box(verifier.verify(black_box(&token), &keys, NOW).expect("it is good"));
        })
        .enter("verify: raw ed25519-dalek, verify_strict", || {
            dalek.verify_strict(black_box(message.as_bytes()), &dalek_signature).expect("it holds");
        })
        .enter("verify: raw aws-lc-rs", || {
            aws.verify(black_box(message.as_bytes()), &signature).expect("it holds");
        })
        .enter("verify: jsonwebtoken, a whole token", || {
            let claims =
                jsonwebtoken::decode::<serde_json::Value>(black_box(&token), &jwt_key, &jwt_rules);
            black_box(claims.expect("it is good"));
        })
        .run(report);
    let signed = Contest::new()
        .enter("sign: raw aws-lc-rs", || {
            black_box(pair.sign(black_box(message.as_bytes())));
        })
        .enter("sign: a whole token", || {
            black_box(key.sign("at+jwt", black_box(&claims_of_one)).expect("a token"));
        })
        .enter("sign: jsonwebtoken, a whole token", || {
            black_box(
                jsonwebtoken::encode(&jwt_header, black_box(&claims_of_one), &jwt_signing)
                    .expect("a token"),
            );
        })
        .run(report);
    let cached = |count: usize| {
        let tokens: Vec<String> = (0..count)
            .map(|number| key.sign("at+jwt", &claims(number)).expect("a token"))
            .collect();
        let remembered = CachedVerifier::new(verifier.clone(), 1 << 30);
        for token in &tokens {
            remembered.verify(token, &keys, NOW).expect("it is good");
        }
        assert_eq!(remembered.len(), count);
        (tokens, remembered)
    };
    let (few, few_remembered) = cached(1_000);
    let (many, many_remembered) = cached(100_000);
    let (mut one, mut other) = (0, 0);
    let hits = Contest::new()
        .enter("verify: remembered, of 1,000 tokens", || {
            // A step that is prime to the count: another token every time.
            one = (one + 617) % few.len();
            black_box(few_remembered.verify(black_box(&few[one]), &keys, NOW).expect("it is good"));
        })
        .enter("verify: remembered, of 100,000 tokens", || {
            other = (other + 61_703) % many.len();
            black_box(
                many_remembered.verify(black_box(&many[other]), &keys, NOW).expect("it is good"),
            );
        })
        .run(report);
    println!(
        "memory of 100,000 remembered tokens, as accounted: {:.1} MB",
        many_remembered.bytes() as f64 / 1e6
    );

    let avx512 = is_avx512();
    report.compare(
        "verify a token ÷ raw ed25519-dalek",
        verified[1] / verified[0],
        Target::AtLeast(0.95),
    );
    let least = if avx512 { 2.0 } else { 1.15 };
    report.compare(
        "verify a token ÷ jsonwebtoken",
        verified[1] / verified[4],
        Target::AtLeast(least),
    );
    report.compare(
        "remembered token (1,000) ÷ raw ed25519-dalek",
        hits[0] / verified[0],
        Target::AtLeast(200.0),
    );
    report.compare("remembered token (100,000) ÷ raw ed25519-dalek", hits[1] / verified[0], None);
    report.compare("sign a token ÷ raw aws-lc-rs", signed[1] / signed[0], Target::AtLeast(0.9));
    report.compare("sign a token ÷ jsonwebtoken", signed[1] / signed[2], None);
}

fn is_avx512() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512ifma") && is_x86_feature_detected!("avx512vl");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}
