//! `POST /oauth/token` (RFC 6749 §3.2).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tokens::Scope;

use super::{Error, app_params, bad, calling_app, credentials, json as answer, not_authenticated};
use crate::app::App;
use crate::domain::client::{AppKind, Registration};
use crate::domain::token::WireToken;
use crate::http::extract::{caller, to_the_end};
use crate::http::params::Params;
use crate::ops::authenticate_app::{authenticate_app, authenticate_remembered_app};
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
    let issued = match params.need("grant_type").map_err(bad)? {
        "authorization_code" => by_code(&app, &request, &params).await?,
        "refresh_token" => by_refresh_token(&app, &request, &params).await?,
        "client_credentials" => by_client_credentials(&app, &request, &params).await?,
        _ => {
            // Only apps learn what there is.
            calling_app(&app, &request, &params).await?;
            return Err(Error::oauth(
                "unsupported_grant_type",
                "use authorization_code, refresh_token or client_credentials",
            ));
        }
    };
    Ok(answer(&Body::of(&issued)))
}

/// A successful answer (RFC 6749 §5.1).
#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    /// draft-ietf-oauth-refresh-token-expiration
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token_expires_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
}

impl<'a> Body<'a> {
    fn of(issued: &'a Issued) -> Self {
        let refresh_token = issued.refresh_token.as_ref().map(WireToken::expose);
        Self {
            access_token: &issued.access_token,
            token_type: "Bearer",
            expires_in: issued.expires_in,
            scope: &issued.scope,
            refresh_token,
            refresh_token_expires_in: refresh_token.map(|_| issued.refresh_expires_in),
            id_token: issued.id_token.as_deref(),
        }
    }
}

async fn by_code(
    app: &web::Data<App>,
    request: &HttpRequest,
    params: &Params,
) -> Result<Issued, Error> {
    let known = calling_app(app, request, params).await?;
    for_people(&known.registration)?;
    let caller = caller(app, request).map_err(Error::for_programs)?;
    let command = Redeem {
        app: known,
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
    request: &HttpRequest,
    params: &Params,
) -> Result<Issued, Error> {
    let credentials = credentials(request, params)?;
    let mut known = authenticate_remembered_app(app, &credentials).await;
    let caller = caller(app, request).map_err(Error::for_programs)?;
    loop {
        let known_app = known.map_err(|failed| not_authenticated(request, failed))?;
        for_people(&known_app.registration)?;
        let command = Refresh {
            app: known_app,
            refresh_token: params.need("refresh_token").map_err(bad)?.to_owned(),
            scope: scope(params)?,
            resource: params.get("resource").map_err(bad)?.map(str::to_owned),
        };
        match refresh(app, command, caller.clone()).await {
            // What was remembered of the app is old.
            Err(GrantError::AppChanged) => known = authenticate_app(app, &credentials).await,
            done => return Ok(done?),
        }
    }
}

async fn by_client_credentials(
    app: &App,
    request: &HttpRequest,
    params: &Params,
) -> Result<Issued, Error> {
    let registration = &calling_app(app, request, params).await?.registration;
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
