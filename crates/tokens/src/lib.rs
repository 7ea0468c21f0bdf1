//! Checks an authority's application tokens (JWTs after RFC 9068) **offline**: no call per request.
//!
//! The whole integration of a micro-app built on actix-web:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use tokens::{Guard, actix::AccessToken};
//!
//! async fn hello(token: AccessToken) -> Result<String, tokens::Denied> {
//!     token.require("hello:read")?;
//!     Ok(format!("Hello, {}!", token.sub))
//! }
//!
//! # #[actix_web::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let guard = Guard::connect("https://aa.example", "hello")?; // issuer, and this app's audience
//! HttpServer::new(move || {
//!     App::new().app_data(guard.clone()).route("/hello", web::get().to(hello))
//! })
//! # .bind("127.0.0.1:0")?.run().await?; Ok(())
//! # }
//! ```
//!
//! The layers, each usable alone:
//!
//! | layer | what | I/O |
//! | --- | --- | --- |
//! | [`Verifier`] | decides whether one token is good, given keys and the time | none |
//! | [`CachedVerifier`] | the same, and remembers which tokens were good | none |
//! | `RemoteKeys` (feature `fetch`) | holds the authority's keys and follows their rotation | HTTP, in the background |
//! | `Guard` (feature `fetch`) | both, and the answers of RFC 6750 | none on the request path, but for an unknown key |
//! | `actix`, `tower` | an extractor, a layer | |

pub mod jws;

mod algorithm;
mod cached;
mod claims;
mod keys;
mod reject;
mod strict_json;
mod verifier;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "fetch")]
mod fetch;
#[cfg(feature = "fetch")]
mod guard;
#[cfg(feature = "sign")]
mod sign;
#[cfg(feature = "tower")]
pub mod tower;

pub use algorithm::Algorithm;
pub use cached::CachedVerifier;
pub use claims::{Actor, Claims, Scope, Subject};
pub use keys::{KeySet, KeySetError};
pub use reject::Reject;
pub use verifier::Verifier;

#[cfg(feature = "actix")]
pub use actix::AccessToken;
#[cfg(feature = "fetch")]
pub use fetch::{FetchError, RemoteKeys};
#[cfg(feature = "fetch")]
pub use guard::{Denied, Guard};
#[cfg(feature = "sign")]
pub use sign::{SignError, SigningKey};
