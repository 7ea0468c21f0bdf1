//! Sign-in for the backends of browser apps, with any OpenID provider.
//!
//! | module | what |
//! | --- | --- |
//! | [`provider`] | an OpenID provider: discovery, keys, the code flow, refresh, revocation |
//! | [`attempt`] | one try to sign in: state, nonce and PKCE of its own, sealed into a cookie of its own |
//! | [`session`] | what a signed-in browser stands for, and where that is kept |
//! | [`signin`] | all of it together: begin, finish, a fresh token whenever one is asked for, sign out |
//! | [`web`] | what backends of browser apps have in common over HTTP |

pub mod attempt;
pub mod provider;
pub mod session;
pub mod signin;
pub mod web;

pub use provider::{Provider, ProviderConfig, ProviderError, TokenRequest};
pub use session::{SessionStore, StoreError};
pub use signin::{FinishError, RelyingParty, TokenError};
