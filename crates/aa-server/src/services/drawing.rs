//! Images that others bring, drawn anew as PNG, so that nothing of the file itself reaches a browser.

use std::io::Cursor;

use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, RgbaImage};

/// The largest width and height of a file, in pixels.
const MAX_PIXELS: u32 = 4096;

/// How an image fills its square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Whole, in the middle.
    Inside,
    /// The square in its middle.
    Cover,
}

/// A square to be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Square {
    /// Width and height, in pixels.
    pub size: u32,
    /// How the image fills it.
    pub fit: Fit,
    /// The largest file, in MiB.
    pub max_file: usize,
}

/// Why a file is not drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawingError {
    /// The file is larger than so many MiB.
    #[error("the file is larger than {0} MiB")]
    TooLarge(usize),
    /// The file is no image that can be read.
    #[error("the file is no PNG, JPEG or WebP image that can be read: {0}")]
    Unreadable(#[from] image::ImageError),
}

/// Draws an image anew, upright, without anything else that the file has.
///
/// # Errors
/// [`DrawingError`].
pub fn draw(file: &[u8], square: Square) -> Result<Vec<u8>, DrawingError> {
    if file.len() > square.max_file * 1024 * 1024 {
        return Err(DrawingError::TooLarge(square.max_file));
    }
    let image = read(file)?;
    let Square { size, fit, .. } = square;
    let drawn = match fit {
        Fit::Cover => image.resize_to_fill(size, size, FilterType::Lanczos3).to_rgba8(),
        Fit::Inside => {
            let small = image.resize(size, size, FilterType::Lanczos3).to_rgba8();
            let mut drawn = RgbaImage::new(size, size);
            let place = |length: u32| i64::from((size - length) / 2);
            let (x, y) = (place(small.width()), place(small.height()));
            image::imageops::overlay(&mut drawn, &small, x, y);
            drawn
        }
    };
    let mut png = Cursor::new(Vec::new());
    drawn.write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}

/// The image of a file, within limits, turned as the file says that its camera was held.
fn read(file: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_PIXELS);
    limits.max_image_height = Some(MAX_PIXELS);
    limits.max_alloc = Some(128 * 1024 * 1024);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ICON: Square = Square { size: 128, fit: Fit::Inside, max_file: 1 };

    fn encoded(image: &RgbaImage, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        DynamicImage::from(image.clone()).to_rgb8().write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    #[test]
    fn an_image_is_drawn_anew_and_what_is_none_is_told() {
        let wide = RgbaImage::from_pixel(300, 100, image::Rgba([200, 0, 0, 255]));
        let mut file = encoded(&wide, ImageFormat::Png);
        file.extend_from_slice(b"<script>alert(1)</script>");
        let png = draw(&file, ICON).unwrap();
        let drawn = image::load_from_memory(&png).unwrap().to_rgba8();
        assert_eq!(drawn.dimensions(), (128, 128));
        let alpha = |image: &RgbaImage, y| image.get_pixel(64, y).0[3];
        assert_eq!((alpha(&drawn, 64), alpha(&drawn, 2)), (255, 0), "in the middle");
        assert!(!png.windows(7).any(|part| part == b"<script"));
        let full = draw(&file, Square { fit: Fit::Cover, ..ICON }).unwrap();
        assert_eq!(alpha(&image::load_from_memory(&full).unwrap().to_rgba8(), 2), 255);
        for wrong in
            [&b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"[..], b"", b"\x89PNG\r\n\x1a\n"]
        {
            assert!(matches!(draw(wrong, ICON), Err(DrawingError::Unreadable(_))));
        }
        assert!(matches!(draw(&vec![0; 1024 * 1024 + 1], ICON), Err(DrawingError::TooLarge(1))));
        // A small file that says that it is enormous.
        let mut bomb = file.clone();
        bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(draw(&bomb, ICON).is_err());
    }

    #[test]
    fn a_photo_stands_upright_and_says_nothing_of_its_camera() {
        // Red above, blue below, taken with the camera turned: orientation 6 of Exif.
        let image = RgbaImage::from_fn(64, 64, |_, y| {
            image::Rgba(if y < 32 { [255, 0, 0, 255] } else { [0, 0, 255, 255] })
        });
        let plain = encoded(&image, ImageFormat::Jpeg);
        let exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
        let photo = [&plain[..2], &[0xff, 0xe1], &length, exif, &plain[2..]].concat();
        let png = draw(&photo, ICON).unwrap();
        let drawn = image::load_from_memory(&png).unwrap().to_rgba8();
        let (left, right) = (drawn.get_pixel(8, 64).0, drawn.get_pixel(120, 64).0);
        assert!(left[2] > 200 && right[0] > 200, "{left:?} {right:?}");
        assert!(!png.windows(4).any(|part| part.eq_ignore_ascii_case(b"exif")));
    }
}
