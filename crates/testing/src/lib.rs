//! Servers and browsers for tests.
//!
//! [`postgres`] creates a database in a PostgreSQL server of the test process, whose folder is removed when the process
//! ends; [`redis`] does the same for Redis. A missing server is a failure with `CI=true`; otherwise a line on standard
//! error says that the test was skipped.

#[cfg(feature = "chromium")]
pub mod chromium;
#[cfg(feature = "dpop")]
pub mod dpop;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// True if a missing server or browser is a failure (`CI=true`).
pub fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// The URL of a new, empty database; `None` when PostgreSQL is not installed.
///
/// # Panics
/// When it is not installed and `CI=true`, or when it fails.
pub fn postgres() -> Option<String> {
    Some(shared_cluster()?.new_database("template1"))
}

/// The URL of a new copy of a database that [`postgres`] has created, and that no connection is open to.
///
/// # Panics
/// When it cannot be copied.
pub fn postgres_copy(url: &str) -> String {
    let name = url.rsplit('/').next().expect("a URL has a path");
    shared_cluster().expect("it has a database").new_database(name)
}

/// The PostgreSQL server of this process; `None` when PostgreSQL is not installed.
fn shared_cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(HASTY)).as_ref()
}

/// Settings that trade durability for speed.
const HASTY: &[&str] =
    &["fsync=off", "full_page_writes=off", "max_connections=400", "shared_buffers=64MB"];

/// The URL of an empty Redis of the test process's own; `None` when Redis is not installed.
///
/// # Panics
/// When it is not installed and `CI=true`, or when it fails.
pub fn redis() -> Option<String> {
    static SERVER: OnceLock<Option<(Keeper, u16)>> = OnceLock::new();
    let start = || {
        if find_program("redis-server").is_none() {
            assert!(!is_ci(), "Redis is needed (Debian: redis-server)");
            eprintln!("SKIPPED: no Redis; on Debian: apt install redis-server");
            return None;
        }
        let port = free_ports(1);
        let keeper = Keeper::start(REDIS, &[&port.to_string()]);
        let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until("Redis", ready);
        Some((keeper, port))
    };
    let (_, port) = SERVER.get_or_init(start).as_ref()?;
    Some(format!("redis://127.0.0.1:{port}"))
}

/// The first of `count` consecutive free ports.
///
/// They are below the range for outgoing connections, so that none of those takes one meanwhile.
///
/// # Panics
/// When no such range is free.
pub fn free_ports(count: u16) -> u16 {
    const FIRST: u16 = 10_000;
    const RANGE: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    for _ in 0..RANGE {
        let step = NEXT.fetch_add(u32::from(count), Ordering::SeqCst);
        let offset = (std::process::id().wrapping_mul(131).wrapping_add(step)) % RANGE;
        let base = FIRST + u16::try_from(offset).unwrap_or_default();
        if (base..base + count).all(free) {
            return base;
        }
    }
    panic!("no port is free");
}

/// A PostgreSQL server on loopback that lives as long as this process.
pub struct Cluster {
    /// The folder with its programs.
    pub bin: PathBuf,
    /// The port it listens on.
    pub port: u16,
    _keeper: Keeper,
}

/// A shell script that starts a server, waits for the end of its input, stops the server, and removes
/// everything. The input ends with this process, however it ends.
struct Keeper(
    #[expect(dead_code, reason = "its input is open as long as this is")] std::process::Child,
);

impl Keeper {
    fn start(script: &str, args: &[&str]) -> Self {
        let keeper = Command::new("setsid")
            .args(["sh", "-c", script, "keeper"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self(keeper.expect("sh runs"))
    }
}

/// `$1` is the folder with PostgreSQL's programs, `$2` the port; settings follow.
const POSTGRES: &str = r#"
set -eu
bin=$1 port=$2
shift 2
settings=
for setting; do settings="$settings -c $setting"; done
folder=$(mktemp -d /tmp/testing-postgres.XXXXXX)
trap 'rm -rf "$folder"' EXIT
if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; as="setpriv --reuid=postgres --regid=postgres --clear-groups"; else as=; fi
cd /
$as "$bin/initdb" -D "$folder/data" -U postgres -A trust -N >/dev/null
$as "$bin/postgres" -D "$folder/data" -p "$port" -k "$folder" -c listen_addresses=127.0.0.1 \
    $settings -c log_min_messages=fatal </dev/null >/dev/null 2>&1 &
server=$!
cat >/dev/null || true
kill -INT $server
wait $server || true
"#;

/// `$1` is the port.
const REDIS: &str = r#"
set -eu
folder=$(mktemp -d /tmp/testing-redis.XXXXXX)
trap 'rm -rf "$folder"' EXIT
redis-server --port "$1" --bind 127.0.0.1 --dir "$folder" --save '' </dev/null >/dev/null 2>&1 &
server=$!
cat >/dev/null || true
kill -INT $server
wait $server || true
"#;

impl Cluster {
    /// Starts one with these settings (`name=value`, without spaces); `None` when PostgreSQL is not installed.
    ///
    /// # Panics
    /// When it is not installed and `CI=true`, or when it does not start.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(bin) = postgres_programs() else {
            assert!(!is_ci(), "PostgreSQL is needed (Debian: postgresql)");
            eprintln!("SKIPPED: no PostgreSQL; on Debian: apt install postgresql");
            return None;
        };
        let port = free_ports(1);
        let (folder, number) = (bin.display().to_string(), port.to_string());
        let args: Vec<&str> = [folder.as_str(), number.as_str()]
            .into_iter()
            .chain(settings.iter().copied())
            .collect();
        let keeper = Keeper::start(POSTGRES, &args);
        let ready = || {
            Command::new(bin.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
                .status()
                .is_ok_and(|status| status.success())
        };
        wait_until("PostgreSQL", ready);
        Some(Self { bin, port, _keeper: keeper })
    }

    /// Creates an empty database.
    ///
    /// # Panics
    /// When the database cannot be created.
    pub fn create_database(&self, name: &str) {
        self.copy_database("template1", name);
    }

    /// Creates a copy of a database that no connection is open to.
    fn copy_database(&self, of: &str, name: &str) {
        let made = Command::new(self.bin.join("createdb"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres"])
            .args(["-T", of, name])
            .output()
            .expect("createdb runs");
        assert!(made.status.success(), "createdb: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// The URL of a new copy of a database.
    fn new_database(&self, of: &str) -> String {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNTER.fetch_add(1, Ordering::SeqCst));
        self.copy_database(of, &name);
        self.url(&name)
    }

    /// The process id of the postmaster.
    ///
    /// # Panics
    /// When the server has not written its pid file.
    pub fn pid(&self) -> u32 {
        let asked = Command::new(self.bin.join("psql"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-Atc"])
            .arg("SELECT pg_read_file('postmaster.pid', 0, 20)")
            .output()
            .expect("psql runs");
        let text = String::from_utf8_lossy(&asked.stdout);
        text.lines().next().and_then(|line| line.parse().ok()).expect("it has a process")
    }

    /// The URL of a database.
    pub fn url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

fn wait_until(what: &str, ready: impl Fn() -> bool) {
    for _ in 0..600 {
        if ready() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not start");
}

/// The path of a program, if `PATH` has it.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let sbin = ["/usr/sbin", "/sbin"].into_iter().map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(sbin)
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
}

/// The folder with PostgreSQL's programs.
pub fn postgres_programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    folders
        .into_iter()
        .rev()
        .find(|folder| folder.join("initdb").exists() && folder.join("createdb").exists())
}
