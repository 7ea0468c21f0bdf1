//! Token exchange: requests, pairs as they are registered, and chains of actors.
#![no_main]

use aa_server::domain::token_exchange::{Exchange, ExchangeRequest, MAX_ACTORS, act};
use aa_server::http::request::params::Params;
use libfuzzer_sys::fuzz_target;
use tokens::{Actor, Claims, Subject};

fuzz_target!(|input: (&[u8], &str)| {
    let (request, text) = input;
    if let Ok(params) = Params::parse(request)
        && let Ok(read) = ExchangeRequest::parse(|name| params.get(name).ok().flatten())
    {
        assert!(!read.subject_token.is_empty() && !read.target.is_empty());
    }
    if let Ok(pair) = text.parse::<Exchange>() {
        assert!(!pair.audience.contains(':') && pair.scopes.iter().all(|scope| !scope.is_empty()));
    }
    let Ok(before) = serde_json::from_str::<Actor>(text) else { return };
    let length = before.chain().count();
    let claims = Claims {
        iss: String::new(),
        sub: Subject::App("a".to_owned()),
        aud: Vec::new(),
        client_id: before.sub.clone(),
        iat: 0,
        exp: 0,
        nbf: None,
        jti: String::new(),
        sid: None,
        user_epoch: None,
        scope: Default::default(),
        auth_time: None,
        amr: None,
        cnf: None,
        act: Some(before),
        roles: None,
        email: None,
        name: None,
    };
    match act(&claims, "exchanger") {
        Ok(chain) => assert!(chain.chain().count() <= MAX_ACTORS && chain.sub == "exchanger"),
        Err(_) => assert!(length >= MAX_ACTORS),
    }
});
