//! Client authentication at the token endpoint (RFC 6749 §2.3).

use secrecy::{ExposeSecret as _, SecretString};

use crate::app::App;
use crate::domain::client::{AppKind, Registration};
use crate::domain::token::SecretHash;
use crate::store;

/// What an app shows to be who it says.
#[derive(Debug)]
pub enum Credentials {
    /// `client_secret_basic` or `client_secret_post`.
    Secret {
        /// Who it says it is.
        client_id: String,
        /// What it shows.
        secret: SecretString,
    },
    /// `none`: only who it says it is.
    None {
        /// Who it says it is.
        client_id: String,
    },
}

/// Why it is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticateError {
    /// Unknown, disabled, the wrong secret, none, or one too many. Which of them is nobody's business.
    #[error("the client is not known or could not be authenticated")]
    Invalid,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Finds the app and checks its secret. A secret has 256 random bits, so its SHA-256 is compared.
///
/// *Checks* that the app exists and is enabled, that a confidential app or service shows one of its live
/// secrets, and that a public one shows none.
///
/// # Errors
/// [`AuthenticateError`].
pub async fn authenticate_app(
    app: &App,
    credentials: &Credentials,
) -> Result<Registration, AuthenticateError> {
    let (client_id, secret) = match credentials {
        Credentials::Secret { client_id, secret } => (client_id, Some(secret)),
        Credentials::None { client_id } => (client_id, None),
    };
    let found = app.store.app(client_id).await?.filter(|found| found.enabled);
    let registration = found.ok_or(AuthenticateError::Invalid)?.registration;
    match (registration.kind, secret) {
        (AppKind::Public, None) => Ok(registration),
        (AppKind::Confidential | AppKind::Service, Some(secret)) => {
            let shown = SecretHash::of(secret.expose_secret().as_bytes());
            let known = app.store.app_secrets(client_id, app.now()).await?;
            if known.contains(&shown) { Ok(registration) } else { Err(AuthenticateError::Invalid) }
        }
        _ => Err(AuthenticateError::Invalid),
    }
}
