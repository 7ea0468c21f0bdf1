//! Recovery codes: how they are written, and how they are recognised.

use super::ids::UserId;
use super::refresh_token::SecretHash;

/// Recovery codes that are made at once.
pub const RECOVERY_CODES: usize = 10;

/// Letters and digits that are not mistaken for each other (Crockford's Base32, in lower case).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A code of 80 bits, in groups of four.
pub fn write(bytes: [u8; 10]) -> String {
    let bits = bytes.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let digits: Vec<u8> =
        (0..16).map(|index| ALPHABET[(bits >> (75 - 5 * index) & 31) as usize]).collect();
    let groups = digits.chunks(4).map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join("-")
}

/// The hash of a user's code, however it is typed: with another letter for the same sign, with spaces or without.
pub fn hash(user: UserId, code: &str) -> SecretHash {
    let sign = |c: char| match c.to_ascii_lowercase() {
        'o' => Some('0'),
        'i' | 'l' => Some('1'),
        c if c.is_ascii_alphanumeric() => Some(c),
        _ => None,
    };
    let code: String = code.chars().filter_map(sign).take(64).collect();
    SecretHash::of(format!("{user}\0{code}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_however_it_is_typed() {
        let code = write([0xff, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
        assert_eq!((code.len(), code.split('-').count()), (19, 4));
        let user = UserId::from(uuid::Uuid::nil());
        for typed in [
            code.to_uppercase(),
            code.replace('-', ""),
            code.replace('-', " "),
            code.replace('0', "O"),
        ] {
            assert_eq!(hash(user, &typed).as_bytes(), hash(user, &code).as_bytes(), "{typed}");
        }
        let other = UserId::from(uuid::Uuid::max());
        assert_ne!(hash(other, &code).as_bytes(), hash(user, &code).as_bytes());
        assert_ne!(write([0; 10]), write([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
    }
}
