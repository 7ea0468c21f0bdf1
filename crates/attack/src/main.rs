//! Attacks on a running demo, one by one, each told as held or broken: `just attack`. `just attack growth 60` runs each of
//! those that make something grow for a minute, and measures what it leaves behind.
//!
//! The program starts a demo of its own on free ports of this machine and attacks nothing else. Every attack is bounded in count
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

/// The outcome of an attack: held, or seen to succeed.
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
    "rule 4" thief::replays_a_refresh_token: "an old refresh token is used after its grace";
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

/// Rows that only a test can show, by its name.
const TESTS: &[(&str, &str)] = &[
    ("H2 (addresses)", "demo copies::a_copy_that_is_used_elsewhere_is_noticed_at_the_second_time"),
    (
        "H2 (grace)",
        "demo copies::a_copy_that_is_used_later_is_noticed_whatever_the_providers_grace_is",
    ),
    ("M3", "demo backend_attacks::only_listed_headers_of_a_browser_reach_an_upstream"),
    ("M5 (replicas)", "aa-server bounds::parallel_guesses_at_two_replicas_are_counted_together"),
    ("M7", "mode `direct` does not exist any more"),
    ("M8", "aa-server leaks::a_leaked_secret_is_replaced_and_the_old_line_can_go"),
    ("M9", "aa-server leaks::a_leaked_signing_key_is_withdrawn_at_once"),
    ("M10 (the rest)", "aa-server bounds::open_delegations_of_one_browser_are_few"),
    ("M11", "aa-server throttle::however_many_counters_are_sent_few_are_kept"),
    ("L2", "aa-server password_hasher::one_account_is_given_one_hash_at_a_time"),
    ("L5", "microapp-bff settings::a_secret_that_could_be_guessed_is_refused"),
    ("L8 D1", "aa-server faults::without_a_key_that_signs_no_token_is_used_up"),
    ("L9", "aa-server batches::a_committer_that_panics_starts_anew"),
    ("L10", "aa-server races::one_link_makes_an_administrator"),
    ("L11", "aa-server upgrades::a_migration_takes_the_time_that_it_needs"),
    ("L12 O3", "aa-server commands::check_changes_nothing"),
    (
        "L13",
        "aa-server commands::data_that_goes_with_its_container_is_refused_where_it_is_not_meant",
    ),
    ("L18", "demo caddy::caddy_lets_signed_in_people_through_and_nobody_pass_for_another"),
    ("L19", "demo backend_attacks::the_session_page_names_the_browser_and_not_the_backend"),
    ("L20", "demo ended_sessions::an_authority_that_was_away_is_told_of_a_sign_out"),
    ("L21", "demo ended_sessions::a_stream_ends_when_another_tab_signs_out"),
    ("L22", "aa-server leaks::after_a_restored_backup_everything_is_ended"),
    ("L23", "aa-server hardening::only_trusted_proxies_are_believed"),
    ("L24", "aa-server races::what_changes_a_browsers_sessions_at_once_never_waits_in_a_circle"),
    ("L25", "tokens api::an_issuer_whose_keys_come_in_the_clear_is_refused"),
    ("D2 D9", "aa-server clocks::replicas_whose_clocks_are_hours_apart_judge_alike"),
    ("D3", "aa-server faults::a_redemption_whose_commit_is_not_answered_is_answered_all_the_same"),
    ("D4", "aa-server full_disk::sqlite_on_a_full_disk_loses_nothing"),
    ("rule 9", "aa-server races::an_end_wins_against_refreshes_under_way"),
    ("rule 10", "aa-server faults::a_client_that_hangs_up_leaves_no_half_done_refresh"),
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
