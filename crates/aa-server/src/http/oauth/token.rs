//! `POST /oauth/token` (RFC 6749 §3.2).

use std::fmt::Write as _;

use actix_web::{HttpRequest, HttpResponse, web};
use tokens::Scope;

use super::{
    Error, app_params, bad, calling_app, credentials, json_text as answer, not_authenticated,
};
use crate::app::App;
use crate::domain::client::{AppKind, Registration};
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
        // Boxed, so that a refresh does not carry along what it does not need.
        "authorization_code" => Box::pin(by_code(&app, &request, &params)).await?,
        "refresh_token" => by_refresh_token(&app, &request, &params).await?,
        "client_credentials" => Box::pin(by_client_credentials(&app, &request, &params)).await?,
        _ => {
            // Only apps learn what there is.
            Box::pin(calling_app(&app, &request, &params)).await?;
            return Err(Error::oauth(
                "unsupported_grant_type",
                "use authorization_code, refresh_token or client_credentials",
            ));
        }
    };
    Ok(answer(body(&issued)))
}

/// A successful answer (RFC 6749 §5.1).
///
/// Written by hand: tokens are base64url, which JSON takes as it is, and going through them to see that takes longer
/// than all the rest.
fn body(issued: &Issued) -> String {
    let scope = serde_json::Value::from(issued.scope.as_str());
    let mut body = String::with_capacity(issued.access_token.len() + 512);
    let _ = write!(
        body,
        r#"{{"access_token":"{}","token_type":"Bearer","expires_in":{},"scope":{scope}"#,
        issued.access_token, issued.expires_in
    );
    if let Some(token) = &issued.refresh_token {
        // draft-ietf-oauth-refresh-token-expiration
        let seconds = issued.refresh_expires_in;
        let token = token.expose();
        let _ = write!(body, r#","refresh_token":"{token}","refresh_token_expires_in":{seconds}"#);
    }
    if let Some(token) = &issued.id_token {
        let _ = write!(body, r#","id_token":"{token}""#);
    }
    body.push('}');
    body
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
            Err(GrantError::AppChanged) => {
                known = Box::pin(authenticate_app(app, &credentials)).await;
            }
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
