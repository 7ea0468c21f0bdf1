//! `POST /oauth/token` (RFC 6749 §3.2).

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use tokens::Scope;

use super::{Error, app_params, bad, calling_app, json as answer};
use crate::app::App;
use crate::domain::client::{AppKind, Registration};
use crate::http::extract::{caller, to_the_end};
use crate::http::params::Params;
use crate::ops::Caller;
use crate::ops::client_credentials::client_credentials;
use crate::ops::issue::Issued;
use crate::ops::redeem::{Redeem, redeem};
use crate::ops::refresh::{GrantError, Refresh, refresh};

/// Redeems, refreshes, or makes the token of a service.
pub async fn post(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Error> {
    let params = app_params(&request, payload).await?;
    let registration = calling_app(&app, &request, &params).await?;
    let caller = caller(&app, &request).map_err(Error::for_programs)?;
    let issued = match params.need("grant_type").map_err(bad)? {
        "authorization_code" => by_code(&app, registration, &params, caller).await?,
        "refresh_token" => by_refresh_token(&app, registration, &params, caller).await?,
        "client_credentials" => by_client_credentials(&app, &registration, &params)?,
        _ => {
            return Err(Error::oauth(
                "unsupported_grant_type",
                "use authorization_code, refresh_token or client_credentials",
            ));
        }
    };
    Ok(answer(&body(&issued)))
}

fn body(issued: &Issued) -> serde_json::Value {
    let mut body = json!({
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scope,
    });
    if let Some(token) = &issued.refresh_token {
        body["refresh_token"] = json!(token.expose());
        // draft-ietf-oauth-refresh-token-expiration
        body["refresh_token_expires_in"] = json!(issued.refresh_expires_in);
    }
    if let Some(token) = &issued.id_token {
        body["id_token"] = json!(token);
    }
    body
}

async fn by_code(
    app: &web::Data<App>,
    registration: Registration,
    params: &Params,
    caller: Caller,
) -> Result<Issued, Error> {
    for_people(&registration)?;
    let command = Redeem {
        app: registration,
        code: params.need("code").map_err(bad)?.to_owned(),
        redirect_uri: params.need("redirect_uri").map_err(bad)?.to_owned(),
        code_verifier: params.get("code_verifier").map_err(bad)?.map(str::to_owned),
        resource: params.get("resource").map_err(bad)?.map(str::to_owned),
    };
    let done = to_the_end(app, |app| async move { redeem(&app, command, &caller).await }).await;
    Ok(done?)
}

async fn by_refresh_token(
    app: &web::Data<App>,
    registration: Registration,
    params: &Params,
    caller: Caller,
) -> Result<Issued, Error> {
    for_people(&registration)?;
    let command = Refresh {
        app: registration,
        refresh_token: params.need("refresh_token").map_err(bad)?.to_owned(),
        scope: scope(params)?,
        resource: params.get("resource").map_err(bad)?.map(str::to_owned),
    };
    let done = to_the_end(app, |app| async move { refresh(&app, command, &caller).await }).await;
    Ok(done?)
}

fn by_client_credentials(
    app: &App,
    registration: &Registration,
    params: &Params,
) -> Result<Issued, Error> {
    if registration.kind != AppKind::Service {
        return Err(Error::oauth("unauthorized_client", "this grant is for apps of kind service"));
    }
    let resource = params.get("resource").map_err(bad)?;
    let issued: Result<Issued, GrantError> =
        client_credentials(app, registration, scope(params)?, resource);
    Ok(issued?)
}

fn for_people(registration: &Registration) -> Result<(), Error> {
    if registration.kind == AppKind::Service {
        return Err(Error::oauth("unauthorized_client", "a service uses client_credentials"));
    }
    Ok(())
}

fn scope(params: &Params) -> Result<Option<Scope>, Error> {
    params
        .get("scope")
        .map_err(bad)?
        .map(|text| {
            text.parse::<Scope>()
                .map_err(|()| Error::oauth("invalid_scope", "the scope cannot be read"))
        })
        .transpose()
}
