//! One table of settings per program, read from flags, the environment and a file, in that order of precedence.
//!
//! An unknown setting is an error that names the nearest known one, in every source: a misspelt
//! `AA_AT_TTLL` must not silently leave the default in force.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, ArgMatches};
use foundation::origin::is_loopback;
use secrecy::SecretString;
use zeroize::Zeroizing;

/// One setting: `at_ttl` is `--at-ttl`, `AA_AT_TTL` and `at_ttl = …` in the file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name in the file.
    pub name: &'static str,
    /// The value if the setting is not given.
    pub default: Option<&'static str>,
    /// One line for `--help`.
    pub help: &'static str,
    /// True for a secret, which is never a flag: every user of the machine can see arguments.
    pub secret: bool,
}

impl Setting {
    /// A setting with a default.
    pub const fn new(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self { name, default: Some(default), help, secret: false }
    }

    /// A setting that may be left out.
    pub const fn optional(name: &'static str, help: &'static str) -> Self {
        Self { name, default: None, help, secret: false }
    }

    /// A secret, set by environment or file only.
    pub const fn secret(name: &'static str, help: &'static str) -> Self {
        Self { name, default: None, help, secret: true }
    }

    fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// An invalid setting. The message names it, its source and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

impl SettingsError {
    /// An error of the caller's own checks.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// The settings given to a program.
#[derive(Debug)]
pub struct Settings {
    prefix: String,
    table: &'static [Setting],
    values: BTreeMap<&'static str, Value>,
}

struct Value {
    text: Zeroizing<String>,
    origin: String,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "(from {})", self.origin)
    }
}

/// The flags of a table, to be added to a clap command.
pub fn flags(prefix: &str, table: &'static [Setting]) -> Vec<Arg> {
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .global(true)
        .help(format!("Settings file [env: {prefix}CONFIG]"));
    let flags = table.iter().filter(|setting| !setting.secret).map(|setting| {
        let default = setting.default.map_or(String::new(), |text| format!(" [default: {text}]"));
        let env = format!("{prefix}{}", setting.name.to_uppercase());
        let arg = Arg::new(setting.name)
            .long(setting.flag())
            .value_name("VALUE")
            .global(true)
            .help_heading("Settings")
            .help(format!("{}{default} [env: {env}]", setting.help));
        if setting.default == Some("false") {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        } else {
            arg
        }
    });
    std::iter::once(file).chain(flags).collect()
}

/// The similarity (Jaro-Winkler) from which on an unknown name is taken for a misspelt one.
const LOOKS_ALIKE: f64 = 0.7;

impl Settings {
    /// Settings without values, to be [`set`](Settings::set) by a program.
    pub fn empty(prefix: &str, table: &'static [Setting]) -> Self {
        Self { prefix: prefix.to_owned(), table, values: BTreeMap::new() }
    }

    /// Reads flags, then the environment, then the file (`--config`, `<PREFIX>CONFIG`, or `default_file` if
    /// it is there).
    ///
    /// # Errors
    /// [`SettingsError`] for an unknown name in the environment or the file, or an unreadable file.
    pub fn load(
        prefix: &str,
        table: &'static [Setting],
        matches: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        default_file: &str,
    ) -> Result<Self, SettingsError> {
        let mut settings = Self { prefix: prefix.to_owned(), table, values: BTreeMap::new() };
        let mut file = matches.get_one::<String>("config").map(PathBuf::from);
        for setting in table.iter().filter(|setting| !setting.secret) {
            if let Some(text) = matches.get_one::<String>(setting.name) {
                settings.put(setting.name, text.clone(), format!("--{}", setting.flag()));
            }
        }
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            let Some(bare) = name.strip_prefix(prefix) else { continue };
            let value = value
                .into_string()
                .map_err(|_| SettingsError(format!("{name} is not valid UTF-8")))?;
            if bare == "CONFIG" {
                file = file.or(Some(PathBuf::from(value)));
                continue;
            }
            let setting = settings.known(&bare.to_lowercase(), name, |known| {
                format!("{prefix}{}", known.to_uppercase())
            })?;
            settings.put(setting, value, name.to_owned());
        }
        let file = file.or_else(|| Some(PathBuf::from(default_file)).filter(|path| path.exists()));
        if let Some(file) = file {
            settings.read_file(&file)?;
        }
        Ok(settings)
    }

    fn read_file(&mut self, file: &Path) -> Result<(), SettingsError> {
        let shown = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| SettingsError(format!("{shown} cannot be read: {error}")))?;
        let document: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            SettingsError(format!("{shown} is not valid TOML: {}", error.message()))
        })?;
        for (name, value) in document {
            let setting = self.known(&name, &format!("`{name}` in {shown}"), str::to_owned)?;
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                _ => return Err(SettingsError(format!("`{name}` in {shown} must be a string"))),
            };
            self.put(setting, text, format!("{shown}"));
        }
        Ok(())
    }

    fn known(
        &self,
        name: &str,
        shown: &str,
        style: impl Fn(&str) -> String,
    ) -> Result<&'static str, SettingsError> {
        if let Some(setting) = self.table.iter().find(|setting| setting.name == name) {
            return Ok(setting.name);
        }
        let nearest = self
            .table
            .iter()
            .map(|setting| setting.name)
            .filter(|known| strsim::jaro_winkler(known, name) > LOOKS_ALIKE)
            .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)))
            .map_or(String::new(), |known| format!("; did you mean {}?", style(known)));
        Err(SettingsError(format!("unknown setting {shown}{nearest}")))
    }

    fn put(&mut self, name: &'static str, text: String, origin: String) {
        let text = Zeroizing::new(text);
        self.values.entry(name).or_insert(Value { text, origin });
    }

    /// Sets a value as if a flag had given it; replaces an earlier value.
    pub fn set(&mut self, name: &'static str, text: impl Into<String>) {
        self.values.insert(
            name,
            Value { text: Zeroizing::new(text.into()), origin: "the program".to_owned() },
        );
    }

    fn text(&self, name: &str) -> Option<(&str, &str)> {
        if let Some(value) = self.values.get(name) {
            return Some((value.text.as_str(), &value.origin));
        }
        let setting = self.table.iter().find(|setting| setting.name == name);
        debug_assert!(setting.is_some(), "{name} is not in the table");
        setting.and_then(|setting| setting.default).map(|text| (text, "the default"))
    }

    fn parsed<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, SettingsError> {
        let Some((text, origin)) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).map_err(|reason| {
            let name = format!("{}{}", self.prefix, name.to_uppercase());
            // The environment variable is the name itself.
            let origin = if origin == name { String::new() } else { format!(" (from {origin})") };
            SettingsError(format!("{name}{origin}: {reason}"))
        })
    }

    /// A setting that may be absent.
    ///
    /// # Errors
    /// [`SettingsError`] when it is given and cannot be parsed.
    pub fn optional<T>(&self, name: &str) -> Result<Option<T>, SettingsError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(name, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    /// A setting that has a default or must be given.
    ///
    /// # Errors
    /// [`SettingsError`] when it is missing or cannot be parsed.
    pub fn get<T>(&self, name: &str) -> Result<T, SettingsError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.optional(name)?.ok_or_else(|| self.missing(name))
    }

    /// An address and port such as `127.0.0.1:8080` or `localhost:8080`.
    ///
    /// # Errors
    /// [`SettingsError`] when it is given and is none.
    pub fn address(&self, name: &str) -> Result<Option<SocketAddr>, SettingsError> {
        self.parsed(name, |text| {
            let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
            let address = local.as_deref().unwrap_or(text).parse();
            address.map_err(|_| {
                format!("`{text}` is not an address and port, such as 127.0.0.1:8080 or [::]:8080")
            })
        })
    }

    /// A duration such as `5m` or `30days`.
    ///
    /// # Errors
    /// [`SettingsError`] when it is given and is not a duration.
    pub fn duration(&self, name: &str) -> Result<Option<Duration>, SettingsError> {
        self.parsed(name, |text| humantime::parse_duration(text).map_err(|error| error.to_string()))
    }

    /// Removes and returns those of these settings that were given as flags, for commands where such a flag has another
    /// meaning.
    #[must_use]
    pub fn take_flags(&mut self, names: &[&str]) -> Self {
        let taken =
            |name: &str, value: &Value| names.contains(&name) && value.origin.starts_with("--");
        let values = self.values.extract_if(.., |name, value| taken(name, value)).collect();
        Self { prefix: self.prefix.clone(), table: self.table, values }
    }

    /// A secret: the content of the file in the setting `file`, else the value of the setting `name`.
    ///
    /// One line break at the end of the file is removed.
    ///
    /// # Errors
    /// [`SettingsError`] when the file cannot be read.
    pub fn secret(&self, name: &str, file: &str) -> Result<Option<SecretString>, SettingsError> {
        if let Some(path) = self.optional::<PathBuf>(file)? {
            let text = std::fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| {
                let setting = file.to_uppercase();
                SettingsError(format!("{}{setting}: {}: {error}", self.prefix, path.display()))
            })?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            return Ok(Some(SecretString::from(text.strip_suffix('\r').unwrap_or(text))));
        }
        Ok(self.text(name).map(|(text, _)| SecretString::from(text)))
    }

    /// True if the setting is given, by any source.
    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The error for a setting that must be given.
    pub fn missing(&self, name: &str) -> SettingsError {
        SettingsError(format!("{}{} must be set", self.prefix, name.to_uppercase()))
    }
}

/// Refuses an issuer whose keys could be exchanged on their way: http, and not this machine.
///
/// # Errors
/// [`SettingsError`] that says what to do.
pub fn safe_issuer(issuer: &str) -> Result<(), SettingsError> {
    let url = url::Url::parse(issuer)
        .map_err(|error| SettingsError::new(format!("ISSUER: `{issuer}`: {error}")))?;
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Ok(());
    }
    Err(SettingsError::new(format!(
        "ISSUER is {issuer}: without https, anybody on the way can exchange its keys and sign in as anybody. \
         Use https, set BACKCHANNEL_URL to where this process reaches it, or say --insecure-http if that is meant"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Setting] = &[
        Setting::new("listen", "127.0.0.1:8080", "where"),
        Setting::new("at_ttl", "5m", "how long"),
        Setting::new("insecure_http", "false", "whether"),
        Setting::secret("secret", "what"),
        Setting::optional("secret_file", "where from"),
    ];

    fn load(args: &[&str], env: &[(&str, &str)], file: &str) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.toml");
        std::fs::write(&path, file).unwrap();
        let matches = clap::Command::new("test")
            .args(flags("T_", TABLE))
            .try_get_matches_from(std::iter::once(&"test").chain(args))
            .unwrap();
        let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        Settings::load("T_", TABLE, &matches, env, path.to_str().unwrap())
    }

    #[test]
    fn an_address_may_be_localhost_and_a_mistake_shows_what_is_wanted() {
        const TABLE: &[Setting] = &[Setting::new("listen", "127.0.0.1:8080", "")];
        let mut settings = Settings::empty("AA_", TABLE);
        for (text, address) in [("localhost:80", "127.0.0.1:80"), ("[::1]:9", "[::1]:9")] {
            settings.set("listen", text);
            assert_eq!(settings.address("listen").unwrap(), Some(address.parse().unwrap()));
        }
        for text in ["8080", "example.com:80", "127.0.0.1", "localhost:x", ""] {
            settings.set("listen", text);
            let told = settings.address("listen").unwrap_err().to_string();
            assert!(told.contains("such as 127.0.0.1:8080"), "{told}");
        }
    }

    #[test]
    fn flags_override_the_environment_and_that_the_file() {
        let file = "listen = 'file'\nat_ttl = '1m'";
        let env = [("T_LISTEN", "env"), ("OTHER", "x")];
        let settings = load(&["--listen", "flag"], &env, file).unwrap();
        assert_eq!(settings.get::<String>("listen").unwrap(), "flag");
        assert_eq!(settings.duration("at_ttl").unwrap(), Some(Duration::from_mins(1)));
        let settings = load(&["--insecure-http"], &env, file).unwrap();
        assert_eq!(settings.get::<String>("listen").unwrap(), "env");
        assert!(settings.get::<bool>("insecure_http").unwrap());
        let settings = load(&[], &[], "").unwrap();
        assert_eq!(settings.get::<String>("listen").unwrap(), "127.0.0.1:8080");
    }

    #[test]
    fn unknown_settings_name_the_nearest_known_one() {
        let error = load(&[], &[("T_AT_TTLL", "1m")], "").unwrap_err().to_string();
        assert_eq!(error, "unknown setting T_AT_TTLL; did you mean T_AT_TTL?");
        let error = load(&[], &[], "lisen = 'x'").unwrap_err().to_string();
        assert!(error.contains("`lisen` in") && error.ends_with("did you mean listen?"), "{error}");
        let error = load(&[], &[("T_FOO", "1")], "").unwrap_err().to_string();
        assert_eq!(error, "unknown setting T_FOO");
    }

    #[test]
    fn an_invalid_value_is_named_with_its_source() {
        let settings = load(&[], &[("T_AT_TTL", "soon")], "").unwrap();
        let error = settings.duration("at_ttl").unwrap_err().to_string();
        assert!(error.starts_with("T_AT_TTL: "), "{error}");
        let settings = load(&["--at-ttl", "soon"], &[], "").unwrap();
        let error = settings.duration("at_ttl").unwrap_err().to_string();
        assert!(error.starts_with("T_AT_TTL (from --at-ttl): "), "{error}");
    }

    #[test]
    fn secrets_are_no_flags_and_not_in_debug_output() {
        assert!(flags("T_", TABLE).iter().all(|flag| flag.get_id() != "secret"));
        let settings = load(&[], &[("T_SECRET", "hush")], "").unwrap();
        assert!(!format!("{settings:?}").contains("hush"));
        assert!(settings.secret("secret", "secret_file").unwrap().is_some());
    }
}
