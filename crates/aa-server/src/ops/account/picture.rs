//! The picture of a user.

use serde_json::json;
use tokio::sync::Semaphore;

use super::AccountError;
use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::services::drawing::{DrawingError, Fit, Square, draw};
use crate::store::User;

/// The square of a picture.
const PICTURE: Square = Square { size: 256, fit: Fit::Cover, max_file: 8 };
/// The largest file, in bytes.
pub const MAX_FILE: usize = PICTURE.max_file * 1024 * 1024;

/// Lets one picture be drawn at a time: drawing takes much memory for a moment.
static DRAWING: Semaphore = Semaphore::const_new(1);

/// Sets the picture of a user from a file, or removes it. Its address changes with it, and cannot be guessed.
///
/// # Errors
/// [`AccountError::Picture`], [`AccountError::Store`].
pub async fn set(
    authority: &Authority,
    user: &User,
    file: Option<Vec<u8>>,
    caller: &Caller,
) -> Result<(), AccountError> {
    let png = match file {
        Some(file) => Some(drawn(file).await?),
        None => None,
    };
    let name = authority.random.token();
    let event = authority
        .event(EventKind::ProfileChanged, Actor::User(user.id), caller)
        .user(user.id)
        .detail(json!({ "picture": png.is_some() }));
    let picture = png.as_deref().map(|png| (name.as_str(), png));
    Ok(authority.store.set_picture(user.id, picture, event, authority.now()).await?)
}

async fn drawn(file: Vec<u8>) -> Result<Vec<u8>, DrawingError> {
    let _permit = DRAWING.acquire().await;
    let drawing = tokio::task::spawn_blocking(move || draw(&file, PICTURE)).await;
    // A decoder that panics was given something that it cannot read.
    drawing.unwrap_or_else(|_| Err(DrawingError::Unreadable(unreadable())))
}

fn unreadable() -> image::ImageError {
    std::io::Error::other("the decoder failed").into()
}
