//! The languages of the pages and mails, and how one is chosen.

use strum::VariantArray;

/// A language that the catalogue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, VariantArray)]
pub enum Language {
    /// English, the language of what is not translated.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
}

impl Language {
    /// The tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
        }
    }

    /// The name of the language in itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::French => "Français",
        }
    }

    /// The language of a tag, whatever region or script follows: `de-AT` is German.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::VARIANTS.iter().copied().find(|known| known.tag().eq_ignore_ascii_case(primary))
    }

    /// The first known language of a list by preference, separated by spaces (`ui_locales`, OpenID Connect Core §3.1.2.1).
    pub fn from_list(list: &str) -> Option<Self> {
        list.split_whitespace().take(16).find_map(Self::from_tag)
    }

    /// The best known language of an `Accept-Language` header (RFC 9110 §12.5.4).
    pub fn from_accept(header: &str) -> Option<Self> {
        let mut best: Option<(Self, f32)> = None;
        for range in header.split(',').take(32) {
            let mut parts = range.split(';');
            let Some(language) = parts.next().and_then(|tag| Self::from_tag(tag.trim())) else {
                continue;
            };
            let weight =
                parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Some(1.0), |weight| {
                    weight.parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight))
                });
            match (weight, best) {
                (Some(weight), known)
                    if weight > 0.0 && known.is_none_or(|(_, most)| weight > most) =>
                {
                    best = Some((language, weight));
                }
                _ => {}
            }
        }
        best.map(|(language, _)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_language_that_there_is_is_chosen() {
        for (header, chosen) in [
            ("de-AT,de;q=0.9,en;q=0.5", Some(Language::German)),
            ("pt, fr;q=0.3, en;q=0.8", Some(Language::English)),
            ("fr-CA", Some(Language::French)),
            ("fr;q=0, en;q=0.1", Some(Language::English)),
            ("fr;q=2", None),
            ("*", None),
            ("", None),
            (",;q=,;;", None),
        ] {
            assert_eq!(Language::from_accept(header), chosen, "{header}");
        }
        assert_eq!(Language::from_list("pt-BR fr de"), Some(Language::French));
        assert_eq!(Language::from_list("xx"), None);
    }
}
