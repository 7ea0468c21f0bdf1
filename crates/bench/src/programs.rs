//! Programs that are measured, as processes of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use service::run::Failure;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};

use crate::population::SECRET;

/// A program that listens; it ends with this.
pub struct Program {
    child: Child,
    /// The time until it was ready.
    pub ready_after: Duration,
}

impl Program {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Asks it to end (`SIGTERM`), and waits until it has.
    pub async fn end(mut self) -> Result<(), Failure> {
        Command::new("kill").arg(self.pid().to_string()).status().await?;
        self.child.wait().await?;
        Ok(())
    }

    /// The program's output.
    pub fn output(&mut self) -> Result<BufReader<ChildStdout>, Failure> {
        Ok(BufReader::new(self.child.stdout.take().ok_or("no output")?))
    }
}

/// A program beside this one.
pub fn beside(name: &str) -> Result<PathBuf, Failure> {
    let file = std::env::current_exe()?.with_file_name(name);
    if file.exists() { Ok(file) } else { Err(format!("{} is not built", file.display()).into()) }
}

/// Starts a program, and waits until `path` answers 200 at `port`.
pub async fn start(mut command: Command, port: u16, path: &str) -> Result<Program, Failure> {
    let began = Instant::now();
    let child = command.stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let mut program = Program { child, ready_after: Duration::ZERO };
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
    while !is_ready(port, &request).await {
        if let Some(status) = program.child.try_wait()? {
            return Err(format!("{command:?} ended: {status}").into());
        }
        if began.elapsed() > Duration::from_mins(1) {
            return Err(format!("{command:?} is not ready").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    program.ready_after = began.elapsed();
    Ok(program)
}

async fn is_ready(port: u16, request: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).await?;
        Ok::<_, std::io::Error>(head.ends_with(b" 200"))
    };
    ask.await.unwrap_or(false)
}

/// The authority on a database.
pub async fn authority(url: &str, folder: &Path, port: u16, log: &str) -> Result<Program, Failure> {
    let mut command = Command::new(beside("aa-server")?);
    command
        .env("AA_DATABASE_URL", url)
        .env("AA_DATA_DIR", folder)
        .env("AA_SECRET", SECRET)
        .env("AA_LISTEN", format!("127.0.0.1:{port}"))
        .env("AA_PUBLIC_URL", format!("http://localhost:{port}"))
        .env("AA_LOG", log)
        .stderr(std::fs::File::create(folder.join("aa.log"))?);
    start(command, port, "/readyz").await
}

/// So many lines of a program's output.
pub async fn lines(output: BufReader<ChildStdout>, count: usize) -> Result<Vec<String>, Failure> {
    let mut lines = output.lines();
    let mut found = Vec::with_capacity(count);
    while found.len() < count {
        found.push(lines.next_line().await?.ok_or("the program said too little")?);
    }
    Ok(found)
}
