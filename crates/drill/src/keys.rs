//! Signing keys that rotate every minute under load: no API refuses a token that has not expired.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use service::run::Failure;
use tokens::{Guard, Headers, RequestParts};
use tokio::time::{MissedTickBehavior, interval};

use crate::System as _;
use crate::chains::{App, Tokens};
use crate::processes::Processes;
use crate::random::moment;

/// The algorithms, each with a client and an API of its own.
const ALGORITHMS: [&str; 3] = ["EdDSA", "ES256", "RS256"];
/// The longest a drill may take.
const LONGEST: Duration = Duration::from_hours(1);
/// The pause between two requests to an API: 200 in a second.
const PAUSE: Duration = Duration::from_millis(5);
/// Requests to an API for one refresh.
const REQUESTS_PER_REFRESH: usize = 20;
/// The time for which a token is used: it lives for five minutes.
const USED_FOR: Duration = Duration::from_secs(290);

/// An API, and the session of a client whose tokens are for it.
struct Api {
    app: App,
    guard: Guard,
    refresh_token: String,
    /// Tokens that have not expired, the oldest first.
    live: VecDeque<(Instant, String)>,
    kids: BTreeSet<String>,
}

/// Runs for so long, and fails when a token was refused, or when fewer keys signed than the minutes that passed.
pub async fn drill(duration: Duration) -> Result<(), Failure> {
    if duration > LONGEST {
        return Err("an hour is the longest".into());
    }
    let system = Processes::up_with(&[("AA_KEY_ROTATION", "1m")]).await?;
    let mut apis = Vec::new();
    for algorithm in ALGORITHMS {
        let id = algorithm.to_lowercase();
        let app = App::register_with(&system, &id, &["--at-alg", algorithm]).await?;
        let first = app.open().await?;
        let guard = Guard::connect(&system.urls().authority, &id)?;
        let (live, kids) = (VecDeque::new(), BTreeSet::new());
        let mut api = Api { app, guard, refresh_token: String::new(), live, kids };
        api.keep(first)?;
        apis.push(api);
    }
    while !apis.iter().all(|api| api.guard.is_ready()) {
        tokio::time::sleep(PAUSE).await;
    }
    let began = moment();
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut requests, mut refused) = (0_usize, BTreeMap::<String, usize>::new());
    while began.elapsed() < duration {
        ticks.tick().await;
        let which = requests % apis.len();
        let api = &mut apis[which];
        if (requests / ALGORITHMS.len()).is_multiple_of(REQUESTS_PER_REFRESH) {
            let next = api.app.refreshed(&api.refresh_token).await?;
            api.keep(next)?;
        }
        if let Err(why) = api.request(requests).await {
            *refused.entry(why).or_default() += 1;
        }
        requests += 1;
    }
    let rate = u32::try_from(requests).map(f64::from)? / began.elapsed().as_secs_f64();
    let minutes = usize::try_from(duration.as_secs() / 60)?;
    for (api, algorithm) in apis.iter().zip(ALGORITHMS) {
        println!("{algorithm}: {} keys have signed", api.kids.len());
        if api.kids.len() < minutes {
            return Err(format!("{algorithm}: fewer keys than minutes").into());
        }
    }
    println!("{requests} requests, {rate:.0} in a second; refused: {refused:?}");
    if refused.is_empty() { Ok(()) } else { Err("tokens were refused".into()) }
}

/// The only header of a request.
struct Bearer(String);

impl Headers for Bearer {
    fn value(&self, name: &str, index: usize) -> Option<&[u8]> {
        (index == 0 && name.eq_ignore_ascii_case("authorization")).then_some(self.0.as_bytes())
    }
}

impl Api {
    fn keep(&mut self, tokens: Tokens) -> Result<(), Failure> {
        let header = tokens.access.split('.').next().unwrap_or_default();
        let header: serde_json::Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?;
        self.kids.insert(header["kid"].as_str().ok_or("no kid")?.to_owned());
        self.refresh_token = tokens.refresh;
        self.live.push_back((moment(), tokens.access));
        while self.live.front().is_some_and(|(at, _)| at.elapsed() > USED_FOR) {
            self.live.pop_front();
        }
        Ok(())
    }

    /// A request with the newest, the oldest or another token.
    async fn request(&self, number: usize) -> Result<(), String> {
        let place = match number % 4 {
            0 => 0,
            1 => number * 7919 % self.live.len(),
            _ => self.live.len() - 1,
        };
        let bearer = Bearer(format!("Bearer {}", self.live[place].1));
        let request = RequestParts::new("GET", "http://api.example/", &bearer);
        self.guard.authenticate(&request).await.map(drop).map_err(|denied| denied.to_string())
    }
}
