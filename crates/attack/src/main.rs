//! Attacks on a running demo, one by one, each told as held or broken: `just attack`. `just attack growth 60` runs each of
//! those that make something grow for a minute, and measures what it leaves behind.
//!
//! It starts a demo of its own on free ports of this machine and attacks nothing else. Every attack is bounded in count
//! and time. What takes more than a demo to show (two replicas, a database that fails, a proxy) is a test, whose name is
//! told instead.

mod anonymous;
mod app;
mod growth;
mod page;

mod thief;
mod world;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use service::run::{Failure, print_line, to_exit};

use crate::world::World;

// As in the programs: what an attack costs in memory is what it costs them.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The time that an attack may take.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What came of an attack: it was held, or it was seen to succeed.
type Outcome = Result<Result<(), String>, Failure>;

/// An attack, by the rows of the review that it is from.
struct Attack {
    rows: &'static str,
    what: &'static str,
    run: fn(&World) -> Pin<Box<dyn Future<Output = Outcome> + '_>>,
}

macro_rules! attacks {
    ($($rows:literal $run:path: $what:literal;)*) => {
        /// Every attack, in the order in which they run: what uses up tries comes last.
        const ATTACKS: &[Attack] = &[$(
            Attack { rows: $rows, what: $what, run: |world| Box::pin($run(world)) },
        )*];
    };
}

attacks! {
    "H1"     thief::outruns_a_reset: "a thief changes the password again and again while the operator resets it";
    "H2"     thief::uses_a_copied_pair: "a copied cookie pair of the refresh-cookie pattern is used from another program";
    "H3"     thief::keeps_a_copied_cookie: "a copied session cookie is used after the password was changed";
    "rule 4" thief::replays_a_refresh_token: "an old refresh token of a public client is used after its grace";
    "rule 4" app::refreshes_at_once: "fifty refreshes of one token at once are to give two successors";
    "rule 2" app::redeems_at_once: "fifty redemptions of one code at once are to give two families";
    "rule 2" app::steals_a_code: "a code is redeemed without its PKCE verifier, and by another client";
    "M2"     app::keeps_a_scope: "an app refreshes after a scope was taken from it";
    "M6"     page::asks_for_a_native_code: "a program on the machine asks for a native app's code, without a page";
    "M1"     page::switches_login_off: "a link switches prompt=login and max_age=0 off";
    "L7"     page::signs_out_by_an_old_id_token: "a link with an ID token of another sign-in signs the user out";
    "CSRF"   page::posts_forms: "forms and images of another site act for the user";
    "OWASP"  page::redirects: "a link to the sign-in page leads to another site";
    "H4"     page::is_trusted_by_email: "an address that nothing proves reaches an app behind forward-auth";
    "M4"     page::shares_a_cached_answer: "a shared cache keeps one user's answer for the next";
    "L3 L4"  page::goes_around_the_guard: "an encoded path or TRACE goes around the guard of the backends";
    "L6"     page::throws_a_cookie_bomb: "a page starts sign-ins until cookies lock the user out";
    "L16"    anonymous::reads_metrics: "/metrics is read without an account";
    "M12"    anonymous::sends_many_scopes: "a scope of eight kilobytes takes the server's time";
    "M10"    anonymous::fills_the_database: "sign-ins are begun without end to fill the database";
    "D10"    anonymous::starves_refreshes: "200 who sign in without pause slow refreshes down";
    "L1 D10" anonymous::times_accounts: "300 sign-ins each tell unknown, known and disabled accounts apart by time";
    "M5"     anonymous::guesses: "fifty guesses at once, and a known browser is locked out by them";
}

/// What only a test can show.
const TESTS: &[(&str, &str)] = &[
    ("H2 (addresses)", "demo copies, aa-server places"),
    ("M3", "demo backend_attacks"),
    ("M5 (replicas)", "aa-server bounds::parallel_guesses_at_two_replicas_are_counted_together"),
    ("M7", "mode `direct` does not exist any more"),
    ("M8 M9 L22", "aa-server leaks"),
    ("M11 L2", "aa-server services::throttle, services::password_hasher (unit tests)"),
    ("L5", "microapp-bff settings"),
    ("L8 D1 D3", "aa-server faults, full_disk"),
    ("L9", "aa-server batches"),
    ("L10", "aa-server races::one_link_makes_an_administrator"),
    ("L11 L12", "aa-server upgrades, commands::check_changes_nothing"),
    (
        "L13",
        "aa-server commands::data_that_goes_with_its_container_is_refused_where_it_is_not_meant",
    ),
    ("L18", "demo caddy, demo nginx"),
    ("L19 L20 L21", "aa-server places, relying-party revocations, demo ended_sessions"),
    ("L24", "aa-server races::what_changes_a_browsers_sessions_at_once_never_waits_in_a_circle"),
    ("D2 D9", "aa-server clocks"),
];

#[tokio::main]
async fn main() -> ExitCode {
    to_exit(Box::pin(run())).await
}

async fn run() -> Result<(), Failure> {
    let world = World::start().await?;
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        None => {}
        Some("growth") => {
            let seconds = arguments.next().map_or(Ok(60), |text| text.parse());
            return growth::run(&world, seconds.map_err(|_| "say: attack growth SECONDS")?).await;
        }
        Some(other) => {
            return Err(format!("`{other}` is not known; say attack, or attack growth 60").into());
        }
    }
    let mut broken = 0;
    for attack in ATTACKS {
        let outcome = tokio::time::timeout(TIMEOUT, (attack.run)(&world)).await;
        let outcome = match outcome {
            Ok(Ok(Ok(()))) => "held".to_owned(),
            Ok(Ok(Err(seen))) => format!("BROKEN: {seen}"),
            Ok(Err(failure)) => format!("BROKEN: it could not be tried: {failure}"),
            Err(_) => "BROKEN: it took more than a minute".to_owned(),
        };
        broken += u32::from(outcome != "held");
        print_line(&format!("{:<8} {}: {outcome}", attack.rows, attack.what))?;
    }
    print_line("\nShown by tests (cargo test):")?;
    for (rows, tests) in TESTS {
        print_line(&format!("{rows:<14} {tests}"))?;
    }
    match broken {
        0 => Ok(()),
        broken => Err(format!("{broken} of {} attacks were not held", ATTACKS.len()).into()),
    }
}
