//! An attacker without an account.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aa_server::domain::caller::Caller;
use aa_server::domain::client::ClientType;
use aa_server::domain::refresh_token::SecretHash;
use aa_server::ops::authentication::next::{Demand, Origin};
use aa_server::ops::authentication::sign_in::{SignIn, SignInError, sign_in};
use aa_server::ops::users;
use futures_util::future::join_all;
use reqwest::StatusCode;

use crate::Outcome;
use crate::world::{Browser, PASSWORD, World, http, member};

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
    let (started, mut stored) = (now(), 0);
    for _ in 0..3_000 {
        // Without a cookie, each is of a browser of its own.
        let answer = Browser::new(&world.url(0)).authorize(&client, &[]).await?;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Ok(()));
        }
        stored += 1;
        // A thousand, and five more each second.
        if stored > 1_010 + 5 * started.elapsed().as_secs() {
            break;
        }
    }
    Ok(Err(format!("{stored} requests are stored, and no end of them is seen")))
}

pub async fn times_accounts(world: &World) -> Outcome {
    let authority = world.authority();
    let caller = Caller::operator();
    let kinds = ["unknown", "known", "disabled"];
    for number in 0..TIMED / 10 {
        for kind in &kinds[1..] {
            world.add_user(&format!("{kind}-{number}@timed.example")).await?;
        }
        let email = format!("disabled-{number}@timed.example");
        let user = authority.store.user_by_email(&email).await?.ok_or("no user")?;
        users::set_enabled(&authority, &user, false, &Caller::operator()).await?;
    }
    // Ten tries of each are checked, and ten more are throttled.
    let (mut checked, mut throttled) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for account in 0..TIMED / 10 {
        for attempt in 0..20 {
            for (place, kind) in kinds.iter().enumerate() {
                let email = format!("{kind}-{account}@timed.example");
                let started = now();
                let refused =
                    sign_in(&authority, wrong_guess(email, next()), &origin(), &caller).await;
                let times = if attempt < 10 { &mut checked } else { &mut throttled };
                times[place].push(started.elapsed());
                match refused {
                    Err(SignInError::Wrong) if attempt < 10 => {}
                    Err(SignInError::Throttle(_)) if attempt >= 10 => {}
                    other => return Ok(Err(format!("try {attempt} of {kind}: {other:?}"))),
                }
            }
        }
    }
    let mut held = true;
    for (name, times) in [("checked", checked), ("throttled", throttled)] {
        let medians = times.map(|times| quantile(times, 0.5));
        let least = medians.iter().copied().fold(f64::MAX, f64::min);
        let most = medians.iter().copied().fold(0.0, f64::max);
        held &= most / least - 1.0 < TIMED_WITHIN;
        let told = format!("medians of {TIMED}, unknown, known, disabled: {medians:.3?} ms {name}");
        service::run::print_line(&format!("         {told}"))?;
    }
    Ok(if held { Ok(()) } else { Err("the medians differ by more than 5 %".to_owned()) })
}

/// A new browser.
fn origin() -> Origin {
    Origin {
        browser_token: None,
        session_token: None,
        binding: SecretHash::of(b"attack"),
        return_to: "/apps".to_owned(),
        demand: Demand::Policy,
    }
}

fn wrong_guess(email: String, address: IpAddr) -> SignIn {
    SignIn { email, password: "not the password".into(), address }
}

/// An address that was not used before.
fn next() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, one, two, three] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(10, one, two, three).into()
}

/// A quantile, in milliseconds.
fn quantile(mut times: Vec<Duration>, quantile: f64) -> f64 {
    times.sort();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = ((times.len() - 1) as f64 * quantile) as usize;
    times[index].as_secs_f64() * 1e3
}

pub async fn starves_refreshes(world: &World) -> Outcome {
    let client = world.client("busy", ClientType::Confidential).await?;
    let browser = world.signed_in("busy@example.com").await?;
    let authority = world.authority();
    let refreshes = async || {
        let mut tokens = client.tokens(&browser).await?;
        let mut times = Vec::new();
        for _ in 0..300 {
            let started = now();
            let (_, answer) = client.refresh(member(&tokens, "refresh_token")).await?;
            times.push(started.elapsed());
            tokens = answer;
        }
        Ok::<_, service::run::Failure>(times)
    };
    let alone = refreshes().await?;
    let done = Arc::new(AtomicBool::new(false));
    let flood: Vec<_> = (0..200)
        .map(|number| {
            let (authority, done) = (Arc::clone(&authority), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let email = format!("flood-{number}@example.com");
                    let guess = wrong_guess(email, next());
                    if sign_in(&authority, guess, &origin(), &Caller::operator()).await.is_err() {
                        // Throttled, most of them: as fast as an attacker can.
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            })
        })
        .collect();
    let beside = refreshes().await;
    done.store(true, Ordering::Relaxed);
    join_all(flood).await;
    let (alone, beside) = (quantile(alone, 0.99), quantile(beside?, 0.99));
    let told =
        format!("p99 of a refresh: {alone:.1} ms alone, {beside:.1} ms beside 200 who sign in");
    service::run::print_line(&format!("         {told}"))?;
    Ok(if beside < 100.0 { Ok(()) } else { Err(told) })
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
    let mut last = StatusCode::OK;
    for number in 0..120 {
        last = attacker.sign_in(&format!("made-up-{number}@example.com"), "guess").await?;
    }
    if last != StatusCode::TOO_MANY_REQUESTS {
        return Ok(Err(format!("the last of 170 guesses is answered with {last}")));
    }
    let owner = owner.sign_in(email, PASSWORD).await?;
    Ok(match (checked, owner) {
        (1..=10, StatusCode::SEE_OTHER) => Ok(()),
        seen => Err(format!("guesses that were checked, and the owner's own sign-in: {seen:?}")),
    })
}

#[expect(clippy::disallowed_methods, reason = "it measures how long an answer takes")]
pub fn now() -> Instant {
    Instant::now()
}
