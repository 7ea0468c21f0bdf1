//! What happens to users, sessions, clients and keys, and why something ended.

/// Why something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The person signed out.
    SignedOut,
    /// The person signed in again in the same browser.
    SignedInAgain,
    /// The person ended it on the sessions page.
    RevokedByUser,
    /// The app gave its token back.
    RevokedByApp,
    /// An operator ended it.
    RevokedByOperator,
    /// One of its tokens was used twice.
    Reuse,
    /// The app was opened again in the same browser.
    Superseded,
    /// The password was changed or reset.
    PasswordChanged,
    /// The user was disabled.
    UserDisabled,
}

impl EndReason {
    const ALL: [Self; 9] = [
        Self::SignedOut,
        Self::SignedInAgain,
        Self::RevokedByUser,
        Self::RevokedByApp,
        Self::RevokedByOperator,
        Self::Reuse,
        Self::Superseded,
        Self::PasswordChanged,
        Self::UserDisabled,
    ];

    /// As it is stored and shown to programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::SignedInAgain => "signed_in_again",
            Self::RevokedByUser => "revoked_by_user",
            Self::RevokedByApp => "revoked_by_app",
            Self::RevokedByOperator => "revoked_by_operator",
            Self::Reuse => "reuse",
            Self::Superseded => "superseded",
            Self::PasswordChanged => "password_changed",
            Self::UserDisabled => "user_disabled",
        }
    }

    /// From how it is stored.
    pub fn from_stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
