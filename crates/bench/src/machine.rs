//! The machine that is measured on, and the versions of its software.

use std::process::Command;

use serde_json::{Value, json};

/// The machine and the versions, for the report.
pub fn describe() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| {
        let found = cpu.lines().find(|line| line.starts_with(name));
        found.and_then(|line| line.split(": ").nth(1)).unwrap_or_default().to_owned()
    };
    let flags = line("flags");
    json!({
        "processor": line("model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_mb": memory_mb(),
        "avx512ifma": flags.split(' ').any(|flag| flag == "avx512ifma"),
        "kernel": said_by("uname", &["-sr"]),
        "rust": said_by("rustc", &["--version"]),
        "postgresql": postgresql(),
        "sqlite": database::rusqlite::version(),
        "node": said_by("node", &["--version"]),
        "python": said_by("python3", &["--version"]),
    })
}

fn postgresql() -> String {
    testing::postgres_programs()
        .map(|bin| said_by(&bin.join("postgres").display().to_string(), &["--version"]))
        .unwrap_or_default()
}

fn said_by(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

/// All the memory there is, in MB.
pub fn memory_mb() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kb = total.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kb.unwrap_or(4 << 20) / 1024
}

/// The processor time that processes have used, in seconds: each given one with all its children.
pub fn processor_seconds(roots: &[u32]) -> f64 {
    // Linux counts in hundredths of a second, whatever the kernel's own tick is.
    const TICKS: f64 = 100.0;
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        let number = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
        let (Some(parent), Some(user), Some(system)) = (number(1), number(11), number(12)) else {
            continue;
        };
        parents.push((pid, parent as u32, (user + system) as f64 / TICKS));
    }
    let mut family: Vec<u32> = roots.to_vec();
    let mut index = 0;
    while let Some(pid) = family.get(index).copied() {
        family.extend(parents.iter().filter(|(_, parent, _)| *parent == pid).map(|(pid, ..)| *pid));
        index += 1;
    }
    parents.iter().filter(|(pid, ..)| family.contains(pid)).map(|(.., seconds)| seconds).sum()
}

/// The memory of a process that is its own, and all that is resident, in MB.
pub fn resident_mb(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kb = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        let text = line.and_then(|line| line.split_whitespace().nth(1));
        text.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    (kb("RssAnon:"), kb("VmRSS:"))
}
