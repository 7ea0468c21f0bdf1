//! The wire format of delegation tokens, device codes and refresh tokens (`docs/contract.md#rule-1`).
//!
//! `dt_`, `dc_` or `rt_`, then base64url of
//!
//! | bytes | what |
//! | --- | --- |
//! | 16 | the family's UUID |
//! | 4 | the generation, big-endian |
//! | 32 | the family's secret, the same in all its tokens |
//! | 16 | the first half of HMAC-SHA-256 over the kind and all of the above, under the server's secret |
//!
//! A forged or altered token is refused before the database is asked. The database alone cannot make one (it
//! has only a hash of the family's secret, and not the server's); the server's secret alone cannot either;
//! and an older token cannot be turned into a newer one.

use super::ids::FamilyId;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use foundation::seal::MasterSecret;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

const BODY: usize = 16 + 4 + 32;
const MAC: usize = 16;
const _: () = assert!(WIRE_CHARS <= 128);
/// The length of a token on the wire, in characters.
pub const WIRE_CHARS: usize = 3 + (BODY + MAC) * 8 / 6 + 1;

/// The kind of an opaque token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// The first token of a family, generation 0: the OAuth 2.0 authorization code.
    Delegation,
    /// The first token of a family that a device asks for, generation 0: the device code (RFC 8628 §3.2).
    Device,
    /// Every later one.
    Refresh,
}

impl TokenKind {
    /// Whether tokens of this kind have this generation.
    const fn has(self, generation: u32) -> bool {
        match self {
            Self::Delegation | Self::Device => generation == 0,
            Self::Refresh => generation > 0,
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Delegation => "dt_",
            Self::Device => "dc_",
            Self::Refresh => "rt_",
        }
    }
}

/// The random secret that all tokens of one family carry.
#[derive(Clone, derive_more::Debug)]
#[debug("FamilySecret(…)")]
pub struct FamilySecret(Zeroizing<[u8; 32]>);

impl FamilySecret {
    /// From 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The hash that the database keeps.
    pub fn hash(&self) -> SecretHash {
        SecretHash(digest(&SHA256, self.0.as_slice()).as_ref().to_vec())
    }
}

/// SHA-256 of a random secret. Compares in constant time.
#[derive(Debug, Clone)]
pub struct SecretHash(Vec<u8>);

impl SecretHash {
    /// Of a secret that cannot be guessed from its hash: at least 80 random bits.
    pub fn of(secret: &[u8]) -> Self {
        Self(digest(&SHA256, secret).as_ref().to_vec())
    }

    /// As the database keeps it.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, to be stored.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

/// What a genuine token says. Whether it still counts is for the family to respond.
#[derive(Debug, Clone)]
pub struct RefreshToken {
    /// The family it belongs to.
    pub family: FamilyId,
    /// Its place in the family.
    pub generation: u32,
    /// The family's secret.
    pub secret: FamilySecret,
}

impl RefreshToken {
    fn body(&self) -> Zeroizing<[u8; BODY]> {
        let mut body = Zeroizing::new([0; BODY]);
        body[..16].copy_from_slice(self.family.uuid().as_bytes());
        body[16..20].copy_from_slice(&self.generation.to_be_bytes());
        body[20..].copy_from_slice(self.secret.0.as_slice());
        body
    }
}

/// A token as it travels. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, derive_more::Debug)]
#[debug("EncodedToken(…)")]
pub struct EncodedToken(Zeroizing<String>);

impl EncodedToken {
    /// The text, to be handed to the app.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Makes and reads tokens under the server's secrets: the newest makes, all read.
#[derive(derive_more::Debug)]
#[debug("RefreshTokenCodec(…)")]
pub struct RefreshTokenCodec {
    keys: Vec<hmac::Key>,
}

impl RefreshTokenCodec {
    /// A mint for these secrets, newest first.
    pub fn new(secrets: &[MasterSecret]) -> Self {
        Self { keys: secrets.iter().map(|secret| secret.mac_key("token-mac")).collect() }
    }

    /// Writes a token: a refresh token, or a delegation token if it is of generation 0.
    ///
    /// # Panics
    /// Without any secret; configuration does not let that happen.
    pub fn encode(&self, token: &RefreshToken) -> EncodedToken {
        let kind = if token.generation == 0 { TokenKind::Delegation } else { TokenKind::Refresh };
        self.encode_as(kind, token)
    }

    /// Writes the device code of a family that is still to be made.
    ///
    /// # Panics
    /// As [`encode`](Self::encode).
    pub fn encode_device_code(&self, family: FamilyId, secret: FamilySecret) -> EncodedToken {
        self.encode_as(TokenKind::Device, &RefreshToken { family, generation: 0, secret })
    }

    fn encode_as(&self, kind: TokenKind, token: &RefreshToken) -> EncodedToken {
        let body = token.body();
        let mac = sign(&self.keys[0], kind, body.as_slice());
        let mut text = Zeroizing::new(String::with_capacity(WIRE_CHARS));
        text.push_str(kind.prefix());
        let bytes = Zeroizing::new([&body[..], &mac.as_ref()[..MAC]].concat());
        URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
        EncodedToken(text)
    }

    /// Reads a token of this kind; `None` unless every character of it is as it was written.
    ///
    /// *Checks* length, prefix, strict base64url, the MAC in constant time, and that kind and generation
    /// agree. *Does not check* anything about the family.
    pub fn decode(&self, kind: TokenKind, text: &str) -> Option<RefreshToken> {
        let encoded = text.strip_prefix(kind.prefix())?;
        if text.len() != WIRE_CHARS {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(encoded).ok()?);
        let (body, mac) = bytes.split_at_checked(BODY)?;
        let genuine =
            self.keys.iter().any(|key| sign(key, kind, body).as_ref()[..MAC].ct_eq(mac).into());
        if !genuine {
            return None;
        }
        let generation = u32::from_be_bytes(body[16..20].try_into().ok()?);
        let family = Uuid::from_slice(&body[..16]).ok()?.into();
        let secret = FamilySecret::new(body[20..].try_into().ok()?);
        kind.has(generation).then_some(RefreshToken { family, generation, secret })
    }
}

fn sign(key: &hmac::Key, kind: TokenKind, body: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(kind.prefix().as_bytes());
    context.update(body);
    context.sign()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refresh_tokens(bytes: &[u8]) -> RefreshTokenCodec {
        let secrets: Vec<_> =
            bytes.iter().map(|byte| MasterSecret::new(vec![*byte; 32]).unwrap()).collect();
        RefreshTokenCodec::new(&secrets)
    }

    fn token(generation: u32) -> RefreshToken {
        RefreshToken {
            family: Uuid::from_u128(7).into(),
            generation,
            secret: FamilySecret::new([9; 32]),
        }
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_within_its_size() {
        for (generation, kind) in
            [(0, TokenKind::Delegation), (1, TokenKind::Refresh), (u32::MAX, TokenKind::Refresh)]
        {
            let wire = refresh_tokens(&[1]).encode(&token(generation));
            assert_eq!(wire.expose().len(), WIRE_CHARS);
            let read = refresh_tokens(&[1]).decode(kind, wire.expose()).unwrap();
            assert_eq!(read.family.uuid(), Uuid::from_u128(7));
            assert_eq!(read.generation, generation);
            assert!(read.secret.hash() == FamilySecret::new([9; 32]).hash());
        }
    }

    #[test]
    fn every_character_counts() {
        let wire = refresh_tokens(&[1]).encode(&token(3));
        let text = wire.expose();
        for index in 0..text.len() {
            for replacement in "AZaz09-_=. ".chars() {
                let mut altered: Vec<char> = text.chars().collect();
                if altered[index] == replacement {
                    continue;
                }
                altered[index] = replacement;
                let altered: String = altered.into_iter().collect();
                assert!(
                    refresh_tokens(&[1]).decode(TokenKind::Refresh, &altered).is_none(),
                    "{index} {replacement}"
                );
            }
            assert!(refresh_tokens(&[1]).decode(TokenKind::Refresh, &text[..index]).is_none());
        }
        assert!(refresh_tokens(&[1]).decode(TokenKind::Refresh, &format!("{text}A")).is_none());
        assert!(refresh_tokens(&[1]).decode(TokenKind::Refresh, &format!("{text}=")).is_none());
    }

    #[test]
    fn a_kind_is_not_the_other() {
        let delegation = refresh_tokens(&[1]).encode(&token(0));
        assert!(refresh_tokens(&[1]).decode(TokenKind::Refresh, delegation.expose()).is_none());
        let renamed = delegation.expose().replacen("dt_", "rt_", 1);
        assert!(refresh_tokens(&[1]).decode(TokenKind::Refresh, &renamed).is_none());
        let refresh = refresh_tokens(&[1]).encode(&token(1)).expose().replacen("rt_", "dt_", 1);
        assert!(refresh_tokens(&[1]).decode(TokenKind::Delegation, &refresh).is_none());
        let codec = refresh_tokens(&[1]);
        let device = codec.encode_device_code(token(0).family, token(0).secret);
        assert!(codec.decode(TokenKind::Device, device.expose()).is_some());
        for (kind, prefix) in [(TokenKind::Delegation, "dt_"), (TokenKind::Refresh, "rt_")] {
            assert!(codec.decode(kind, &device.expose().replacen("dc_", prefix, 1)).is_none());
        }
        let renamed = delegation.expose().replacen("dt_", "dc_", 1);
        assert!(codec.decode(TokenKind::Device, &renamed).is_none());
    }

    #[test]
    fn older_secrets_read_and_unknown_ones_do_not() {
        let old = refresh_tokens(&[1]).encode(&token(1));
        assert!(refresh_tokens(&[2, 1]).decode(TokenKind::Refresh, old.expose()).is_some());
        assert!(refresh_tokens(&[2]).decode(TokenKind::Refresh, old.expose()).is_none());
        let new = refresh_tokens(&[2, 1]).encode(&token(1));
        assert!(
            refresh_tokens(&[1]).decode(TokenKind::Refresh, new.expose()).is_none(),
            "the first one writes"
        );
        // Two rounds of a rotation: in each, whatever one replica makes, the other reads.
        for replicas in [[&[1][..], &[1, 2]], [&[1, 2], &[2, 1]]] {
            for (one, other) in [(0, 1), (1, 0)] {
                let made = refresh_tokens(replicas[one]).encode(&token(1));
                let read =
                    refresh_tokens(replicas[other]).decode(TokenKind::Refresh, made.expose());
                assert!(read.is_some(), "{replicas:?}");
            }
        }
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let wire = refresh_tokens(&[1]).encode(&token(1));
        let shown = format!("{wire:?} {:?}", token(1));
        assert!(!shown.contains(&wire.expose()[30..60]) && !shown.contains("9, 9"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_text_but_a_written_one_is_read(text in "(dt_|dc_|rt_)?[A-Za-z0-9_-]{0,130}") {
            prop_assert!(refresh_tokens(&[1]).decode(TokenKind::Refresh, &text).is_none());
            prop_assert!(refresh_tokens(&[1]).decode(TokenKind::Delegation, &text).is_none());
            prop_assert!(refresh_tokens(&[1]).decode(TokenKind::Device, &text).is_none());
        }
    }
}
