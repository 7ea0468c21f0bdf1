//! Rules for new passwords (contract §7): long enough, and not among the most common ones.

use super::message::Message;

/// The longest password, in characters. It bounds the cost of hashing.
pub const MAX_CHARS: usize = 1024;
/// The default for the shortest password, in characters.
pub const DEFAULT_MIN_CHARS: usize = 8;

/// The most common passwords of eight characters and more, in lower case, sorted, one per line.
static COMMON: &str = include_str!("../../assets/common-passwords.txt");

/// The reason to refuse a password, in words for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has a NUL character.
    #[error("Use no NUL character in a password.")]
    Nul,
    /// Fewer characters than required.
    #[error("Please choose a password of at least {0} characters.")]
    TooShort(usize),
    /// More than 1,024 characters.
    #[error("Please choose a password of at most 1,024 characters.")]
    TooLong,
    /// On the list of common passwords.
    #[error(
        "This password is one of the most common ones, which attackers try first. Please choose another."
    )]
    Common,
    /// The e-mail address or the part before its `@`.
    #[error("Please choose a password that is not your e-mail address.")]
    IsEmail,
}

impl WeakPassword {
    /// The text in the catalogue.
    pub fn message(self) -> Message {
        match self {
            Self::Nul => Message::new("weak-nul"),
            Self::TooShort(least) => Message::new("weak-short").with("least", least),
            Self::TooLong => Message::new("weak-long"),
            Self::Common => Message::new("weak-common"),
            Self::IsEmail => Message::new("weak-email"),
        }
    }
}

/// Checks a new password. There are no composition rules.
///
/// # Errors
/// [`WeakPassword`].
pub fn check(password: &str, email: &str, min_chars: usize) -> Result<(), WeakPassword> {
    // Forms cannot carry it, so it could not be used to sign in.
    if password.contains('\0') {
        return Err(WeakPassword::Nul);
    }
    let chars = password.chars().count();
    if chars < min_chars {
        return Err(WeakPassword::TooShort(min_chars));
    }
    if chars > MAX_CHARS {
        return Err(WeakPassword::TooLong);
    }
    let lower = password.to_lowercase();
    let email = email.to_lowercase();
    if lower == email || email.split('@').next() == Some(lower.as_str()) {
        return Err(WeakPassword::IsEmail);
    }
    if is_common(&lower) {
        return Err(WeakPassword::Common);
    }
    Ok(())
}

fn is_common(lower: &str) -> bool {
    // Sorted lines of one text: a binary search over byte positions, without building an index.
    let (mut low, mut high) = (0, COMMON.len());
    while low < high {
        let middle = low.midpoint(high);
        let start = COMMON[..middle].rfind('\n').map_or(0, |index| index + 1);
        let end = COMMON[middle..].find('\n').map_or(COMMON.len(), |index| middle + index);
        match COMMON[start..end].cmp(lower) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = end + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_every_entry_is_found() {
        let lines: Vec<_> = COMMON.lines().collect();
        assert!(lines.len() > 5_000, "{}", lines.len());
        assert!(lines.is_sorted());
        assert!(lines.iter().all(|line| is_common(line)));
        assert!(!is_common("zzzzzzzzzzzzzzzzzzzzzzz") && !is_common("!") && !is_common(""));
    }

    #[test]
    fn length_and_commonness_decide() {
        let check = |password: &str| check(password, "ann@example.com", 8);
        assert_eq!(check("1234567"), Err(WeakPassword::TooShort(8)));
        assert_eq!(check(&"ä".repeat(1025)), Err(WeakPassword::TooLong));
        assert_eq!(check("Password1"), Err(WeakPassword::Common));
        assert_eq!(check("ANN@example.com"), Err(WeakPassword::IsEmail));
        assert_eq!(check("tangerine lamp 4"), Ok(()));
        assert_eq!(check(&"ä".repeat(1024)), Ok(()));
        assert_eq!(check("äöüßäöü1"), Ok(()), "characters are counted, not bytes");
    }
}
