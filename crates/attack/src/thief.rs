//! A thief, who has copied a cookie, a token or a password.

use std::time::Duration;

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::users;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::Outcome;
use crate::world::{Browser, PASSWORD, World, member};

const NEW_PASSWORD: &str = "violet anchor 9";

pub async fn outruns_a_reset(world: &World) -> Outcome {
    let email = "reset@example.com";
    let thief = world.signed_in(email).await?;
    let authority = world.authority();
    let loops = (0..3).map(|_| async {
        for _ in 0..4 {
            let fields = [("current_password", PASSWORD), ("new_password", "stolen again 77")];
            if thief.submit("/account", "/account/password", &fields).await.is_err() {
                break;
            }
        }
    });
    let user = authority.store.user_by_email(email).await?.ok_or("the user is gone")?;
    let reset = async {
        tokio::time::sleep(Duration::from_millis(40)).await;
        users::reset_password(&authority, &user, NEW_PASSWORD.into(), &Caller::operator()).await
    };
    let (_, reset) = tokio::join!(futures_util::future::join_all(loops), reset);
    reset?;
    let fresh = Browser::new(&world.url(0));
    Ok(match fresh.sign_in(email, NEW_PASSWORD).await? {
        StatusCode::SEE_OTHER => Ok(()),
        other => Err(format!("the operator's password is answered with {other}")),
    })
}

pub async fn keeps_a_copied_cookie(world: &World) -> Outcome {
    let owner = world.signed_in("copied@example.com").await?;
    let thief = owner.copy();
    let fields = [("current_password", PASSWORD), ("new_password", NEW_PASSWORD)];
    owner.submit("/account", "/account/password", &fields).await?;
    let (owner, thief) = (owner.is_signed_in().await?, thief.is_signed_in().await?);
    Ok(match (owner, thief) {
        (true, false) => Ok(()),
        (false, _) => Err("the owner is out".to_owned()),
        (true, true) => Err("the copy is still signed in".to_owned()),
    })
}

pub async fn uses_a_copied_pair(world: &World) -> Outcome {
    let owner = world.signed_in("pair@example.com").await?;
    let spa = world.url(4);
    owner.follow(&format!("{spa}/auth/login")).await?;
    let me: Value = owner.get(&format!("{spa}/auth/me")).await?.json().await?;
    let csrf = member(&me, "csrf_token").to_owned();
    let thief = owner.copy();
    let refresh = async |browser: &Browser, agent: &str| {
        let url = format!("{spa}/auth/refresh");
        let answer = browser.send(Method::POST, &url, |request| {
            let request = request.header("origin", &spa).header("x-csrf-token", &csrf);
            request
                .header("user-agent", agent)
                .header("content-type", "application/json")
                .body("{}")
        });
        Ok::<_, service::run::Failure>(answer.await?.status())
    };
    let mut served = 0;
    for _ in 0..4 {
        let first = refresh(&owner, "Firefox/140.0").await?;
        if !first.is_success() {
            break;
        }
        served += u32::from(refresh(&thief, "curl/8").await?.is_success());
    }
    let noticed =
        world.events("family.grace_elsewhere").await? + world.events("family.reuse").await?;
    Ok(match (served, noticed) {
        (_, 0) => Err(format!("the copy was served {served} times, and nothing was recorded")),
        (0..=2, _) => Ok(()),
        (served, _) => Err(format!("the copy was served {served} times")),
    })
}

pub async fn replays_a_refresh_token(world: &World) -> Outcome {
    let client = world.client("replayed", ClientType::Confidential).await?;
    let mut metadata = client.metadata.clone();
    metadata.lifetimes.refresh_grace = Some(Duration::ZERO);
    aa_server::ops::clients::apply(&world.authority(), &metadata, &Caller::operator()).await?;
    let browser = world.signed_in("replayed@example.com").await?;
    let first = client.tokens(&browser).await?;
    let (status, second) = client.refresh(member(&first, "refresh_token")).await?;
    if !status.is_success() {
        return Err(format!("the first use is refused: {second}").into());
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (replayed, _) = client.refresh(member(&first, "refresh_token")).await?;
    let (newest, _) = client.refresh(member(&second, "refresh_token")).await?;
    Ok(match (replayed.is_success(), newest.is_success()) {
        (false, false) => Ok(()),
        (true, _) => Err("it was answered with tokens".to_owned()),
        (false, true) => Err("the session goes on".to_owned()),
    })
}
