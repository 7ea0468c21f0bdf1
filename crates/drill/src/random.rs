//! Three authorities over one database, behind a proxy without sticky sessions, killed, stopped and restarted at random:
//! the token rules hold, and followers refuse what has ended and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use foundation::random::{Random, SystemRandom};
use service::run::Failure;
use tokens::feed::{FeedSource, Follower, SessionIdentity};

use crate::System;
use crate::chains::App;
use crate::processes::{Processes, REPLICAS};

const FAMILIES: usize = 20;
const FOLLOWERS: usize = 5;
/// The time in which followers find another authority when theirs has died, and know of everything again.
const AFTER_A_DEATH: Duration = Duration::from_secs(15);

pub async fn drill(system: &Processes, duration: Duration) -> Result<(), Failure> {
    let app = App::register(system, "random").await?;
    let mut chains = tokio::task::JoinSet::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let mut browser = app.sign_in().await?;
    for _ in 0..FAMILIES {
        let tokens = app.open_in(&mut browser).await?;
        let (app, is_over) = (app.clone(), Arc::clone(&is_over));
        chains.spawn(async move { app.follow(tokens.refresh, is_over).await });
    }
    let mut followers = Vec::new();
    for number in 0..FOLLOWERS {
        followers.push(follower(system, &app, number)?);
    }
    let chaos = chaos(system, duration);
    let ends = end_some(&app, browser, &followers, duration);
    let (chaos, ends) = tokio::join!(chaos, ends);
    is_over.store(true, Ordering::Release);
    let (deaths, (ended, live, mut waits)) = (chaos?, ends?);
    waits.sort();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!(
        "{deaths} deaths of three replicas; {} sessions ended, refused by all of {FOLLOWERS} followers after {median:?} \
         (median) and {longest:?} (the longest, with a replica that died)",
        ended.len()
    );
    for follower in &followers {
        if let Some(missed) = ended.iter().find(|session| follower.end_of(session).is_none()) {
            return Err(format!("a follower missed the end of {missed:?}").into());
        }
        if let Some(wrong) = live.iter().find(|session| follower.end_of(session).is_some()) {
            return Err(format!("a follower refuses {wrong:?}, which lives").into());
        }
    }
    while let Some(chain) = chains.join_next().await {
        let chain = chain?;
        if !chain.wrong.is_empty() {
            return Err(format!("{:?}", chain.wrong).into());
        }
        app.has_one_live_token(&chain).await?;
    }
    println!(
        "no end was missed, nothing else is refused, and each of {FAMILIES} families had one live token"
    );
    Ok(())
}

fn follower(system: &Processes, app: &App, number: usize) -> Result<Follower, Failure> {
    let (client_id, client_secret) = app.credentials();
    let source = FeedSource {
        authority: system.urls().authority.clone(),
        client_id,
        client_secret,
        name: format!("drill-{number}"),
    };
    Ok(Follower::follow(source, false)?)
}

/// Kills or stops a replica, and starts it again, one after the other. Returns how many died.
async fn chaos(system: &Processes, duration: Duration) -> Result<usize, Failure> {
    let random: &dyn Random = &SystemRandom;
    let until = moment() + duration;
    let mut deaths = 0;
    while moment() < until {
        let [replica, how, pause] = random.bytes::<3>();
        let replica = usize::from(replica) % REPLICAS;
        if how < 160 {
            system.kill(replica).await?;
        } else {
            system.stop(replica).await?;
        }
        deaths += 1;
        tokio::time::sleep(Duration::from_millis(u64::from(pause) * 4)).await;
        system.start(replica).await?;
        tokio::time::sleep(Duration::from_millis(u64::from(pause) * 4)).await;
    }
    Ok(deaths)
}

type Outcome = (Vec<SessionIdentity>, Vec<SessionIdentity>, Vec<Duration>);

/// Opens sessions, and ends two of three. Returns the ended ones, the live ones, and how long it took until all refused.
async fn end_some(
    app: &App,
    mut browser: HashMap<String, String>,
    followers: &[Follower],
    duration: Duration,
) -> Result<Outcome, Failure> {
    let until = moment() + duration;
    let (mut ended, mut live, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    while moment() < until {
        // One that cannot be opened while a replica dies is opened again.
        let Ok(tokens) = app.open_in(&mut browser).await else { continue };
        let session = SessionIdentity::of_received(&tokens.access).ok_or("not our token")?;
        if (ended.len() + live.len()) % 3 == 2 {
            live.push(session);
            continue;
        }
        app.end(&tokens.refresh).await;
        let answered = moment();
        while !followers.iter().all(|follower| follower.end_of(&session).is_some()) {
            if answered.elapsed() > AFTER_A_DEATH {
                return Err(format!("{session:?} is accepted after {AFTER_A_DEATH:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        waits.push(answered.elapsed());
        ended.push(session);
    }
    Ok((ended, live, waits))
}

#[expect(clippy::disallowed_methods, reason = "it measures time")]
pub(crate) fn moment() -> Instant {
    Instant::now()
}
