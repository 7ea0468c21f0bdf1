# Lists the recipes.
default:
    @just --list

# Everything in one process on loopback
demo *args:
    cargo run --bin demo -- {{args}}

# Every test: SQLite, PostgreSQL, Redis, nginx, browser
test *args:
    cargo test --workspace {{args}}

# The browser client: types, and Node's own test runner
test-js:
    cd clients/js && npm install --silent --no-audit --no-fund --no-package-lock && npm test

# Ten tabs of each app for two minutes, with the network cut twice
prove-tabs seconds="120":
    TABS_SECONDS={{seconds}} cargo test -p demo --test it -- tabs:: --nocapture

# Every page in every state, theme, width and language, on one sheet: target/screenshots/index.html
screenshots:
    npm install --silent --no-audit --no-fund --no-package-lock --no-save --prefix target/axe axe-core
    GALLERY={{justfile_directory()}}/target/screenshots cargo test -p demo --test it -- gallery:: --nocapture

# Formatting, lints, unused dependencies, and the dependencies' licences, sources and advisories
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    .ci/check-dependencies

# Two authorities behind a proxy, as processes: a user's session, and refreshes while replicas die
drill:
    cargo build --workspace --bins && cargo run --bin drill -- processes

# Signing keys that rotate every minute under 200 requests a second, for five minutes: no token is refused
drill-keys seconds="300":
    cargo build --workspace --bins && cargo run --bin drill -- keys {{seconds}}

# The same in containers: builds, starts, drills, and removes everything; then the user's session by https
compose-test:
    cargo run --bin drill -- compose
    cargo run --bin drill -- compose-tls

# The attacks of the security review on a demo of its own, one by one: held or broken
attack *args:
    cargo run -p attack -- {{args}}

# How fast it is: builds, loads, measures, and writes target/bench/performance.{json,svg} (about six minutes once built)
bench *args:
    cargo build --release -p aa-server -p microapp-notes -p bench
    target/release/bench {{args}}

# What a refresh costs now, beside what it cost at another commit: builds both, and runs them side by side for a minute
bench-against commit *args:
    git worktree add --detach --force target/against {{commit}}
    cargo build --release -p aa-server --manifest-path target/against/Cargo.toml --target-dir target/against-build
    git worktree remove --force target/against
    cargo build --release -p aa-server
    crates/bench/side_by_side.py target/against-build/release/aa-server target/release/aa-server {{args}}

# How soon an ended session is refused everywhere, and what knowing it costs (about four minutes once built)
show-ended *args:
    cargo build --release -p aa-server -p bench
    target/release/show-ended {{args}}

# How long the authority takes for its pages (ten seconds once built)
show-pages:
    cargo build --release -p bench
    target/release/show-pages

# Other people's clients against the authority, all of interop/clients.toml or those named; oidc-provider and Vite
interop *names:
    interop/run {{names}}

# The servers against docs/openapi: generated requests, by schemathesis (about a minute once built)
openapi:
    interop/openapi/run

# Mutants of the token rules: none that matters may survive
mutants *args:
    cargo mutants --package aa-server --exclude-re Debug --file crates/aa-server/src/domain/family.rs --file crates/aa-server/src/domain/refresh_token.rs --file 'crates/aa-server/src/ops/grants/*.rs' --file crates/aa-server/src/ops/tokens/issue.rs {{args}} -- --lib --test it -- sqlite domain::

# A fuzz target for every parser: `just fuzz token 60`
fuzz target seconds="60":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# The next migration. `folder` is migrations/postgres for one that SQLite does not need
new-migration name folder="migrations":
    touch {{folder}}/$(printf '%04d' $(( $(find migrations -name '*.sql' -printf '%f\n' | sort | tail -n 1 | cut -c 1-4 | sed 's/^0*//') + 1 )))_{{name}}.sql

# Everything as CI does it
ci:
    .ci/run
