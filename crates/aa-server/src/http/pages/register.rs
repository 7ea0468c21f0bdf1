//! Creating an account: by a confirmed address where registration is open, or by invitation.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use secrecy::SecretString;

use super::login::{destination, origin};
use super::{Frame, Wrong, html_with, lead_on, local_path, mistake, origin_of, with_return_to};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::domain::password::check;
use crate::domain::user::{Email, check_name};
use crate::http::error::Error;
use crate::http::render::message;
use crate::http::request::{
    Csrf, address, caller, detached, form, form_again, language, query_params,
};
use crate::ops::account::NewAccount;
use crate::ops::account::register::{
    Register, ask, confirm, confirmed_address, register, registration_offer,
};
use crate::ops::authentication::next::Demand;
use crate::store::Invitation;

#[derive(Template)]
#[template(path = "register.html")]
struct Page<'a> {
    frame: Frame,
    app: Option<&'a str>,
    invitation: &'a str,
    return_to: &'a str,
    sign_in: String,
    email: &'a str,
    email_is_fixed: bool,
    email_hint: String,
    name: &'a str,
    admin: bool,
    asks_password: bool,
    password_hint: String,
    submit: String,
}

/// The form as it was filled in.
#[derive(Default)]
struct Typed {
    invitation: Option<String>,
    return_to: String,
    email: String,
    name: String,
}

/// `GET /register`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let invitation = params.get("invitation")?.map(str::to_owned);
    let offer = registration_offer(&authority, invitation.as_deref()).await;
    let offer = offer.or_else(|refused| mistake(refused).and(Ok::<_, Error>(None)))?;
    let return_to = local_path(&authority, params.get("return_to")?);
    let typed = Typed { invitation, return_to, ..Typed::default() };
    page(&authority, &request, &typed, offer.as_ref(), (StatusCode::OK, &[])).await
}

/// `POST /register`.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let (fields, expired) = form_again(&authority, &request, payload).await?;
    let text = |name| Ok::<_, Error>(fields.get(name)?.unwrap_or_default().to_owned());
    let typed = Typed {
        invitation: fields.get("invitation")?.map(str::to_owned),
        return_to: local_path(&authority, fields.get("return_to")?),
        email: text("email")?,
        name: text("name")?,
    };
    let password = typed.invitation.is_some().then(|| text("password")).transpose()?;
    let mistakes = mistakes(&authority, &typed, password.as_deref());
    let wrong = if expired {
        Some((StatusCode::FORBIDDEN, vec![("", Message::new("form-expired"))]))
    } else if !mistakes.is_empty() {
        Some((StatusCode::UNPROCESSABLE_ENTITY, mistakes))
    } else {
        match &typed.invitation {
            Some(invitation) => {
                let account = NewAccount {
                    email: typed.email.clone(),
                    name: typed.name.clone(),
                    password: password.unwrap_or_default().into(),
                    admin: false,
                    email_verified: false,
                };
                match by_invitation(&authority, &request, account, invitation, &typed).await? {
                    Ok(response) => return Ok(response),
                    Err(wrong) => Some((StatusCode::UNPROCESSABLE_ENTITY, vec![wrong])),
                }
            }
            None => by_mail(&authority, &request, &typed)
                .await?
                .map(|wrong| (StatusCode::UNPROCESSABLE_ENTITY, vec![wrong])),
        }
    };
    let Some((status, wrong)) = wrong else {
        return Ok(message(&authority, &request, StatusCode::OK, &Message::new("register-sent")));
    };
    let offer = registration_offer(&authority, typed.invitation.as_deref()).await;
    let offer = offer.or_else(|refused| mistake(refused).and(Ok::<_, Error>(None)))?;
    page(&authority, &request, &typed, offer.as_ref(), (status, &wrong)).await
}

/// Finds every mistake in the form, to be told at once. An address that an invitation fixes is not looked at.
fn mistakes(authority: &Authority, typed: &Typed, password: Option<&str>) -> Vec<Wrong> {
    let email = typed.email.parse::<Email>().err().map(|wrong| ("email", wrong.message()));
    let name = check_name(&typed.name).err().map(|wrong| ("name", wrong.message()));
    let least = authority.config.password_min_chars;
    let password = password.and_then(|password| check(password, &typed.email, least).err());
    let password = password.map(|weak| ("password", weak.message()));
    [email, name, password].into_iter().flatten().collect()
}

async fn by_invitation(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    account: NewAccount,
    invitation: &str,
    typed: &Typed,
) -> Result<Result<HttpResponse, Wrong>, Error> {
    let command = Register {
        account,
        invitation: invitation.to_owned(),
        address: address(authority, request)?,
    };
    let origin = origin(authority, request, &typed.return_to).await?;
    let caller = caller(authority, request)?;
    let done = detached(authority, |authority| async move {
        register(&authority, command, &origin, &caller).await
    });
    match done.await {
        Ok(outcome) => Ok(Ok(lead_on(authority, request, &outcome, &typed.return_to))),
        Err(refused) => mistake(refused).map(Err),
    }
}

/// Mails a link; the answer is what is wrong with the form.
async fn by_mail(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    typed: &Typed,
) -> Result<Option<Wrong>, Error> {
    let origin = origin_of(authority, request, &typed.return_to, Demand::Policy);
    let (address, language) = (address(authority, request)?, language(request, None));
    let (email, name) = (typed.email.clone(), typed.name.clone());
    let done = detached(authority, |authority| async move {
        ask(&authority, (&email, &name), &origin, language, address).await
    });
    match done.await {
        Ok(()) => Ok(None),
        Err(refused) => mistake(refused).map(Some),
    }
}

async fn page(
    authority: &Authority,
    request: &HttpRequest,
    typed: &Typed,
    offer: Option<&Invitation>,
    (status, errors): (StatusCode, &[Wrong]),
) -> Result<HttpResponse, Error> {
    let csrf = Csrf::of(authority, request);
    let destination = destination(authority, &csrf, &typed.return_to).await?;
    let invited = offer.map(|offer| offer.email.as_str()).filter(|email| !email.is_empty());
    let hint = destination.login_hint.as_deref().unwrap_or_default();
    let email = if typed.email.is_empty() { hint } else { &typed.email };
    let frame = Frame::new(authority, request, "register-title", &csrf, None).wrong(errors);
    let by_invitation = typed.invitation.is_some();
    let page = Page {
        app: destination.client.as_ref().map(|client| client.name.as_str()),
        invitation: typed.invitation.as_deref().unwrap_or_default(),
        return_to: &typed.return_to,
        sign_in: with_return_to("/login", &typed.return_to),
        email: invited.unwrap_or(email),
        email_is_fixed: invited.is_some(),
        email_hint: if by_invitation { String::new() } else { frame.t("register-email-hint") },
        name: &typed.name,
        admin: offer.is_some_and(|offer| offer.admin),
        asks_password: by_invitation,
        password_hint: password_hint(authority, &frame),
        submit: frame.t(if by_invitation { "register-submit" } else { "continue" }),
        frame,
    };
    let mut response = html_with(authority, request, &csrf, status, &page);
    destination.let_forms_lead_there(request, &mut response);
    Ok(response)
}

/// The hint below a new password.
pub(super) fn password_hint(authority: &Authority, frame: &Frame) -> String {
    let hint = Message::new("password-hint").with("least", authority.config.password_min_chars);
    frame.texts.message(&hint)
}

#[derive(Template)]
#[template(path = "choose_password.html")]
pub(super) struct ChoosePassword<'a> {
    pub(super) frame: Frame,
    pub(super) title: String,
    pub(super) lead: String,
    pub(super) action: &'static str,
    pub(super) token: &'a str,
    pub(super) email: &'a str,
    pub(super) password_hint: String,
    pub(super) submit: String,
}

/// `GET /register/confirm`, the link of the mail.
pub async fn show_confirm(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let token = params.get("token")?.unwrap_or_default();
    choose(&authority, &request, token, (StatusCode::OK, &[])).await
}

async fn choose(
    authority: &Authority,
    request: &HttpRequest,
    token: &str,
    (status, errors): (StatusCode, &[Wrong]),
) -> Result<HttpResponse, Error> {
    let origin = origin_of(authority, request, "/apps", Demand::Policy);
    let (email, return_to) = match confirmed_address(authority, token, &origin).await {
        Ok(found) => found,
        Err(refused) => return Err(mistake(refused).err().unwrap_or_else(Error::not_found)),
    };
    let csrf = Csrf::of(authority, request);
    let frame = Frame::new(authority, request, "register-confirm-title", &csrf, None).wrong(errors);
    let page = ChoosePassword {
        title: frame.title.clone(),
        lead: frame.t1("register-confirm-lead", "email", &*email),
        action: "/register/confirm",
        token,
        email: &email,
        password_hint: password_hint(authority, &frame),
        submit: frame.t("register-submit"),
        frame,
    };
    let mut response = html_with(authority, request, &csrf, status, &page);
    if let Ok(destination) = destination(authority, &csrf, &return_to).await {
        destination.let_forms_lead_there(request, &mut response);
    }
    Ok(response)
}

/// `POST /register/confirm`.
pub async fn submit_confirm(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let token = fields.get("token")?.unwrap_or_default().to_owned();
    let password: SecretString = fields.get("password")?.unwrap_or_default().into();
    let origin = origin_of(&authority, &request, "/apps", Demand::Policy);
    let (address, caller) = (address(&authority, &request)?, caller(&authority, &request)?);
    let shown = token.clone();
    let done = detached(&authority, |authority| async move {
        confirm(&authority, (&token, password), origin, address, &caller).await
    });
    match done.await {
        Ok((outcome, return_to)) => Ok(lead_on(&authority, &request, &outcome, &return_to)),
        Err(refused) => {
            let wrong = mistake(refused)?;
            choose(&authority, &request, &shown, (StatusCode::UNPROCESSABLE_ENTITY, &[wrong])).await
        }
    }
}
