//! Cursors of paged lists: positions that cannot be made up, each for one list and one owner.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::seal::MasterSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the MAC in a cursor.
const MAC: usize = 16;
/// The longest cursor that is looked at.
const MAX_CHARS: usize = 1024;

/// Encodes and decodes cursors.
#[derive(Debug)]
pub struct CursorCodec(Vec<hmac::Key>);

/// A text that is not a cursor of this list: made up, altered, or of another list or user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of this list; start without one")]
pub struct BadCursor;

impl CursorCodec {
    /// A codec for these secrets, newest first.
    pub fn new(secrets: &[MasterSecret]) -> Self {
        Self(secrets.iter().map(|secret| secret.mac_key("cursor")).collect())
    }

    /// The cursor that stands for a position in a list. `list` names the list and its owner.
    pub fn encode(&self, list: &str, position: &impl Serialize) -> String {
        let position = serde_json::to_vec(position).unwrap_or_default();
        let tag = hmac::sign(&self.0[0], &message(list, &position));
        URL_SAFE_NO_PAD.encode([&tag.as_ref()[..MAC], &position].concat())
    }

    /// The position that a cursor of this list stands for.
    ///
    /// # Errors
    /// [`BadCursor`].
    pub fn decode<T: DeserializeOwned>(&self, list: &str, cursor: &str) -> Result<T, BadCursor> {
        if cursor.len() > MAX_CHARS {
            return Err(BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
        let (mac, position) = bytes.split_at_checked(MAC).ok_or(BadCursor)?;
        let message = message(list, position);
        let genuine = self.0.iter().any(|key| {
            let tag = hmac::sign(key, &message);
            aws_lc_rs::constant_time::verify_slices_are_equal(&tag.as_ref()[..MAC], mac).is_ok()
        });
        if !genuine {
            return Err(BadCursor);
        }
        serde_json::from_slice(position).map_err(|_| BadCursor)
    }
}

fn message(list: &str, position: &[u8]) -> Vec<u8> {
    [list.as_bytes(), b"\0", position].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codec(secrets: &[&str]) -> CursorCodec {
        let secrets: Vec<_> = secrets
            .iter()
            .map(|secret| MasterSecret::new(secret.as_bytes().to_vec()).unwrap())
            .collect();
        CursorCodec::new(&secrets)
    }

    const OLD: &str = "a secret that was the first of all";
    const NEW: &str = "a secret that has come after that";

    #[test]
    fn a_cursor_is_read_in_its_list_alone() {
        let codec = codec(&[OLD]);
        let cursor = codec.encode("events:ann", &(5_i64, "x"));
        assert_eq!(codec.decode("events:ann", &cursor), Ok((5_i64, "x".to_owned())));
        assert_eq!(codec.decode::<(i64, String)>("events:bo", &cursor), Err(BadCursor));
        assert_eq!(codec.decode::<(i64, String)>("users:ann", &cursor), Err(BadCursor));
        for at in 0..cursor.len() {
            let mut altered = cursor.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert_eq!(codec.decode::<(i64, String)>("events:ann", &altered), Err(BadCursor));
            assert_eq!(codec.decode::<(i64, String)>("events:ann", &cursor[..at]), Err(BadCursor));
        }
    }

    #[test]
    fn a_cursor_of_an_older_secret_is_read_while_that_is_known() {
        let cursor = codec(&[OLD]).encode("users", &"ann");
        assert_eq!(codec(&[NEW, OLD]).decode("users", &cursor), Ok("ann".to_owned()));
        assert_eq!(codec(&[NEW]).decode::<String>("users", &cursor), Err(BadCursor));
    }
}
