//! Icons of apps: drawn anew from a file of the operator's, so that nothing of the file itself reaches a browser.

use std::io::Cursor;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader, Limits, RgbaImage};
use serde_json::json;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::event::{Actor, EventKind};
use crate::store;

/// Width and height of an icon, in pixels.
const SIZE: u32 = 128;
/// The largest file, in bytes.
pub const MAX_FILE: usize = 2 * 1024 * 1024;
/// The largest width and height of a file, in pixels.
const MAX_PIXELS: u32 = 4096;

/// Why an icon is not set, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum IconError {
    /// The file is too large.
    #[error("the file is larger than 2 MiB")]
    TooLarge,
    /// The file is no image that can be read.
    #[error("the file is no PNG, JPEG or WebP image that can be read: {0}")]
    Unreadable(String),
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
    let png = file.map(draw).transpose()?;
    let name = png.as_ref().map(|png| URL_SAFE_NO_PAD.encode(&digest(&SHA256, png).as_ref()[..12]));
    let event = authority
        .event(EventKind::ClientChanged, Actor::Operator, caller)
        .client(client_id)
        .detail(json!({ "icon": name }));
    let icon = name.as_deref().zip(png.as_deref());
    let done = authority.store.set_client_icon(client_id, icon, event, authority.now()).await?;
    done.ok_or_else(|| IconError::Unknown(client_id.to_owned()))
}

/// Draws an image anew: 128 by 128, as PNG, without anything else that the file has.
fn draw(file: &[u8]) -> Result<Vec<u8>, IconError> {
    if file.len() > MAX_FILE {
        return Err(IconError::TooLarge);
    }
    let unreadable = |error: &dyn std::fmt::Display| IconError::Unreadable(error.to_string());
    let mut reader = ImageReader::new(Cursor::new(file))
        .with_guessed_format()
        .map_err(|error| unreadable(&error))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_PIXELS);
    limits.max_image_height = Some(MAX_PIXELS);
    limits.max_alloc = Some(128 * 1024 * 1024);
    reader.limits(limits);
    let image = reader.decode().map_err(|error| unreadable(&error))?;
    let small = image.resize(SIZE, SIZE, FilterType::Lanczos3).to_rgba8();
    let mut square = RgbaImage::new(SIZE, SIZE);
    let place = |length: u32| i64::from((SIZE - length) / 2);
    image::imageops::overlay(&mut square, &small, place(small.width()), place(small.height()));
    let mut png = Cursor::new(Vec::new());
    square.write_to(&mut png, ImageFormat::Png).map_err(|error| unreadable(&error))?;
    Ok(png.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icon_is_drawn_anew_and_what_is_no_image_is_told() {
        let mut file = Cursor::new(Vec::new());
        RgbaImage::from_pixel(300, 100, image::Rgba([200, 0, 0, 255]))
            .write_to(&mut file, ImageFormat::Png)
            .unwrap();
        let mut file = file.into_inner();
        file.extend_from_slice(b"<script>alert(1)</script>");
        let png = draw(&file).unwrap();
        let drawn = image::load_from_memory(&png).unwrap().to_rgba8();
        assert_eq!(drawn.dimensions(), (SIZE, SIZE));
        assert_eq!(
            (drawn.get_pixel(64, 64).0[3], drawn.get_pixel(64, 2).0[3]),
            (255, 0),
            "in the middle"
        );
        assert!(!png.windows(7).any(|part| part == b"<script"));
        for wrong in
            [&b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"[..], b"", b"\x89PNG\r\n\x1a\n"]
        {
            assert!(matches!(draw(wrong), Err(IconError::Unreadable(_))));
        }
        assert!(matches!(draw(&vec![0; MAX_FILE + 1]), Err(IconError::TooLarge)));
        // A small file that says that it is enormous.
        let mut bomb = file.clone();
        bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(draw(&bomb).is_err());
    }
}
