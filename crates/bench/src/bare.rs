//! The ceiling of the HTTP part: an actix handler without anything around it that reads a refresh, signs an application
//! token as the authority does, and answers with the same bytes.

use std::process::ExitCode;
use std::sync::Arc;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::Serialize;
use tokens::{Algorithm, SigningKey};
use uuid::Uuid;

use crate::population::{CLIENT_ID, SCOPE};

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: Uuid,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: Uuid,
    sid: Uuid,
    scope: &'a str,
    auth_time: i64,
    amr: [&'a str; 1],
}

#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'a str,
    expires_in: i64,
    scope: &'a str,
    refresh_token: &'a str,
    refresh_token_expires_in: i64,
}

async fn refresh(key: web::Data<SigningKey>, body: web::Bytes) -> HttpResponse {
    let Some(token) = body.windows(14).position(|part| part == b"refresh_token=") else {
        return HttpResponse::BadRequest().finish();
    };
    let token = String::from_utf8_lossy(&body[token + 14..]);
    let claims = Claims {
        iss: "http://localhost:8080",
        sub: Uuid::from_u128(1),
        aud: "notes",
        client_id: CLIENT_ID,
        iat: 1_800_000_000,
        exp: 1_800_000_300,
        jti: Uuid::from_u128(2),
        sid: Uuid::from_u128(3),
        scope: SCOPE,
        auth_time: 1_800_000_000,
        amr: ["pwd"],
    };
    let Ok(access_token) = key.sign("at+jwt", &claims) else {
        return HttpResponse::InternalServerError().finish();
    };
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(Body {
        access_token: &access_token,
        token_type: "Bearer",
        expires_in: 300,
        scope: SCOPE,
        refresh_token: &token,
        refresh_token_expires_in: 2_592_000,
    })
}

/// Serves until it is killed.
pub fn serve(port: u16) -> ExitCode {
    let private = SigningKey::generate(Algorithm::EdDSA).expect("a key");
    let key = Arc::new(SigningKey::from_private(Algorithm::EdDSA, &private).expect("a key"));
    let served = actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(Arc::clone(&key)))
                .route("/readyz", web::get().to(HttpResponse::Ok))
                .route("/oauth/token", web::post().to(refresh))
        })
        .bind(("127.0.0.1", port))?
        .run()
        .await
    });
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
