use foundation::time::Timestamp;
use uuid::Uuid;

/// What the tokens of a family are made from, as it stands after a move.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The family.
    pub family: Uuid,
    /// The generation of its newest token.
    pub generation: u32,
    /// Whose it is.
    pub user_id: Uuid,
    /// What it allows.
    pub scope: String,
    /// For whom its application tokens are.
    pub audience: String,
    /// When the person signed in, in Unix milliseconds.
    pub auth_time: i64,
    /// Authentication methods, separated by spaces.
    pub amr: String,
    /// The app's nonce.
    pub nonce: Option<String>,
    /// The absolute end.
    pub expires_at: Timestamp,
    /// When it ends if nobody uses it.
    pub ends_at: Timestamp,
}
