//! The mails of a demo, for every visitor to read: there is no mail server in it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::{Frame, html_with};
use crate::authority::Authority;
use crate::http::error::Error;
use crate::http::request::Csrf;

/// Mails on the page.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "demo_mail.html")]
struct Page {
    frame: Frame,
    mails: Vec<Mail>,
}

struct Mail {
    to: String,
    subject: String,
    parts: Vec<Part>,
}

/// A line of a mail, or a link that is one.
struct Part {
    text: String,
    is_link: bool,
    ends_line: bool,
}

/// `GET /demo/mail`; 404 but in the demo.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    if !authority.config.mail_page {
        return Err(Error::not_found());
    }
    let stored = web::block({
        let authority = authority.clone();
        move || authority.mailer.stored()
    });
    let stored =
        stored.await.map_err(|_| Error::unavailable())?.map_err(|_| Error::unavailable())?;
    let own = authority.config.public_url.as_str();
    let part = |line: &str| Part {
        is_link: line.starts_with(own),
        text: line.to_owned(),
        ends_line: true,
    };
    let mails = stored.into_iter().take(SHOWN).map(|letter| Mail {
        parts: letter.text.lines().map(part).collect(),
        to: letter.to,
        subject: letter.subject,
    });
    let csrf = Csrf::of(&authority, &request);
    let frame = Frame::new(&authority, &request, "demo-mail-title", &csrf, None);
    let page = Page { frame, mails: mails.collect() };
    Ok(html_with(&authority, &request, &csrf, StatusCode::OK, &page))
}
