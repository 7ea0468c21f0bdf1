//! Forms with a file (`multipart/form-data`, RFC 7578).

use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use futures_util::{FutureExt as _, stream};
use multer::Multipart;

use super::body::{MAX_FORM, read_body};
use super::csrf::{check_csrf, form, require_our_pages};
use crate::authority::Authority;
use crate::http::error::Error;

/// The time within which a file must arrive.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The number of parts that a form may have.
const MAX_PARTS: usize = 4;

/// The parts of a form with a file.
#[derive(Debug, Default)]
pub struct Upload {
    /// The CSRF token.
    pub csrf: Option<String>,
    /// The file.
    pub file: Option<Bytes>,
}

/// The file in the field `file` of a form of ours, if one was chosen.
///
/// *Checks* what [`form`] checks; the file has at most `max` bytes and arrives within 30 seconds.
///
/// # Errors
/// As [`form`].
pub async fn upload(
    authority: &Authority,
    request: &HttpRequest,
    payload: web::Payload,
    max: usize,
) -> Result<Option<Vec<u8>>, Error> {
    let media_type =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(boundary) = media_type.and_then(|value| multer::parse_boundary(value).ok()) else {
        // Without a file.
        return form(authority, request, payload).await.map(|_| None);
    };
    require_our_pages(authority, request)?;
    let body = read_body(payload, max + MAX_FORM, UPLOAD_TIMEOUT).await?;
    let upload = parts(body, &boundary)?;
    check_csrf(authority, request, upload.csrf.as_deref())?;
    Ok(upload.file.filter(|file| !file.is_empty()).map(|file| file.to_vec()))
}

/// The parts `csrf` and `file` of a body; others are passed over.
///
/// # Errors
/// 400 where the body is not well formed, a part comes twice, or there are more than four.
pub fn parts(body: Bytes, boundary: &str) -> Result<Upload, Error> {
    let broken = || Error::bad_request("the body is no multipart/form-data");
    let read = async {
        let whole = stream::once(std::future::ready(Ok::<_, Infallible>(body)));
        let mut parts = Multipart::new(whole, boundary);
        let mut upload = Upload::default();
        for _ in 0..=MAX_PARTS {
            let Some(part) = parts.next_field().await? else { return Ok(Some(upload)) };
            let name = part.name().map(str::to_owned);
            match name.as_deref() {
                Some("csrf") if upload.csrf.is_none() => upload.csrf = Some(part.text().await?),
                Some("file") if upload.file.is_none() => upload.file = Some(part.bytes().await?),
                Some("csrf" | "file") => return Ok(None),
                _ => {}
            }
        }
        Ok::<_, multer::Error>(None)
    };
    // The whole body is at hand: nothing is waited for.
    read.now_or_never().and_then(Result::ok).flatten().ok_or_else(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(parts: &[(&str, &str)]) -> Bytes {
        let part = |(name, value): &(&str, &str)| {
            format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        (parts.iter().map(part).collect::<String>() + "--x--\r\n").into()
    }

    #[test]
    fn a_form_has_one_token_and_one_file() {
        let read = parts(body(&[("csrf", "t"), ("other", ""), ("file", "bytes")]), "x").unwrap();
        assert_eq!((read.csrf.as_deref(), read.file.as_deref()), (Some("t"), Some(&b"bytes"[..])));
        let none = parts(body(&[]), "x").unwrap();
        assert!(none.csrf.is_none() && none.file.is_none());
        for wrong in [
            body(&[("csrf", "a"), ("csrf", "b")]),
            body(&[("file", "a"), ("file", "b")]),
            body(&[("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", "")]),
            Bytes::from_static(b""),
            Bytes::from_static(b"--x"),
            body(&[("file", "bytes")]).slice(..60),
        ] {
            assert!(parts(wrong.clone(), "x").is_err(), "{wrong:?}");
        }
    }
}
