//! The purposes of one-time links in mails.

use std::time::Duration;

use strum::IntoStaticStr;

use super::ids::UserId;
use super::refresh_token::SecretHash;

/// The wish that a link confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ConfirmationKind {
    /// Creating an account.
    Register,
    /// Choosing a new password.
    ResetPassword,
    /// The address of an account: its user reads mail there.
    ConfirmEmail,
    /// Another address for the account.
    ChangeEmail,
    /// A code to sign in with.
    SignInCode,
}

impl ConfirmationKind {
    /// The text that is stored.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The life of the link.
    pub const fn ttl(self) -> Duration {
        match self {
            Self::Register | Self::ConfirmEmail | Self::ChangeEmail => Duration::from_hours(24),
            Self::ResetPassword => Duration::from_mins(30),
            Self::SignInCode => Duration::from_mins(10),
        }
    }
}

/// The hash of a sign-in code: it is good for a user as they are, in the browser that asked for it.
pub fn code_hash((user, epoch): (UserId, i64), browser: &SecretHash, code: &str) -> SecretHash {
    let parts =
        [user.to_string().as_bytes(), &epoch.to_be_bytes(), browser.as_bytes(), code.as_bytes()]
            .concat();
    SecretHash::of(&parts)
}
