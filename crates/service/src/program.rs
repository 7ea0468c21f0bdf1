//! Programs that are configured by settings alone.

use clap::{Arg, ArgAction};

use crate::run::ask_readiness;
use crate::settings::{Setting, Settings, SettingsError, flags};

/// A program that is configured by settings alone: its `--help` and the sources of its settings.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// The name of the program.
    pub name: &'static str,
    /// The version of the program.
    pub version: &'static str,
    /// A description in one line.
    pub about: &'static str,
    /// The prefix of its environment variables.
    pub prefix: &'static str,
    /// The table of settings.
    pub settings: &'static [Setting],
    /// The settings file, read if it exists.
    pub file: &'static str,
}

impl Program {
    /// Reads the process's arguments and environment, and the file. `--help`, mistakes in flags and the command `check` end
    /// the process.
    pub fn read_settings(&self) -> Result<Settings, SettingsError> {
        let live = Arg::new("live").long("live").action(ArgAction::SetTrue);
        let check = clap::Command::new("check")
            .about("Ask the program that runs at LISTEN whether it is ready")
            .arg(live.help("Accepted for uniformity: this is all that check does here"));
        let command = clap::Command::new(self.name).version(self.version).about(self.about);
        let mut command = command.args(flags(self.prefix, self.settings));
        if self.settings.iter().any(|setting| setting.name == "listen") {
            command = command.subcommand(check);
        }
        let matches = command.get_matches();
        let settings =
            Settings::load(self.prefix, self.settings, &matches, std::env::vars_os(), self.file)?;
        if matches.subcommand_name() == Some("check") {
            match ask_readiness(
                settings.address("listen")?.ok_or_else(|| settings.missing("listen"))?,
            ) {
                Ok(()) => std::process::exit(0),
                Err(why) => {
                    eprintln!("{why}");
                    std::process::exit(1);
                }
            }
        }
        Ok(settings)
    }
}
