//! A careless or hostile app.

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::clients;
use futures_util::future::join_all;

use crate::Outcome;
use crate::world::{World, member};

const AT_ONCE: usize = 50;

pub async fn refreshes_at_once(world: &World) -> Outcome {
    let client = world.client("parallel", ClientType::Confidential).await?;
    let browser = world.signed_in("parallel@example.com").await?;
    let first = client.tokens(&browser).await?;
    let refreshes = (0..AT_ONCE).map(|_| client.refresh(member(&first, "refresh_token")));
    let mut successors = Vec::new();
    for answer in join_all(refreshes).await {
        let (status, answer) = answer?;
        if !status.is_success() {
            return Ok(Err(format!("an honest refresh was refused: {answer}")));
        }
        successors.push(member(&answer, "refresh_token").to_owned());
    }
    successors.sort();
    successors.dedup();
    Ok(if successors.len() == 1 { Ok(()) } else { Err(format!("{} successors", successors.len())) })
}

pub async fn redeems_at_once(world: &World) -> Outcome {
    let client = world.client("redeemer", ClientType::Confidential).await?;
    let browser = world.signed_in("redeemer@example.com").await?;
    let code = browser.code(&client).await?;
    let mut served = Vec::new();
    for redemption in join_all((0..AT_ONCE).map(|_| client.redeem(&code))).await {
        let (status, tokens) = redemption?;
        served.extend(status.is_success().then_some(tokens));
    }
    let [tokens] = &served[..] else {
        return Ok(Err(format!("{} answers with tokens", served.len())));
    };
    // The presentations that came second are reuse.
    let (status, _) = client.refresh(member(tokens, "refresh_token")).await?;
    Ok(if status.is_success() { Err("the family goes on".to_owned()) } else { Ok(()) })
}

pub async fn steals_a_code(world: &World) -> Outcome {
    let client = world.client("victim", ClientType::Confidential).await?;
    let other = world.client("other", ClientType::Confidential).await?;
    let browser = world.signed_in("code@example.com").await?;
    let (without, _) = client.redeem_with(&browser.code(&client).await?, &"x".repeat(43)).await?;
    let (by_another, _) = other.redeem(&browser.code(&client).await?).await?;
    client.tokens(&browser).await?;
    Ok(match (without.is_success(), by_another.is_success()) {
        (false, false) => Ok(()),
        seen => Err(format!("without its verifier, by another client: {seen:?}")),
    })
}

pub async fn keeps_a_scope(world: &World) -> Outcome {
    let client = world.client("narrowed", ClientType::Confidential).await?;
    let browser = world.signed_in("narrowed@example.com").await?;
    let tokens = client.tokens(&browser).await?;
    let mut metadata = client.metadata.clone();
    metadata.scopes.retain(|scope| scope != "orders:admin");
    clients::apply(&world.authority(), &metadata, &Caller::operator()).await?;
    let (_, answer) = client.refresh(member(&tokens, "refresh_token")).await?;
    let scope = member(&answer, "scope");
    let kept = scope.split(' ').any(|name| name == "orders:admin");
    Ok(if kept || scope.is_empty() { Err(format!("scope {scope:?}")) } else { Ok(()) })
}
