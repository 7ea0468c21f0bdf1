//! An OpenID Connect client: discovery, authorization attempt, code exchange, logout.
//!
//! | module | content |
//! | --- | --- |
//! | [`attempt`] | an authorization attempt: its `state`, `nonce` and PKCE verifier, sealed into a cookie |
//! | [`Browser`] | the browser that a token request is made for |
//! | [`provider`] | an OpenID provider: its configuration, its errors, the authorization request |
//! | `metadata` | discovery: the provider's metadata and keys, cached |
//! | [`token_endpoint`] | code exchange, refresh, revocation, pushed authorization requests |
//! | `id_token` | validation of ID tokens |
//! | `logout_token` | validation of logout tokens (back-channel logout) |
//! | `logout` | the URL for RP-initiated logout |

pub mod attempt;
mod browser;
mod discovery;
mod id_token;
mod logout;
mod logout_token;
mod metadata;
pub mod provider;
pub mod token_endpoint;

pub use attempt::{ATTEMPT_TTL, Attempt, local_path};
pub use browser::Browser;
pub use logout_token::LogoutToken;
pub use provider::{DpopRefusal, Provider, ProviderConfig, ProviderError};
pub use token_endpoint::{TokenRequest, Tokens};
