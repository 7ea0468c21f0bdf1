//! The address and user agent of a request.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header;
use service::address::hop_address;
use service::http::RequestId;
use tracing::Span;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::domain::client::{ClientMetadata, ClientType};
use crate::http::error::{Error, OAuthError};

/// The address of a request. Only trusted proxies are believed about it.
///
/// # Errors
/// 400 when a trusted proxy names an address that cannot be parsed: a wrong address must not be recorded.
pub fn address(authority: &Authority, request: &HttpRequest) -> Result<IpAddr, Error> {
    let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    let trusted = |ip: IpAddr| {
        authority.config.trusted_proxies.iter().any(|network| network.contains(&ip.to_canonical()))
    };
    let mut address = peer.to_canonical();
    if !trusted(address) {
        return Ok(address);
    }
    let unreadable = || Error::bad_request("a proxy's X-Forwarded-For header cannot be read");
    let values: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .map(|value| value.to_str().map_err(|_| unreadable()))
        .collect::<Result<_, _>>()?;
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        address = hop_address(hop.trim()).ok_or_else(unreadable)?.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    Ok(address)
}

/// The caller of a request.
///
/// # Errors
/// See [`address`].
pub fn caller(authority: &Authority, request: &HttpRequest) -> Result<Caller, Error> {
    let ip = address(authority, request)?.to_string();
    Span::current().record("address", &ip);
    Ok(Caller {
        ip,
        user_agent: text(request, header::USER_AGENT.as_str()),
        request_id: RequestId::of(request),
        told_by_client: false,
    })
}

/// The caller of a request to the token endpoint. A client that has authenticated itself may tell the address and the
/// agent of the browser that it acts for (`X-Client-IP`, `X-Client-User-Agent`); no other caller is believed.
///
/// # Errors
/// `invalid_request` when the client tells something that is no address; see also [`address`].
pub fn caller_for_client(
    authority: &Authority,
    request: &HttpRequest,
    metadata: &ClientMetadata,
) -> Result<Caller, Error> {
    let own = caller(authority, request)?;
    let told = request.headers().get("x-client-ip");
    let Some(ip) = told.filter(|_| metadata.kind == ClientType::Confidential) else {
        return Ok(own);
    };
    let ip = ip.to_str().ok().and_then(|ip| ip.trim().parse::<IpAddr>().ok()).ok_or_else(|| {
        Error::oauth(OAuthError::InvalidRequest, "X-Client-IP is not an IP address")
    })?;
    let user_agent = text(request, "x-client-user-agent");
    Ok(Caller { ip: ip.to_canonical().to_string(), user_agent, told_by_client: true, ..own })
}

/// A header as text, cut to 512 characters; empty if there is none.
fn text(request: &HttpRequest, name: &str) -> String {
    let value = request.headers().get(name);
    value
        .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(512).collect())
        .unwrap_or_default()
}
