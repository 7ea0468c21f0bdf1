//! How well a password withstands guessing, while it is being chosen: a hint, no rule.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use zxcvbn::Score;

use crate::authority::Authority;
use crate::http::error::Error;
use crate::http::request::{form, language};
use crate::services::catalogue::Texts;

/// Characters that are looked at: more make no password weaker.
const LOOKED_AT: usize = 64;

/// `POST /password/strength`: the score from 0 to 4, and a word for it.
pub async fn measure(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let password: zeroize::Zeroizing<String> = fields
        .get("password")?
        .unwrap_or_default()
        .chars()
        .take(LOOKED_AT)
        .collect::<String>()
        .into();
    let brand = authority.branding.name.clone();
    let score = web::block(move || zxcvbn::zxcvbn(&password, &[&brand]).score());
    let score = score.await.map_err(|_| Error::unavailable())?;
    let (score, text) = match score {
        Score::Zero => (0, "strength-0"),
        Score::One => (1, "strength-1"),
        Score::Two => (2, "strength-2"),
        Score::Three => (3, "strength-3"),
        _ => (4, "strength-4"),
    };
    let texts = Texts::new(&authority.catalogue, language(&request, None));
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "score": score, "text": texts.get(text) })))
}
