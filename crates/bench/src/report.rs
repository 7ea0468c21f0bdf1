//! The results: lines on the terminal as they come, and at the end JSON and a chart.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use service::run::Failure;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Report {
    machine: Value,
    /// The duration of the whole run.
    pub seconds: u64,
    figures: Vec<Figure>,
    ratios: Vec<Ratio>,
}

/// One measurement.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figure {
    /// The group: figures of a group are drawn together.
    pub group: String,
    /// The measurement's name.
    pub name: String,
    /// Operations per second.
    pub per_second: f64,
    /// Half took no longer than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// All but one in a hundred took no longer than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// Processor time of the server each, its database included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_us: Option<f64>,
}

/// Two measurements, compared.
#[derive(Debug, Serialize)]
struct Ratio {
    what: String,
    value: f64,
    /// The target: at least this, or at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target>,
    reached: bool,
}

/// The target of a value.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

impl Report {
    /// An empty one.
    pub fn new(machine: Value) -> Self {
        println!("{machine:#}");
        Self { machine, seconds: 0, figures: Vec::new(), ratios: Vec::new() }
    }

    /// Adds a measurement, and gives back how often it happened in a second.
    pub fn add(&mut self, figure: Figure) -> f64 {
        let mut line =
            format!("{:<28} {:<58} {:>12.0}/s", figure.group, figure.name, figure.per_second);
        if let (Some(p50), Some(p99)) = (figure.p50_ms, figure.p99_ms) {
            let _ = write!(line, "  p50 {p50:>7.2} ms  p99 {p99:>7.2} ms");
        }
        if let Some(us) = figure.server_us {
            let _ = write!(line, "  server {us:>6.1} µs");
        }
        println!("{line}");
        let rate = figure.per_second;
        self.figures.push(figure);
        rate
    }

    /// Adds a comparison.
    pub fn compare(
        &mut self,
        what: impl Into<String>,
        value: f64,
        target: impl Into<Option<Target>>,
    ) {
        let (what, target) = (what.into(), target.into());
        let reached = match target {
            Some(Target::AtLeast(least)) => value >= least,
            Some(Target::AtMost(most)) => value <= most,
            None => true,
        };
        let wanted = match target {
            Some(Target::AtLeast(least)) => format!("(at least {least})"),
            Some(Target::AtMost(most)) => format!("(at most {most})"),
            None => String::new(),
        };
        let mark = if reached { ' ' } else { '!' };
        println!("{mark} => {what}: {value:.2} {wanted}");
        self.ratios.push(Ratio { what, value, target, reached });
    }

    /// Writes `performance.json` and `performance.svg`.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn write(&self, folder: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(
            folder.join("performance.json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        std::fs::write(folder.join("performance.svg"), self.chart())?;
        let missed: Vec<&Ratio> = self.ratios.iter().filter(|ratio| !ratio.reached).collect();
        println!(
            "\n{} comparisons, {} not reached, {} s; {}",
            self.ratios.len(),
            missed.len(),
            self.seconds,
            folder.join("performance.json").display()
        );
        for ratio in missed {
            println!("! {}: {:.2}", ratio.what, ratio.value);
        }
        Ok(())
    }

    /// Bars, one panel for each group.
    fn chart(&self) -> String {
        const WIDTH: f64 = 900.0;
        const LABEL: f64 = 400.0;
        const BAR: f64 = 330.0;
        const LINE: f64 = 18.0;
        let mut groups: Vec<&str> = Vec::new();
        for figure in &self.figures {
            if !groups.contains(&figure.group.as_str()) {
                groups.push(&figure.group);
            }
        }
        let mut body = String::new();
        let mut y = 24.0;
        for group in groups {
            let figures: Vec<&Figure> =
                self.figures.iter().filter(|figure| figure.group == group).collect();
            let most = figures.iter().map(|figure| figure.per_second).fold(1.0, f64::max);
            let _ = writeln!(
                body,
                r#"<text x="12" y="{y}" class="group">{}, per second</text>"#,
                escaped(group)
            );
            y += LINE;
            for figure in figures {
                let width = (figure.per_second / most * BAR).max(1.0);
                let _ = writeln!(
                    body,
                    r#"<text x="{}" y="{y}" text-anchor="end">{}</text><rect x="{}" y="{}" width="{width:.1}" height="12" rx="2"/><text x="{:.1}" y="{y}" class="figure">{:.0}</text>"#,
                    LABEL - 8.0,
                    escaped(&figure.name),
                    LABEL,
                    y - 10.0,
                    LABEL + width + 6.0,
                    figure.per_second
                );
                y += LINE;
            }
            y += LINE;
        }
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" font-family="system-ui, sans-serif" font-size="12">
<style>text{{fill:#333}}rect{{fill:#3b6fb5}}.group{{font-weight:600;font-size:14px}}.figure{{font-variant-numeric:tabular-nums}}@media(prefers-color-scheme:dark){{text{{fill:#ddd}}rect{{fill:#7aa7e0}}}}</style>
{body}</svg>
"#
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
