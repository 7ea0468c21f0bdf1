//! The load program: keeps connections open and sends the next request when the last is answered. A refresh token is
//! used once, so each connection follows chains of its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use service::run::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::report::Figure;

/// The kind of request.
#[derive(Clone)]
pub enum Ask {
    /// A refresh, at this path, with this body before the token. The answer's refresh token comes next.
    Refresh {
        /// The path.
        path: &'static str,
        /// Everything of the body up to the token.
        body: String,
    },
    /// This path, with the token as bearer.
    Get(&'static str),
}

/// The result of a run.
#[derive(Default)]
pub struct Outcome {
    /// Answers in a second.
    pub per_second: f64,
    /// The duration of each request, sorted, in microseconds.
    pub micros: Vec<u32>,
    /// Application tokens that were answered, if they were to be kept.
    pub access_tokens: Vec<String>,
}

impl Outcome {
    /// Of measured durations.
    pub fn of(mut micros: Vec<u32>, elapsed: Duration) -> Self {
        micros.sort_unstable();
        let per_second = micros.len() as f64 / elapsed.as_secs_f64();
        Self { per_second, micros, access_tokens: Vec::new() }
    }

    /// In milliseconds: so much of a hundred took no longer.
    pub fn percentile(&self, percent: usize) -> f64 {
        let index = (self.micros.len() * percent / 100).min(self.micros.len().saturating_sub(1));
        self.micros.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    }

    /// As a line of the report.
    pub fn figure(&self, group: &str, name: impl Into<String>) -> Figure {
        Figure {
            group: group.to_owned(),
            name: name.into(),
            per_second: self.per_second,
            p50_ms: Some(self.percentile(50)),
            p99_ms: Some(self.percentile(99)),
            server_us: None,
        }
    }
}

/// The plan of a run.
#[derive(Clone)]
pub struct Plan {
    /// Where.
    pub port: u16,
    /// What.
    pub ask: Ask,
    /// The duration, after a warm-up that does not count.
    pub each: Duration,
    /// Requests in a second, all connections together; as fast as they are answered if none.
    pub pace: Option<f64>,
    /// Whether application tokens are kept.
    pub keep: bool,
}

/// Runs one connection for each of `tokens`, which follows the chains in it one after the other, on a thread of its own.
///
/// # Errors
/// Any answer that is not 200.
pub async fn run(
    plan: &Plan,
    mut tokens: Vec<Vec<String>>,
) -> Result<(Outcome, Vec<Vec<String>>), Failure> {
    let plan = plan.clone();
    let ran = tokio::task::spawn_blocking(move || -> Result<_, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let began = Instant::now();
            let count = tokens.len();
            let lanes = tokens.iter_mut().enumerate();
            let lanes = lanes.map(|(lane, tokens)| follow(&plan, tokens, began, (lane, count)));
            let mut micros = Vec::new();
            let mut access_tokens = Vec::new();
            for lane in join_all(lanes).await {
                let (lane, kept) = lane?;
                micros.extend(lane);
                access_tokens.extend(kept);
            }
            let outcome = Outcome { access_tokens, ..Outcome::of(micros, plan.each) };
            Ok((outcome, tokens))
        })
    });
    ran.await?
}

async fn follow(
    plan: &Plan,
    tokens: &mut [String],
    began: Instant,
    (lane, lanes): (usize, usize),
) -> Result<(Vec<u32>, Vec<String>), Failure> {
    let warm = Duration::from_millis(500);
    let mut stream = TcpStream::connect(("127.0.0.1", plan.port)).await?;
    stream.set_nodelay(true)?;
    let (mut request, mut answer) = (String::new(), Vec::with_capacity(4096));
    let (mut micros, mut kept) = (Vec::new(), Vec::new());
    let step = plan.pace.map(|rate| Duration::from_secs_f64(lanes as f64 / rate));
    let mut due = began + step.unwrap_or_default() * lane as u32 / lanes as u32;
    let mut turn = 0;
    loop {
        let mut sent = Instant::now();
        if let Some(step) = step {
            if due > sent {
                tokio::time::sleep_until(due.into()).await;
            }
            // From when it should have been sent: a server that holds up the next is to blame for that too.
            sent = due.max(began);
            due += step;
        }
        if began.elapsed() > warm + plan.each {
            return Ok((micros, kept));
        }
        let index = turn % tokens.len();
        turn += 1;
        write_request(&mut request, plan, &tokens[index]);
        stream.write_all(request.as_bytes()).await?;
        let body = read_answer(&mut stream, &mut answer).await?;
        let took = sent.elapsed();
        if let Ask::Refresh { .. } = plan.ask {
            tokens[index] = member(body, "\"refresh_token\"")?.to_owned();
        }
        if sent > began + warm {
            micros.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            if plan.keep && kept.len() < 2_000 {
                kept.push(member(body, "\"access_token\"")?.to_owned());
            }
        }
    }
}

fn write_request(request: &mut String, plan: &Plan, token: &str) {
    use std::fmt::Write as _;
    request.clear();
    let _ = match &plan.ask {
        Ask::Refresh { path, body } => write!(
            request,
            "POST {path} HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}{token}",
            plan.port,
            body.len() + token.len()
        ),
        Ask::Get(path) => write!(
            request,
            "GET {path} HTTP/1.1\r\nHost: localhost:{}\r\nUser-Agent: bench\r\nAuthorization: Bearer {token}\r\n\r\n",
            plan.port
        ),
    };
}

/// The body of the next answer, which must be a good one.
async fn read_answer<'a>(
    stream: &mut TcpStream,
    answer: &'a mut Vec<u8>,
) -> Result<&'a str, Failure> {
    answer.clear();
    loop {
        if stream.read_buf(answer).await? == 0 {
            return Err("the server hung up".into());
        }
        let Some(head) = answer.windows(4).position(|part| part == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&answer[..head])?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let end = head + 4 + length.ok_or_else(|| format!("no length: {text}"))?;
        if answer.len() < end {
            continue;
        }
        if !text.starts_with("HTTP/1.1 200 ") {
            return Err(String::from_utf8_lossy(answer).into_owned().into());
        }
        return Ok(std::str::from_utf8(&answer[head + 4..end])?);
    }
}

/// A text member of a flat JSON object.
fn member<'a>(body: &'a str, name: &str) -> Result<&'a str, Failure> {
    let found = body.split_once(name).and_then(|(_, rest)| rest.split('"').nth(1));
    found.ok_or_else(|| format!("no {name} in {body}").into())
}
