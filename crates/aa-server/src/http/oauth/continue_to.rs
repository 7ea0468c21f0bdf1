//! `GET` and `POST /continue`: the question before a code goes to a program on the user's machine (RFC 8252 §8.6).
//!
//! Such a program cannot prove which app it is, so without the question any of them could get tokens behind the user's back.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::allow;
use super::authorize::{self, Pending, must_confirm};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::pages;
use crate::http::pages::login::attempt_expired;
use crate::http::render::{Frame, allow_form_origins, html_with};
use crate::http::request::{Csrf, caller, current_user, detached, form, query_params};
use crate::ops::grants::agent;

#[derive(Template)]
#[template(path = "continue.html")]
struct Question<'a> {
    frame: Frame,
    app: &'a str,
    user_id: String,
    question: String,
    attempt: &'a str,
}

/// The question.
pub async fn get(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let reference = params.get("attempt")?;
    let resume = || format!("/oauth/authorize?attempt={}", reference.unwrap_or_default());
    let current_user = current_user(&authority, &request).await?;
    let current_user = current_user.ok_or_else(|| Error::SignIn(resume()))?;
    let reference = reference.ok_or_else(attempt_expired)?;
    let pending = authorize::stored(&authority, &request, reference).await?;
    if pending.client.is_agent() {
        return allow::page(&authority, &request, (&pending, reference), &current_user).await;
    }
    let Pending { client, asked, .. } = pending;
    if !must_confirm(&authority, &client, &asked, &current_user).await? {
        // Answered in another tab.
        return Ok(pages::redirect(&resume()));
    }
    let csrf = Csrf::of(&authority, &request);
    let mut frame = Frame::new(&authority, &request, "continue", &csrf, Some(&current_user));
    frame.title = frame.t1("continue-title", "app", &*client.name);
    let question = Message::new("continue-question")
        .with("app", client.name.as_str())
        .with("email", current_user.user.email.as_str());
    let page = Question {
        question: frame.texts.message(&question),
        frame,
        app: &client.name,
        user_id: current_user.user.id.to_string(),
        attempt: reference,
    };
    let mut response = html_with(&authority, &request, &csrf, StatusCode::OK, &page);
    allow_form_origins(&request, &mut response, &client.origins());
    Ok(response)
}

/// The user's answer.
pub async fn post(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let reference = fields.get("attempt")?.ok_or_else(attempt_expired)?;
    let mut pending = authorize::stored(&authority, &request, reference).await?;
    if fields.get("answer")? != Some("continue") {
        if pending.client.is_agent() {
            record_denial(&authority, &request, &pending).await?;
        }
        let refused = pending.asked.access_denied();
        return authorize::refuse(&authority, &request, &pending.client, &refused);
    }
    // Of the user whom the page named: another may have signed in since.
    pending.confirmed_by = fields.get("user")?.map(str::to_owned);
    authorize::grant(&authority, &request, pending).await
}

/// Records that the user who is signed in refuses an agent.
async fn record_denial(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    pending: &Pending,
) -> Result<(), Error> {
    let Some(user) = current_user(authority, request).await? else { return Ok(()) };
    let (user, caller) = (user.user.id, caller(authority, request)?);
    let asked = pending.asked.clone();
    let work = |authority: web::Data<Authority>| async move {
        agent::deny(&authority, &asked, user, &caller).await
    };
    Ok(detached(authority, work).await?)
}
