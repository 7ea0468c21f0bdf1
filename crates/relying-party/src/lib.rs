//! Sign-in for the backends of browser apps, with any OpenID provider.
//!
//! | module | what |
//! | --- | --- |
//! | [`session`] | sessions and their stores: memory, SQLite, PostgreSQL, Redis |
//! | [`signin`] | the relying party: begin and finish a sign-in, access tokens, sign-out |
//! | [`web`] | HTTP parts that the backends of browser apps share |

pub mod session;
pub mod signin;
pub mod web;

pub use oidc_client::{
    Browser, DpopRefusal, Provider, ProviderConfig, ProviderError, TokenRequest, Tokens, local_path,
};
pub use session::{SessionStore, StoreError};
pub use signin::{CallbackError, RelyingParty, TokenError};
