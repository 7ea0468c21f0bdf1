//! Texts for people, where a program is told.

use actix_web::{HttpRequest, web};

use crate::authority::Authority;
use crate::domain::language::Language;
use crate::domain::message::Message;
use crate::services::catalogue::Texts;

/// A refusal in English, for programs.
pub(super) fn in_english(request: &HttpRequest, message: &Message, detail: &str) -> String {
    let catalogue =
        request.app_data::<web::Data<Authority>>().map(|authority| &authority.catalogue);
    let text = catalogue
        .map(|catalogue| Texts::new(catalogue, Language::English).attribute(message, "message"));
    if detail.is_empty() { text.unwrap_or_default() } else { detail.to_owned() }
}
