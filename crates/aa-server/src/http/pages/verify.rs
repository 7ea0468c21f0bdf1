//! The second step of a sign-in: showing a second factor, or setting one up.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::factors::{TotpPage, qr_code};
use super::login::{attempt_expired, destination};
use super::{Frame, Wrong, html_with, origin_of, redirect, welcome};
use crate::authority::Authority;
use crate::domain::authentication::Enrolment;
use crate::domain::message::{Message, Value};
use crate::http::error::{Error, too_many_attempts};
use crate::http::request::params::Params;
use crate::http::request::{Csrf, address, caller, detached, form, query_params};
use crate::ops::account::factors;
use crate::ops::authentication::enrol::{self, Enrolled, Setup, enrol};
use crate::ops::authentication::next::{Demand, pending};
use crate::ops::authentication::verify::{Proof, Verify, VerifyError, verify};
use crate::services::passkeys::Challenge;
use crate::services::throttle::ThrottleError;
use crate::store::{PendingSignIn, User};

#[derive(Template)]
#[template(path = "verify.html")]
struct Page<'a> {
    frame: Frame,
    lead: String,
    attempt: &'a str,
    passkey: Option<Challenge>,
    asks_code: bool,
    with: &'a str,
    code_label: String,
    remember: Option<String>,
    others: Vec<(String, String)>,
}

/// The ways to show a second factor that a page offers.
const RECOVERY: &str = "recovery";
const PASSKEY: &str = "passkey";
const TOTP: &str = "totp";

/// `GET /login/verify`.
pub async fn show(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let attempt = params.get("attempt")?.unwrap_or_default();
    page(&authority, &request, (attempt, params.get("with")?), (StatusCode::OK, &[])).await
}

async fn under_way(
    authority: &Authority,
    request: &HttpRequest,
    attempt: &str,
) -> Result<(Csrf, PendingSignIn, User), Error> {
    let csrf = Csrf::of(authority, request);
    let found = pending(authority, attempt, &csrf.binding()).await?;
    let (waiting, user) = found.ok_or_else(attempt_expired)?;
    Ok((csrf, waiting, user))
}

async fn page(
    authority: &Authority,
    request: &HttpRequest,
    (attempt, with): (&str, Option<&str>),
    (status, errors): (StatusCode, &[Wrong]),
) -> Result<HttpResponse, Error> {
    let (csrf, waiting, user) = under_way(authority, request, attempt).await?;
    let counts = authority.store.factor_counts(user.id).await?;
    let has_passkey = counts.passkeys > 0 && authority.passkeys.is_available();
    let with = match with {
        Some(RECOVERY) => RECOVERY,
        Some(TOTP) if counts.totp > 0 => TOTP,
        _ if has_passkey => PASSKEY,
        _ if counts.totp > 0 => TOTP,
        _ => RECOVERY,
    };
    let passkey = if with == PASSKEY {
        let rows = authority.store.passkeys(user.id).await?;
        let credentials: Vec<String> = rows.into_iter().map(|row| row.credential).collect();
        authority.passkeys.begin_verification(&credentials, &csrf.binding(), authority.now()).ok()
    } else {
        None
    };
    let frame = Frame::new(authority, request, "verify-title", &csrf, None).wrong(errors);
    let ways = [
        (PASSKEY, has_passkey, "verify-passkey"),
        (TOTP, counts.totp > 0, "verify-totp"),
        (RECOVERY, true, "verify-recovery"),
    ];
    let others = ways.into_iter().filter(|(way, possible, _)| *possible && *way != with);
    let others = others
        .map(|(way, _, id)| (format!("/login/verify?attempt={attempt}&with={way}"), frame.t(id)));
    let days = authority.config.second_factor.remember.map(|time| time.as_secs().div_ceil(86_400));
    let remember = days.filter(|_| with == TOTP).map(|days| {
        let days = i64::try_from(days).unwrap_or(i64::MAX);
        frame.texts.get1("verify-remember", "days", Value::Number(days))
    });
    let page = Page {
        lead: frame.t1("verify-lead", "email", &*user.email),
        attempt,
        passkey,
        asks_code: with != PASSKEY,
        with,
        code_label: frame.t("totp-code"),
        remember,
        others: others.collect(),
        frame,
    };
    let mut response = html_with(authority, request, &csrf, status, &page);
    if let Ok(destination) = destination(authority, &csrf, &waiting.return_to).await {
        destination.let_forms_lead_there(request, &mut response);
    }
    Ok(response)
}

/// `POST /login/verify`.
pub async fn submit(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let attempt = fields.get("attempt")?.unwrap_or_default().to_owned();
    let with = fields.get("with")?.map(str::to_owned);
    let (proof, wrong) = proof(&fields)?;
    let command = Verify {
        reference: attempt.clone(),
        proof,
        remember: fields.get("remember")?.is_some(),
        address: address(&authority, &request)?,
    };
    let origin = origin_of(&authority, &request, "/apps", Demand::Policy);
    let caller = caller(&authority, &request)?;
    let done = detached(&authority, |authority| async move {
        verify(&authority, command, &origin, &caller).await
    });
    match done.await {
        Ok((signed_in, return_to)) => {
            Ok(welcome(&authority, &request, &signed_in, redirect(&return_to)))
        }
        Err(refused) => {
            let (status, wrong) = mistake(refused, wrong)?;
            page(&authority, &request, (&attempt, with.as_deref()), (status, &[wrong])).await
        }
    }
}

/// The proof in a form, and the mistake to be told when it is not right.
fn proof(fields: &Params) -> Result<(Proof, Wrong), Error> {
    if let Some(answer) = fields.get("credential")? {
        let state = fields.get("state")?.unwrap_or_default().to_owned();
        let proof = Proof::Passkey { state, answer: answer.to_owned() };
        return Ok((proof, ("", Message::new("wrong-passkey"))));
    }
    let code = fields.get("code")?.unwrap_or_default().to_owned();
    Ok(match fields.get("with")? {
        Some(RECOVERY) => {
            (Proof::RecoveryCode(code), ("code", Message::new("wrong-recovery-code")))
        }
        _ => (Proof::Totp(code), ("code", Message::new("wrong-code"))),
    })
}

fn mistake(refused: VerifyError, wrong: Wrong) -> Result<(StatusCode, Wrong), Error> {
    match refused {
        VerifyError::Wrong => Ok((StatusCode::UNAUTHORIZED, wrong)),
        VerifyError::Throttle(ThrottleError::TooManyTries { retry_after }) => {
            Ok((StatusCode::TOO_MANY_REQUESTS, ("", too_many_attempts(retry_after))))
        }
        VerifyError::Throttle(refused) => Err(refused.into()),
        VerifyError::Expired => Err(attempt_expired()),
        VerifyError::Store(cause) => Err(cause.into()),
    }
}

#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage<'a> {
    frame: Frame,
    attempt: &'a str,
    registration: Option<Challenge>,
    may_skip: bool,
    skip: String,
}

/// `GET /login/enrol`.
pub async fn show_enrol(
    authority: web::Data<Authority>,
    request: HttpRequest,
) -> Result<HttpResponse, Error> {
    let params = query_params(&request)?;
    let attempt = params.get("attempt")?.unwrap_or_default();
    let totp = params.get("with")? == Some(TOTP);
    enrol_page(&authority, &request, attempt, totp.then_some(""), (StatusCode::OK, &[])).await
}

/// The choice of factors; with the state of a set-up, or an empty one, the page of an authenticator app.
async fn enrol_page(
    authority: &Authority,
    request: &HttpRequest,
    attempt: &str,
    totp: Option<&str>,
    (status, errors): (StatusCode, &[Wrong]),
) -> Result<HttpResponse, Error> {
    let (csrf, waiting, user) = under_way(authority, request, attempt).await?;
    let title = if totp.is_some() { "totp-set-up" } else { "enrol-title" };
    let frame = Frame::new(authority, request, title, &csrf, None).wrong(errors);
    let mut response = if let Some(state) = totp {
        let again = factors::same_totp(authority, &user, state, &csrf.binding());
        let new = again.or_else(|| factors::new_totp(authority, &user, &csrf.binding()));
        let new = new.ok_or_else(Error::unavailable)?;
        let page = TotpPage {
            qr: qr_code(&new.url),
            secret: new.secret.to_string(),
            state: new.state,
            attempt,
            action: "/login/enrol",
            frame,
        };
        html_with(authority, request, &csrf, status, &page)
    } else {
        let enrolment = enrol::of(authority, &waiting, &user);
        let until = match enrolment {
            Enrolment::Soon(at) => at.to_string().chars().take(10).collect::<String>(),
            _ => String::new(),
        };
        let page = EnrolPage {
            attempt,
            registration: factors::passkey_challenge(authority, &user, &csrf.binding()).await?,
            may_skip: matches!(enrolment, Enrolment::Soon(_)),
            skip: frame.t1("enrol-later", "day", &*until),
            frame,
        };
        html_with(authority, request, &csrf, status, &page)
    };
    if let Ok(destination) = destination(authority, &csrf, &waiting.return_to).await {
        destination.let_forms_lead_there(request, &mut response);
    }
    Ok(response)
}

#[derive(Template)]
#[template(path = "saved_codes.html")]
struct SavedCodes {
    frame: Frame,
    codes: Vec<String>,
    onward: String,
}

/// `POST /login/enrol`.
pub async fn submit_enrol(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let fields = form(&authority, &request, payload).await?;
    let text = |name| Ok::<_, Error>(fields.get(name)?.unwrap_or_default().to_owned());
    let (attempt, state) = (text("attempt")?, text("state")?);
    let (setup, wrong, again) = if fields.get("later")?.is_some() {
        (None, ("", Message::new("wrong-code")), None)
    } else if let Some(answer) = fields.get("credential")? {
        let setup = Setup::Passkey { state, answer: answer.to_owned() };
        (Some(setup), ("", Message::new("wrong-passkey")), None)
    } else {
        let setup = Setup::Totp { state: state.clone(), code: text("code")? };
        (Some(setup), ("code", Message::new("wrong-code")), Some(state))
    };
    let origin = origin_of(&authority, &request, "/apps", Demand::Policy);
    let (address, caller) = (address(&authority, &request)?, caller(&authority, &request)?);
    let reference = attempt.clone();
    let done = detached(&authority, |authority| async move {
        enrol(&authority, (&reference, setup), &origin, address, &caller).await
    });
    match done.await {
        Ok(Enrolled { signed_in, return_to, codes }) if codes.is_empty() => {
            Ok(welcome(&authority, &request, &signed_in, redirect(&return_to)))
        }
        Ok(Enrolled { signed_in, return_to, codes }) => {
            let csrf = Csrf::of(&authority, &request);
            let frame = Frame::new(&authority, &request, "recovery-new", &csrf, None);
            let page = SavedCodes { frame, codes, onward: return_to };
            let response = html_with(&authority, &request, &csrf, StatusCode::OK, &page);
            Ok(welcome(&authority, &request, &signed_in, response))
        }
        Err(refused) => {
            let (status, wrong) = mistake(refused, wrong)?;
            enrol_page(&authority, &request, &attempt, again.as_deref(), (status, &[wrong])).await
        }
    }
}
