//! The picture of a user.

use actix_web::{HttpRequest, HttpResponse, web};
use tokio::sync::Semaphore;

use super::account::{PAGE, page};
use super::{mistake, redirect};
use crate::authority::Authority;
use crate::domain::message::Message;
use crate::http::error::Error;
use crate::http::request::{CurrentUser, caller, current_user, detached, form, signed_in, upload};
use crate::ops::account::picture::{MAX_FILE, set as set_picture};

/// Files that arrive at once, and wait to be drawn: they are in memory.
static UPLOADS: Semaphore = Semaphore::const_new(4);

/// `POST /account/picture`.
pub async fn set(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let Some(current_user) = current_user(&authority, &request).await? else {
        // Of the anonymous no file is read.
        form(&authority, &request, payload).await?;
        return Err(Error::SignIn(PAGE.to_owned()));
    };
    let permit = UPLOADS.try_acquire().map_err(|_| Error::unavailable())?;
    let file = upload(&authority, &request, payload, MAX_FILE).await?;
    let Some(file) = file else {
        let wrong = ("file", Message::new("wrong-picture"));
        return Ok(page(&authority, &request, &current_user, ("", &[wrong])));
    };
    let response = change(&authority, &request, current_user, Some(file)).await;
    drop(permit);
    response
}

/// `POST /account/picture/remove`.
pub async fn remove(
    authority: web::Data<Authority>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    form(&authority, &request, payload).await?;
    let current_user = signed_in(&authority, &request, PAGE).await?;
    change(&authority, &request, current_user, None).await
}

async fn change(
    authority: &web::Data<Authority>,
    request: &HttpRequest,
    current_user: CurrentUser,
    file: Option<Vec<u8>>,
) -> Result<HttpResponse, Error> {
    let caller = caller(authority, request)?;
    let user = current_user.user.clone();
    let done = detached(authority, |authority| async move {
        set_picture(&authority, &user, file, &caller).await
    });
    match done.await {
        Ok(()) => Ok(redirect("/account?done=saved")),
        Err(refused) => {
            let wrong = mistake(refused)?;
            Ok(page(authority, request, &current_user, ("", &[wrong])))
        }
    }
}
