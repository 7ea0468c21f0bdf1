//! Very many followers that are nothing but a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use service::run::Failure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that are made at once.
const AT_ONCE: usize = 50;
/// An id of a family has so many hyphens, and nothing else in the events has any.
const HYPHENS: usize = 4;

/// The followers; they end with this.
pub struct Crowd {
    /// The number of ended families that each of them knows of.
    known: Vec<Arc<AtomicUsize>>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// Connects so many followers, and waits until each has been told that it knows of every end.
    pub async fn connect(url: &str, secret: &str, count: usize) -> Result<Self, Failure> {
        let address = url.trim_start_matches("http://").to_owned();
        let credentials = STANDARD.encode(format!("api:{secret}"));
        let request = format!(
            "GET /revocations?after=none HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {credentials}\r\n\
             Accept: text/event-stream\r\n\r\n"
        );
        let mut known = Vec::with_capacity(count);
        let mut tasks = JoinSet::new();
        let mut connecting = JoinSet::new();
        for _ in 0..count {
            if connecting.len() >= AT_ONCE {
                let stream: Result<TcpStream, Failure> =
                    connecting.join_next().await.ok_or("none")??;
                known.push(read(&mut tasks, stream?));
            }
            connecting.spawn(connect(address.clone(), request.clone()));
        }
        while let Some(stream) = connecting.join_next().await {
            known.push(read(&mut tasks, stream??));
        }
        Ok(Self { known, _tasks: tasks })
    }

    /// Waits until all of them know of so many ends.
    pub async fn know_of(&self, ends: usize) -> Result<(), Failure> {
        let began = Instant::now();
        while self.known.iter().any(|known| known.load(Ordering::Acquire) < ends * HYPHENS) {
            if began.elapsed() > Duration::from_mins(1) {
                let least = self.known.iter().map(|known| known.load(Ordering::Acquire)).min();
                let least = least.unwrap_or_default() / HYPHENS;
                return Err(format!("a follower knows of {least} of {ends} ends").into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

async fn connect(address: String, request: String) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.windows(14).any(|window| window == b"event: current") {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(String::from_utf8_lossy(&text).into_owned().into());
        }
        text.extend_from_slice(&buffer[..read]);
    }
    Ok(stream)
}

fn read(tasks: &mut JoinSet<()>, stream: TcpStream) -> Arc<AtomicUsize> {
    let known = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&known);
    tasks.spawn(async move {
        loop {
            if stream.readable().await.is_err() {
                return;
            }
            // One buffer for all that one thread reads: ten thousand of them would be much memory.
            let read = BUFFER.with_borrow_mut(|buffer| {
                let read = stream.try_read(buffer)?;
                #[expect(clippy::naive_bytecount, reason = "not worth a dependency")]
                let hyphens = buffer[..read].iter().filter(|byte| **byte == b'-').count();
                count.fetch_add(hyphens, Ordering::AcqRel);
                Ok::<_, std::io::Error>(read)
            });
            match read {
                Ok(0) => return,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    });
    known
}

thread_local! {
    static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; 64 * 1024]);
}
