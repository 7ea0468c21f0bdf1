use super::*;
use crate::domain::client::ClientType;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn client() -> ClientMetadata {
    let mut client = ClientMetadata::named("app", "App", ClientType::Confidential);
    client.redirect_uris = vec!["https://app.example/cb".to_owned()];
    client
}

fn parse(more: &[(&str, &str)]) -> Result<AuthorizationRequest, AuthorizationError> {
    let rules = Rules { client: &client(), registration_is_open: false, not_pushed: false };
    parse_by(rules, more)
}

/// Parses a good request, but for `more`; an empty value leaves a parameter out.
fn parse_by(
    rules: Rules<'_>,
    more: &[(&str, &str)],
) -> Result<AuthorizationRequest, AuthorizationError> {
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
    AuthorizationRequest::parse(Parameters(&parameters), rules, subject_of)
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
        ("response_mode", "web_message", ErrorCode::InvalidRequest),
        ("request", "x", ErrorCode::RequestNotSupported),
        ("request_uri", "x", ErrorCode::RequestUriNotSupported),
        ("code_challenge", "short", ErrorCode::InvalidRequest),
        ("code_challenge_method", "plain", ErrorCode::InvalidRequest),
        ("prompt", "none login", ErrorCode::InvalidRequest),
        ("prompt", "unknown", ErrorCode::InvalidRequest),
        ("prompt", "create", ErrorCode::InvalidRequest),
        ("code_challenge", "", ErrorCode::InvalidRequest),
        ("claims", "{", ErrorCode::InvalidRequest),
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
        (vec![("max_age", "0")], 1_000, None, false),
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
    assert_eq!(request.clone().judge_again(&client()), Ok(request.clone()));
    let mut moved = client();
    moved.redirect_uris = vec!["https://new.example/cb".to_owned()];
    let broken = AuthorizationError::Show(BrokenLink::UnregisteredRedirectUri);
    assert_eq!(request.clone().judge_again(&moved), Err(broken));
    let mut fewer = client();
    fewer.scopes = vec!["email".to_owned(), "things".to_owned()];
    let narrowed = request.clone().judge_again(&fewer).unwrap();
    assert_eq!(narrowed.scope.to_string(), "email");
    let code_of = |refused| match refused {
        AuthorizationError::Redirect { code, .. } => code,
        AuthorizationError::Show(_) => panic!("{refused}"),
    };
    fewer.scopes.remove(0);
    let refused = request.clone().judge_again(&fewer).unwrap_err();
    assert_eq!(code_of(refused), ErrorCode::InvalidScope);
    let mut other = client();
    other.audiences = vec!["other".to_owned()];
    let refused = request.judge_again(&other).unwrap_err();
    assert_eq!(code_of(refused), ErrorCode::InvalidTarget);

    let mut without = client();
    without.no_pkce = true;
    let rules = Rules { client: &without, registration_is_open: false, not_pushed: false };
    let request =
        parse_by(rules, &[("code_challenge", ""), ("code_challenge_method", ""), ("nonce", "n")]);
    let request = request.unwrap();
    assert!(request.clone().judge_again(&without).is_ok());
    assert!(request.clone().judge_again(&client()).is_err(), "it has to use PKCE by now");
    without.scopes = vec!["email".to_owned()];
    assert!(request.judge_again(&without).is_err(), "no ID token has the nonce any more");
}

#[test]
fn unknown_scopes_are_left_out() {
    for (scope, granted) in [
        ("openid", Some("openid")),
        ("openid admin phone", Some("openid")),
        ("admin offline_access", Some("offline_access")),
        ("admin", None),
        ("open\"id", None),
    ] {
        let parsed = parse(&[("scope", scope)]).ok().map(|request| request.scope.to_string());
        assert_eq!(parsed.as_deref(), granted, "{scope}");
    }
}

#[test]
fn pkce_is_optional_for_clients_that_are_set_so() {
    let mut without = client();
    without.no_pkce = true;
    let no_challenge = [("code_challenge", ""), ("code_challenge_method", "")];
    let parse = |client: &ClientMetadata, more: &[(&str, &str)]| {
        let rules = Rules { client, registration_is_open: false, not_pushed: false };
        parse_by(rules, &[&no_challenge, more].concat())
    };
    let told = |refused| match refused {
        Err(AuthorizationError::Redirect { description, .. }) => description,
        other => panic!("{other:?}"),
    };
    assert_eq!(parse(&without, &[("nonce", "n")]).unwrap().code_challenge, None);
    let (needs, openid) =
        ("nonce and the scope openid are needed", [("nonce", "n"), ("scope", "email")]);
    assert!(told(parse(&without, &[])).contains(needs));
    assert!(told(parse(&without, &openid)).contains(needs));
    assert!(told(parse(&client(), &[("nonce", "n")])).contains("no_pkce"));
    let public = ClientMetadata { kind: ClientType::Public, ..client() };
    assert_eq!(told(parse(&public, &[("nonce", "n")])), PKCE_IS_NEEDED);
    // Once sent, a challenge counts.
    let rules = Rules { client: &without, registration_is_open: false, not_pushed: false };
    assert!(parse_by(rules, &[("code_challenge_method", "plain")]).is_err());
    assert!(parse_by(rules, &[("code_challenge", "")]).is_err());
    assert!(parse_by(rules, &[]).unwrap().code_challenge.is_some());
}

#[test]
fn several_audiences_are_kept_to_choose_from() {
    let mut several = client();
    several.audiences = ["one", "two", "three"].map(str::to_owned).to_vec();
    let rules = Rules { client: &several, registration_is_open: false, not_pushed: false };
    let resources = |names: &[&'static str]| {
        let more: Vec<_> = names.iter().map(|name| ("resource", *name)).collect();
        let request = parse_by(rules, &more).ok()?;
        Some((request.audience, request.resources.join(" ")))
    };
    let chosen = |audience: &str, all: &str| Some((audience.to_owned(), all.to_owned()));
    assert_eq!(resources(&[]), chosen("one", ""));
    assert_eq!(resources(&["three", "two", "three"]), chosen("three", "three two"));
    assert_eq!(resources(&["one", "four"]), None);
}

#[test]
fn the_claims_parameter_makes_conditions() {
    let claims = |text| parse(&[("claims", text)]);
    let aal2 = claims(r#"{"id_token": {"acr": {"essential": true, "values": ["x", "aal2"]}}}"#);
    assert!(aal2.unwrap().two_factors);
    let either =
        claims(r#"{"id_token": {"acr": {"essential": true, "values": ["aal1", "aal2"]}}}"#);
    assert!(!either.unwrap().two_factors);
    let unknown = claims(r#"{"id_token": {"acr": {"essential": true, "value": "gold"}}}"#);
    let Err(AuthorizationError::Redirect { code, .. }) = unknown else { panic!("{unknown:?}") };
    assert_eq!(code.as_str(), "unmet_authentication_requirements");
    assert!(claims(r#"{"id_token": {"acr": {"value": "gold"}}}"#).is_ok(), "it is voluntary");
    let ann = claims(r#"{"id_token": {"sub": {"value": "ann"}}}"#).unwrap();
    let at = Timestamp::from_millis(0);
    assert!(ann.accepts("ann", (at, "pwd"), None, at));
    assert!(!ann.accepts("ben", (at, "pwd"), None, at));
}

#[test]
fn accounts_are_offered_only_where_they_can_be_made() {
    let client = client();
    let rules = Rules { client: &client, registration_is_open: true, not_pushed: false };
    let request = parse_by(rules, &[("prompt", "create")]).unwrap();
    assert_eq!(request.prompt, Prompt::Create);
    let at = Timestamp::from_millis;
    assert!(!request.accepts("ann", (at(5), "pwd"), None, at(5)), "not the account there is");
    assert!(request.accepts("ann", (at(5), "pwd"), Some(at(4)), at(5)));
    assert!(parse_by(rules, &[("prompt", "none create")]).is_err());
    let not_pushed = Rules { not_pushed: true, ..rules };
    assert!(parse_by(not_pushed, &[]).is_err());
}
