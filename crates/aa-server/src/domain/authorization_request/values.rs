//! Values of an authorization request.

use serde::{Deserialize, Serialize};

/// The beginning of every `request_uri` that is issued here (RFC 9126 §2.2).
pub const REQUEST_URI_PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// How the response travels to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseMode {
    /// In the query of the redirect URI.
    Query,
    /// In the fragment of the redirect URI (OAuth 2.0 Multiple Response Type Encoding Practices §2.1).
    Fragment,
    /// In a form that the browser posts (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

impl ResponseMode {
    /// The modes by the names that requests use.
    pub const NAMES: [(&'static str, Self); 3] =
        [("query", Self::Query), ("fragment", Self::Fragment), ("form_post", Self::FormPost)];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find_map(|(known, mode)| (known == name).then_some(mode))
    }
}

/// Where a response goes: a redirect URI that the client has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseTarget {
    /// The redirect URI, as the request wrote it.
    pub redirect_uri: String,
    /// The client's `state`, returned as it came.
    pub state: Option<String>,
    /// How the response travels.
    pub response_mode: ResponseMode,
}

/// The `prompt` (OpenID Connect Core §3.1.2.1). `consent` asks for nothing: there is no consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// Show a page if one is needed.
    Auto,
    /// Show no page (`none`).
    None,
    /// Ask the user to sign in (`login`, `select_account`).
    Login,
    /// Offer the user to create an account (`create`). Signing in does as well.
    Create,
}
