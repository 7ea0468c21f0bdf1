//! Device authorization (RFC 8628): the code that a user types, and how far a request has come.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use strum::{EnumString, IntoStaticStr};

/// The grant type of device codes (RFC 8628 §3.4).
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The life of a request, and of its two codes.
pub const DEVICE_CODE_TTL: Duration = Duration::from_mins(10);
/// The seconds that a device has to wait between two token requests (RFC 8628 §3.2).
pub const POLL_INTERVAL: i64 = 5;
/// The seconds that are added each time a device does not wait so long (RFC 8628 §3.5).
pub const SLOW_DOWN: i64 = 5;

/// Consonants: no code is a word, and no letter is taken for a digit (RFC 8628 §6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LETTERS: usize = 8;

/// A user code: eight letters, of which there are 20 to the power of 8, or 34 bits. Shown as `BCDF-GHJK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// The code of these random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        let mut rest = u128::from_be_bytes(random);
        let letter = |_| {
            let letter = ALPHABET[(rest % 20) as usize];
            rest /= 20;
            char::from(letter)
        };
        Self((0..LETTERS).map(letter).collect())
    }

    /// The letters alone, as they are stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LETTERS / 2);
        write!(f, "{first}-{second}")
    }
}

/// The text is no user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoUserCode;

impl FromStr for UserCode {
    type Err = NoUserCode;

    /// Reads a code as a user types it: in any case, with hyphens and spaces anywhere, or without.
    fn from_str(text: &str) -> Result<Self, NoUserCode> {
        let mut code = String::with_capacity(LETTERS);
        for letter in text.chars().filter(|c| !c.is_whitespace() && !"-‐‑–".contains(*c)) {
            let letter = letter.to_ascii_uppercase();
            let known = u8::try_from(letter).is_ok_and(|letter| ALPHABET.contains(&letter));
            if !known || code.len() == LETTERS {
                return Err(NoUserCode);
            }
            code.push(letter);
        }
        if code.len() == LETTERS { Ok(Self(code)) } else { Err(NoUserCode) }
    }
}

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DeviceState {
    /// No user has answered it.
    Pending,
    /// A user has approved it. Its family decides about everything else.
    Approved,
    /// A user has refused it.
    Denied,
}

impl DeviceState {
    /// The text that is stored.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        let code: UserCode = "WDJBMJHT".parse().unwrap();
        assert_eq!((code.as_str(), code.to_string().as_str()), ("WDJBMJHT", "WDJB-MJHT"));
        for typed in ["wdjb-mjht", " WDJB MJHT ", "w d j b m j h t", "WDJB–MJHT", "wDjBmJhT\n"] {
            assert_eq!(typed.parse().as_ref(), Ok(&code), "{typed}");
        }
        for wrong in
            ["", "WDJB-MJH", "WDJB-MJHTX", "WDJB-MJHA", "WDJB-MJH1", "WDJB_MJHT", "ＷDJBMJHT"]
        {
            assert_eq!(wrong.parse::<UserCode>(), Err(NoUserCode), "{wrong}");
        }
    }

    #[test]
    fn every_letter_comes_and_only_these() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..200_u128 {
            let code = UserCode::new((number * 0x9e37_79b9_7f4a_7c15).to_be_bytes());
            assert_eq!(code.to_string().parse().as_ref(), Ok(&code));
            seen.extend(code.as_str().bytes());
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ALPHABET);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_in_one_way(text in "[b-hB-H -]{0,12}") {
            if let Ok(code) = text.parse::<UserCode>() {
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
    }
}
