//! The countries of addresses, by a database (`.mmdb`) that the operator brings (`AA_GEOIP_FILE`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;

use maxminddb::Reader;
use serde::Deserialize;

use crate::domain::language::Language;

/// Finds countries; none without a database.
pub struct Countries(Option<Box<Reader<Vec<u8>>>>);

impl std::fmt::Debug for Countries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Countries").field("known", &self.0.is_some()).finish()
    }
}

/// The database cannot be used. The text is for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{0} cannot be read as a MaxMind database: {1}")]
pub struct CountriesError(String, maxminddb::MaxMindDbError);

#[derive(Deserialize)]
struct Record {
    country: Option<Country>,
}

#[derive(Deserialize)]
struct Country {
    iso_code: Option<String>,
    #[serde(default)]
    names: HashMap<String, String>,
}

impl Countries {
    /// Reads the database, if there is one, into memory.
    ///
    /// # Errors
    /// [`CountriesError`].
    pub fn open(file: Option<&Path>) -> Result<Self, CountriesError> {
        let open = |file: &Path| {
            Reader::open_readfile(file)
                .map(Box::new)
                .map_err(|error| CountriesError(file.display().to_string(), error))
        };
        Ok(Self(file.map(open).transpose()?))
    }

    /// The name of the country of an address: in this language, in English, or its code (ISO 3166-1).
    pub fn name(&self, ip: &str, language: Language) -> Option<String> {
        let address: IpAddr = ip.parse().ok()?;
        let record: Record = self.0.as_ref()?.lookup(address).ok()?.decode().ok()??;
        let Country { iso_code, mut names } = record.country?;
        names.remove(language.tag()).or_else(|| names.remove("en")).or(iso_code)
    }

    /// An address with its country, if it is known: `192.0.2.1 (Germany)`.
    pub fn describe(&self, ip: &str, language: Language) -> String {
        self.name(ip, language).map_or_else(|| ip.to_owned(), |country| format!("{ip} ({country})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of the format of such databases, version 2.0.
    enum Value {
        Text(&'static str),
        Number(u16),
        Long(u32),
        /// A `u64` of an extended type.
        Epoch(u64),
        Map(Vec<(&'static str, Value)>),
        /// An array without elements, of an extended type.
        Nothing,
    }

    fn write(value: &Value, to: &mut Vec<u8>) {
        match value {
            Value::Text(text) => {
                to.push(2 << 5 | u8::try_from(text.len()).unwrap());
                to.extend(text.as_bytes());
            }
            Value::Number(number) => {
                to.push(5 << 5 | 2);
                to.extend(number.to_be_bytes());
            }
            Value::Long(number) => {
                to.push(6 << 5 | 4);
                to.extend(number.to_be_bytes());
            }
            Value::Epoch(number) => {
                to.extend([8, 9 - 7]);
                to.extend(number.to_be_bytes());
            }
            Value::Nothing => to.extend([0, 11 - 7]),
            Value::Map(members) => {
                to.push(7 << 5 | u8::try_from(members.len()).unwrap());
                for (name, value) in members {
                    write(&Value::Text(name), to);
                    write(value, to);
                }
            }
        }
    }

    /// A database in which every address is in Germany.
    fn database() -> Vec<u8> {
        // One node: both of its records lead to the one entry behind the separator of 16 bytes.
        let mut file = vec![0, 0, 17, 0, 0, 17];
        file.extend([0; 16]);
        let names =
            Value::Map(vec![("de", Value::Text("Deutschland")), ("en", Value::Text("Germany"))]);
        let country = Value::Map(vec![("iso_code", Value::Text("DE")), ("names", names)]);
        write(&Value::Map(vec![("country", country)]), &mut file);
        file.extend(b"\xab\xcd\xefMaxMind.com");
        let metadata = vec![
            ("node_count", Value::Long(1)),
            ("record_size", Value::Number(24)),
            ("ip_version", Value::Number(6)),
            ("database_type", Value::Text("Test-Country")),
            ("binary_format_major_version", Value::Number(2)),
            ("binary_format_minor_version", Value::Number(0)),
            ("build_epoch", Value::Epoch(0)),
            ("description", Value::Map(Vec::new())),
            ("languages", Value::Nothing),
        ];
        write(&Value::Map(metadata), &mut file);
        file
    }

    #[test]
    fn an_address_has_a_country_in_the_readers_language() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), database()).unwrap();
        let countries = Countries::open(Some(file.path())).unwrap();
        assert_eq!(countries.describe("192.0.2.1", Language::English), "192.0.2.1 (Germany)");
        assert_eq!(
            countries.describe("2001:db8::1", Language::German),
            "2001:db8::1 (Deutschland)"
        );
        assert_eq!(countries.name("192.0.2.1", Language::French).as_deref(), Some("Germany"));
        assert_eq!(countries.describe("local", Language::English), "local");
        let none = Countries::open(None).unwrap();
        assert_eq!(none.describe("192.0.2.1", Language::English), "192.0.2.1");
        std::fs::write(file.path(), b"no database").unwrap();
        assert!(Countries::open(Some(file.path())).is_err());
        assert!(Countries::open(Some(Path::new("/nowhere"))).is_err());
    }
}
