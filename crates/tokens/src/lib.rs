//! Checks the application tokens (JWTs as in RFC 9068) of an authentication authority **offline**: the authority
//! is not called when a request arrives.
//!
//! # An API built on actix-web
//!
//! ```toml
//! [dependencies]
//! actix-web = "4"
//! tokens = { path = "…/crates/tokens", features = ["actix"] }
//! ```
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use tokens::{AccessToken, Denied, Guard};
//!
//! async fn hello(token: AccessToken) -> Result<String, Denied> {
//!     token.require("hello:read")?;
//!     Ok(format!("Hello, {}!", token.sub))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // The issuer's URL, and the audience of this API.
//!     let guard = Guard::connect("https://aa.example", "hello")?;
//!     HttpServer::new(move || {
//!         App::new().app_data(guard.clone()).route("/hello", web::get().to(hello))
//!     })
//!     .bind("127.0.0.1:8085")?
//!     .run()
//!     .await?;
//!     Ok(())
//! }
//! ```
//!
//! A request without an accepted token is answered as RFC 6750 §3 asks, and does not reach the handler.
//! `Scoped` puts the required scope into the handler's signature.
//!
//! An API tells by its [`ProtectedResource`] metadata (RFC 9728) who issues its tokens.
//!
//! # An API built on tower
//!
//! The feature `tower` has `AccessTokenLayer` for axum, tonic and hyper; its module has an
//! example.
//!
//! # Anything else
//!
//! The feature `fetch` has `Guard::authenticate`, which takes
//! [`RequestParts`] of any HTTP library. Without features, [`Verifier`] decides about one token, given the
//! keys and the time, without any I/O:
//!
//! ```
//! use tokens::{KeySet, Reject, Verifier};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // An authority publishes its keys at /.well-known/jwks.json.
//! let keys = KeySet::from_jwks(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
//!     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)?;
//! assert!(keys.contains("1"));
//!
//! let verifier = Verifier::new("https://aa.example", "hello");
//! assert_eq!(verifier.verify("not.a.token", &keys, 1_800_000_000), Err(Reject::Malformed));
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! | layer | purpose | I/O |
//! | --- | --- | --- |
//! | [`Verifier`] | decides whether one token is accepted, given keys and the time | none |
//! | [`CachedVerifier`] | the same, with a cache of accepted tokens | none |
//! | `RemoteKeys` (feature `fetch`) | holds the authority's keys and follows their rotation | HTTP, in the background |
//! | `Guard` (feature `fetch`) | authenticates a request; answers in the terms of RFC 6750 | HTTP only for an unknown key |
//! | `Guard::dpop` (feature `dpop`) | accepts tokens that are bound to a key, with a proof of it (RFC 9449) | none |
//! | `Follower` (feature `feed`) | knows which sessions have ended before their tokens expire | HTTP, in the background |
//! | `actix`, `tower` (features) | an extractor, a layer | as `Guard` |

pub mod jws;
pub mod revocation;
pub mod signed;

mod algorithm;
mod cached;
mod claims;
mod keys;
mod protected_resource;
mod reject;
mod request;
mod scope;
mod strict_json;
mod verifier;

#[cfg(feature = "fetch")]
mod access_token;
#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "fetch")]
mod denied;
#[cfg(feature = "dpop")]
pub mod dpop;
#[cfg(feature = "feed")]
mod ended_set;
#[cfg(feature = "feed")]
pub mod feed;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fetch")]
mod guard;
#[cfg(feature = "feed")]
mod id_filter;
#[cfg(feature = "feed")]
mod sharded;
#[cfg(feature = "sign")]
mod sign;
#[cfg(feature = "tower")]
pub mod tower;

pub use algorithm::Algorithm;
pub use cached::CachedVerifier;
pub use claims::{Actor, Claims, Confirmation, Subject};
pub use keys::{KeySet, KeySetError};
pub use protected_resource::{InvalidResource, ProtectedResource};
pub use reject::Reject;
pub use request::{Headers, RequestParts};
pub use scope::Scope;
pub use verifier::Verifier;

#[cfg(feature = "fetch")]
pub use access_token::AccessToken;
#[cfg(feature = "actix")]
pub use actix::{RequiredScope, Scoped};
#[cfg(feature = "fetch")]
pub use denied::Denied;
#[cfg(feature = "feed")]
pub use ended_set::EndedSet;
#[cfg(feature = "feed")]
pub use feed::{FeedSource, Follower};
#[cfg(feature = "fetch")]
pub use fetch::{FetchError, RemoteKeys};
#[cfg(feature = "fetch")]
pub use guard::Guard;
#[cfg(feature = "sign")]
pub use sign::{SignError, SigningKey};
#[cfg(feature = "tower")]
pub use tower::{AccessTokenLayer, AccessTokenService};
