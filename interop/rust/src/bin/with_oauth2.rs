//! The crate `oauth2`, as its documentation shows it. It knows no ID tokens.

use interop::{env, http_client, sign_in};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, ConfigurationError, CsrfToken,
    PkceCodeChallenge, RedirectUrl, RevocationUrl, Scope, TokenResponse as _, TokenUrl,
};

fn main() {
    let (issuer, http_client) = (env("ISSUER"), http_client());
    // docs: the client
    let client = BasicClient::new(ClientId::new(env("CLIENT_ID")))
        .set_client_secret(ClientSecret::new(env("CLIENT_SECRET")))
        .set_auth_uri(AuthUrl::new(format!("{issuer}/oauth/authorize")).unwrap())
        .set_token_uri(TokenUrl::new(format!("{issuer}/oauth/token")).unwrap())
        .set_revocation_url(RevocationUrl::new(format!("{issuer}/oauth/revoke")).unwrap())
        .set_redirect_uri(RedirectUrl::new(env("REDIRECT_URI")).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("email".to_owned()))
        .add_scope(Scope::new("offline_access".to_owned()))
        .set_pkce_challenge(challenge)
        .url();
    // docs: end
    let callback = sign_in(&url);
    assert_eq!(&callback["state"], state.secret());
    // docs: the callback
    let tokens = client
        .exchange_code(AuthorizationCode::new(callback["code"].clone()))
        .set_pkce_verifier(verifier)
        .request(&http_client)
        .unwrap();
    // docs: end
    let mut newest = tokens.refresh_token().unwrap().clone();
    for _ in 0..2 {
        let refreshed = client.exchange_refresh_token(&newest).request(&http_client).unwrap();
        let next = refreshed.refresh_token().unwrap().clone();
        assert_ne!(next.secret(), newest.secret());
        newest = next;
    }
    // Revocation wants https, on loopback too.
    let refused = client.revoke_token(newest.into());
    assert!(matches!(refused, Err(ConfigurationError::InsecureUrl("revocation"))));
}
