//! `POST /oauth/revoke` (RFC 7009) and `POST /oauth/introspect` (RFC 7662).

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::{Error, app_params, bad, calling_app, json as answer};
use crate::app::App;
use crate::domain::client::AppKind;
use crate::http::extract::{caller, to_the_end};
use crate::ops::introspect::introspect as introspect_op;
use crate::ops::revoke::{RevokeError, revoke as revoke_op};

/// Ends the family of a token.
pub async fn revoke(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = app_params(&request, payload).await?;
    let known = calling_app(&app, &request, &params).await?;
    let caller = caller(&app, &request).map_err(Error::for_programs)?;
    let token = params.need("token").map_err(bad)?.to_owned();
    let done = to_the_end(&app, |app| async move {
        revoke_op(&app, &known.registration, &token, &caller).await
    });
    match done.await {
        Ok(()) => Ok(answer(&json!({}))),
        Err(RevokeError::AnotherApps) => {
            Err(Error::oauth("invalid_grant", "the token was issued to another client"))
        }
        Err(RevokeError::Store(cause)) => Err(Error::from(cause).for_programs()),
    }
}

/// Says whether a token counts at this moment. For apps that can authenticate themselves.
pub async fn introspect(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = app_params(&request, payload).await?;
    let registration = &calling_app(&app, &request, &params).await?.registration;
    if registration.kind == AppKind::Public {
        return Err(Error::InvalidClient { by_header: false });
    }
    let token = params.need("token").map_err(bad)?;
    let answered = introspect_op(&app, registration, token).await;
    Ok(answer(&answered.map_err(|cause| Error::from(cause).for_programs())?))
}
