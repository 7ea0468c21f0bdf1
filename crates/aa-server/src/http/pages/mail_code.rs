//! Signing in with a code by mail, where the deployment allows it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::login::{destination, origin};
use super::password::AskEmail;
use super::{Frame, Wrong, html_with, lead_on, local_path, with_return_to};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::http::error::{Error, too_many_attempts};
use crate::http::request::{
    Csrf, address, caller, check_form, detached, form_again, language, query_params,
};
use crate::ops::authentication::mail_code::{RequestError, request as ask, sign_in};
use crate::ops::authentication::sign_in::SignInError;
use crate::services::throttle::ThrottleError;

fn must_be_on(authority: &Authority) -> Result<(), Error> {
    if authority.config.sign_in_code { Ok(()) } else { Err(Error::not_found()) }
}

/// `GET /login/code`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    must_be_on(&authority)?;
    let return_to = local_path(&authority, query_params(&request)?.get("return_to")?);
    Ok(ask_page(&authority, &request, (&return_to, ""), (StatusCode::OK, &[])))
}

fn ask_page(
    authority: &Authority,
    request: &HttpRequest,
    (return_to, email): (&str, &str),
    (status, errors): (StatusCode, &[Wrong]),
) -> HttpResponse {
    let csrf = Csrf::of(authority, request);
    let frame = Frame::new(authority, request, "code-title", &csrf, None).wrong(errors);
    let page = AskEmail {
        title: frame.title.clone(),
        lead: frame.t("code-lead"),
        action: "/login/code",
        return_to,
        email,
        submit: frame.t("code-submit"),
        sign_in: with_return_to("/login", return_to),
        frame,
    };
    html_with(authority, request, &csrf, status, &page)
}

#[derive(Template)]
#[template(path = "mail_code.html")]
struct CodePage<'a> {
    frame: Frame,
    lead: String,
    return_to: &'a str,
    email: &'a str,
    again: String,
}

/// `POST /login/code`: asks for a code, or gives it.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (fields, expired) = form_again(&authority, &request, payload).await?;
    if let Err(off) = must_be_on(&authority) {
        check_form(&authority, &request, &fields)?;
        return Err(off);
    }
    let return_to = local_path(&authority, fields.get("return_to")?);
    let email = fields.get("email")?.unwrap_or_default().to_owned();
    if expired {
        let wrong = ("", Message::new("form-expired"));
        let status = StatusCode::FORBIDDEN;
        return Ok(ask_page(&authority, &request, (&return_to, &email), (status, &[wrong])));
    }
    let origin = origin(&authority, &request, &return_to).await?;
    let address = address(&authority, &request)?;
    if !fields.has("code") {
        let (typed, language) = (email.clone(), language(&request, None));
        let done = detached(&authority, |authority| async move {
            ask(&authority, &typed, &origin, language, address).await
        });
        let wrong = match done.await {
            Ok(()) => {
                return code_page(
                    &authority,
                    &request,
                    (&return_to, &email),
                    (StatusCode::OK, &[]),
                )
                .await;
            }
            Err(RequestError::Invalid(invalid)) => ("email", invalid.message()),
            Err(RequestError::Throttle(ThrottleError::TooManyTries { retry_after })) => {
                ("", too_many_attempts(retry_after))
            }
            Err(RequestError::Throttle(refused)) => return Err(refused.into()),
            Err(RequestError::Store(cause)) => return Err(cause.into()),
        };
        return Ok(ask_page(
            &authority,
            &request,
            (&return_to, &email),
            (StatusCode::UNPROCESSABLE_ENTITY, &[wrong]),
        ));
    }
    let code = fields.get("code")?.unwrap_or_default().to_owned();
    let (typed, caller) = (email.clone(), caller(&authority, &request)?);
    let done = detached(&authority, |authority| async move {
        sign_in(&authority, (&typed, &code), &origin, address, &caller).await
    });
    let (status, wrong) = match done.await {
        Ok(outcome) => return Ok(lead_on(&authority, &request, &outcome, &return_to)),
        Err(SignInError::Throttle(ThrottleError::TooManyTries { retry_after })) => {
            (StatusCode::TOO_MANY_REQUESTS, ("", too_many_attempts(retry_after)))
        }
        Err(SignInError::Throttle(refused)) => return Err(refused.into()),
        Err(SignInError::Store(cause)) => return Err(cause.into()),
        Err(SignInError::Wrong | SignInError::UnknownPasskey | SignInError::Busy(_)) => {
            (StatusCode::UNAUTHORIZED, ("code", Message::new("wrong-code")))
        }
    };
    code_page(&authority, &request, (&return_to, &email), (status, &[wrong])).await
}

async fn code_page(
    authority: &Authority,
    request: &HttpRequest,
    (return_to, email): (&str, &str),
    (status, errors): (StatusCode, &[Wrong]),
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let frame = Frame::new(authority, request, "code-enter-title", &csrf, None).wrong(errors);
    let page = CodePage {
        lead: frame.t1("code-enter-lead", "email", email),
        return_to,
        email,
        again: with_return_to("/login/code", return_to),
        frame,
    };
    let mut response = html_with(authority, request, &csrf, status, &page);
    destination(authority, &csrf, return_to).await?.let_forms_lead_there(request, &mut response);
    Ok(response)
}
