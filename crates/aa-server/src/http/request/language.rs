//! The language of the reader.

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use url::form_urlencoded;

use super::Cookie;
use crate::authority::Authority;
use crate::domain::language::Language;
use crate::store::User;

/// The language that the address asks for with `ui_locales`, if it does.
pub fn chosen_language(request: &HttpRequest) -> Option<Language> {
    let query = form_urlencoded::parse(request.query_string().as_bytes());
    query.filter(|(name, _)| name == "ui_locales").find_map(|(_, list)| Language::from_list(&list))
}

/// The language of the reader: the one chosen by the address, in this browser, or in the account; else the browser's.
pub fn language(request: &HttpRequest, user: Option<&User>) -> Language {
    let authority = request.app_data::<web::Data<Authority>>();
    let kept = || authority.and_then(|authority| Cookie::Language.read(authority, request));
    let accepted = || request.headers().get(header::ACCEPT_LANGUAGE)?.to_str().ok();
    chosen_language(request)
        .or_else(|| Language::from_tag(&kept()?))
        .or_else(|| Language::from_tag(&user?.language))
        .or_else(|| Language::from_accept(accepted()?))
        .unwrap_or_default()
}
