//! How a deployment looks: its name, mark, colours, address for help, and texts of its own.
//!
//! The folder `AA_BRANDING` has `branding.toml`, a logo (`logo.svg` or `logo.png`), `style.css`, `texts/<language>.ftl` and
//! `templates/`. Each of them is optional. What cannot be used is an error at start.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use service::embedded::Embedded;
use strum::VariantArray as _;

use super::catalogue::{Catalogue, CatalogueError, Texts};
use super::templates::{Part, TemplateError, Templates};
use crate::domain::language::Language;

/// The name of a deployment that has none of its own.
const DEFAULT_NAME: &str = "Authority";
/// The largest logo, stylesheet or template, in bytes.
const MAX_FILE: u64 = 64 * 1024;
/// The least contrast of the accent colour and what it stands on (WCAG 2.2, 1.4.3).
const MIN_CONTRAST: f64 = 4.5;

const STYLESHEET: &str = include_str!("../../assets/aa.css");
const SCRIPT: &str = include_str!("../../assets/aa.js");
const MARK: &str = include_str!("../../assets/icon.svg");

/// A file whose name has a part of its content's hash, so that it may be cached for ever.
#[derive(Debug)]
pub struct Asset {
    /// The last part of its path.
    pub name: String,
    /// The file.
    pub file: Embedded,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, content: Vec<u8>) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &content).as_ref()[..9]);
        Self {
            name: format!("{stem}-{hash}.{extension}"),
            file: Embedded::new(media_type, content),
        }
    }

    /// The path of the file.
    pub fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

/// How this deployment looks.
#[derive(Debug)]
pub struct Branding {
    /// The name of the company or product whose sign-in this is.
    pub name: String,
    /// Where users get help: an `https:` or `mailto:` URL.
    pub support_url: Option<String>,
    /// The one stylesheet.
    pub stylesheet: Asset,
    /// The one script.
    pub script: Asset,
    /// The mark, which is the icon of the browser's tab, too.
    pub mark: Asset,
    /// The media type of the mark.
    pub mark_type: &'static str,
    /// The colour of buttons and links in the light theme, `#rrggbb`, which mails use.
    pub accent: String,
    /// The templates of what stands around pages, and of mails.
    pub templates: Arc<Templates>,
}

/// Why a branding cannot be used, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BrandingError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// `branding.toml` is not what it should be.
    #[error("branding.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// A value cannot be used.
    #[error("branding.toml: {0}")]
    Value(String),
    /// A file is too large.
    #[error("{0} is larger than 64 KiB")]
    TooLarge(String),
    /// A file is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(String),
    /// A file of `templates/` replaces nothing.
    #[error(
        "templates/{0} replaces no template; those that can be replaced are header.html, footer.html, mail.html, mail.txt"
    )]
    UnknownTemplate(String),
    /// A template cannot be used.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// A text cannot be used.
    #[error("{0}")]
    Texts(#[from] CatalogueError),
}

/// `branding.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    support_url: Option<String>,
    accent: Option<String>,
    accent_dark: Option<String>,
}

/// The files of a branding, before they are judged.
#[derive(Debug, Default)]
struct Files {
    settings: File,
    logo: Option<(Vec<u8>, &'static str)>,
    style: Option<String>,
    texts: Vec<(Language, String)>,
    templates: Vec<(Part, String)>,
}

impl Branding {
    /// Reads the folder of a branding, or the default one, and the texts of all languages with it.
    ///
    /// # Errors
    /// [`BrandingError`].
    pub fn read(folder: Option<&Path>) -> Result<(Self, Arc<Catalogue>), BrandingError> {
        let Some(folder) = folder else { return Self::build(Files::default()) };
        // A folder that is not there is a mistake, a file that is not there is not.
        std::fs::read_dir(folder).map_err(|error| file_error(folder, error))?;
        let mut files = Files::default();
        if let Some(text) = read_text(&folder.join("branding.toml"))? {
            files.settings = toml::from_str(&text)?;
        }
        for (name, media_type) in [("logo.svg", "image/svg+xml"), ("logo.png", "image/png")] {
            let Some(bytes) = read(&folder.join(name))? else { continue };
            files.logo.get_or_insert((bytes, media_type));
        }
        files.style = read_text(&folder.join("style.css"))?;
        for &language in Language::VARIANTS {
            let path = folder.join("texts").join(format!("{}.ftl", language.tag()));
            files.texts.extend(read_text(&path)?.map(|text| (language, text)));
        }
        files.templates = read_templates(&folder.join("templates"))?;
        Self::build(files)
    }

    fn build(files: Files) -> Result<(Self, Arc<Catalogue>), BrandingError> {
        let file = files.settings;
        let catalogue = Arc::new(Catalogue::new(&files.texts)?);
        let texts = Texts::new(&catalogue, Language::English);
        let templates = Arc::new(Templates::new(files.templates, &texts)?);
        let name = file.name.map_or_else(|| DEFAULT_NAME.to_owned(), |name| name.trim().to_owned());
        if name.is_empty() || name.chars().count() > 60 || name.contains(char::is_control) {
            return Err(BrandingError::Value("name: 1 to 60 characters".to_owned()));
        }
        let helps = |url: &String| url.starts_with("https://") || url.starts_with("mailto:");
        if file.support_url.as_ref().is_some_and(|url| !helps(url) || url::Url::parse(url).is_err())
        {
            return Err(BrandingError::Value("support_url: an https: or mailto: URL".to_owned()));
        }
        let mut stylesheet = STYLESHEET.to_owned();
        let light = file.accent.as_deref().map(|text| Colour::parse("accent", text)).transpose()?;
        if let Some(light) = light {
            light.must_stand_out("accent", Colour(255, 255, 255))?;
            let _ = writeln!(stylesheet, ":root {{ {} }}", light.as_properties());
        }
        let dark = file
            .accent_dark
            .as_deref()
            .map(|text| Colour::parse("accent_dark", text))
            .transpose()?;
        if let Some(dark) = dark {
            dark.must_stand_out("accent_dark", Colour(0x1a, 0x1d, 0x26))?;
            let _ = writeln!(
                stylesheet,
                "@media (prefers-color-scheme: dark) {{ :root {{ {} }} }}",
                dark.as_properties()
            );
        }
        stylesheet.push_str(&files.style.unwrap_or_default());
        let (mark, mark_type) =
            files.logo.unwrap_or_else(|| (MARK.as_bytes().to_vec(), "image/svg+xml"));
        let extension = if mark_type == "image/png" { "png" } else { "svg" };
        let branding = Self {
            name,
            support_url: file.support_url,
            stylesheet: Asset::new("aa", "css", "text/css; charset=utf-8", stylesheet.into_bytes()),
            script: Asset::new(
                "aa",
                "js",
                "text/javascript; charset=utf-8",
                SCRIPT.as_bytes().to_vec(),
            ),
            mark: Asset::new("mark", extension, mark_type, mark),
            mark_type,
            accent: light.unwrap_or(Colour(0x2c, 0x57, 0xc5)).to_string(),
            templates,
        };
        Ok((branding, catalogue))
    }

    /// The asset with this name.
    pub fn asset(&self, name: &str) -> Option<&Asset> {
        [&self.stylesheet, &self.script, &self.mark].into_iter().find(|asset| asset.name == name)
    }
}

fn file_error(path: &Path, error: io::Error) -> BrandingError {
    BrandingError::File(path.display().to_string(), error)
}

/// A file of at most [`MAX_FILE`], or `None` if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, BrandingError> {
    let mut bytes = Vec::new();
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, error)),
    };
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| file_error(path, error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(BrandingError::TooLarge(path.display().to_string()));
    }
    Ok(Some(bytes))
}

fn read_text(path: &Path) -> Result<Option<String>, BrandingError> {
    let text = |bytes| {
        String::from_utf8(bytes).map_err(|_| BrandingError::NotUtf8(path.display().to_string()))
    };
    read(path)?.map(text).transpose()
}

fn read_templates(folder: &Path) -> Result<Vec<(Part, String)>, BrandingError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_error(folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| file_error(folder, error))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let part = Part::VARIANTS.iter().find(|part| part.to_string() == name);
        let part = *part.ok_or(BrandingError::UnknownTemplate(name))?;
        found.extend(read_text(&entry.path())?.map(|source| (part, source)));
    }
    Ok(found)
}

/// A colour in sRGB.
#[derive(Debug, Clone, Copy)]
struct Colour(u8, u8, u8);

impl Colour {
    fn parse(name: &str, text: &str) -> Result<Self, BrandingError> {
        let wrong = || BrandingError::Value(format!("{name}: a colour such as #2c57c5"));
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or_else(wrong)?;
        let number = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
        let [_, red, green, blue] = number.to_be_bytes();
        Ok(Self(red, green, blue))
    }

    /// The relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }

    fn must_stand_out(self, name: &str, ground: Self) -> Result<(), BrandingError> {
        let contrast = self.contrast(ground);
        if contrast < MIN_CONTRAST {
            return Err(BrandingError::Value(format!(
                "{name}: {self} on {ground} has a contrast of {contrast:.1}; links need {MIN_CONTRAST} to be read"
            )));
        }
        Ok(())
    }

    /// As custom properties, with the colour of text on it that can be read best.
    fn as_properties(self) -> String {
        let (black, white) = (Self(0x10, 0x13, 0x1b), Self(255, 255, 255));
        let on = if self.contrast(white) >= self.contrast(black) { white } else { black };
        format!("--accent: {self}; --on-accent: {on};")
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branding(toml: &str) -> Result<Branding, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("branding.toml"), toml).unwrap();
        Branding::read(Some(folder.path()))
            .map(|(branding, _)| branding)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let acme =
            branding("name = 'Acme'\nsupport_url = 'mailto:help@acme.example'\naccent = '#8a1c4a'")
                .unwrap();
        assert_eq!(acme.name, "Acme");
        for (toml, told) in [
            ("nam = 'x'", "unknown field `nam`"),
            ("name = ''", "name: 1 to 60 characters"),
            ("support_url = 'javascript:alert(1)'", "support_url"),
            ("accent = 'red'", "accent: a colour such as"),
            ("accent = '#ffee00'", "has a contrast of 1.2"),
            ("accent_dark = '#202020'", "accent_dark"),
        ] {
            let error = branding(toml).unwrap_err();
            assert!(error.contains(told), "{toml}: {error}");
        }
        assert!(Branding::read(Some(Path::new("/nowhere/at/all"))).is_err());
    }

    #[test]
    fn files_that_replace_nothing_or_are_too_large_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let told = || Branding::read(Some(folder.path())).unwrap_err().to_string();
        let style = folder.path().join("style.css");
        std::fs::write(&style, vec![b' '; 64 * 1024 + 1]).unwrap();
        assert!(told().ends_with("style.css is larger than 64 KiB"), "{}", told());
        std::fs::write(&style, [0xff]).unwrap();
        assert!(told().ends_with("style.css is not UTF-8"), "{}", told());
        std::fs::write(&style, ".card { border-radius: 0; }").unwrap();
        let (branding, _) = Branding::read(Some(folder.path())).unwrap();
        let (shipped, _) = Branding::read(None).unwrap();
        assert_ne!(branding.stylesheet.name, shipped.stylesheet.name);
        std::fs::create_dir(folder.path().join("templates")).unwrap();
        std::fs::write(folder.path().join("templates/login.html"), "").unwrap();
        assert!(told().starts_with("templates/login.html replaces no template"), "{}", told());
    }

    #[test]
    fn texts_of_a_deployment_replace_the_shipped_ones() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("texts")).unwrap();
        let texts = folder.path().join("texts/de.ftl");
        std::fs::write(&texts, "login-title = Willkommen bei Acme\n").unwrap();
        let (_, catalogue) = Branding::read(Some(folder.path())).unwrap();
        assert_eq!(catalogue.text(Language::German, "login-title", &[]), "Willkommen bei Acme");
        assert_eq!(catalogue.text(Language::English, "login-title", &[]), "Sign in");
        std::fs::write(&texts, "login-titel = Willkommen\n").unwrap();
        let error = Branding::read(Some(folder.path())).unwrap_err().to_string();
        assert_eq!(error, "texts for `de`: there is no text `login-titel`");
    }
}
