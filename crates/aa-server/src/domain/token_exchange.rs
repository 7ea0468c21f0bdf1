//! Token exchange (RFC 8693): what a client may exchange, the request as a value, and the chain of those who act for a user.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tokens::{Actor, Claims, Scope};

/// The grant type (RFC 8693 §2.1).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of an access token (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// The type of any JWT (RFC 8693 §3). Our access tokens are JWTs.
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
/// The clients in a chain, at most: the app whose session it is, and three that got tokens by exchange.
pub const MAX_ACTORS: usize = 4;

/// A pair that a client may exchange tokens for: from its own audience to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The audience of the new tokens.
    pub audience: String,
    /// The scopes that they may have; none if it is empty.
    #[serde(default)]
    pub scopes: Vec<String>,
}

impl FromStr for Exchange {
    type Err = String;

    /// `AUDIENCE` or `AUDIENCE:SCOPE,SCOPE`. An audience with a colon cannot be written so.
    fn from_str(text: &str) -> Result<Self, String> {
        let (audience, scopes) = text.split_once(':').unwrap_or((text, ""));
        if scopes.starts_with("//") {
            return Err("declare an audience with a colon in a file for `app apply`".to_owned());
        }
        let scopes = scopes.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned);
        Ok(Self { audience: audience.to_owned(), scopes: scopes.collect() })
    }
}

/// A request that can be judged once its subject token has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeRequest {
    /// The token to be exchanged.
    pub subject_token: String,
    /// The audience of the new token.
    pub target: String,
    /// The scope of the new token; without one, as much as is allowed.
    pub scope: Option<Scope>,
}

/// Why a request is refused before its token is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadExchange {
    /// A parameter is missing.
    #[error("the parameter `{0}` is missing")]
    Missing(&'static str),
    /// `subject_token_type` or `requested_token_type` is not the one that there is.
    #[error("the parameter `{0}` must be that of an access token")]
    TokenType(&'static str),
    /// There is an `actor_token` or its type.
    #[error("actor_token is not supported: the client acts, and authenticates as itself")]
    ActorToken,
    /// `audience` and `resource` name different targets.
    #[error("audience and resource name two targets")]
    TwoTargets,
    /// The scope cannot be read.
    #[error("the scope cannot be read")]
    Scope,
}

impl ExchangeRequest {
    /// Reads a request. `get` gives the value of a parameter, which is there once at most.
    ///
    /// # Errors
    /// [`BadExchange`].
    pub fn parse<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, BadExchange> {
        let need = |name| get(name).ok_or(BadExchange::Missing(name));
        if get("actor_token").or(get("actor_token_type")).is_some() {
            return Err(BadExchange::ActorToken);
        }
        let subject_token = need("subject_token")?;
        if ![ACCESS_TOKEN, JWT].contains(&need("subject_token_type")?) {
            return Err(BadExchange::TokenType("subject_token_type"));
        }
        if get("requested_token_type").is_some_and(|requested| requested != ACCESS_TOKEN) {
            return Err(BadExchange::TokenType("requested_token_type"));
        }
        let target = match (get("audience"), get("resource")) {
            (Some(audience), Some(resource)) if audience != resource => {
                return Err(BadExchange::TwoTargets);
            }
            (audience, resource) => {
                audience.or(resource).ok_or(BadExchange::Missing("audience"))?
            }
        };
        let scope = get("scope").map(str::parse).transpose().map_err(|()| BadExchange::Scope)?;
        Ok(Self { subject_token: subject_token.to_owned(), target: target.to_owned(), scope })
    }
}

/// The chain of clients is as long as it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyActors;

/// The `act` of a token that a client gets in exchange for one with these claims (RFC 8693 §4.1): the client, then the clients
/// before it, and last the app whose session it is.
///
/// # Errors
/// [`TooManyActors`].
pub fn act(subject: &Claims, client_id: &str) -> Result<Actor, TooManyActors> {
    let actor = |sub: &str, act| Actor { sub: sub.to_owned(), client_id: None, act };
    let before = subject.act.clone().unwrap_or_else(|| actor(&subject.client_id, None));
    let chain =
        if before.sub == client_id { before } else { actor(client_id, Some(Box::new(before))) };
    if chain.chain().count() <= MAX_ACTORS { Ok(chain) } else { Err(TooManyActors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[(&'static str, &'static str)]) -> Result<ExchangeRequest, BadExchange> {
        let mut params = vec![
            ("subject_token", "a.b.c"),
            ("subject_token_type", ACCESS_TOKEN),
            ("audience", "notes"),
        ];
        for (name, value) in more {
            params.retain(|(known, _)| known != name);
            params.push((name, value));
        }
        let get = |name| params.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        ExchangeRequest::parse(|name| get(name).filter(|value| !value.is_empty()))
    }

    #[test]
    fn a_request_names_a_token_and_a_target() {
        let good = parse(&[]).unwrap();
        assert_eq!(
            (good.subject_token.as_str(), good.target.as_str(), good.scope),
            ("a.b.c", "notes", None)
        );
        assert_eq!(
            parse(&[("subject_token_type", JWT), ("scope", "b a")]).unwrap().scope,
            "b a".parse().ok()
        );
        assert_eq!(parse(&[("audience", ""), ("resource", "notes")]).unwrap().target, "notes");
        assert_eq!(parse(&[("resource", "notes")]).unwrap().target, "notes");
        let saml = "urn:ietf:params:oauth:token-type:saml2";
        let refresh = "urn:ietf:params:oauth:token-type:refresh_token";
        for (more, refused) in [
            (("subject_token", ""), BadExchange::Missing("subject_token")),
            (("subject_token_type", ""), BadExchange::Missing("subject_token_type")),
            (("subject_token_type", saml), BadExchange::TokenType("subject_token_type")),
            (("requested_token_type", refresh), BadExchange::TokenType("requested_token_type")),
            (("audience", ""), BadExchange::Missing("audience")),
            (("resource", "orders"), BadExchange::TwoTargets),
            (("actor_token", "a.b.c"), BadExchange::ActorToken),
            (("actor_token_type", ACCESS_TOKEN), BadExchange::ActorToken),
            (("scope", "\u{7f}"), BadExchange::Scope),
        ] {
            assert_eq!(parse(&[more]), Err(refused), "{more:?}");
        }
    }

    #[test]
    fn a_pair_is_written_with_its_scopes() {
        let pair = |audience: &str, scopes: &[&str]| Exchange {
            audience: audience.to_owned(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        };
        assert_eq!("notes".parse(), Ok(pair("notes", &[])));
        let both = pair("notes", &["notes:read", "notes:write"]);
        assert_eq!("notes:notes:read,notes:write".parse(), Ok(both));
        assert!("https://notes.example:notes:read".parse::<Exchange>().is_err());
    }
}
