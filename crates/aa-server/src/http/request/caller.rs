//! The address and user agent of a request.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header;
use service::http::RequestId;

use crate::authority::Authority;
use crate::domain::caller::Caller;
use crate::http::error::Error;

/// Where a request comes from. Only trusted proxies are believed about it.
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
    let unreadable = || Error::bad_request("A proxy's X-Forwarded-For header cannot be read.");
    let values: Vec<&str> = request
        .headers()
        .get_all("x-forwarded-for")
        .map(|value| value.to_str().map_err(|_| unreadable()))
        .collect::<Result<_, _>>()?;
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        address = hop.trim().parse::<IpAddr>().map_err(|_| unreadable())?.to_canonical();
        if !trusted(address) {
            break;
        }
    }
    Ok(address)
}

/// Who calls.
///
/// # Errors
/// See [`address`].
pub fn caller(authority: &Authority, request: &HttpRequest) -> Result<Caller, Error> {
    let user_agent = request
        .headers()
        .get(header::USER_AGENT)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).chars().take(512).collect())
        .unwrap_or_default();
    Ok(Caller {
        ip: address(authority, request)?.to_string(),
        user_agent,
        request_id: RequestId::of(request),
    })
}
