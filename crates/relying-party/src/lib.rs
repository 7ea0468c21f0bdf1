//! Sign-in for the backends of browser apps, with any OpenID provider.
//!
//! | module | what |
//! | --- | --- |
//! | [`session`] | what a signed-in browser stands for, and where that is kept |
//! | [`signin`] | all of it together: begin, finish, a fresh token whenever one is asked for, sign out |
//! | [`web`] | what backends of browser apps have in common over HTTP |

pub mod session;
pub mod signin;
pub mod web;

pub use oidc_client::{Provider, ProviderConfig, ProviderError, TokenRequest, Tokens, local_path};
pub use session::{SessionStore, StoreError};
pub use signin::{FinishError, RelyingParty, TokenError};
