//! Icons of apps, from files of the operator's.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::services::drawing::{DrawingError, Fit, Square, draw};
use crate::store;

/// The square of an icon.
const ICON: Square = Square { size: 128, fit: Fit::Inside, max_file: 2 };

/// Why an icon is not set, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum IconError {
    /// The file is not drawn.
    #[error(transparent)]
    Drawing(#[from] DrawingError),
    /// There is no such client.
    #[error("there is no app `{0}`")]
    Unknown(String),
    /// The database cannot answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Sets the icon of a client from an image, or removes it.
///
/// # Errors
/// [`IconError`].
pub async fn set(
    authority: &Authority,
    client_id: &str,
    file: Option<&[u8]>,
    caller: &Caller,
) -> Result<(), IconError> {
    let png = file.map(|file| draw(file, ICON)).transpose()?;
    let name = png.as_ref().map(|png| URL_SAFE_NO_PAD.encode(&digest(&SHA256, png).as_ref()[..12]));
    let event = authority
        .event(EventKind::ClientChanged, Actor::Operator, caller)
        .client(client_id)
        .detail(json!({ "icon": name }));
    let icon = name.as_deref().zip(png.as_deref());
    let done = authority.store.set_client_icon(client_id, icon, event, authority.now()).await?;
    done.ok_or_else(|| IconError::Unknown(client_id.to_owned()))
}
