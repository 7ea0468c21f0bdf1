//! The crate `openidconnect`, as its documentation shows it.

use interop::{env, http_client, sign_in};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreProviderMetadata, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, RedirectUrl, Scope, TokenResponse as _,
};

fn main() {
    let http_client = http_client();
    // docs: the client
    let provider =
        CoreProviderMetadata::discover(&IssuerUrl::new(env("ISSUER")).unwrap(), &http_client)
            .unwrap();
    let client = CoreClient::from_provider_metadata(
        provider,
        ClientId::new(env("CLIENT_ID")),
        Some(ClientSecret::new(env("CLIENT_SECRET"))),
    )
    .set_redirect_uri(RedirectUrl::new(env("REDIRECT_URI")).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state, nonce) = client
        .authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        )
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
        .unwrap()
        .set_pkce_verifier(verifier)
        .request(&http_client)
        .unwrap();
    let id_token = tokens.id_token().unwrap();
    let id_token_verifier = client.id_token_verifier();
    let claims = id_token.claims(&id_token_verifier, &nonce).unwrap();
    let user: CoreUserInfoClaims = client
        .user_info(tokens.access_token().clone(), Some(claims.subject().clone()))
        .unwrap()
        .request(&http_client)
        .unwrap();
    // docs: end
    assert_eq!(user.email().unwrap().as_str(), env("EMAIL"));
    if let Some(expected) = claims.access_token_hash() {
        let actual = AccessTokenHash::from_token(
            tokens.access_token(),
            id_token.signing_alg().unwrap(),
            id_token.signing_key(&id_token_verifier).unwrap(),
        );
        assert_eq!(actual.unwrap(), *expected);
    }
    let mut newest = tokens.refresh_token().unwrap().clone();
    for _ in 0..2 {
        let refreshed =
            client.exchange_refresh_token(&newest).unwrap().request(&http_client).unwrap();
        let next = refreshed.refresh_token().unwrap().clone();
        assert_ne!(next.secret(), newest.secret());
        newest = next;
    }
}
