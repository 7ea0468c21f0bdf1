//! An attacker without an account.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::ops::authentication::sign_in::{SignIn, sign_in};
use aa_server::ops::users;
use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::Outcome;
use crate::world::{Browser, PASSWORD, World, http};

/// Sign-ins of each kind of account.
const TIMED: usize = 300;
/// How far the medians may lie apart.
const TIMED_WITHIN: f64 = 0.05;

pub async fn reads_metrics(world: &World) -> Outcome {
    for place in 0..5 {
        let url = format!("{}/metrics", world.url(place));
        let status = http().get(&url).send().await?.status();
        if status != StatusCode::NOT_FOUND {
            return Ok(Err(format!("{url} is answered with {status}")));
        }
    }
    Ok(Ok(()))
}

pub async fn sends_many_scopes(world: &World) -> Outcome {
    let client = world.client("scopes", ClientType::Confidential).await?;
    let browser = Browser::new(&world.url(0));
    let names: Vec<String> = (0..1_500).map(|number: u32| format!("{number:04}")).collect();
    let time = async |scope: &str| {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = now();
            browser.authorize(&client, &[("scope", scope)]).await?;
            best = best.min(started.elapsed());
        }
        Ok::<_, service::run::Failure>(best)
    };
    let (few, many) = (time("openid").await?, time(&names.join(" ")).await?);
    let more = many.saturating_sub(few);
    let held = more < Duration::from_millis(10);
    Ok(if held { Ok(()) } else { Err(format!("{more:?} more than one scope")) })
}

pub async fn fills_the_database(world: &World) -> Outcome {
    let client = world.client("filled", ClientType::Confidential).await?;
    let mut stored = 0;
    for _ in 0..1_200 {
        // Without a cookie, each is of a browser of its own.
        let answer = Browser::new(&world.url(0)).authorize(&client, &[]).await?;
        stored += u32::from(answer.status() == StatusCode::SEE_OTHER);
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Ok(()));
        }
    }
    Ok(Err(format!("{stored} requests are stored, and no end of them is seen")))
}

pub async fn times_accounts(world: &World) -> Outcome {
    let authority = world.authority();
    // Ten tries of each account, each from an address of its own, as far as the throttle lets them through.
    let kinds = ["unknown", "known", "disabled"];
    for number in 0..TIMED / 10 {
        for kind in &kinds[1..] {
            world.add_user(&format!("{kind}-{number}@timed.example")).await?;
        }
        let email = format!("disabled-{number}@timed.example");
        let user = authority.store.user_by_email(&email).await?.ok_or("no user")?;
        users::set_enabled(&authority, &user, false, &Caller::operator()).await?;
    }
    let mut times = [const { Vec::new() }; 3];
    for round in 0..TIMED {
        for (place, kind) in kinds.iter().enumerate() {
            let octets = (u32::try_from(round)? * 3 + u32::try_from(place)?).to_be_bytes();
            let address = Ipv4Addr::new(10, octets[1], octets[2], octets[3]);
            let command = SignIn {
                email: format!("{kind}-{}@timed.example", round / 10),
                password: "not the password".into(),
                browser_token: None,
                session_token: None,
                address: IpAddr::V4(address),
            };
            let started = now();
            let refused = sign_in(&authority, command, &Caller::operator()).await;
            times[place].push(started.elapsed());
            if refused.is_ok() {
                return Ok(Err("a wrong password signs in".to_owned()));
            }
        }
    }
    let medians = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1e3
    });
    let least = medians.iter().copied().fold(f64::MAX, f64::min);
    let most = medians.iter().copied().fold(0.0, f64::max);
    let told = format!("medians of {TIMED}: unknown, known, disabled {medians:.2?} ms");
    service::run::print_line(&format!("         {told}"))?;
    Ok(if most / least - 1.0 < TIMED_WITHIN { Ok(()) } else { Err(told) })
}

pub async fn guesses(world: &World) -> Outcome {
    let email = "guessed@example.com";
    let owner = world.signed_in(email).await?;
    let attacker = Browser::new(&world.url(0));
    let csrf = attacker.csrf("/login").await?;
    let guesses = (0..50).map(|number| {
        let (attacker, csrf) = (&attacker, &csrf);
        async move {
            let password = format!("guess number {number}");
            let form = [("csrf", csrf.as_str()), ("email", email), ("password", &password)];
            Ok::<_, service::run::Failure>(attacker.post("/login", &form).await?.status())
        }
    });
    let statuses = join_all(guesses).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let checked = statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    for number in 0..120 {
        attacker.sign_in(&format!("made-up-{number}@example.com"), "guess").await?;
    }
    let owner = owner.sign_in(email, PASSWORD).await?;
    Ok(match (checked, owner) {
        (..=10, StatusCode::SEE_OTHER) => Ok(()),
        seen => Err(format!("guesses that were checked, and the owner's own sign-in: {seen:?}")),
    })
}

#[expect(clippy::disallowed_methods, reason = "it measures how long an answer takes")]
pub fn now() -> Instant {
    Instant::now()
}
