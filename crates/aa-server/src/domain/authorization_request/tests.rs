use super::*;
use crate::domain::client::ClientType;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn client() -> ClientMetadata {
    let mut client = ClientMetadata::named("app", "App", ClientType::Confidential);
    client.redirect_uris = vec!["https://app.example/cb".to_owned()];
    client
}

/// Parses a good request, but for `more`; an empty value leaves a parameter out.
fn parse(more: &[(&str, &str)]) -> Result<AuthorizationRequest, AuthorizationError> {
    let mut parameters: Vec<(String, String)> = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", "https://app.example/cb"),
        ("state", "s"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]
    .iter()
    .filter(|(name, _)| !more.iter().any(|(other, _)| other == name))
    .chain(more)
    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    .collect();
    parameters.retain(|(_, value)| !value.is_empty());
    let subject_of = |hint: &str| (hint == "good").then(|| "ann".to_owned());
    AuthorizationRequest::parse(Parameters(&parameters), &client(), subject_of)
}

#[test]
fn a_request_survives_being_stored() {
    let more = [("max_age", "5"), ("prompt", "login"), ("id_token_hint", "good"), ("nonce", "n")];
    let request = parse(&more).unwrap();
    assert_eq!(request.scope.to_string(), "openid profile email", "offline_access is asked for");
    assert_eq!(request.subject.as_deref(), Some("ann"));
    let json = serde_json::to_string(&request).unwrap();
    assert_eq!(serde_json::from_str::<AuthorizationRequest>(&json).unwrap(), request);
}

#[test]
fn the_type_says_who_is_told_of_an_error() {
    for (more, expected) in [
        (vec![("redirect_uri", "")], BrokenLink::MissingRedirectUri),
        (vec![("redirect_uri", "https://evil.example/")], BrokenLink::UnregisteredRedirectUri),
        (
            vec![("redirect_uri", "https://app.example/cb"), ("redirect_uri", "https://b.example")],
            BrokenLink::RepeatedRedirectUri,
        ),
    ] {
        assert_eq!(parse(&more).unwrap_err(), AuthorizationError::Show(expected));
    }
    for (name, value, expected) in [
        ("response_type", "", ErrorCode::InvalidRequest),
        ("response_type", "token", ErrorCode::UnsupportedResponseType),
        ("response_mode", "fragment", ErrorCode::InvalidRequest),
        ("request", "x", ErrorCode::RequestNotSupported),
        ("request_uri", "x", ErrorCode::RequestUriNotSupported),
        ("code_challenge", "short", ErrorCode::InvalidRequest),
        ("code_challenge_method", "plain", ErrorCode::InvalidRequest),
        ("prompt", "none login", ErrorCode::InvalidRequest),
        ("prompt", "unknown", ErrorCode::InvalidRequest),
        ("max_age", "-1", ErrorCode::InvalidRequest),
        ("resource", "other", ErrorCode::InvalidTarget),
        ("scope", "admin", ErrorCode::InvalidScope),
        ("id_token_hint", "bad", ErrorCode::InvalidRequest),
    ] {
        let refused = parse(&[(name, value)]).unwrap_err();
        let AuthorizationError::Redirect { target, code, .. } = refused else { panic!("{name}") };
        assert_eq!((code, target.state.as_deref()), (expected, Some("s")), "{name}={value}");
    }
    let twice = parse(&[("nonce", "a"), ("nonce", "b")]).unwrap_err();
    assert!(matches!(twice, AuthorizationError::Redirect { code: ErrorCode::InvalidRequest, .. }));
}

#[test]
fn a_sign_in_must_be_of_the_expected_user_and_recent_enough() {
    let at = |secs: i64| Timestamp::from_millis(secs * 1_000);
    let now = at(1_000);
    for (more, auth_time, floor, expected) in [
        (vec![], 1, None, true),
        (vec![("max_age", "100")], 900, None, true),
        (vec![("max_age", "100")], 899, None, false),
        (vec![("max_age", "100")], 899, Some(898), true),
        (vec![("max_age", "0")], 999, Some(999), false),
        (vec![("max_age", "0")], 999, Some(998), true),
        (vec![("prompt", "login")], 1_000, None, false),
        (vec![("prompt", "login")], 1_000, Some(1_000), false),
        (vec![("prompt", "login")], 1_000, Some(999), true),
        (vec![("prompt", "select_account")], 1_000, None, false),
        (vec![("prompt", "consent")], 1, None, true),
        (vec![("prompt", "none")], 1, None, true),
        (vec![("id_token_hint", "good")], 1, None, true),
    ] {
        let request = parse(&more).unwrap();
        let accepted = request.accepts("ann", (at(auth_time), "pwd"), floor.map(at), now);
        assert_eq!(accepted, expected, "{more:?} {auth_time} {floor:?}");
    }
    let hinted = parse(&[("id_token_hint", "good"), ("prompt", "login")]).unwrap();
    assert!(!hinted.accepts("ben", (at(1_000), "pwd"), Some(at(1)), now));
}

#[test]
fn a_stored_request_is_judged_by_what_the_client_is_now() {
    let request = parse(&[]).unwrap();
    assert_eq!(request.check_again(&client()), Ok(()));
    let mut moved = client();
    moved.redirect_uris = vec!["https://new.example/cb".to_owned()];
    let broken = AuthorizationError::Show(BrokenLink::UnregisteredRedirectUri);
    assert_eq!(request.check_again(&moved), Err(broken));
    let mut fewer = client();
    fewer.scopes = vec!["openid".to_owned()];
    let refused = request.check_again(&fewer).unwrap_err();
    assert!(matches!(refused, AuthorizationError::Redirect { code: ErrorCode::InvalidScope, .. }));
    let mut other = client();
    other.audiences = vec!["other".to_owned()];
    let refused = request.check_again(&other).unwrap_err();
    assert!(matches!(refused, AuthorizationError::Redirect { code: ErrorCode::InvalidTarget, .. }));
}
