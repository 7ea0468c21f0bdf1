use strum::IntoStaticStr;

/// The ways in which clients register themselves (RFC 7591).
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ClientRegistration {
    /// Not at all: operators register them.
    Off,
    /// With a token that an operator has made for it (RFC 7591 §3).
    InitialAccessToken,
}

impl std::str::FromStr for ClientRegistration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Off, Self::InitialAccessToken]
            .into_iter()
            .find(|it| <&str>::from(it) == text)
            .ok_or_else(|| format!("`{text}` is not one of off, initial_access_token"))
    }
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub(super) enum OffOn {
    Off,
    On,
}
