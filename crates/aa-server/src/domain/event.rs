//! Events, their actors, and the ends of families, sessions, users and clients.

use std::fmt;

use strum::{EnumString, IntoStaticStr, VariantArray};

use super::ids::UserId;

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
pub enum EventKind {
    /// A user signed in.
    #[strum(serialize = "identity.started")]
    BrowserSessionStarted,
    /// A sign-in failed.
    #[strum(serialize = "identity.refused")]
    SignInRefused,
    /// A user signed out.
    #[strum(serialize = "identity.ended")]
    BrowserSessionEnded,
    /// A delegation token was redeemed.
    #[strum(serialize = "family.started")]
    FamilyStarted,
    /// A family was revoked by its user, its client or an operator.
    #[strum(serialize = "family.ended")]
    FamilyEnded,
    /// A family was ended because a token was used twice.
    #[strum(serialize = "family.reuse")]
    FamilyReuse,
    /// A refresh token was answered within its grace, but to another place than its successor.
    #[strum(serialize = "family.grace_elsewhere")]
    FamilyGraceElsewhere,
    /// A user ended everything in one browser.
    #[strum(serialize = "device.ended")]
    BrowserEnded,
    /// A user named one of their browsers.
    #[strum(serialize = "device.renamed")]
    BrowserRenamed,
    /// A device asked to be signed in (RFC 8628).
    #[strum(serialize = "device.requested")]
    DeviceRequested,
    /// A user let a device sign in as them.
    #[strum(serialize = "device.approved")]
    DeviceApproved,
    /// A user refused a device.
    #[strum(serialize = "device.denied")]
    DeviceDenied,
    /// A user allowed an agent what it asked for.
    #[strum(serialize = "agent.allowed")]
    AgentAllowed,
    /// A user refused an agent.
    #[strum(serialize = "agent.denied")]
    AgentDenied,
    /// A user ended their sessions, in all browsers or all but one.
    #[strum(serialize = "user.sessions_ended")]
    UserSessionsEnded,
    /// An account was created.
    #[strum(serialize = "user.made")]
    UserMade,
    /// A user changed their password.
    #[strum(serialize = "user.password_changed")]
    PasswordChanged,
    /// An operator set a user's password.
    #[strum(serialize = "user.password_reset")]
    PasswordReset,
    /// An address was confirmed by a link in a mail.
    #[strum(serialize = "user.email_confirmed")]
    EmailConfirmed,
    /// A user's address was changed.
    #[strum(serialize = "user.email_changed")]
    EmailChanged,
    /// A user changed their name or language.
    #[strum(serialize = "user.profile_changed")]
    ProfileChanged,
    /// An operator changed given name, family name or groups of a user.
    #[strum(serialize = "user.directory_changed")]
    DirectoryChanged,
    /// A user asked for a copy of their data.
    #[strum(serialize = "user.data_exported")]
    DataExported,
    /// A user closed their account: it is deleted after a time of grace.
    #[strum(serialize = "user.closed")]
    UserClosed,
    /// A user kept an account that they had closed.
    #[strum(serialize = "user.kept")]
    UserKept,
    /// A closed account was deleted.
    #[strum(serialize = "user.deleted")]
    UserDeleted,
    /// A user added a passkey.
    #[strum(serialize = "passkey.added")]
    PasskeyAdded,
    /// A user removed a passkey.
    #[strum(serialize = "passkey.removed")]
    PasskeyRemoved,
    /// A user turned an authenticator app on.
    #[strum(serialize = "totp.added")]
    TotpAdded,
    /// A user turned the authenticator app off.
    #[strum(serialize = "totp.removed")]
    TotpRemoved,
    /// A user made new recovery codes.
    #[strum(serialize = "recovery_codes.made")]
    RecoveryCodesMade,
    /// A user signed in with a recovery code.
    #[strum(serialize = "recovery_codes.used")]
    RecoveryCodeUsed,
    /// A second factor was refused.
    #[strum(serialize = "factor.refused")]
    FactorRefused,
    /// An operator removed all second factors of a user.
    #[strum(serialize = "factor.reset")]
    FactorsReset,
    /// A user was disabled.
    #[strum(serialize = "user.disabled")]
    UserDisabled,
    /// A user was enabled again.
    #[strum(serialize = "user.enabled")]
    UserEnabled,
    /// A one-time link to create an account was created.
    #[strum(serialize = "invitation.made")]
    InvitationMade,
    /// An account was created with an invitation.
    #[strum(serialize = "invitation.accepted")]
    InvitationAccepted,
    /// A client was registered.
    #[strum(serialize = "app.made")]
    ClientMade,
    /// The metadata of a client changed.
    #[strum(serialize = "app.changed")]
    ClientChanged,
    /// A client was given a new secret.
    #[strum(serialize = "app.secret_rotated")]
    ClientSecretRotated,
    /// A client was enabled again.
    #[strum(serialize = "app.enabled")]
    ClientEnabled,
    /// A client was disabled.
    #[strum(serialize = "app.disabled")]
    ClientDisabled,
    /// A client removed itself (RFC 7592 §2.3): it is disabled, without any secret.
    #[strum(serialize = "app.removed")]
    ClientRemoved,
    /// A token to register clients with was created (RFC 7591 §3).
    #[strum(serialize = "registration_token.made")]
    RegistrationTokenMade,
    /// A token to register clients with was revoked.
    #[strum(serialize = "registration_token.revoked")]
    RegistrationTokenRevoked,
    /// Requests of a client, or in its name, were refused.
    #[strum(serialize = "client.refused")]
    ClientRefused,
    /// A signing key was created, and announced in the JWKS.
    #[strum(serialize = "key.made")]
    KeyMade,
    /// A signing key signs from now on instead of the one before it.
    #[strum(serialize = "key.signing")]
    KeySigning,
    /// A signing key was removed: its last token has expired.
    #[strum(serialize = "key.retired")]
    KeyRetired,
    /// A signing key was withdrawn.
    #[strum(serialize = "key.revoked")]
    KeyRevoked,
    /// An operator ended every session of every user.
    #[strum(serialize = "everything.ended")]
    EverythingEnded,
    /// A stream of security events was added.
    #[strum(serialize = "stream.added")]
    StreamAdded,
    /// A stream of security events was removed.
    #[strum(serialize = "stream.removed")]
    StreamRemoved,
    /// The authority started with other settings than the last time.
    #[strum(serialize = "settings.seen")]
    SettingsSeen,
}

impl EventKind {
    /// The text that is stored and shown to programs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Reads the stored text.
    pub fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// The name of its sentence in the catalogue: `event-` and the stored text, with hyphens.
    pub fn text(self) -> String {
        format!("event-{}", self.as_str().replace(['.', '_'], "-"))
    }
}

/// The party that caused an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A user, in their own account.
    User(UserId),
    /// A user with the role `admin`, in the administration.
    Admin(UserId),
    /// A client, by its `client_id`.
    Client(String),
    /// An operator at the command line.
    Operator,
    /// The authority itself.
    System,
    /// A visitor who is not signed in.
    Anonymous,
}

/// The stored form: `user:<id>`, `admin:<id>`, `client:<client_id>`, `operator`, `system` or `anonymous`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Admin(id) => write!(f, "admin:{id}"),
            Self::Client(client_id) => write!(f, "client:{client_id}"),
            Self::Operator => f.write_str("operator"),
            Self::System => f.write_str("system"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// The kind of thing that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum EndKind {
    /// One family.
    Family,
    /// One browser session.
    BrowserSession,
    /// Everything of one user in one browser.
    Browser,
    /// Everything of one user, but for the browser that is kept.
    User,
    /// Everything of one client, until it is enabled again.
    Client,
    /// Everything of every user.
    Everything,
}

impl EndKind {
    /// The text that is stored.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The reason of an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString, VariantArray)]
#[strum(serialize_all = "snake_case")]
pub enum EndReason {
    /// The user signed out.
    SignedOut,
    /// A user signed in again in the same browser.
    SignedInAgain,
    /// The user ended it on the sessions page.
    RevokedByUser,
    /// The client revoked its token (RFC 7009).
    RevokedByApp,
    /// An operator ended it.
    RevokedByOperator,
    /// One of its tokens was used twice.
    Reuse,
    /// The app was opened again in the same browser.
    Superseded,
    /// The password was changed or reset.
    PasswordChanged,
    /// The user closed their account.
    AccountClosed,
    /// An operator removed the user's second factors.
    FactorsReset,
    /// The user was disabled.
    UserDisabled,
    /// The client was disabled.
    ClientDisabled,
    /// The client may not have the family's tokens any more.
    ClientChanged,
}

impl EndReason {
    /// The text that is stored and shown to programs.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The name of its sentence in the catalogue: `end-` and the stored text, with hyphens.
    pub fn text(self) -> String {
        format!("end-{}", self.as_str().replace('_', "-"))
    }

    /// Reads the stored text.
    pub fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_reason_is_read_as_it_was_stored() {
        for kind in EventKind::VARIANTS {
            assert_eq!(EventKind::from_stored(kind.as_str()), Some(*kind));
            let (noun, verb) = kind.as_str().split_once('.').expect("noun.verb");
            assert!(!noun.is_empty() && !verb.is_empty());
        }
        for reason in EndReason::VARIANTS {
            assert_eq!(EndReason::from_stored(reason.as_str()), Some(*reason));
        }
        assert_eq!(EndReason::RevokedByOperator.as_str(), "revoked_by_operator");
        assert_eq!(EndKind::BrowserSession.as_str().parse(), Ok(EndKind::BrowserSession));
        assert_eq!(EventKind::from_stored("a.kind_of_a_newer_version"), None);
    }

    #[test]
    fn actors_have_one_text_each() {
        let id = UserId::from(uuid::Uuid::nil());
        assert_eq!(Actor::User(id).to_string(), format!("user:{id}"));
        assert_eq!(Actor::Admin(id).to_string(), format!("admin:{id}"));
        assert_eq!(Actor::Client("a:b".to_owned()).to_string(), "client:a:b");
        let rest =
            [Actor::Operator, Actor::System, Actor::Anonymous].map(|actor| actor.to_string());
        assert_eq!(rest, ["operator", "system", "anonymous"]);
    }
}
